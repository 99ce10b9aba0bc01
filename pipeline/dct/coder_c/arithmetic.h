/* A binary arithmetic coder of 32-bit bounds and 16-bit probabilities, without carries.
 *
 * Invariant: before each decision low < high, and their top bytes differ. With 1 <= p <= 65535
 * the split low + ((high - low) * p >> 16) is at least low and less than high, so both parts hold
 * at least one value and low < high goes on. Top bytes that agree leave at once: low takes a zero
 * byte and high one of 255, which keeps low < high.
 */
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

typedef struct Arithmetic {
    uint32_t low, high;
    uint32_t point; /* decoding: the four coded bytes that low and high enclose */
    uint8_t *bytes; /* encoding: the caller's to free */
    size_t count, room;
    const uint8_t *next, *end; /* decoding */
    size_t overrun;            /* bytes read behind the end, where zeros are */
    int failed;                /* memory ran out */
} Arithmetic;

INLINE void start_encoding(Arithmetic *a) {
    memset(a, 0, sizeof *a);
    a->high = UINT32_MAX;
}

INLINE uint8_t next_byte(Arithmetic *a) {
    if (a->next < a->end) return *a->next++;
    a->overrun++;
    return 0;
}

INLINE void start_decoding(Arithmetic *a, const uint8_t *bytes, size_t count) {
    start_encoding(a);
    a->next = bytes, a->end = bytes + count;
    for (int i = 0; i < 4; i++) a->point = a->point << 8 | next_byte(a);
}

/* Not inlined: once in half a million bytes. */
static __attribute__((noinline)) int grow(Arithmetic *a) {
    size_t room = a->room ? 2 * a->room : 1 << 16;
    uint8_t *grown = realloc(a->bytes, room);
    if (!grown) {
        a->failed = 1;
        a->count = 0; /* what follows overwrites bytes that nobody will read */
        return a->room != 0;
    }
    a->bytes = grown, a->room = room;
    return 1;
}

INLINE void emit(Arithmetic *a, uint8_t byte) {
    if (a->count < a->room || grow(a)) a->bytes[a->count++] = byte;
}

/* Codes a bit, or decodes one; `one` is the probability of a 1 in 1/65536, in 1..65535. */
INLINE int code_bit(Arithmetic *a, int bit, uint32_t one, const int decoding) {
    const uint32_t split = a->low + (uint32_t)((uint64_t)(a->high - a->low) * one >> 16);
    if (decoding) bit = a->point <= split;
    if (bit)
        a->high = split;
    else
        a->low = split + 1;
    while (!((a->low ^ a->high) >> 24)) {
        if (decoding)
            a->point = a->point << 8 | next_byte(a);
        else
            emit(a, (uint8_t)(a->high >> 24));
        a->low <<= 8, a->high = a->high << 8 | 255;
    }
    return bit;
}

/* Ends the code: the top byte of high, with the zeros that a decoder reads behind the end, lies
 * above low and not above high. */
INLINE void finish_encoding(Arithmetic *a) { emit(a, (uint8_t)(a->high >> 24)); }
