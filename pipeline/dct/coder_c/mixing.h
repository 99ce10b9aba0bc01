/* One binary decision: its contexts' probabilities mixed, coded, and everything adapted. */
#pragma once

#include "model.h"

typedef int16_t Inputs __attribute__((vector_size(2 * LANES)));

#if defined(LEVEL_AVX2) || defined(LEVEL_AVX512)
#include <immintrin.h>

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

/* Where a decision is coded: the model's tables, the class's weights, the arithmetic coder. */
typedef struct {
    const Tables *tables;
    Weights *a, *b, *c;
    Arithmetic *arithmetic;
    int learning;
} Mixer;

/* Codes one decision from `count` contexts, of which it takes the counters of `node`, and a
 * network's stretched probability (0 where there is none). */
INLINE int decide(const Mixer *m, Counters *const *contexts, const int count, int node, int network,
                  int set_a, int set_b, int set_c, int bit, const int decoding) {
    const Tables *t = m->tables;
    Inputs x = {0};
    for (int i = 0; i < count; i++) {
        const int met = contexts[i]->count[node];
        x[i] = (int16_t)((t->stretch[contexts[i]->one[node] >> 4] * t->confidence[met]) >> 8);
    }
    x[LANES - 2] = (int16_t)network, x[LANES - 1] = 256;
    int16_t *a = m->a[set_a], *b = m->b[set_b], *c = m->c[set_c];
    const int of_a = clip(dot(x, a) >> 14, STRETCH_MAX), of_b = clip(dot(x, b) >> 14, STRETCH_MAX),
              of_c = clip(dot(x, c) >> 14, STRETCH_MAX);
    const int mixed = ((of_a + of_b + of_c) * 21846) >> 16;
    bit = code_bit(m->arithmetic, bit, t->squash[mixed + 2048], decoding);
    const int target = bit << 16, shift = m->learning;
    learn(x, a, (target - t->squash[of_a + 2048]) >> shift);
    learn(x, b, (target - t->squash[of_b + 2048]) >> shift);
    learn(x, c, (target - t->squash[of_c + 2048]) >> shift);
    const int full = bit ? 65535 : 0;
    for (int i = 0; i < count; i++) {
        const int met = contexts[i]->count[node], one = contexts[i]->one[node];
        contexts[i]->one[node] = (uint16_t)(one + (((full - one) * t->rate[met]) >> 15));
        contexts[i]->count[node] = (uint8_t)(met + (met < COUNT_MAX));
    }
    return bit;
}
