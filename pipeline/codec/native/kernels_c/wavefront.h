/* Which pixels a wavefront step has, where they are, and in which order the network takes them. */
#pragma once

#include "step.h"

INLINE uint32_t offset_of(const Group *g, int tile, int y, int x) {
    size_t rows = (size_t)tile * (g->rows + MARGIN) + MARGIN + y;
    return (uint32_t)(rows * row_stride(g) + 3 * (MARGIN + x));
}

INLINE Place place_of(const Group *g, int tile, int y, int x) {
    return (Place){offset_of(g, tile, y, x), (uint32_t)((tile * g->rows + y) * g->columns + x)};
}

/* The rows of a tile that have a pixel in step t. */
INLINE int first_row(int t, int width) { return t < width ? 0 : (t - width + 2) / 2; }

INLINE int last_row(int t, int height) { return t / 2 < height - 1 ? t / 2 : height - 1; }

/* Which of the blocks of all tiles a pixel is in. */
INLINE size_t block_of(const Group *g, int tile, int y, int x) {
    const size_t row = (size_t)tile * g->label_rows + (y >> g->block_shift);
    return row * g->label_columns + (x >> g->block_shift);
}

/* The pixels of wavefront step t: tile by tile, row by row, where 2 y + x = t. */
static int list_step(const Group *g, int t, Step *s) {
    int n = 0;
    for (int tile = 0; tile < g->tiles; tile++) {
        const int height = g->size[2 * tile], width = g->size[2 * tile + 1];
        const int first = first_row(t, width), last = last_row(t, height);
        for (int y = first; y <= last; y++) {
            int x = t - 2 * y;
            const size_t block = block_of(g, tile, y, x);
            s->place[n] = place_of(g, tile, y, x);
            s->tile[n] = tile, s->y[n] = y;
            s->width[n] = g->widths[block];
            s->label[n++] = g->labels[block];
        }
    }
    return n;
}

static int step_count(const Group *g) {
    int most = 0;
    for (int tile = 0; tile < g->tiles; tile++) {
        int steps = 2 * (g->size[2 * tile] - 1) + g->size[2 * tile + 1];
        most = steps > most ? steps : most;
    }
    return most;
}

/* Sorts the n pixels of a step by label. */
static void sort_step(const Network *net, Step *s, int n) {
    int next[MAX_ENTROPY_MODELS + 1] = {0};
    for (int i = 0; i < n; i++) next[s->label[i] + 1]++;
    for (int e = 0; e < MAX_ENTROPY_MODELS; e++) s->end[e] = next[e + 1] += next[e];
    for (int i = 0; i < n; i++) {
        const int at = next[s->label[i]]++;
        s->order[at] = (uint32_t)i;
        s->sorted[at] = s->place[i];
        s->rank[i] = at;
        s->row[i] = at * (params_stride(net) / 2);
    }
}

/* Where the run of sorted pixels of one tile that begins with `first` ends, at `last` at most. */
INLINE int end_of_run(const Step *s, int first, int last) {
    const int tile = s->tile[s->order[first]];
    int end = first + 1;
    while (end < last && s->tile[s->order[end]] == tile) end++;
    return end;
}

/* Where the run of pixels of one tile that begins with `first` ends, in coding order, of n. */
INLINE int end_of_tile(const Step *s, int first, int n) {
    int end = first + 1;
    while (end < n && s->tile[end] == s->tile[first]) end++;
    return end;
}

/* After a step is decoded: repeat edge pixels into the margins that later steps read. */
static void extend_margins(const Group *g, int t) {
    const ptrdiff_t stride = row_stride(g);
    for (int tile = 0; tile < g->tiles; tile++) {
        int height = g->size[2 * tile], width = g->size[2 * tile + 1];
        int y = t / 2;
        if (t % 2 == 0 && y + 1 < height) {
            uint8_t *at = g->canvas + offset_of(g, tile, y, 0);
            for (int i = 0; i < 3 * MARGIN; i++) at[stride - 3 * MARGIN + i] = at[i % 3];
        }
        y = (t - width + 1) / 2;
        if (t >= width - 1 && (t - width + 1) % 2 == 0 && y < height) {
            uint8_t *at = g->canvas + offset_of(g, tile, y, width - 1);
            for (int i = 0; i < 3 * MARGIN; i++) at[3 + i] = at[i % 3];
        }
    }
}
