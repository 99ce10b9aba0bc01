/* What contexts know before a file begins, as a model file has it: each slot told from its
 * neighbours by linear predictions, and the rest coded by adaptive bits. */
#pragma once

#include "model.h"

enum {
    UNUSED = -128, /* a slot that begins knowing nothing */
    SLOT_MAX = 16, /* stretched probabilities are in -16..15, in 1/2 */
    NEIGHBOURS = 6,
    PATTERNS = 8, /* which of the first three neighbours are used */
    RESTS = 12,   /* bits of a rest's magnitude that have contexts of their own */
};

typedef int16_t Predictors[NODES][PATTERNS][NEIGHBOURS]; /* 8 fractional bits */

typedef struct {
    uint16_t one;
    uint8_t count;
} AdaptiveBit;

INLINE int code_adaptively(Arithmetic *a, AdaptiveBit *b, const Tables *t, int bit,
                           const int decoding) {
    bit = code_bit(a, bit, b->one < 32 ? 32 : b->one > 65504 ? 65504 : b->one, decoding);
    b->one = (uint16_t)(b->one + ((((bit ? 65535 : 0) - b->one) * t->rate[b->count]) >> 15));
    b->count = (uint8_t)(b->count + (b->count < COUNT_MAX));
    return bit;
}

typedef struct {
    AdaptiveBit used[NODES][16], zero[NODES][4], sign[NODES][4], more[NODES][4][RESTS];
} SlotBits;

INLINE int in_slot(int x) {
    return x < -SLOT_MAX ? -SLOT_MAX : x >= SLOT_MAX ? SLOT_MAX - 1 : x;
}

/* A slot from its neighbours: those of the line before, the band before, the node before; of both
 * lines at the node before; of the line before those. */
INLINE int8_t code_slot(Arithmetic *a, SlotBits *bits, const Tables *t, const Predictors *p,
                        const int8_t *near, int node, int8_t slot, const int decoding) {
    int pattern = 0, sum = 128;
    for (int i = 0; i < 3; i++) pattern |= (near[i] != UNUSED) << i;
    const int seen = pattern | (near[5] != UNUSED) << 3;
    if (!code_adaptively(a, &bits->used[node][seen], t, slot != UNUSED, decoding)) return UNUSED;
    for (int i = 0; i < NEIGHBOURS; i++)
        if (near[i] != UNUSED) sum += near[i] * (*p)[node][pattern][i];
    const int predicted = in_slot(sum >> 8), rest = slot - predicted;
    const int known = (pattern & 1) + (pattern >> 1 & 1) + (pattern >> 2);
    int size = 0;
    if (code_adaptively(a, &bits->zero[node][known], t, rest != 0, decoding)) {
        const int negative = code_adaptively(a, &bits->sign[node][known], t, rest < 0, decoding);
        size = 1;
        while (size < 2 * SLOT_MAX &&
               code_adaptively(a, &bits->more[node][known][least(size, RESTS) - 1], t,
                               size_of(rest) > size, decoding))
            size++;
        if (negative) size = -size;
    }
    return (int8_t)in_slot(predicted + size);
}

static void code_family(Arithmetic *a, SlotBits *bits, const Tables *t, const Predictors *p,
                        Family f, int8_t (*slots)[NODES], const int decoding) {
    for (int band = 0; band < f.bands; band++)
        for (int value = 0; value < f.values; value++)
            for (int node = 0; node < NODES; node++) {
                int8_t(*at)[NODES] = slots + band * f.values + value;
                const int before = node > 0;
                const int8_t near[NEIGHBOURS] = {
                    value ? at[-1][node] : UNUSED,
                    band ? at[-f.values][node] : UNUSED,
                    before ? at[0][node - 1] : UNUSED,
                    before && value ? at[-1][node - 1] : UNUSED,
                    before && band ? at[-f.values][node - 1] : UNUSED,
                    value > 1 ? at[-2][node] : UNUSED};
                at[0][node] = code_slot(a, bits, t, p, near, node, at[0][node], decoding);
            }
}

/* Codes [CLASSES][lines][NODES] slots, or decodes them. */
static void code_slots(Arithmetic *a, const Predictors *p, int8_t (*slots)[NODES], int decoding) {
    Tables t;
    make_tables(&t);
    SlotBits bits;
    AdaptiveBit *all = (AdaptiveBit *)&bits;
    for (size_t i = 0; i < sizeof bits / sizeof *all; i++) all[i] = (AdaptiveBit){1 << 15, 0};
    static const struct {
        const Family *families;
        int count;
    } KIND[] = {{VALUE_FAMILIES, VALUE},
                {SIGNED_FAMILIES, SIGNED},
                {SIGN_FAMILIES, SIGN},
                {LAST_FAMILIES, LAST},
                {REST_FAMILIES, REST}};
    for (int class = 0; class < CLASSES; class ++)
        for (size_t kind = 0; kind < sizeof KIND / sizeof *KIND; kind++)
            for (int i = 0; i < KIND[kind].count; i++) {
                /* Parts of a last position are beside each other, so they count as values. */
                Family f = KIND[kind].families[i];
                if (f.bands == LAST_PARTS) f = (Family){f.values, f.bands};
                if (decoding)
                    code_family(a, &bits, &t, p, f, slots, 1);
                else
                    code_family(a, &bits, &t, p, f, slots, 0);
                slots += f.bands * f.values;
            }
}
