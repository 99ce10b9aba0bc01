/* The zigzag order of coefficients, and which of a block are not near zero. */
#pragma once
#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

static const uint8_t NATURAL[64] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
    41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
    30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

/* For 8 coefficients in a row of a block their bits in zigzag order. */
static uint64_t zigzag_bits[8][256];

/* Called once, when the module is loaded. */
static void make_zigzag(void) {
    for (int k = 0; k < 64; k++)
        for (int bits = 0; bits < 256; bits++)
            if (bits >> (NATURAL[k] & 7) & 1)
                zigzag_bits[NATURAL[k] >> 3][bits] |= (uint64_t)1 << k;
}

/* Bit k: coefficient k in zigzag order is at least `least` from zero; least: 1 to 1 << 14. */
static inline uint64_t at_least(const int16_t *block, int least) {
    uint64_t found = 0;
#ifdef __SSE2__
    const __m128i high = _mm_set1_epi16((int16_t)(least - 1));
    const __m128i low = _mm_set1_epi16((int16_t)(1 - least));
    for (int i = 0; i < 8; i += 2) {
        __m128i far[2];
        for (int j = 0; j < 2; j++) {
            const __m128i v = _mm_loadu_si128((const __m128i *)(block + 8 * (i + j)));
            far[j] = _mm_or_si128(_mm_cmpgt_epi16(v, high), _mm_cmpgt_epi16(low, v));
        }
        const int bits = _mm_movemask_epi8(_mm_packs_epi16(far[0], far[1]));
        found |= zigzag_bits[i][bits & 255] | zigzag_bits[i + 1][bits >> 8];
    }
#else
    for (int i = 0; i < 8; i++) {
        int bits = 0;
        for (int j = 0; j < 8; j++) {
            const int v = block[8 * i + j];
            bits |= (v >= least || v <= -least) << j;
        }
        found |= zigzag_bits[i][bits];
    }
#endif
    return found;
}

/* Bits start to end. */
static inline uint64_t band(int start, int end) {
    return ~(uint64_t)0 << start & ~(uint64_t)0 >> (63 - end);
}
