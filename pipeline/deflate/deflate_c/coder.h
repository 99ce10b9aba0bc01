/* Adaptive binary arithmetic coding, both ways through the same calls. */
#pragma once
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* p: of a 1, in 1 / 2^22. n: decisions seen. */
typedef struct {
    uint32_t p, n;
} Slot;

enum { ONE = 1 << 22, MOST_SEEN = 126, LOWEST = 32 };

typedef struct {
    int decoding, failed;
    uint32_t low, high, code;
    const uint8_t *in;
    size_t size, position;
    uint8_t *out;
    size_t room, limit;
} Coder;

static void start_slots(Slot *s, size_t count) {
    for (size_t i = 0; i < count; i++) s[i] = (Slot){ONE / 2, 0};
}

static uint32_t next_byte(Coder *c) {
    return c->position < c->size ? c->in[c->position++] : 0;
}

static void start_decoding(Coder *c, const uint8_t *in, size_t size) {
    *c = (Coder){.decoding = 1, .high = UINT32_MAX, .in = in, .size = size};
    for (int i = 0; i < 4; i++) c->code = c->code << 8 | next_byte(c);
}

/* Fails where the bytes pass the limit. */
static void start_encoding(Coder *c, size_t limit) {
    *c = (Coder){.high = UINT32_MAX, .limit = limit};
}

static void put_byte(Coder *c, uint32_t byte) {
    if (c->size == c->room) {
        const size_t room = c->room ? 2 * c->room : 256;
        uint8_t *out = c->size < c->limit ? realloc(c->out, room) : NULL;
        if (!out) {
            c->failed = 1;
            return;
        }
        c->out = out;
        c->room = room;
    }
    if (c->size >= c->limit) {
        c->failed = 1;
        return;
    }
    c->out[c->size++] = (uint8_t)byte;
}

/* A decision: `bit` when encoding; returns the bit. */
static inline int code_bit(Coder *c, Slot *s, int bit) {
    uint32_t p = s->p;
    p = p < LOWEST ? LOWEST : p > ONE - LOWEST ? ONE - LOWEST : p;
    const uint32_t middle = c->low + (uint32_t)((uint64_t)(c->high - c->low) * p >> 22);
    if (c->decoding) bit = c->code <= middle;
    if (bit) {
        c->high = middle;
        s->p += (ONE - s->p) / (s->n + 2);
    } else {
        c->low = middle + 1;
        s->p -= s->p / (s->n + 2);
    }
    s->n += s->n < MOST_SEEN;
    while (!((c->low ^ c->high) >> 24)) {
        if (c->decoding)
            c->code = c->code << 8 | next_byte(c);
        else
            put_byte(c, c->high >> 24);
        c->low <<= 8;
        c->high = c->high << 8 | 255;
    }
    return bit;
}

/* The shortest bytes that end what was coded: readers take zeros for bytes behind the end. */
static void end_encoding(Coder *c) {
    uint32_t value = 0;
    for (int shift = 32; shift >= 0; shift -= 8) {
        const uint64_t unit = (uint64_t)1 << shift;
        const uint64_t up = ((uint64_t)c->low + unit - 1) / unit * unit;
        if (up <= c->high) {
            value = (uint32_t)up;
            break;
        }
    }
    for (; value; value <<= 8) put_byte(c, value >> 24);
    while (c->size && !c->out[c->size - 1]) c->size--;
}

/* A number from 0: how many bits its successor has, then those bits below the highest. */
typedef struct {
    Slot more[32], low[32][32];
} Number;

static uint32_t code_number(Coder *c, Number *n, uint32_t value) {
    const uint64_t up = (uint64_t)value + 1;
    int size = 0;
    while (size < 31 && code_bit(c, &n->more[size], up >> (size + 1) != 0)) size++;
    uint64_t got = 1;
    for (int i = size - 1; i >= 0; i--) got = got << 1 | code_bit(c, &n->low[size][i], up >> i & 1);
    return (uint32_t)(got - 1);
}

/* `count` bits, the highest first, all in their own slots. */
static uint32_t code_bits(Coder *c, Slot *s, int count, uint32_t value) {
    uint32_t got = 0;
    for (int i = count - 1; i >= 0; i--) got = got << 1 | (uint32_t)code_bit(c, &s[i], value >> i & 1);
    return got;
}
