/* Blocks to the bits of a raw deflate stream. */
#pragma once
#include "tables.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
    uint8_t *out;
    size_t size, room, limit;
    uint64_t bits;
    int count, failed;
} Out;

/* Room for 8 bytes more; past the limit nothing is written any more. */
static inline int out_room(Out *o) {
    if (o->failed) return 0;
    if (o->size + 8 > o->room) {
        const size_t room = o->room ? o->room + o->room / 2 : 4096;
        uint8_t *out = o->size <= o->limit ? realloc(o->out, room) : NULL;
        if (!out) {
            o->failed = 1;
            return 0;
        }
        o->out = out;
        o->room = room;
    }
    return 1;
}

static inline void put_bits(Out *o, uint32_t value, int count) {
    o->bits |= (uint64_t)value << o->count;
    o->count += count;
    if (o->count < 32 || !out_room(o)) {
        if (o->failed) o->count = 0, o->bits = 0;
        return;
    }
    for (int i = 0; i < 4; i++) o->out[o->size++] = (uint8_t)(o->bits >> 8 * i);
    o->bits >>= 32;
    o->count -= 32;
}

static void whole_bytes(Out *o) {
    for (; o->count > 0 && out_room(o); o->count -= 8) {
        o->out[o->size++] = (uint8_t)o->bits;
        o->bits >>= 8;
    }
    o->count = 0;
    o->bits = 0;
}

/* At a whole byte. */
static void put_bytes(Out *o, const uint8_t *at, size_t size) {
    for (size_t i = 0; i < size && out_room(o); i++) o->out[o->size++] = at[i];
}

typedef struct {
    uint16_t code[288];
    uint8_t length[288];
} Codes;

/* Bits of a code in the order in which they are written. */
static void make_codes(Codes *c, const uint8_t *length, int symbols) {
    uint32_t count[MOST_BITS + 1] = {0}, next[MOST_BITS + 1] = {0}, code = 0;
    for (int i = 0; i < symbols; i++) count[length[i]]++;
    count[0] = 0;
    for (int n = 1; n <= MOST_BITS; n++) next[n] = code = (code + count[n - 1]) << 1;
    for (int i = 0; i < symbols; i++) {
        const int n = length[i];
        uint32_t bits = n ? next[n]++ : 0, reversed = 0;
        for (int k = 0; k < n; k++, bits >>= 1) reversed = reversed << 1 | (bits & 1);
        c->code[i] = (uint16_t)reversed;
        c->length[i] = (uint8_t)n;
    }
}

static inline void put_symbol(Out *o, const Codes *c, int symbol) {
    if (!c->length[symbol]) o->failed = 1;
    put_bits(o, c->code[symbol], c->length[symbol]);
}

static void write_trees(Out *o, const Trees *t, Codes *c) {
    put_bits(o, (uint32_t)(t->literals - 257), 5);
    put_bits(o, (uint32_t)(t->distances - 1), 5);
    put_bits(o, (uint32_t)(t->codes - 4), 4);
    for (int i = 0; i < t->codes; i++) put_bits(o, t->code_length[ORDER[i]], 3);
    make_codes(c, t->code_length, LENGTH_CODES);
    for (int i = 0; i < t->steps; i++) {
        const int symbol = t->step[i] & 31, count = t->step[i] >> 5;
        put_symbol(o, c, symbol);
        if (symbol == 16) put_bits(o, (uint32_t)(count - 3), 2);
        if (symbol == 17) put_bits(o, (uint32_t)(count - 3), 3);
        if (symbol == 18) put_bits(o, (uint32_t)(count - 11), 7);
    }
}

static void write_tokens(Out *o, const uint8_t *data, const Token *token, size_t tokens,
                         const Codes *literals, const Codes *distances) {
    for (size_t i = 0; i < tokens && !o->failed; i++) {
        const uint32_t length = length_of(token[i]), distance = distance_of(token[i]);
        if (!length) {
            put_symbol(o, literals, *data++);
            continue;
        }
        const int symbol = length_symbol(length), far = distance_symbol(distance);
        put_symbol(o, literals, 257 + symbol);
        put_bits(o, length - LENGTH_BASE[symbol], LENGTH_EXTRA[symbol]);
        put_symbol(o, distances, far);
        put_bits(o, distance - DISTANCE_BASE[far], DISTANCE_EXTRA[far]);
        data += length;
    }
    put_symbol(o, literals, END);
}
