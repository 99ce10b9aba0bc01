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
