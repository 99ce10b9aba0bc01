/* A coefficient, or the rest of one behind its prediction, as decisions. */
#pragma once

#include "prediction.h"

enum { MAGNITUDES = 19 };

/* Outputs of a value's network: of the nodes, then of the sign; of the nodes again, of what is
 * negative; of the first bit below classes from FIRST_BELOW on, of what is positive, then negative.
 * A network without a trunk has no outputs from NEGATIVE on: what is negative has those of what is
 * positive, and bits have 0. */
enum { NEGATIVE = NODES, FIRST_BELOW = 4, BELOWS = 5, BELOW = 2 * NODES, VALUE_OUTPUTS = 32 };

/* Classes of magnitudes: the least of each, and the bits that tell its members apart. */
static const int LEAST[MAGNITUDES + 1] = {
    1, 2, 3, 4, 5, 7, 11, 19, 35, 67, 131, 259, 515, 1027, 2051, 4099, 8195, 16387, 32771, 65539};
static const uint8_t BITS[MAGNITUDES] = {0, 0, 0, 0,  1,  2,  3,  4,  5, 6,
                                         7, 8, 9, 10, 11, 12, 13, 14, 15};

/* What chooses the sets of weights. */
typedef struct {
    int expected; /* 0..36 */
    int inside;   /* 0..47 */
    int edge;     /* 0..12 */
} Choice;

/* Contexts that a value is coded in. */
typedef struct {
    const Mixer *mixer;
    const Layout *layout;
    Slot *slots; /* of the class */
    Slot *value[VALUE + SIGNED], *sign[SIGN];
    Choice choice;
    int zigzag;                 /* 0 for the rest of a DC coefficient */
    int prediction;             /* 1/16 steps */
    int scale;                  /* class of what is expected, 0..9 */
    int16_t network[VALUE_OUTPUTS]; /* stretched */
} Value;

/* The line of a context. */
INLINE Slot *line_of(Slot *slots, int number) { return slots + (size_t)LINE * (size_t)number; }

/* The contexts that join those of a value behind its sign; towards: its prediction, negated where
 * the value is negative. */
INLINE Slot *behind_sign(const Value *v, int number, int towards) {
    const int *start = v->layout->sign_known;
    return line_of(v->slots, number ? start[1] + BAND24[v->zigzag] * 62 + signed62(towards)
                                    : start[0] + BAND12[v->zigzag] * 260 + signed26(towards) * 10 +
                                          v->scale);
}

/* Codes a value, at most 65538 in size; where known_not_zero, only its sign and magnitude. */
INLINE int code_value(Value *v, int value, int known_not_zero, const int decoding) {
    const Layout *l = v->layout;
    const int k = v->zigzag, band12 = BAND12[k];
    const Choice *by = &v->choice;
    /* Most values are not zero: what comes next is fetched while this decision is coded. */
    for (int i = 0; i < SIGN; i++) __builtin_prefetch(v->sign[i], 1);
    for (int side = -1; side <= 1; side += 2)
        for (int i = 0; i < SIGNED; i++)
            __builtin_prefetch(behind_sign(v, i, side * v->prediction), 1);
    if (!known_not_zero && !decide(v->mixer, v->value, VALUE, 0, v->network[0], k, by->expected,
                                   by->inside, value != 0, decoding))
        return 0;
    const int negative = decide(v->mixer, v->sign, SIGN, 0, v->network[NODES], 320 + k,
                                185 + by->edge, 240 + by->inside % 12, value < 0, decoding);
    const int towards = negative ? -v->prediction : v->prediction, magnitude = size_of(value);
    for (int i = 0; i < SIGNED; i++) v->value[VALUE + i] = behind_sign(v, i, towards);
    int j = 0;
    for (; j < MAGNITUDES - 1; j++) {
        if (j + 1 == LINE) /* the last ones, of FURTHER slots, serve all that follows */
            for (int i = 0; i < VALUE + SIGNED; i++)
                v->value[i] = v->slots + (size_t)l->lines * LINE - LINE +
                              (v->value[i] - v->slots) / NEAR_SHARE;
        const int kind = 1 + least(j, 3), at = least(j + 1, NODES - 1);
        const int told = v->network[at + NEGATIVE * negative];
        if (!decide(v->mixer, v->value, VALUE + SIGNED, at, told, 64 * kind + k,
                    37 * kind + by->expected, 48 * kind + by->inside, magnitude >= LEAST[j + 1],
                    decoding))
            break;
    }
    int rest = 0, node = 1;
    const int class = least(j, 11);
    for (int i = BITS[j] - 1; i >= 0; i--) {
        const int middle = LEAST[j] + (rest << (i + 1)) + (1 << i);
        const int beyond = clip(((towards >> 4) - middle) * 32, 1 << 20) >> i;
        Slot *contexts[REST] = {
            line_of(v->slots, l->rest[0] + band12 * 312 + class * 26 + signed26(towards)),
            line_of(v->slots,
                    l->rest[1] + class * 208 + least(i, 7) * 26 + signed26(beyond))};
        const int told = node == 1 && j < FIRST_BELOW + BELOWS
                             ? v->network[BELOW + BELOWS * negative + j - FIRST_BELOW]
                             : 0;
        const int bit =
            decide(v->mixer, contexts, REST, node < 8 ? node - 1 : 7, told, 448 + least(i, 7),
                   262 + class, 324 + band12, (magnitude - LEAST[j]) >> i & 1, decoding);
        rest = 2 * rest + bit, node = least(2 * node + bit, 8);
    }
    const int size = LEAST[j] + rest;
    return negative ? -size : size;
}

/* One copy of each for AC and DC: more of them would not stay in a processor's caches. */
static __attribute__((noinline, unused)) int encode_value(Value *v, int value, int known_not_zero) {
    return code_value(v, value, known_not_zero, 0);
}
static __attribute__((noinline, unused)) int decode_value(Value *v, int known_not_zero) {
    return code_value(v, 0, known_not_zero, 1);
}
