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

/* The 16 symbols of one pixel, for a decoder: cumulative frequencies below each without floors,
 * and their left edges; the last one ends at WHOLE. */
typedef struct {
    int32_t below[LANES], left[LANES];
} Symbols;

/* start, all: cumulative frequency below the first symbol, and of all 16; floor: of each. */
INLINE void find_edges(const vec below[PARTS], int32_t start, int32_t all, int32_t floor,
                       Symbols *s) {
    const float scale = (float)SPREAD / (float)(all + 16 * floor);
    for (int p = 0; p < PARTS; p++) {
        const vec number = count_from(p * VECTOR);
        vec left = left_edge(below[p] - start + number * floor, scale - (reals){0}, number);
        store(s->below + p * VECTOR, below[p]);
        store(s->left + p * VECTOR, left);
    }
}

/* The high nibbles of a bin. */
INLINE void find_high(const Network *net, const Mixtures *m, int lane, Symbols *s) {
    vec below[PARTS];
    below_bins(net, m, lane, 0, 16, below);
    find_edges(below, 0, m->total[lane], 16 * FLOOR, s);
}

/* The low nibbles of a bin whose high one is known, in the place of the high ones. */
INLINE void find_low(const Network *net, const Mixtures *m, int lane, int high, Symbols *s) {
    const int32_t from = s->below[high];
    const int32_t to = high == 15 ? m->total[lane] : s->below[high + 1];
    vec below[PARTS];
    below_bins(net, m, lane, 16 * high, 1, below);
    find_edges(below, from, to - from, FLOOR, s);
}

/* Decodes a symbol, 0..15; -1 where no encoder can have written these words. */
INLINE int take(RangeDecoder *c, const Symbols *s) {
    const uint64_t point = quantile(c);
    if (point >> 24) return -1;
    int symbol = -1;
    for (int at = 0; at < LANES; at += VECTOR)
        symbol += count_up_to(load(s->left + at), (int32_t)point);
    consume(c, (uint32_t)s->left[symbol], symbol == 15 ? WHOLE : (uint32_t)s->left[symbol + 1]);
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
