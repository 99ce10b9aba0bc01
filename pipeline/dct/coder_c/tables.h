/* Tables that integers alone make, and classes of magnitudes and predictions. */
#pragma once

#include "arithmetic.h"

enum {
    STRETCH_MAX = 2047, /* stretched probabilities: ln(p / (1 - p)) with 8 fractional bits */
    COUNT_MAX = 250,    /* decisions that a counter remembers at most */
    CONFIDENT = 13,     /* from so many decisions on a counter counts in full */
};

/* 65536 / (1 + exp(-x)) at x = -8, -7.5, ... 8. */
static const uint16_t SQUASH_NODES[33] = {
    22,    36,    60,    98,    162,   267,   439,   720,   1179,  1921,  3108,
    4971,  7812,  11955, 17625, 24743, 32768, 40793, 47911, 53581, 57724, 60565,
    62428, 63615, 64357, 64816, 65097, 65269, 65374, 65438, 65476, 65500, 65514};

typedef struct {
    int32_t stretch[4096];             /* of probabilities in 1/4096 */
    uint16_t squash[4096];             /* of stretched probabilities plus 2048, in 1/65536 */
    int32_t rate[COUNT_MAX + 1];       /* 32768 / (count + 1.6) */
    int32_t confidence[COUNT_MAX + 1]; /* in 1/256 */
    uint8_t half_confidence[16];       /* in 1/128, as far as CONFIDENT, the same from there on */
} Tables;

static inline void make_tables(Tables *t) {
    for (int i = 0; i < 4096; i++) {
        const int node = i >> 7, part = i & 127;
        t->squash[i] =
            (uint16_t)((SQUASH_NODES[node] * (128 - part) + SQUASH_NODES[node + 1] * part + 64) >>
                       7);
    }
    /* The inverse: the least x whose squash is not below the middle of the interval. */
    int x = -STRETCH_MAX;
    for (int i = 0; i < 4096; i++) {
        while (x < STRETCH_MAX && t->squash[x + 2048] < 16 * i + 8) x++;
        t->stretch[i] = x;
    }
    static const uint8_t early[CONFIDENT] = {0,   102, 154, 154, 154, 218, 218,
                                             218, 218, 218, 218, 218, 218};
    for (int i = 0; i <= COUNT_MAX; i++) {
        t->rate[i] = 327680 / (10 * i + 16);
        t->confidence[i] = i < CONFIDENT ? early[i] : 256;
    }
    for (int i = 0; i < 16; i++) t->half_confidence[i] = (uint8_t)(t->confidence[i] / 2);
}

INLINE int clip(int x, int limit) { return x > limit ? limit : x < -limit ? -limit : x; }
INLINE int size_of(int x) { return x < 0 ? -x : x; }
INLINE int least(int a, int b) { return a < b ? a : b; }
INLINE int sign_of(int x) { return (x > 0) - (x < 0); }

INLINE int64_t size64(int64_t x) { return x < 0 ? -x : x; }
INLINE int64_t clip64(int64_t x, int64_t limit) {
    return x > limit ? limit : x < -limit ? -limit : x;
}

/* Classes of numbers. Tables, for a processor cannot foresee branches on what is being coded. */

/* Twelve classes of magnitudes. */
static const uint8_t CLASS12[82] = {0,  1,  2,  3,  4, [5 ... 6] = 5, [7 ... 8] = 6,
                                    [9 ... 12] = 7, [13 ... 20] = 8, [21 ... 40] = 9,
                                    [41 ... 80] = 10, [81] = 11};
INLINE int class12(int x) { return CLASS12[least(x, 81)]; }
/* Six and four of them. */
static const uint8_t CLASS6[12] = {0, 1, 2, 3, 3, [5 ... 10] = 4, [11] = 5};
INLINE int class6(int x) { return CLASS6[least(x, 11)]; }
static const uint8_t CLASS4[6] = {0, 1, 2, 2, 2, 3};
INLINE int class4(int x) { return CLASS4[least(x, 5)]; }

/* Thirteen classes of the size of a prediction that is in 1/16 steps. */
static const uint8_t SIZE13[129] = {0, 1, 2, 3, 4, 5, [6 ... 8] = 6, [9 ... 12] = 7,
                                    [13 ... 19] = 8, [20 ... 31] = 9, [32 ... 63] = 10,
                                    [64 ... 127] = 11, [128] = 12};
INLINE int size13(int x) { return SIZE13[least((size_of(x) + 4) >> 3, 128)]; }
INLINE int signed26(int x) { return 2 * size13(x) + (x < 0); }
/* 31 finer ones: four for each doubling from 8 on, then steps of 64. */
static const uint8_t SIZE31[] = {
    0, 1, 2, 3, 4, 5, 6, 7, [8 ... 9] = 8, [10 ... 11] = 9, [12 ... 13] = 10, [14 ... 15] = 11,
    [16 ... 19] = 12, [20 ... 23] = 13, [24 ... 27] = 14, [28 ... 31] = 15, [32 ... 39] = 16,
    [40 ... 47] = 17, [48 ... 55] = 18, [56 ... 63] = 19, [64 ... 79] = 20, [80 ... 95] = 21,
    [96 ... 111] = 22, [112 ... 127] = 23, [128 ... 191] = 24, [192 ... 255] = 25,
    [256 ... 319] = 26, [320 ... 383] = 27, [384 ... 447] = 28, [448 ... 511] = 29, [512] = 30};
INLINE int size31(int x) { return SIZE31[least((size_of(x) + 1) >> 1, 512)]; }
INLINE int signed62(int x) { return size31(x) + (x < 0 ? 31 : 0); }
INLINE int signed15(int x) {
    const int s = least(size13(x), 7);
    return x < 0 ? 7 - s : 7 + s;
}

/* 73 classes of an expected magnitude in 1/16 steps: steps of 2 below 48, 4 below 96, and so on. */
static const uint8_t EXPECTED_SHIFT[6] = {1, 2, 3, 4, 6, 8},
                     EXPECTED_BASE[6] = {1, 13, 25, 37, 55, 64};
INLINE int expected73(int x) {
    const int octave = (x >= 48) + (x >= 96) + (x >= 192) + (x >= 384) + (x >= 768);
    const int class = EXPECTED_BASE[octave] + (x >> EXPECTED_SHIFT[octave]);
    return x < 0 ? 0 : least(class, 72);
}
