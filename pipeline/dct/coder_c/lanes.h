/* The inputs of a mixer as vectors of 16-bit numbers: their weighted sum, and how weights learn. */
#pragma once

#include <stdint.h>

#include "arithmetic.h"

enum { LANES = 16 }; /* inputs of a mixer */

typedef int16_t Weights[LANES];
typedef int16_t Inputs __attribute__((vector_size(2 * LANES)));

#if defined(LEVEL_AVX2) || defined(LEVEL_AVX512)
#include <immintrin.h>

/* Sixteen numbers that fit 16 bits or are cut to them, of two vectors, in order. */
INLINE __m256i narrowed(__m256i low, __m256i high) {
    return _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
}

INLINE int dot(Inputs x, const int16_t *w) {
    const __m256i pairs = _mm256_madd_epi16((__m256i)x, _mm256_load_si256((const __m256i *)w));
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
    return _mm_cvtsi128_si32(sum);
}

INLINE void learn(Inputs x, int16_t *w, int error) {
    const __m256i step = _mm256_mulhrs_epi16((__m256i)x, _mm256_set1_epi16((int16_t)error));
    __m256i *at = (__m256i *)w;
    _mm256_store_si256(at, _mm256_adds_epi16(_mm256_load_si256(at), step));
}
#else
/* At most 16 * 2047 * 32768 < 2^31. */
INLINE int dot(Inputs x, const int16_t *w) {
    int sum = 0;
    for (int i = 0; i < LANES; i++) sum += x[i] * w[i];
    return sum;
}

/* The weights move by x * error / 2^15, rounded, and stay in 16 bits. */
INLINE void learn(Inputs x, int16_t *w, int error) {
    for (int i = 0; i < LANES; i++) {
        const int moved = w[i] + ((x[i] * error + 0x4000) >> 15);
        w[i] = (int16_t)(moved > INT16_MAX ? INT16_MAX : moved < INT16_MIN ? INT16_MIN : moved);
    }
}
#endif
