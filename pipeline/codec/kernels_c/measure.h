/* What each expert would need for each block of a tile group. */
#pragma once

#include "group.h"

/* log2(v) in 1/256 bit, 1 <= v < 2^24, which a float holds exactly: its exponent is the whole
 * part, and its first ten bits look up the rest. */
INLINE vec log2_q8(const int32_t *table, vec v) {
    vec bits;
    const reals real = __builtin_convertvector(v, reals);
    memcpy(&bits, &real, sizeof bits);
    return (((bits >> 23) - 127) << 8) + look_up(table, (bits >> 13) & 1023);
}

/* Adds the code lengths in 1/256 bit of one channel of the LANES pixels from `first` on. */
INLINE void add_lengths(const Group *g, const Step *s, const int32_t *log2_table, int first,
                        int channel, const int32_t value[LANES], int32_t lengths[LANES]) {
    Mixtures m;
    mix(g, s, first, channel, &m);
    for (int lane = 0; lane < LANES; lane++) m.first[lane] = 0, m.width[lane] = 1;
    for (int at = 0; at < LANES; at += VECTOR) {
        const vec v = load(value + at);
        const vec mass = below_bin(g->net, &m, at, v + 1) - below_bin(g->net, &m, at, v) + FLOOR;
        const vec all = load(m.total + at) + 256 * FLOOR;
        const vec length = log2_q8(log2_table, all) - log2_q8(log2_table, mass);
        store(lengths + at, load(lengths + at) + length);
    }
}

/* The costs of one expert for a row of n pixels; cost: of the row's first block. */
static void measure_expert(const Group *g, Step *s, const int32_t *log2_table, int expert, int n,
                           int64_t *cost) {
    speak(g->net, expert, s->fused, n, s->scratch, s->params);
    spend(g, s, LAYERS_PART);
    for (int first = 0; first < n; first += LANES) {
        const int count = n - first < LANES ? n - first : LANES;
        int32_t lengths[LANES] = {0};
        for (int c = 0; c < g->channels; c++) {
            int32_t value[LANES] = {0};
            for (int i = 0; i < count; i++) value[i] = g->canvas[s->place[first + i].at + c];
            add_lengths(g, s, log2_table, first, c, value, lengths);
        }
        for (int i = 0; i < count; i++) {
            const size_t block = (size_t)((first + i) >> g->block_shift);
            cost[block * g->net->sizes.experts + expert] += lengths[i];
        }
    }
    spend(g, s, MIXTURES_PART);
}

static void find_residuals(const Group *g, Step *s, int n) {
    for (int i = 0; i < n; i++)
        for (int c = 0; c < 2; c++)
            s->residual[c][i] = g->canvas[s->place[i].at + c] - s->contexts.med[c][i];
}

/* Only even rows: half of them tell enough to choose. */
static int measure_group(const Group *g, const int32_t *log2_table, int64_t *costs) {
    const int experts = g->net->sizes.experts;
    Step s;
    if (!make_step(&s, g)) return -2;
    for (int tile = 0; tile < g->tiles; tile++)
        for (int y = 0; y < g->size[2 * tile]; y += 2) {
            const size_t row = (size_t)tile * g->label_edge + (y >> g->block_shift);
            const int n = list_row(g, tile, y, &s);
            fuse_step(g, &s, n);
            find_residuals(g, &s, n);
            for (int e = 0; e < experts; e++)
                measure_expert(g, &s, log2_table, e, n, costs + row * g->label_edge * experts);
        }
    free_step(&s);
    return 0;
}
