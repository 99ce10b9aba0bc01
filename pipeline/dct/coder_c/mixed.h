/* Inputs of a decision's mixer from anywhere in memory, and what sets of weights make of them. */
#pragma once

#include "lanes.h"
#include "tables.h"

#if defined(LEVEL_AVX2) || defined(LEVEL_AVX512)
/* Up to eight numbers from anywhere as one vector; its other numbers are 0. */
INLINE __m256i eight(const int32_t *const *at, const int count) {
    __m256i all = _mm256_set1_epi32(*at[0]);
    if (count < 8) all = _mm256_blend_epi32(_mm256_setzero_si256(), all, 1);
#define TAKE(i) \
    if (count > i) all = _mm256_blend_epi32(all, _mm256_set1_epi32(*at[i]), 1 << i)
    TAKE(1);
    TAKE(2);
    TAKE(3);
    TAKE(4);
    TAKE(5);
    TAKE(6);
    TAKE(7);
#undef TAKE
    return all;
}

/* Stretched probabilities by the confidence in counters that have met so many decisions. */
INLINE __m256i weighed(const Tables *t, __m256i stretches, __m256i met) {
    /* Half of a confidence is a byte; other bytes of the number ask for 0. */
    const __m256i known = _mm256_min_epu32(met, _mm256_set1_epi32(CONFIDENT));
    const __m256i half = _mm256_shuffle_epi8(
        _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)t->half_confidence)),
        _mm256_or_si256(known, _mm256_set1_epi32((int)0x80808000)));
    return _mm256_srai_epi32(_mm256_madd_epi16(stretches, half), 7);
}
#endif

/* What three sets of weights make of the inputs, stretched. */
typedef struct {
    int a, b, c;
} Mixed;

INLINE Mixed mix(Inputs x, const int16_t *a, const int16_t *b, const int16_t *c) {
#if defined(LEVEL_AVX2) || defined(LEVEL_AVX512)
    const __m256i of_a = _mm256_madd_epi16((__m256i)x, _mm256_load_si256((const __m256i *)a)),
                  of_b = _mm256_madd_epi16((__m256i)x, _mm256_load_si256((const __m256i *)b)),
                  of_c = _mm256_madd_epi16((__m256i)x, _mm256_load_si256((const __m256i *)c));
    const __m256i parts = _mm256_hadd_epi32(_mm256_hadd_epi32(of_a, of_b),
                                            _mm256_hadd_epi32(of_c, of_c));
    const __m128i sums = _mm_srai_epi32(_mm_add_epi32(_mm256_castsi256_si128(parts),
                                                      _mm256_extracti128_si256(parts, 1)),
                                        14);
    const __m128i cut = _mm_min_epi32(_mm_max_epi32(sums, _mm_set1_epi32(-STRETCH_MAX)),
                                      _mm_set1_epi32(STRETCH_MAX));
    return (Mixed){_mm_cvtsi128_si32(cut), _mm_extract_epi32(cut, 1), _mm_extract_epi32(cut, 2)};
#else
    return (Mixed){clip(dot(x, a) >> 14, STRETCH_MAX), clip(dot(x, b) >> 14, STRETCH_MAX),
                   clip(dot(x, c) >> 14, STRETCH_MAX)};
#endif
}
