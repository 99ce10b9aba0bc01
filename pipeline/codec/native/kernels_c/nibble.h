/* The two 16-way symbols of a value: the edges of their intervals in 2^-24, as constriction
 * computes them, for a decoder all of one pixel's, for an encoder the coded ones of many pixels.
 */
#pragma once

#include "mixture.h"
#include "range_coder.h"

enum { WHOLE = 1 << 24, SPREAD = WHOLE - 16 }; /* each symbol has 2^-24 whatever its frequency */

/* sum: cumulative frequency below a symbol with floors; total: of all 16. The one product of
 * floats is rounded alike everywhere. */
INLINE vec left_edge(vec sum, reals scale, vec symbol) {
    return __builtin_convertvector(__builtin_convertvector(sum, reals) * scale, vec) + symbol;
}

/* The left edges of the 16 symbols of one pixel, for a decoder, and where the last one ends. */
typedef struct {
    int32_t left[LANES + 1];
} Edges;

/* start, all: cumulative frequency below the first symbol, and of all 16; floor: of each. */
INLINE void find_edges(const vec below[PARTS], int32_t start, int32_t all, int32_t floor,
                       Edges *e) {
    const float scale = (float)SPREAD / (float)(all + 16 * floor);
    for (int p = 0; p < PARTS; p++) {
        const vec number = count_from(p * VECTOR);
        vec left = left_edge(below[p] - start + number * floor, scale - (reals){0}, number);
        store(e->left + p * VECTOR, left);
    }
    e->left[LANES] = WHOLE;
}

/* Of the high nibbles of a bin. */
INLINE void find_high(const Network *net, const Mixtures *m, int lane, int32_t *all_below,
                      Edges *e) {
    vec below[PARTS];
    below_bins(net, m, lane, 0, 16, below);
    for (int p = 0; p < PARTS; p++) store(all_below + p * VECTOR, below[p]);
    find_edges(below, 0, m->total[lane], 16 * FLOOR, e);
}

/* Of the low nibbles of a bin whose high one is known. */
INLINE void find_low(const Network *net, const Mixtures *m, int lane, int high,
                     const int32_t *all_below, Edges *e) {
    const int32_t from = all_below[high];
    const int32_t to = high == 15 ? m->total[lane] : all_below[high + 1];
    vec below[PARTS];
    below_bins(net, m, lane, 16 * high, 1, below);
    find_edges(below, from, to - from, FLOOR, e);
}

/* Decodes a symbol, 0..15; -1 where no encoder can have written these words. */
INLINE int take(RangeDecoder *c, const Edges *e) {
    const uint64_t point = quantile(c);
    if (point >> 24) return -1;
    int symbol = -1;
    for (int at = 0; at < LANES; at += VECTOR)
        symbol += count_up_to(load(e->left + at), (int32_t)point);
    consume(c, (uint32_t)e->left[symbol], (uint32_t)e->left[symbol + 1]);
    return symbol;
}

/* Intervals of both nibbles of LANES pixels as an encoder writes them. */
typedef struct {
    int32_t high_left[LANES], high_right[LANES], low_left[LANES], low_right[LANES];
} Intervals;

/* Interval of a symbol: frequencies below it, above it and of all 16, without floors. */
INLINE void interval(vec below, vec above, vec all, vec symbol, int32_t floor, int32_t *left,
                     int32_t *right) {
    const reals scale = (float)SPREAD / __builtin_convertvector(all + 16 * floor, reals);
    const vec next = symbol + 1;
    store(left, left_edge(below + symbol * floor, scale, symbol));
    store(right, choose(next == 16, fill(WHOLE), left_edge(above + next * floor, scale, next)));
}

/* bin: [LANES], 0..255. */
INLINE void find_intervals(const Network *net, const Mixtures *m, const int32_t *bin,
                           Intervals *found) {
    for (int at = 0; at < LANES; at += VECTOR) {
        const vec value = load(bin + at), high = value >> 4, low = value & 15;
        const vec from = below_bin(net, m, at, value & ~15);
        const vec to = below_bin(net, m, at, (value & ~15) + 16);
        const vec below = below_bin(net, m, at, value);
        const vec above = below_bin(net, m, at, value + 1);
        interval(from, to, load(m->total + at), high, 16 * FLOOR, found->high_left + at,
                 found->high_right + at);
        interval(below - from, above - from, to - from, low, FLOOR, found->low_left + at,
                 found->low_right + at);
    }
}
