/* Predictions by least squares, learnt in strips of columns.
 *
 * Bounds. Integers in doubles, all below 2^53, so that any order of additions gives the same. A
 * regressor is below 2^11 in size, so a row of a strip adds less than 2^26 to a sum; a sixteenth
 * fades before, which keeps it below 2^30 + 16. Three strips stay below 2^32. A weight is below
 * 2^15: what is left of an equation stays below 2^44 + 25 * 2^47 < 2^53. The one division is
 * rounded alike everywhere, and cut off to a whole number.
 */
#pragma once

#include "tables.h"

enum {
    TAPS = 32,  /* regressors and the target behind them, padded */
    STRIP = 16, /* columns; an even number */
    WEIGHT_BITS = 12,
    WEIGHT_MAX = 32767,
    REGRESSOR_MAX = 2047,
    RIDGE = 4096,
    SWEEPS = 3,
    FADE = 4, /* 2^-4 of what was learnt fades with each row */
    FARTHEST_STEP = 65536,
};

typedef int16_t Numbers[TAPS];

typedef struct {
    int count;  /* of regressors */
    int stride; /* of a row of sums: a multiple of 8 */
    int strips;
    int32_t *sums; /* [strips + 2][count + 1][stride]: the first and the last strip stay empty */
    int16_t (*weights)[TAPS]; /* [strips] */
    Numbers seen[STRIP];      /* of the strip that is coded */
    double now[TAPS];
} Squares;

static int begin_squares(Squares *s, int count, int width) {
    s->count = count, s->stride = (count + 8) / 8 * 8, s->strips = (width + STRIP - 1) / STRIP;
    s->sums = calloc((size_t)(s->strips + 2) * (size_t)((count + 1) * s->stride), sizeof *s->sums);
    s->weights = calloc((size_t)s->strips, sizeof *s->weights);
    if (!s->sums || !s->weights) return 0;
    /* Of N, NW and NE, as differences from W. */
    for (int i = 0; i < s->strips; i++)
        s->weights[i][0] = 2560, s->weights[i][1] = -1536, s->weights[i][2] = 1024;
    return 1;
}

static void end_squares(Squares *s) { free(s->sums), free(s->weights); }

INLINE int32_t *sums_of(const Squares *s, int strip) {
    return s->sums + (size_t)(strip + 1) * (size_t)((s->count + 1) * s->stride);
}

/* The weights of a strip whose next row begins: coordinate descent from those of the row above. */
static void solve(Squares *s, int strip) {
    const int count = s->count, stride = s->stride;
    double total[TAPS][TAPS] __attribute__((aligned(64)));
    double left[TAPS] __attribute__((aligned(64)));
    const int32_t *before = sums_of(s, strip - 1), *own = sums_of(s, strip),
                  *after = sums_of(s, strip + 1);
    int16_t *weights = s->weights[strip];
    for (int i = 0; i <= count; i++)
        for (int j = 0; j < stride; j++) {
            const int at = i * stride + j;
            total[i][j] = (double)before[at] + (double)own[at] + (double)after[at];
        }
    for (int j = 0; j < stride; j++) left[j] = total[count][j] * (1 << WEIGHT_BITS);
    for (int i = 0; i < count; i++) {
        const double weight = weights[i];
        for (int j = 0; j < stride; j++) left[j] -= total[i][j] * weight;
    }
    for (int sweep = 0; sweep < SWEEPS; sweep++)
        for (int i = 0; i < count; i++) {
            double step = left[i] / (total[i][i] + RIDGE);
            step = step > FARTHEST_STEP ? FARTHEST_STEP : step < -FARTHEST_STEP ? -FARTHEST_STEP : step;
            const int old = weights[i], next = clip(old + (int)step, WEIGHT_MAX);
            if (next == old) continue;
            weights[i] = (int16_t)next;
            const double moved = next - old;
            for (int j = 0; j < stride; j++) left[j] -= total[i][j] * moved;
        }
    for (int i = 0; i < TAPS; i++) s->now[i] = i < count ? weights[i] : 0;
}

#if defined(LEVEL_AVX2)
/* Adds the products of the numbers of `pairs` pairs of samples. */
INLINE void add_products(const Squares *s, int32_t *sums, int pairs) {
    __m256i joined[STRIP / 2][TAPS / 8];
    for (int q = 0; q < pairs; q++)
        for (int j = 0; j < s->stride; j += 8) {
            const __m128i first = _mm_loadu_si128((const __m128i *)(s->seen[2 * q] + j)),
                          second = _mm_loadu_si128((const __m128i *)(s->seen[2 * q + 1] + j));
            joined[q][j / 8] = _mm256_set_m128i(_mm_unpackhi_epi16(first, second),
                                                _mm_unpacklo_epi16(first, second));
        }
    for (int i = 0; i <= s->count; i++)
        for (int j = 0; j < s->stride; j += 8) {
            __m256i *at = (__m256i *)(sums + i * s->stride + j);
            __m256i sum = _mm256_loadu_si256(at);
            for (int q = 0; q < pairs; q++) {
                const uint32_t both = (uint16_t)s->seen[2 * q][i] |
                                      (uint32_t)(uint16_t)s->seen[2 * q + 1][i] << 16;
                sum = _mm256_add_epi32(
                    sum, _mm256_madd_epi16(_mm256_set1_epi32((int)both), joined[q][j / 8]));
            }
            _mm256_storeu_si256(at, sum);
        }
}
#else
INLINE void add_products(const Squares *s, int32_t *sums, int pairs) {
    for (int k = 0; k < 2 * pairs; k++)
        for (int i = 0; i <= s->count; i++)
            for (int j = 0; j < s->stride; j++)
                sums[i * s->stride + j] += s->seen[k][i] * s->seen[k][j];
}
#endif

/* Learns what `count` columns of a strip have seen in a row. */
static void add_strip(Squares *s, int strip, int count) {
    int32_t *sums = sums_of(s, strip);
    for (int i = 0; i < (s->count + 1) * s->stride; i++) sums[i] -= sums[i] >> FADE;
    if (count % 2) memset(s->seen[count], 0, sizeof *s->seen);
    add_products(s, sums, (count + 1) / 2);
}

/* What the regressors predict, in 1/16: `differences` of up to 33 bits, cut to 20 significant. */
INLINE int64_t predicted(const Squares *s, const int64_t *differences) {
    uint64_t all = 0;
    for (int i = 0; i < s->count; i++) all |= (uint64_t)size64(differences[i]);
    const int length = bit_length(all), down = length > 20 ? length - 20 : 0;
    double sum = 0;
    for (int i = 0; i < s->count; i++) sum += s->now[i] * (double)(int32_t)(differences[i] >> down);
    return ((int64_t)sum * ((int64_t)1 << down)) >> (WEIGHT_BITS - 4);
}

/* Takes a sample's regressors and target, as they are times 2^-down. */
INLINE void see(Squares *s, int column, const int64_t *differences, int64_t target, int down) {
    int16_t *seen = s->seen[column];
    for (int i = 0; i < s->count; i++)
        seen[i] = (int16_t)clip64(shifted(differences[i], down), REGRESSOR_MAX);
    seen[s->count] = (int16_t)clip64(shifted(target, down), REGRESSOR_MAX);
}
