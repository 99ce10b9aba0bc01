/* What a scan codes and how: from its header, from the frame and from what the recipe adds. */
#pragma once
#include <stdlib.h>
#include "huffman.h"
#include "zigzag.h"

enum { MAX_COMPONENTS = 4, MAX_RUN = 0x7fff, RULES = 3 };

typedef struct {
    int h, v;          /* blocks of it in an MCU: across, down */
    int dc, ac;        /* tables: 0 to 3, and 4 to 7 */
    int64_t stride;    /* blocks in a row of the array */
    int16_t *blocks;
    int32_t previous;  /* DC */
} ScanComponent;

typedef struct {
    int progressive, start, end, high, low;
    int64_t interval, mcu_columns, mcu_rows;
    int64_t first_row; /* of MCUs, where the arrays begin that are at hand */
    int components;
    ScanComponent component[MAX_COMPONENTS];
} Scan;

/* When a progressive encoder ends a run of EOBs, if not because something else follows. */
typedef struct {
    int64_t longest, bits; /* at so many blocks, or with more correction bits than so many */
} Rule;

static const Rule RULE[RULES] = {{MAX_RUN, 937}, {MAX_RUN, INT64_MAX}, {1, INT64_MAX}};

/* Numbers in pairs: the distance from the one before, and a value. */
typedef struct {
    int32_t *at;
    size_t count, room, most;
    int64_t last;
    int full; /* there were more */
} Pairs;

static void push(Pairs *p, int64_t index, int64_t value) {
    if (p->full) return;
    if (p->count == p->room) {
        const size_t doubled = p->room ? 2 * p->room : 64, room = doubled < p->most ? doubled : p->most;
        int32_t *at = room == p->count ? NULL : realloc(p->at, 2 * room * sizeof *at);
        if (!at) {
            p->full = 1;
            return;
        }
        p->at = at;
        p->room = room;
    }
    p->at[2 * p->count] = (int32_t)(index - p->last);
    p->at[2 * p->count++ + 1] = (int32_t)value;
    p->last = index;
}

typedef struct {
    const int32_t *at;
    size_t count, used;
    int64_t next; /* index of the pair that comes next; -1: none is left */
} PairReader;

static void next_pair(PairReader *p, int64_t before) {
    p->next = p->used < p->count ? before + p->at[2 * p->used] : -1;
}

/* The value for this index, 0 if there is none; indices come in order. */
static int32_t value_at(PairReader *p, int64_t index) {
    if (p->next != index) return 0;
    const int32_t value = p->at[2 * p->used++ + 1];
    next_pair(p, index);
    return value;
}

static int bit_length(uint32_t v) { return v ? 32 - __builtin_clz(v) : 0; }

/* Block `number` of a component in an MCU. */
static int16_t *block_at(const Scan *s, const ScanComponent *c, int64_t mcu, int number) {
    const int64_t row = (mcu / s->mcu_columns - s->first_row) * c->v + number / c->h;
    const int64_t column = mcu % s->mcu_columns * c->h + number % c->h;
    return c->blocks + 64 * (row * c->stride + column);
}
