/* The range coder of constriction's `stream.queue` with 32-bit words, 64-bit state and 24-bit
 * probabilities; schemas/FORMAT.md states it in full.
 */
#pragma once

#include "inline.h"

typedef struct {
    uint64_t lower, range;
    size_t inverted; /* words held back because a carry may still reach them */
    uint32_t first_inverted;
    uint32_t *words;
    size_t count, room;
    int failed;
} RangeEncoder;

INLINE RangeEncoder begin_encoder(void) { return (RangeEncoder){.range = UINT64_MAX}; }

static void emit(RangeEncoder *c, uint32_t word) {
    if (c->count == c->room) {
        size_t room = c->room ? 2 * c->room : 4096;
        uint32_t *grown = realloc(c->words, room * sizeof *grown);
        if (!grown) {
            c->failed = 1;
            return;
        }
        c->words = grown, c->room = room;
    }
    c->words[c->count++] = word;
}

static void settle(RangeEncoder *c, int carry) {
    emit(c, c->first_inverted + (carry ? 1 : 0));
    for (size_t i = 1; i < c->inverted; i++) emit(c, carry ? 0 : UINT32_MAX);
    c->inverted = 0;
}

INLINE void put(RangeEncoder *c, uint32_t left, uint32_t right) {
    uint64_t scale = c->range >> 24;
    uint64_t lower = c->lower + scale * left;
    c->range = scale * (right - left);
    if (c->inverted && lower + c->range > lower) settle(c, lower < c->lower);
    c->lower = lower;
    if (c->range >> 32) return;
    uint32_t word = (uint32_t)(lower >> 32);
    c->range <<= 32;
    c->lower <<= 32;
    if (c->inverted)
        c->inverted++;
    else if (c->lower + c->range > c->lower)
        emit(c, word);
    else
        c->inverted = 1, c->first_inverted = word;
}

static void seal(RangeEncoder *c) {
    if (c->range == UINT64_MAX) return;
    uint64_t point = c->lower + (((uint64_t)1 << 32) - 1);
    if (c->inverted) settle(c, point < c->lower);
    uint32_t word = (uint32_t)(point >> 32);
    emit(c, word);
    if ((uint32_t)((c->lower + c->range) >> 32) == word) emit(c, 0);
}

typedef struct {
    const uint8_t *next, *end;
    uint64_t range, ahead; /* ahead: the coded point minus the lower end */
    int overrun;           /* words read after the last one; an encoder's words need one */
} RangeDecoder;

INLINE uint32_t next_word(RangeDecoder *c) {
    if (c->end - c->next < 4) {
        c->overrun++;
        return 0;
    }
    uint32_t word = (uint32_t)c->next[0] | (uint32_t)c->next[1] << 8 |
                    (uint32_t)c->next[2] << 16 | (uint32_t)c->next[3] << 24;
    c->next += 4;
    return word;
}

/* Starts at the first of `size` bytes of little-endian words. */
INLINE RangeDecoder begin_decoder(const uint8_t *words, size_t size) {
    RangeDecoder c = {words, words + size, UINT64_MAX, 0, 0};
    c.ahead = (uint64_t)next_word(&c) << 32;
    c.ahead |= next_word(&c);
    return c;
}

/* Where the coded point lies in 0..2^24 - 1; anything above shows that no encoder wrote it. */
INLINE uint64_t quantile(const RangeDecoder *c) { return c->ahead / (c->range >> 24); }

/* Goes on behind the symbol that lies from left to right. */
INLINE void consume(RangeDecoder *c, uint32_t left, uint32_t right) {
    uint64_t scale = c->range >> 24;
    c->ahead -= scale * left;
    c->range = scale * (right - left);
    if (!(c->range >> 32)) {
        c->range <<= 32;
        c->ahead = c->ahead << 32 | next_word(c);
    }
}
