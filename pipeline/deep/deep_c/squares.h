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

#if defined(LEVEL_AVX2)
INLINE uint32_t all_bits(const Squares *s, const int32_t *differences) {
    __m256i all = _mm256_setzero_si256();
    for (int j = 0; j < s->stride; j += 8)
        all = _mm256_or_si256(
            all, _mm256_abs_epi32(_mm256_loadu_si256((const __m256i *)(differences + j))));
    __m128i half = _mm_or_si128(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
    half = _mm_or_si128(half, _mm_shuffle_epi32(half, 0x4e));
    half = _mm_or_si128(half, _mm_shuffle_epi32(half, 0xb1));
    return (uint32_t)_mm_cvtsi128_si32(half);
}

/* Whole numbers in doubles: any order gives the same sum. */
INLINE double weighted(const Squares *s, const int32_t *differences, int down) {
    const __m128i by = _mm_cvtsi32_si128(down);
    __m256d sum = _mm256_setzero_pd();
    for (int j = 0; j < s->stride; j += 4) {
        const __m128i four = _mm_loadu_si128((const __m128i *)(differences + j));
        const __m256d cut = _mm256_cvtepi32_pd(_mm_sra_epi32(four, by));
        sum = _mm256_add_pd(sum, _mm256_mul_pd(cut, _mm256_loadu_pd(s->now + j)));
    }
    __m128d half = _mm_add_pd(_mm256_castpd256_pd128(sum), _mm256_extractf128_pd(sum, 1));
    return _mm_cvtsd_f64(_mm_add_sd(half, _mm_unpackhi_pd(half, half)));
}

INLINE void cut_all(const Squares *s, int16_t *seen, const int32_t *differences, int down) {
    const __m256i most = _mm256_set1_epi32(REGRESSOR_MAX), least = _mm256_set1_epi32(-REGRESSOR_MAX);
    const __m128i right = _mm_cvtsi32_si128(down > 0 ? down : 0),
                  left = _mm_cvtsi32_si128(down > 0 ? 0 : -down);
    for (int j = 0; j < s->stride; j += 8) {
        __m256i x = _mm256_loadu_si256((const __m256i *)(differences + j));
        x = _mm256_sra_epi32(x, right);
        x = _mm256_max_epi32(_mm256_min_epi32(x, most), least);
        x = _mm256_sll_epi32(x, left);
        x = _mm256_max_epi32(_mm256_min_epi32(x, most), least);
        _mm_storeu_si128((__m128i *)(seen + j), _mm_packs_epi32(_mm256_castsi256_si128(x),
                                                                _mm256_extracti128_si256(x, 1)));
    }
}
#else
INLINE uint32_t all_bits(const Squares *s, const int32_t *differences) {
    uint32_t all = 0;
    for (int i = 0; i < s->count; i++) all |= (uint32_t)size64(differences[i]);
    return all;
}

INLINE double weighted(const Squares *s, const int32_t *differences, int down) {
    double sum = 0;
    for (int i = 0; i < s->count; i++) sum += s->now[i] * (double)(differences[i] >> down);
    return sum;
}

INLINE void cut_all(const Squares *s, int16_t *seen, const int32_t *differences, int down) {
    for (int i = 0; i < s->count; i++)
        seen[i] = (int16_t)clip64(shifted(differences[i], down), REGRESSOR_MAX);
}
#endif

/* What the regressors predict, in 1/16: differences cut to 20 significant bits. */
INLINE int64_t predicted(const Squares *s, const int32_t *differences) {
    const int length = bit_length(all_bits(s, differences)), down = length > 20 ? length - 20 : 0;
    return ((int64_t)weighted(s, differences, down) * ((int64_t)1 << down)) >> (WEIGHT_BITS - 4);
}

/* Takes a sample's regressors and target, as they are times 2^-down; down is -8 or more. */
INLINE void see(Squares *s, int column, const int32_t *differences, int64_t target, int down) {
    int16_t *seen = s->seen[column];
    cut_all(s, seen, differences, down);
    seen[s->count] = (int16_t)clip64(shifted(target, down), REGRESSOR_MAX);
}
