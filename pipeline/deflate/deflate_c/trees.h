/* Code lengths as zlib makes them of counts, and how it writes them. */
#pragma once
#include "tables.h"
#include <string.h>

enum { MOST_SYMBOLS = LITERALS, HEAP = 2 * LITERALS + 1 };

typedef struct {
    uint32_t count[HEAP];
    uint16_t parent[HEAP];
    uint8_t depth[HEAP], length[HEAP];
    int heap[HEAP + 1], size, top;
} Builder;

static int before(const Builder *b, int n, int m) {
    return b->count[n] < b->count[m] || (b->count[n] == b->count[m] && b->depth[n] <= b->depth[m]);
}

static void sift(Builder *b, int k) {
    const int v = b->heap[k];
    for (int j = 2 * k; j <= b->size; j *= 2) {
        if (j < b->size && before(b, b->heap[j + 1], b->heap[j])) j++;
        if (before(b, v, b->heap[j])) break;
        b->heap[k] = b->heap[j];
        k = j;
    }
    b->heap[k] = v;
}

/* Moves leaves of the lowest levels until no code is longer than `most`. */
static void shorten(Builder *b, int *levels, int symbols, int most, int over) {
    while (over > 0) {
        int n = most - 1;
        while (!levels[n]) n--;
        levels[n]--;
        levels[n + 1] += 2;
        levels[most]--;
        over -= 2;
    }
    int h = HEAP;
    for (int n = most; n; n--)
        for (int left = levels[n]; left;) {
            const int m = b->heap[--h];
            if (m >= symbols) continue;
            b->length[m] = (uint8_t)n;
            left--;
        }
}

/* length[symbols] of count[symbols]; none longer than `most`. */
static void build(Builder *b, const uint32_t *count, int symbols, int most, uint8_t *length) {
    int last = -1;
    b->size = 0;
    b->top = HEAP;
    memset(length, 0, (size_t)symbols);
    for (int i = 0; i < symbols; i++) {
        b->count[i] = count[i];
        b->depth[i] = 0;
        if (count[i]) b->heap[++b->size] = last = i;
    }
    while (b->size < 2) {
        const int node = last < 2 ? ++last : 0;
        b->heap[++b->size] = node;
        b->count[node] = 1;
    }
    for (int n = b->size / 2; n; n--) sift(b, n);
    int node = symbols;
    do {
        const int n = b->heap[1];
        b->heap[1] = b->heap[b->size--];
        sift(b, 1);
        const int m = b->heap[1];
        b->heap[--b->top] = n;
        b->heap[--b->top] = m;
        b->count[node] = b->count[n] + b->count[m];
        b->depth[node] = (uint8_t)((b->depth[n] > b->depth[m] ? b->depth[n] : b->depth[m]) + 1);
        b->parent[n] = b->parent[m] = (uint16_t)node;
        b->heap[1] = node++;
        sift(b, 1);
    } while (b->size >= 2);
    b->heap[--b->top] = b->heap[1];
    int levels[MOST_BITS + 2] = {0}, over = 0;
    b->length[b->heap[b->top]] = 0;
    for (int h = b->top + 1; h < HEAP; h++) {
        const int n = b->heap[h];
        int bits = b->length[b->parent[n]] + 1;
        if (bits > most) {
            bits = most;
            over++;
        }
        b->length[n] = (uint8_t)bits;
        if (n < symbols) levels[bits]++;
    }
    if (over) shorten(b, levels, symbols, most, over);
    for (int h = b->top; h < HEAP; h++)
        if (b->heap[h] < symbols) length[b->heap[h]] = b->length[b->heap[h]];
}

/* How zlib writes the lengths from `at` to before `end`, `before` the one before them or -1: a
 * symbol, and from bit 5 for how many it stands. */
static uint16_t next_step(const uint8_t *length, int at, int end, int previous) {
    int run = 1;
    while (run < 138 && at + run < end && length[at + run] == length[at]) run++;
    if (!length[at] && run >= 3) return (uint16_t)(run << 5 | (run < 11 ? 17 : 18));
    if (length[at] && length[at] == previous && run >= 3) return (uint16_t)((run < 6 ? run : 6) << 5 | 16);
    return (uint16_t)(1 << 5 | length[at]);
}

static int step_extra(int symbol) { return symbol < 16 ? 0 : symbol == 16 ? 2 : symbol == 17 ? 3 : 7; }

/* Symbols up to the last one that has a code. */
static int used_symbols(const uint8_t *length, int symbols, int least) {
    while (symbols > least && !length[symbols - 1]) symbols--;
    return symbols;
}

static int used_codes(const uint8_t *code_length) {
    int codes = LENGTH_CODES;
    while (codes > 4 && !code_length[ORDER[codes - 1]]) codes--;
    return codes;
}

static void count_steps(const Trees *t, uint32_t *count) {
    memset(count, 0, LENGTH_CODES * sizeof *count);
    for (int i = 0; i < t->steps; i++) count[t->step[i] & 31]++;
}
