/* Planes of two values: each sample is one decision, from what is set around it. */
#pragma once

#include "frame.h"
#include "levels.h"

enum {
    AHEAD = 8,     /* columns right of a sample that are looked at in rows above */
    ROWS_ABOVE = 5,
    ROWS_BESIDE = 3, /* of a reference: above, beside and below */
    BIT_SETS_A = 64,
    BIT_SETS_B = 256,
    BIT_SETS_C = 1024,
};

/* Bits of the numbers of contexts. */
static const int BIT_BITS[CONTEXTS] = {10, 16, 16, 18, 18, 18, 14, 16};

/* Numbers that may be repeats, and are 0 or 1. */
INLINE int is_bilevel(int64_t top, int repeats) { return top == 1 && repeats; }

static int begin_bits(Mixture *m) {
    return begin_mixture(m, BIT_BITS, 1, BIT_SETS_A, BIT_SETS_B,
                         BIT_SETS_A + BIT_SETS_B + BIT_SETS_C, 4000, 0);
}

/* Bits of rows around a sample, the nearer to the right end of a row the lower. */
typedef struct {
    uint32_t own;                 /* bit i: i + 1 columns left of the sample */
    uint32_t above[ROWS_ABOVE];   /* bit i: AHEAD - i columns right of it, from the row above up */
    uint32_t beside[ROWS_BESIDE]; /* the same in the first reference */
} Windows;

/* A sample that is 0 outside of the plane, right of it too. */
INLINE uint32_t bit_at(const Frame *f, const uint32_t *value, int y, int x) {
    if (y < 0 || y >= f->height || x >= f->width) return 0;
    return value[(ptrdiff_t)f->first + y * f->stride + x];
}

INLINE void take_column(const Frame *f, Windows *w, const Plane *own, const Plane *beside, int y,
                        int x) {
    for (int i = 0; i < ROWS_ABOVE; i++)
        w->above[i] = w->above[i] << 1 | bit_at(f, own->value, y - 1 - i, x);
    for (int i = 0; i < ROWS_BESIDE && beside; i++)
        w->beside[i] = w->beside[i] << 1 | bit_at(f, beside->value, y - 1 + i, x);
}

/* Samples of a row from `left` columns left of the coded one to `right` columns right of it. */
INLINE uint32_t part(uint32_t row, int left, int right) {
    return row >> (AHEAD - right) & ((1u << (left + right + 1)) - 1);
}
INLINE uint32_t lowest(uint32_t bits, int count) { return bits & ((1u << count) - 1); }

/* The bits of `row` that are set in `places`, one beside the other. */
INLINE uint32_t few(uint32_t row, uint32_t places) {
#if defined(LEVEL_AVX2)
    return _pext_u32(row, places);
#else
    uint32_t bits = 0;
    for (int n = 0; places; places &= places - 1, n++)
        bits |= (row >> __builtin_ctz(places) & 1) << n;
    return bits;
#endif
}

/* How many bits from the lowest one on are like it, 1 to 15. */
INLINE uint32_t run_of(uint32_t bits) {
    return (uint32_t)__builtin_ctz((bits ^ (0u - (bits & 1))) | 1u << 15);
}
/* The same from the highest of AHEAD + 1 bits down. */
INLINE uint32_t run_ahead(uint32_t row) {
    const uint32_t bits = part(row, 0, AHEAD), other = bits ^ (0u - (bits >> AHEAD));
    return (uint32_t)__builtin_clz(lowest(other, AHEAD) << (32 - AHEAD) | 1u << (31 - AHEAD));
}

INLINE void choose_bit_contexts(const Windows *w, int beside, uint32_t *c) {
    const uint32_t own = w->own, *a = w->above, *r = w->beside;
    const uint32_t wide = lowest(own, 6) | part(a[0], 5, 5) << 6 | part(a[1], 4, 4) << 17,
                   high = part(a[2], 4, 4) | part(a[3], 3, 3) << 9 | part(a[4], 2, 2) << 16;
    c[0] = lowest(own, 2) | part(a[0], 2, 2) << 2 | part(a[1], 1, 1) << 7;
    c[1] = lowest(own, 4) | part(a[0], 3, 3) << 4 | part(a[1], 2, 2) << 11;
    c[2] = hashed(lowest(own, 6) | part(a[0], 5, 5) << 6, 1) >> 16;
    c[3] = hashed(lowest(own, 5) | part(a[0], 4, 4) << 5 | part(a[1], 3, 3) << 14, 2) >> 14;
    c[4] = hashed(wide, part(a[2], 3, 3)) >> 14;
    c[5] = hashed(wide | lowest(own >> 6, 4) << 26, high) >> 14;
    c[6] = run_of(own) | (own & 1) << 4 | run_of(a[0] >> AHEAD) << 5 | run_ahead(a[0]) << 9 |
           (a[0] >> AHEAD & 1) << 13;
    c[7] = hashed(few(own, 0x8a5) | few(a[0], 0x110911) << 5,
                  few(a[1], 0x10410) | few(a[2], 0x10101) << 3 | few(a[4], 0x10101) << 6) >> 16;
    if (!beside) return;
    c[2] = hashed(part(r[0], 2, 2) | part(r[1], 2, 2) << 5 | part(r[2], 2, 2) << 10 |
                      lowest(own, 3) << 15 | part(a[0], 2, 2) << 18, 3) >> 16;
    c[7] = part(r[0], 1, 1) | part(r[1], 1, 1) << 3 | part(r[2], 1, 1) << 6 |
           lowest(own, 2) << 9 | part(a[0], 1, 1) << 11;
}

/* Codes a plane, or decodes into it. */
INLINE int code_bits(const DeepTables *t, Arithmetic *arithmetic, const Frame *f, const Mixture *m,
                     Plane *own, const Plane *beside, const int decoding) {
    Decision d = {.logit = {0}};
    for (int y = 0; y < f->height; y++) {
        Windows w = {0};
        for (int x = 0; x < AHEAD; x++) take_column(f, &w, own, beside, y, x);
        uint32_t *value = own->value + (ptrdiff_t)f->first + y * f->stride;
        for (int x = 0; x < f->width; x++) {
            take_column(f, &w, own, beside, y, x + AHEAD);
            uint32_t c[CONTEXTS];
            choose_bit_contexts(&w, beside != NULL, c);
            for (int i = 0; i < CONTEXTS; i++) d.slot[i] = m->slots[i] + c[i];
            d.a = m->a[lowest(w.own, 3) | part(w.above[0], 1, 1) << 3];
            d.b = m->b[run_of(w.own) | run_of(w.above[0] >> AHEAD) << 4];
            d.c = m->c[c[0]];
            value[x] = (uint32_t)decide(t, arithmetic, &d, 0, (int)value[x], decoding);
            w.own = w.own << 1 | value[x];
        }
        if (arithmetic->failed) return NO_MEMORY;
        if (arithmetic->overrun > 4) return CORRUPT;
    }
    return CODED;
}
