/* Numbers as bytes that networks see: logarithms of magnitudes, or of numbers with their sign. */
#pragma once

#include "lanes.h"
#include "tables.h"

/* 24 log2(1 + x), straight between powers of two, at most 255; x >= 0. */
INLINE uint8_t magnitude_byte(int x) {
    const uint32_t y = (uint32_t)x + 1;
    const int whole = 31 - __builtin_clz(y);
    const int part = (int)(((uint64_t)y << 8 >> whole) - 256);
    return (uint8_t)least((whole * 256 + part) * 24 >> 8, 255);
}
/* Half as fine, around 128. */
INLINE uint8_t signed_byte(int x) {
    const int half = magnitude_byte(size_of(x)) >> 1;
    return (uint8_t)(x < 0 ? 128 - half : 128 + half);
}

/* bytes_of: signed bytes where with_sign is 255, magnitude bytes where it is 0; count is a multiple
 * of 32. In vectors a size becomes a float, which holds any number below 2^24: its exponent and its
 * first eight bits are `whole` and `part` of magnitude_byte. */
enum { BYTE_MOST = 1663 }; /* from here on a magnitude byte is 255 */
#if defined(LEVEL_AVX512)
INLINE void bytes_of(const int32_t *x, const uint8_t *with_sign, int count, uint8_t *bytes) {
    for (int i = 0; i < count; i += 16) {
        const __m512i number = _mm512_loadu_si512(x + i);
        const __m512i y = _mm512_add_epi32(
            _mm512_min_epi32(_mm512_abs_epi32(number), _mm512_set1_epi32(BYTE_MOST)),
            _mm512_set1_epi32(1));
        const __m512i bits = _mm512_castps_si512(_mm512_cvtepi32_ps(y));
        const __m512i log = _mm512_sub_epi32(_mm512_srli_epi32(bits, 15),
                                             _mm512_set1_epi32(127 << 8));
        /* 24 / 256 = 3 / 32 */
        const __m512i size =
            _mm512_srli_epi32(_mm512_add_epi32(log, _mm512_add_epi32(log, log)), 5);
        const __m512i half = _mm512_srli_epi32(size, 1), middle = _mm512_set1_epi32(128);
        const __m512i around = _mm512_mask_sub_epi32(_mm512_add_epi32(middle, half),
                                                     _mm512_movepi32_mask(number), middle, half);
        const __mmask16 choice =
            _mm_movepi8_mask(_mm_loadu_si128((const __m128i *)(with_sign + i)));
        _mm_storeu_si128((__m128i *)(bytes + i),
                         _mm512_cvtepi32_epi8(_mm512_mask_mov_epi32(size, choice, around)));
    }
}
#elif defined(LEVEL_AVX2)
/* Magnitude bytes of eight sizes. */
INLINE __m256i magnitudes(__m256i size) {
    const __m256i y = _mm256_add_epi32(_mm256_min_epi32(size, _mm256_set1_epi32(BYTE_MOST)),
                                       _mm256_set1_epi32(1));
    const __m256i bits = _mm256_castps_si256(_mm256_cvtepi32_ps(y));
    const __m256i log = _mm256_sub_epi32(_mm256_srli_epi32(bits, 15), _mm256_set1_epi32(127 << 8));
    return _mm256_srli_epi32(_mm256_add_epi32(log, _mm256_add_epi32(log, log)), 5);
}

INLINE void bytes_of(const int32_t *x, const uint8_t *with_sign, int count, uint8_t *bytes) {
    for (int i = 0; i < count; i += 32) {
        __m256i size[4], number[4];
        for (int j = 0; j < 4; j++) {
            number[j] = _mm256_loadu_si256((const __m256i *)(x + i + 8 * j));
            size[j] = magnitudes(_mm256_abs_epi32(number[j]));
        }
        const __m256i sizes = _mm256_permute4x64_epi64(
            _mm256_packus_epi16(narrowed(size[0], size[1]), narrowed(size[2], size[3])), 0xd8);
        const __m256i signs = _mm256_permute4x64_epi64(
            _mm256_packs_epi16(narrowed(number[0], number[1]), narrowed(number[2], number[3])),
            0xd8);
        const __m256i half = _mm256_and_si256(_mm256_srli_epi16(sizes, 1), _mm256_set1_epi8(127));
        const __m256i around = _mm256_add_epi8(_mm256_set1_epi8((char)128),
                                               _mm256_sign_epi8(half, signs));
        const __m256i choice = _mm256_loadu_si256((const __m256i *)(with_sign + i));
        _mm256_storeu_si256((__m256i *)(bytes + i), _mm256_blendv_epi8(sizes, around, choice));
    }
}
#else
INLINE void bytes_of(const int32_t *x, const uint8_t *with_sign, int count, uint8_t *bytes) {
    for (int i = 0; i < count; i++)
        bytes[i] = with_sign[i] ? signed_byte(x[i]) : magnitude_byte(size_of(x[i]));
}
#endif
