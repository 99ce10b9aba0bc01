/* One binary decision: its contexts' probabilities mixed, coded, and everything adapted. */
#pragma once

#include "mixed.h"
#include "model.h"

/* Where a decision is coded: the model's tables, the class's weights, the arithmetic coder. */
typedef struct {
    const Tables *tables;
    Weights *a, *b, *c;
    Arithmetic *arithmetic;
    int learning;
} Mixer;

enum { CONTEXTS = 8 }; /* of a decision at most: slots are a vector */
_Static_assert((int)VALUE + (int)SIGNED <= (int)CONTEXTS && (int)LAST <= (int)CONTEXTS, "contexts");

#if defined(LEVEL_AVX2) || defined(LEVEL_AVX512)
/* The nodes' slots of the contexts, as they are; and as inputs of the mixer: what slots say, by
 * their confidence, and a network's output. */
INLINE __m256i take_slots(const Tables *t, Slot *const *contexts, const int count, int node,
                          int network, Inputs *inputs) {
    const int32_t *slots[CONTEXTS], *stretches[CONTEXTS];
    for (int i = 0; i < count; i++) {
        uint16_t one; /* read on its own: the rest goes from memory into the vector */
        slots[i] = (const int32_t *)(contexts[i] + node);
        memcpy(&one, slots[i], sizeof one);
        stretches[i] = t->stretch + (one >> 4);
    }
    const __m256i state = eight(slots, count);
    const __m256i said = weighed(t, eight(stretches, count), _mm256_srli_epi32(state, 16));
    const __m256i narrow = narrowed(said, _mm256_setzero_si256());
    const __m256i last = _mm256_set1_epi32((network & 65535) | 256 << 16);
    *inputs = (Inputs)_mm256_blend_epi32(narrow, last, 128);
    return state;
}

/* Moves slots towards the bit that was met; full is 65535 for a 1. A rate is a float quotient cut
 * to a whole number, and is that of Tables: a quotient is at most 2^-23 of itself too large, which
 * is less than 1 / (10 count + 16), and unless it is whole it lies at least so far below the next
 * whole number. Division has to be that of IEEE 754 (setup.py). */
INLINE void adapt(Slot *const *contexts, const int count, int node, __m256i state, int full) {
    const __m256i one = _mm256_and_si256(state, _mm256_set1_epi32(65535)),
                  met = _mm256_srli_epi32(state, 16);
    const __m256 steps = _mm256_add_ps(
        _mm256_mul_ps(_mm256_cvtepi32_ps(met), _mm256_set1_ps(10)), _mm256_set1_ps(16));
    const __m256i rate = _mm256_cvttps_epi32(_mm256_div_ps(_mm256_set1_ps(327680), steps));
    const __m256i apart = _mm256_sub_epi32(_mm256_set1_epi32(full), one);
    const __m256i moved = _mm256_srai_epi32(_mm256_mullo_epi32(apart, rate), 15);
    const __m256i times =
        _mm256_sub_epi32(met, _mm256_cmpgt_epi32(_mm256_set1_epi32(COUNT_MAX), met));
    const __m256i now = _mm256_or_si256(_mm256_add_epi32(one, moved), _mm256_slli_epi32(times, 16));
    Slot slots[CONTEXTS] __attribute__((aligned(32)));
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
#endif

/* Codes one decision from `count` contexts, at most CONTEXTS, of which it takes the slots of
 * `node`, and a network's stretched probability (0 where there is none). */
INLINE int decide(const Mixer *m, Slot *const *contexts, const int count, int node, int network,
                  int set_a, int set_b, int set_c, int bit, const int decoding) {
    const Tables *t = m->tables;
#if defined(LEVEL_AVX2) || defined(LEVEL_AVX512)
    Inputs x;
    const __m256i state = take_slots(t, contexts, count, node, network, &x);
#else
    Inputs x = {0};
    for (int i = 0; i < count; i++) {
        const Slot slot = contexts[i][node];
        x[i] = (int16_t)((t->stretch[(slot & 65535) >> 4] * t->confidence[slot >> 16]) >> 8);
    }
    x[LANES - 2] = (int16_t)network, x[LANES - 1] = 256;
#endif
    int16_t *a = m->a[set_a], *b = m->b[set_b], *c = m->c[set_c];
    const uint16_t *squash = t->squash + 2048;
    const Mixed of = mix(x, a, b, c);
    const int mixed = ((of.a + of.b + of.c) * 21846) >> 16;
    bit = code_bit(m->arithmetic, bit, squash[mixed], decoding);
    const int target = bit << 16, shift = m->learning;
    learn(x, a, (target - squash[of.a]) >> shift);
    learn(x, b, (target - squash[of.b]) >> shift);
    learn(x, c, (target - squash[of.c]) >> shift);
    const int full = bit ? 65535 : 0;
#if defined(LEVEL_AVX2) || defined(LEVEL_AVX512)
    adapt(contexts, count, node, state, full);
#else
    for (int i = 0; i < count; i++) {
        const int one = contexts[i][node] & 65535, met = (int)(contexts[i][node] >> 16);
        const int moved = one + (((full - one) * t->rate[met]) >> 15);
        contexts[i][node] = (Slot)moved | (Slot)(met + (met < COUNT_MAX)) << 16;
    }
#endif
    return bit;
}
