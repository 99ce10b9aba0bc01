/* One binary decision: its contexts' probabilities mixed, coded, and everything adapted. */
#pragma once

#include "model.h"

/* Where a decision is coded: the model's tables, the class's weights, the arithmetic coder. */
typedef struct {
    const Tables *tables;
    Weights *a, *b, *c;
    Arithmetic *arithmetic;
    int learning;
} Mixer;

#if defined(LEVEL_AVX2) || defined(LEVEL_AVX512)
/* Up to eight numbers of anywhere as one vector, and zeros. */
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

/* The nodes' slots of up to eight contexts; stretched: what they say, by their confidence. */
INLINE __m256i take_eight(const Tables *t, Slot *const *contexts, const int count, int node,
                          __m256i *stretched) {
    const int32_t *slots[8], *stretches[8];
    for (int i = 0; i < count; i++) {
        uint16_t one; /* read on its own: the rest goes from memory into the vector */
        slots[i] = (const int32_t *)(contexts[i] + node);
        memcpy(&one, slots[i], sizeof one);
        stretches[i] = t->stretch + (one >> 4);
    }
    const __m256i state = eight(slots, count);
    /* Half of a confidence is a byte; other bytes of the number ask for 0. */
    const __m256i known = _mm256_min_epu32(_mm256_srli_epi32(state, 16),
                                           _mm256_set1_epi32(CONFIDENT));
    const __m256i half = _mm256_shuffle_epi8(
        _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)t->half_confidence)),
        _mm256_or_si256(known, _mm256_set1_epi32((int)0x80808000)));
    *stretched = _mm256_srai_epi32(_mm256_madd_epi16(eight(stretches, count), half), 7);
    return state;
}

/* Moves slots towards the bit that was met; full is 65535 for a 1. Rates are whole numbers of float
 * quotients: such a quotient is wrong by less than 2^-23 of itself, and one that is not whole lies at
 * least 1 / (10 count + 16) below the next whole number. */
INLINE void adapt_eight(Slot *const *contexts, const int count, int node, __m256i state, int full) {
    const __m256i one = _mm256_and_si256(state, _mm256_set1_epi32(65535)),
                  met = _mm256_srli_epi32(state, 16);
    const __m256 steps = _mm256_add_ps(
        _mm256_mul_ps(_mm256_cvtepi32_ps(met), _mm256_set1_ps(10)), _mm256_set1_ps(16));
    const __m256i rate = _mm256_cvttps_epi32(_mm256_div_ps(_mm256_set1_ps(327680), steps));
    const __m256i apart = _mm256_sub_epi32(_mm256_set1_epi32(full), one);
    const __m256i moved = _mm256_srai_epi32(_mm256_mullo_epi32(apart, rate), 15);
    const __m256i times = _mm256_sub_epi32(met, _mm256_cmpgt_epi32(_mm256_set1_epi32(COUNT_MAX), met));
    const __m256i now = _mm256_or_si256(_mm256_add_epi32(one, moved), _mm256_slli_epi32(times, 16));
    Slot slots[8] __attribute__((aligned(32)));
    _mm256_store_si256((__m256i *)slots, now);
    /* One by one: scattered stores are slower. */
#define PUT(i) \
    if (count > i) contexts[i][node] = slots[i]
    PUT(0);
    PUT(1);
    PUT(2);
    PUT(3);
    PUT(4);
    PUT(5);
    PUT(6);
    PUT(7);
#undef PUT
}

INLINE Inputs take_inputs(const Tables *t, Slot *const *contexts, const int count, int node,
                          int network, __m256i *state) {
    __m256i low, high = _mm256_setzero_si256();
    state[0] = take_eight(t, contexts, least(count, 8), node, &low);
    if (count > 8) state[1] = take_eight(t, contexts + 8, count - 8, node, &high);
    const __m256i all = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
    const __m256i last = _mm256_set1_epi32((network & 65535) | 256 << 16);
    return (Inputs)_mm256_blend_epi32(all, last, 128);
}
#endif

/* Codes one decision from `count` contexts, of which it takes the slots of `node`, and a network's
 * stretched probability (0 where there is none). */
INLINE int decide(const Mixer *m, Slot *const *contexts, const int count, int node, int network,
                  int set_a, int set_b, int set_c, int bit, const int decoding) {
    const Tables *t = m->tables;
#if defined(LEVEL_AVX2) || defined(LEVEL_AVX512)
    __m256i state[2];
    const Inputs x = take_inputs(t, contexts, count, node, network, state);
#else
    Inputs x = {0};
    for (int i = 0; i < count; i++) {
        const Slot slot = contexts[i][node];
        x[i] = (int16_t)((t->stretch[(slot & 65535) >> 4] * t->confidence[slot >> 16]) >> 8);
    }
    x[LANES - 2] = (int16_t)network, x[LANES - 1] = 256;
#endif
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
#if defined(LEVEL_AVX2) || defined(LEVEL_AVX512)
    adapt_eight(contexts, least(count, 8), node, state[0], full);
    if (count > 8) adapt_eight(contexts + 8, count - 8, node, state[1], full);
#else
    for (int i = 0; i < count; i++) {
        const int one = contexts[i][node] & 65535, met = (int)(contexts[i][node] >> 16);
        const int moved = one + (((full - one) * t->rate[met]) >> 15);
        contexts[i][node] = (Slot)moved | (Slot)(met + (met < COUNT_MAX)) << 16;
    }
#endif
    return bit;
}
