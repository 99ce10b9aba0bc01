/* What a model holds: counters of every context and mixing weights, for luma and for chroma. */
#pragma once

#include "lanes.h"
#include "tables.h"

enum {
    NODES = 10,  /* decisions that one context serves */
    VALUE = 6,   /* contexts of a value before its sign is known */
    SIGNED = 2,  /* more of them behind the sign */
    SIGN = 4,    /* contexts of a sign */
    LAST = 8,    /* contexts of the last position */
    REST = 2,    /* contexts of the bits below a magnitude's class */
    CLASSES = 2, /* luma, chroma */
    POSITIONS = 64,
    SOURCES = 5 * POSITIONS, /* of linear predictions: this block, N, W, NW, NE */
    LAST_PARTS = 9,
    BANDS24 = 24,
    BANDS12 = 12,
};

/* How likely a 1 is at a decision, in 1/65536, and above these 16 bits how often it was met. */
typedef uint32_t Slot;

/* A context has a slot for each node. The first ones are a line of 32 bytes, so that a context
 * costs one cache miss; those of large magnitudes stand behind the lines of all contexts. */
enum { LINE = 8, FURTHER = NODES - LINE, NEAR_SHARE = LINE / FURTHER };

/* Families of contexts: where their counters start, in lines. */
typedef struct {
    int bands, values;
} Family;

static const Family VALUE_FAMILIES[VALUE] = {{24, 73}, {12, 196}, {24, 78},
                                             {24, 78}, {24, 130}, {12, 216}};
static const Family SIGNED_FAMILIES[SIGNED] = {{12, 260}, {24, 62}};
static const Family SIGN_FAMILIES[SIGN] = {{24, 62}, {12, 225}, {12, 234}, {12, 81}};
static const Family LAST_FAMILIES[LAST] = {{LAST_PARTS, 64},  {LAST_PARTS, 256}, {LAST_PARTS, 144},
                                           {LAST_PARTS, 192}, {LAST_PARTS, 256}, {LAST_PARTS, 192},
                                           {LAST_PARTS, 512}, {LAST_PARTS, 192}};
static const Family REST_FAMILIES[REST] = {{12, 312}, {12, 208}};

enum { FAMILIES = VALUE + SIGNED + SIGN + LAST + REST };

typedef struct {
    int value[VALUE], sign_known[SIGNED], sign[SIGN], last[LAST], rest[REST], lines;
} Layout;

static inline void lay_out(Layout *l) {
    int at = 0;
#define PLACE(starts, families, count) \
    for (int i = 0; i < count; i++) starts[i] = at, at += families[i].bands * families[i].values
    PLACE(l->value, VALUE_FAMILIES, VALUE);
    PLACE(l->sign_known, SIGNED_FAMILIES, SIGNED);
    PLACE(l->sign, SIGN_FAMILIES, SIGN);
    PLACE(l->last, LAST_FAMILIES, LAST);
    PLACE(l->rest, REST_FAMILIES, REST);
#undef PLACE
    l->lines = at;
}

/* Sets of weights: three are mixed for each decision, each chosen by something else. */
enum { SETS_A = 456, SETS_B = 274, SETS_C = 336, SETS = SETS_A + SETS_B + SETS_C };

/* Predictions of one class of components. direct: of the coefficient; size: of its magnitude.
 * 13 fractional bits. The sum of the sizes of one position's weights is at most 2^19 - 1, and
 * coefficients are clipped to 4095, so that every sum stays below 2^31. */
typedef struct {
    int16_t direct[SOURCES][POSITIONS], size[SOURCES][POSITIONS];
} Linear;

/* The state that adapts, and what it starts from. */
typedef struct State {
    Slot *slots;      /* [CLASSES]: [lines][LINE], [lines][FURTHER] */
    Weights *weights; /* [CLASSES][SETS] */
} State;

struct Network;

typedef struct Model {
    Tables tables;
    Layout layout;
    State start;
    Linear *linear;                 /* [CLASSES] */
    const struct Network *networks; /* [CLASSES][3], or NULL */
    int learning;                   /* steps of the mixers' weights are divided by 2^learning */
} Model;

static const uint8_t ZIGZAG[POSITIONS] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
    41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
    30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};
/* Positions of the zigzag in bands. */
static const uint8_t BAND24[POSITIONS] = {
    0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 12, 13, 13, 14, 14, 15, 15, 15, 16,
    16, 16, 17, 17, 17, 17, 18, 18, 18, 18, 19, 19, 19, 19, 19, 20, 20, 20, 20, 20, 20, 21,
    21, 21, 21, 21, 21, 22, 22, 22, 22, 22, 22, 22, 23, 23, 23, 23, 23, 23, 23, 23};
static const uint8_t BAND12[POSITIONS] = {
    0, 1,  2,  3,  3,  3,  4,  4,  4,  4,  5,  5,  5,  5,  5,  6,  6,  6,  6,  6, 6, 7,
    7, 7,  7,  7,  7,  7,  8,  8,  8,  8,  8,  8,  8,  8,  9,  9,  9,  9,  9,  9, 9, 9,
    9, 10, 10, 10, 10, 10, 10, 10, 10, 10, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11};
