/* What a band has learnt: slots of contexts, weights of mixers, means of errors. */
#pragma once

#include "squares.h"

enum {
    OWN_TAPS = 10,
    REFERENCE_TAPS = 5,
    REFERENCES = 3, /* the two bands before, and the slice before */
    SPREADS = 4,    /* distributions that are mixed */
    CONTEXTS = 8,
    SPREAD_CLASSES = 160,
    BIASES = 4096,
    NODES = 32, /* decisions about a value */
    WANT_NODES = 8,
    VALUE_SETS_A = NODES,
    VALUE_SETS_B = 3 * SPREAD_CLASSES / 2,
    VALUE_SETS_C = 3 * 343,
    VALUE_SETS = VALUE_SETS_A + VALUE_SETS_B + VALUE_SETS_C,
    REPEAT_SETS_A = WANT_NODES,
    REPEAT_SETS_B = 64,
    REPEAT_SETS_C = 256,
    REPEAT_SETS = REPEAT_SETS_A + REPEAT_SETS_B + REPEAT_SETS_C,
};

/* Contexts of values and of repeats: bits of their numbers. */
static const int VALUE_BITS[CONTEXTS] = {8, 10, 9, 8, 9, 12, 14, 10};
static const int REPEAT_BITS[CONTEXTS] = {8, 12, 14, 16, 8, 10, 16, 12};

#define FRESH (1u << 31)

/* A running mean, with 16 fractional bits. */
typedef struct {
    int64_t mean;
    int seen;
} Mean;

/* A kind of decisions: 22 bits of a slot are a probability, 10 say how often it was met. A fresh
 * slot is FRESH, and all are kept with these bits turned over. */
typedef struct {
    uint32_t *slots[CONTEXTS];
    Weights *a, *b, *c;
    void *memory;
} Mixture;

typedef struct {
    Squares squares;
    Mean spread[SPREADS][SPREAD_CLASSES]; /* mean sizes of errors, in 1/16 */
    Mean bias[BIASES];                    /* mean errors, in 1/16 */
    Mixture values, repeats;
} Band;

static int begin_mixture(Mixture *m, const int *bits, int nodes, int sets_a, int sets_b, int sets,
                         int of_slots, int of_spreads) {
    size_t slots = 0;
    for (int i = 0; i < CONTEXTS; i++) slots += (size_t)nodes << bits[i];
    const size_t weights_size = (size_t)sets * sizeof(Weights);
    /* Zeros cost nothing until they are met: a slot is kept with its highest bit turned over. */
    m->memory = calloc(1, weights_size + slots * sizeof(uint32_t) + 64);
    if (!m->memory) return 0;
    m->a = (Weights *)(((uintptr_t)m->memory + 63) & ~(uintptr_t)63);
    m->b = m->a + sets_a, m->c = m->b + sets_b;
    for (int i = 0; i < sets; i++)
        for (int k = 0; k < LANES; k++)
            m->a[i][k] = (int16_t)(k < CONTEXTS             ? of_slots
                                   : k < CONTEXTS + SPREADS ? of_spreads
                                                            : 0);
    uint32_t *next = (uint32_t *)(m->a + sets);
    for (int i = 0; i < CONTEXTS; i++) m->slots[i] = next, next += (size_t)nodes << bits[i];
    return 1;
}

static void end_band(Band *b) {
    end_squares(&b->squares);
    free(b->values.memory), free(b->repeats.memory);
}

/* Returns 0 out of memory; the band is to be ended all the same. */
static int begin_band(Band *b, int width, int references, int repeats) {
    memset(b, 0, sizeof *b);
    for (int i = 0; i < SPREADS; i++)
        for (int c = 0; c < SPREAD_CLASSES; c++) {
            const int64_t activity = (int64_t)(4 + (c & 3)) << least(c / 4, 40);
            b->spread[i][c] = (Mean){(activity + 8) << 16, 2};
        }
    return begin_squares(&b->squares, OWN_TAPS + REFERENCE_TAPS * references, width) &&
           begin_mixture(&b->values, VALUE_BITS, NODES, VALUE_SETS_A, VALUE_SETS_B, VALUE_SETS,
                         2500, 3500) &&
           (!repeats || begin_mixture(&b->repeats, REPEAT_BITS, WANT_NODES, REPEAT_SETS_A,
                                      REPEAT_SETS_B, REPEAT_SETS, 4000, 0));
}

INLINE void learn_mean(const DeepTables *t, Mean *m, int64_t value, int most) {
    m->mean += ((((value * 65536) - m->mean) >> 8) * t->rate[m->seen]) >> 8;
    m->seen += m->seen < most;
}

/* One decision: where its slots and its weights are, and what the distributions say. */
typedef struct {
    uint32_t *slot[CONTEXTS]; /* of node 0 */
    int logit[SPREADS];
    int16_t *a, *b, *c;
} Decision;

#if defined(LEVEL_AVX2)
/* The node's slots of all contexts, turned over; and the inputs of mixers. */
INLINE __m256i take_slots(const DeepTables *t, const Decision *d, int node, Inputs *inputs) {
    const int32_t *slots[CONTEXTS], *stretches[CONTEXTS];
    for (int i = 0; i < CONTEXTS; i++) {
        slots[i] = (const int32_t *)(d->slot[i] + node);
        stretches[i] = t->of.stretch + ((d->slot[i][node] ^ FRESH) >> 20);
    }
    const __m256i state = _mm256_xor_si256(eight(slots, CONTEXTS), _mm256_set1_epi32((int)FRESH));
    const __m256i seen = _mm256_and_si256(state, _mm256_set1_epi32(1023));
    const __m256i logits = _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)d->logit)),
        _mm_set_epi32(256, 0, 0, 0), 1);
    *inputs = (Inputs)narrowed(weighed(&t->of, eight(stretches, CONTEXTS), seen), logits);
    return state;
}

/* Moves slots towards the bit that was met; full is 2^22 - 1 for a 1. A rate is a float quotient
 * cut to a whole number, and is that of DeepTables: a quotient is at most 2^-24 of itself too large,
 * which is less than 1 / (2 seen + 3), and unless it is whole it lies at least so far below the
 * next whole number. Division has to be that of IEEE 754 (setup.py). */
INLINE void adapt(const Decision *d, int node, __m256i state, int full) {
    const __m256i one = _mm256_srli_epi32(state, 10),
                  seen = _mm256_and_si256(state, _mm256_set1_epi32(1023));
    const __m256i steps =
        _mm256_add_epi32(_mm256_add_epi32(seen, seen), _mm256_set1_epi32(3));
    const __m256i rate = _mm256_cvttps_epi32(
        _mm256_div_ps(_mm256_set1_ps(131072), _mm256_cvtepi32_ps(steps)));
    const __m256i apart = _mm256_sub_epi32(_mm256_set1_epi32(full), one);
    /* Products of 39 bits; of their quotients by 2^16 the low halves, which hold all. */
    const __m256i even = _mm256_srli_epi64(_mm256_mul_epi32(apart, rate), 16),
                  odd = _mm256_slli_epi64(_mm256_mul_epi32(_mm256_srli_epi64(apart, 32),
                                                           _mm256_srli_epi64(rate, 32)),
                                          16);
    const __m256i moved = _mm256_add_epi32(one, _mm256_blend_epi32(even, odd, 0xaa));
    const __m256i times =
        _mm256_sub_epi32(seen, _mm256_cmpgt_epi32(_mm256_set1_epi32(SEEN_MAX), seen));
    const __m256i now = _mm256_xor_si256(_mm256_or_si256(_mm256_slli_epi32(moved, 10), times),
                                         _mm256_set1_epi32((int)FRESH));
    uint32_t slots[CONTEXTS] __attribute__((aligned(32)));
    _mm256_store_si256((__m256i *)slots, now);
    for (int i = 0; i < CONTEXTS; i++) d->slot[i][node] = slots[i];
}
#else
INLINE void adapt(const DeepTables *t, const Decision *d, int node, int full) {
    for (int i = 0; i < CONTEXTS; i++) {
        uint32_t *at = d->slot[i] + node;
        const uint32_t slot = *at ^ FRESH;
        const int seen = slot & 1023;
        const int64_t one = slot >> 10;
        const int64_t moved = one + (((full - one) * t->rate[seen]) >> 16);
        *at = ((uint32_t)moved << 10 | (uint32_t)(seen + (seen < SEEN_MAX))) ^ FRESH;
    }
}
#endif

INLINE int decide(const DeepTables *t, Arithmetic *arithmetic, const Decision *d, int node, int bit,
                  const int decoding) {
#if defined(LEVEL_AVX2)
    Inputs x;
    const __m256i state = take_slots(t, d, node, &x);
#else
    Inputs x = {0};
    for (int i = 0; i < CONTEXTS; i++) {
        const uint32_t slot = d->slot[i][node] ^ FRESH;
        const int seen = least((int)(slot & 1023), COUNT_MAX);
        x[i] = (int16_t)((t->of.stretch[slot >> 20] * t->of.confidence[seen]) >> 8);
    }
    for (int i = 0; i < SPREADS; i++) x[CONTEXTS + i] = (int16_t)d->logit[i];
    x[LANES - 1] = 256;
#endif
    const uint16_t *squash = t->of.squash + 2048;
    const Mixed of = mix(x, d->a, d->b, d->c);
    const int mixed = ((of.a + of.b + of.c) * 21846) >> 16;
    bit = code_bit(arithmetic, bit, squash[mixed], decoding);
    const int target = bit << 16, full = bit ? (1 << 22) - 1 : 0;
    learn(x, d->a, (target - squash[of.a]) >> 4);
    learn(x, d->b, (target - squash[of.b]) >> 4);
    learn(x, d->c, (target - squash[of.c]) >> 4);
#if defined(LEVEL_AVX2)
    adapt(d, node, state, full);
#else
    adapt(t, d, node, full);
#endif
    return bit;
}
