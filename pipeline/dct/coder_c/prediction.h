/* What a block's surroundings say about its coefficients: continuity across the edges, and
 * linear predictions of coefficients and of their magnitudes. */
#pragma once

#include "mixing.h"

enum { COEFFICIENT_MAX = 4095, PREDICTION_MAX = 32000 };

/* A component's numbers that its quantisation steps decide. */
typedef struct {
    int step[POSITIONS];                        /* at least 1 */
    int64_t per_step[POSITIONS];                /* 2^20 / step */
    int64_t below[POSITIONS], right[POSITIONS]; /* 2^28 / (step * the edge's share) */
    int precision[POSITIONS];                   /* 2^20 / step^2 */
} Steps;

/* Share of a coefficient of this frequency in a block's edge, in 1/256: the DCT's scale. */
INLINE int share(int frequency) { return frequency ? 256 : 181; }

static inline void take_steps(Steps *s, const uint16_t *step) {
    for (int z = 0; z < POSITIONS; z++) {
        const int q = step[z] ? step[z] : 1, u = z >> 3, v = z & 7;
        s->step[z] = q;
        s->per_step[z] = ((1 << 20) + q / 2) / q;
        s->below[z] = ((1 << 28) / share(u) + q / 2) / q;
        s->right[z] = ((1 << 28) / share(v) + q / 2) / q;
        s->precision[z] = (int)((1 << 20) / ((int64_t)q * q));
    }
}

/* A coefficient times its step, clipped: the product of an int16 and a uint16 fits 32 bits. */
INLINE int dequantised(int coefficient, int step) {
    return clip(coefficient * step, COEFFICIENT_MAX);
}

/* In 1/16 steps: an edge's rest over one coefficient's share of the edge. At most 2 * 8 * 4095 *
 * 256 times 2^28 / 181, which is below 2^45. */
INLINE int across(int rest, int64_t scale) {
    const int64_t prediction = (rest * scale) >> 24;
    return prediction > PREDICTION_MAX    ? PREDICTION_MAX
           : prediction < -PREDICTION_MAX ? -PREDICTION_MAX
                                          : (int)prediction;
}

/* In 1/16 steps, of a sum with 13 fractional bits. */
INLINE int in_steps(int sum, int64_t per_step) {
    const int64_t prediction = (sum * per_step) >> 29;
    return prediction > PREDICTION_MAX    ? PREDICTION_MAX
           : prediction < -PREDICTION_MAX ? -PREDICTION_MAX
                                          : (int)prediction;
}

/* The lower edge of a block in horizontal frequencies, its right edge in vertical ones: what the
 * blocks below and to the right of it should begin with. */
static inline void edges_of(const int16_t *block, const Steps *s, int *lower, int *right) {
    for (int i = 0; i < 8; i++) lower[i] = right[i] = 0;
    for (int z = 0; z < POSITIONS; z++) {
        if (!block[z]) continue;
        const int u = z >> 3, v = z & 7, value = dequantised(block[z], s->step[z]);
        lower[v] += u & 1 ? -value * share(u) : value * share(u);
        right[u] += v & 1 ? -value * share(v) : value * share(v);
    }
}

/* Adds what one coefficient says about all positions. */
INLINE void add_source(int *direct, int *size, const Linear *l, int source, int value) {
    const int16_t *d = l->direct[source], *s = l->size[source];
    const int magnitude = size_of(value);
    for (int z = 0; z < POSITIONS; z++) direct[z] += value * d[z];
    for (int z = 0; z < POSITIONS; z++) size[z] += magnitude * s[z];
}

static void predict_from(int *direct, int *size, const Linear *l, const Steps *s,
                         const int16_t *const neighbours[4]) {
    memset(direct, 0, POSITIONS * sizeof *direct);
    memset(size, 0, POSITIONS * sizeof *size);
    for (int n = 0; n < 4; n++)
        for (int z = 0; z < POSITIONS; z++)
            if (neighbours[n][z])
                add_source(direct, size, l, POSITIONS * (n + 1) + z,
                           dequantised(neighbours[n][z], s->step[z]));
}
