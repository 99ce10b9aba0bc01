/* What a block's surroundings say about its coefficients: continuity across the edges, and
 * linear predictions of coefficients and of their magnitudes. */
#pragma once

#include "mixing.h"

enum { COEFFICIENT_MAX = 4095, PREDICTION_MAX = 32000 };

/* A component's numbers that its quantisation steps decide. */
typedef struct {
    int step[POSITIONS];                        /* at least 1 */
    int64_t per_step[POSITIONS];                /* 2^20 / step */
    int64_t below[POSITIONS], right[POSITIONS]; /* 2^28 / (step * the edge's share) */
    int precision[POSITIONS];                   /* 2^20 / step^2 */
} Steps;

/* Share of a coefficient of this frequency in a block's edge, in 1/256: the DCT's scale. */
INLINE int share(int frequency) { return frequency ? 256 : 181; }

static inline void take_steps(Steps *s, const uint16_t *step) {
    for (int z = 0; z < POSITIONS; z++) {
        const int q = step[z] ? step[z] : 1, u = z >> 3, v = z & 7;
        s->step[z] = q;
        s->per_step[z] = ((1 << 20) + q / 2) / q;
        s->below[z] = ((1 << 28) / share(u) + q / 2) / q;
        s->right[z] = ((1 << 28) / share(v) + q / 2) / q;
        s->precision[z] = (int)((1 << 20) / ((int64_t)q * q));
    }
}

/* A coefficient times its step, clipped: the product of an int16 and a uint16 fits 32 bits. */
INLINE int dequantised(int coefficient, int step) {
    return clip(coefficient * step, COEFFICIENT_MAX);
}

/* In 1/16 steps: an edge's rest over one coefficient's share of the edge. At most 2 * 8 * 4095 *
 * 256 times 2^28 / 181, which is below 2^45. */
INLINE int across(int rest, int64_t scale) {
    const int64_t prediction = (rest * scale) >> 24;
    return prediction > PREDICTION_MAX    ? PREDICTION_MAX
           : prediction < -PREDICTION_MAX ? -PREDICTION_MAX
                                          : (int)prediction;
}

/* In 1/16 steps, of a sum with 13 fractional bits. */
INLINE int in_steps(int sum, int64_t per_step) {
    const int64_t prediction = (sum * per_step) >> 29;
    return prediction > PREDICTION_MAX    ? PREDICTION_MAX
           : prediction < -PREDICTION_MAX ? -PREDICTION_MAX
                                          : (int)prediction;
}

/* The lower edge of a block in horizontal frequencies, its right edge in vertical ones: what the
 * blocks below and to the right of it should begin with. */
static inline void edges_of(const int16_t *block, const Steps *s, int *lower, int *right) {
    for (int i = 0; i < 8; i++) lower[i] = right[i] = 0;
    for (int z = 0; z < POSITIONS; z++) {
        if (!block[z]) continue;
        const int u = z >> 3, v = z & 7, value = dequantised(block[z], s->step[z]);
        lower[v] += u & 1 ? -value * share(u) : value * share(u);
        right[u] += v & 1 ? -value * share(v) : value * share(v);
    }
}

/* sums += value * weights of all positions; value is at most 32767 in size. */
INLINE void add_scaled(int *sums, const int16_t *weights, int value) {
#if defined(LEVEL_AVX2) || defined(LEVEL_AVX512)
    /* Products of pairs, of which the upper ones are with 0. */
    const __m256i factor = _mm256_set1_epi32(value & 0xffff);
    for (int z = 0; z < POSITIONS; z += 8) {
        const __m128i *at = (const __m128i *)(weights + z);
        __m256i *sum = (__m256i *)(sums + z);
        const __m256i said = _mm256_madd_epi16(_mm256_cvtepi16_epi32(_mm_loadu_si128(at)), factor);
        _mm256_storeu_si256(sum, _mm256_add_epi32(_mm256_loadu_si256(sum), said));
    }
#else
    for (int z = 0; z < POSITIONS; z++) sums[z] += value * weights[z];
#endif
}

/* Adds what one coefficient says about all positions. */
INLINE void add_source(int *direct, int *size, const Linear *l, int source, int value) {
    add_scaled(direct, l->direct[source], value);
    add_scaled(size, l->size[source], size_of(value));
}

/* Coefficients that are not 0, and which sources of linear predictions they are. */
typedef struct {
    int count;
    int16_t value[SOURCES + 1], source[SOURCES + 1];
} Sources;

/* A bit for each coefficient of a block that is not 0. */
INLINE uint64_t not_zero(const int16_t *block) {
    uint64_t bits = 0;
#if defined(LEVEL_AVX2) || defined(LEVEL_AVX512)
    for (int z = 0; z < POSITIONS; z += 32) {
        const __m256i *at = (const __m256i *)(block + z), none = _mm256_setzero_si256();
        const __m256i zero =
            _mm256_packs_epi16(_mm256_cmpeq_epi16(_mm256_loadu_si256(at), none),
                               _mm256_cmpeq_epi16(_mm256_loadu_si256(at + 1), none));
        const int found = _mm256_movemask_epi8(_mm256_permute4x64_epi64(zero, 0xd8));
        bits |= (uint64_t)(uint32_t)~found << z;
    }
#else
    for (int z = 0; z < POSITIONS; z++) bits |= (uint64_t)(block[z] != 0) << z;
#endif
    return bits;
}

/* Those of a block among `bits`; its first source is `first`. With steps they are dequantised. */
INLINE void take_sources(Sources *s, const int16_t *block, uint64_t bits, int first,
                         const int *step) {
    for (bits &= not_zero(block); bits; bits &= bits - 1) {
        const int z = __builtin_ctzll(bits);
        s->value[s->count] = (int16_t)(step ? dequantised(block[z], step[z]) : block[z]);
        s->source[s->count++] = (int16_t)(first + z);
    }
}

/* sums = what all sources say together. */
INLINE void sum_sources(int *sums, const int16_t (*weights)[POSITIONS], const int16_t *value,
                        const int16_t *source, int count) {
#if defined(LEVEL_AVX2) || defined(LEVEL_AVX512)
    /* Two sources at a time, the weights of both beside each other. */
    enum { WORDS = 16, PARTS = POSITIONS / WORDS };
    __m256i low[PARTS], high[PARTS];
    for (int i = 0; i < PARTS; i++) low[i] = high[i] = _mm256_setzero_si256();
    for (int i = 0; i < count; i += 2) {
        int32_t pair;
        memcpy(&pair, value + i, 4);
        const __m256i both = _mm256_set1_epi32(pair);
        const __m256i *first = (const __m256i *)weights[source[i]],
                      *second = (const __m256i *)weights[source[i + 1]];
        for (int j = 0; j < PARTS; j++) {
            const __m256i a = _mm256_loadu_si256(first + j), b = _mm256_loadu_si256(second + j);
            low[j] = _mm256_add_epi32(low[j], _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), both));
            high[j] =
                _mm256_add_epi32(high[j], _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), both));
        }
    }
    for (int j = 0; j < PARTS; j++) {
        __m256i *at = (__m256i *)(sums + WORDS * j);
        _mm256_storeu_si256(at, _mm256_permute2x128_si256(low[j], high[j], 0x20));
        _mm256_storeu_si256(at + 1, _mm256_permute2x128_si256(low[j], high[j], 0x31));
    }
#else
    memset(sums, 0, POSITIONS * sizeof *sums);
    for (int i = 0; i < count; i++) add_scaled(sums, weights[source[i]], value[i]);
#endif
}

/* A source of no weight, so that they are an even number. */
INLINE void finish_sources(Sources *s) { s->value[s->count] = s->source[s->count] = 0; }

static void predict_from(int *direct, int *size, const Linear *l, const Steps *s,
                         const int16_t *const neighbours[4]) {
    Sources sources = {.count = 0};
    for (int n = 0; n < 4; n++)
        take_sources(&sources, neighbours[n], UINT64_MAX, POSITIONS * (n + 1), s->step);
    finish_sources(&sources);
    sum_sources(direct, l->direct, sources.value, sources.source, sources.count);
    for (int i = 0; i < sources.count; i++) sources.value[i] = (int16_t)size_of(sources.value[i]);
    sum_sources(size, l->size, sources.value, sources.source, sources.count);
}
