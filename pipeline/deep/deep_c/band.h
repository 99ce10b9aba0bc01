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

INLINE int decide(const DeepTables *t, Arithmetic *arithmetic, const Decision *d, int node, int bit,
                  const int decoding) {
    Inputs x = {0};
    for (int i = 0; i < CONTEXTS; i++) {
        const uint32_t slot = d->slot[i][node] ^ FRESH;
        const int seen = least((int)(slot & 1023), COUNT_MAX);
        x[i] = (int16_t)((t->of.stretch[slot >> 20] * t->of.confidence[seen]) >> 8);
    }
    for (int i = 0; i < SPREADS; i++) x[CONTEXTS + i] = (int16_t)d->logit[i];
    x[LANES - 1] = 256;
    const int of_a = clip(dot(x, d->a) >> 14, STRETCH_MAX),
              of_b = clip(dot(x, d->b) >> 14, STRETCH_MAX),
              of_c = clip(dot(x, d->c) >> 14, STRETCH_MAX);
    const int mixed = ((of_a + of_b + of_c) * 21846) >> 16;
    bit = code_bit(arithmetic, bit, t->of.squash[mixed + 2048], decoding);
    const int target = bit << 16;
    learn(x, d->a, (target - t->of.squash[of_a + 2048]) >> 4);
    learn(x, d->b, (target - t->of.squash[of_b + 2048]) >> 4);
    learn(x, d->c, (target - t->of.squash[of_c + 2048]) >> 4);
    for (int i = 0; i < CONTEXTS; i++) {
        uint32_t *at = d->slot[i] + node;
        const uint32_t slot = *at ^ FRESH;
        const int seen = slot & 1023;
        const int64_t one = slot >> 10, full = bit ? (1 << 22) - 1 : 0;
        const int64_t moved = one + (((full - one) * t->rate[seen]) >> 16);
        *at = ((uint32_t)moved << 10 | (uint32_t)(seen < SEEN_MAX ? seen + 1 : seen)) ^ FRESH;
    }
    return bit;
}
