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
    int16_t stretch[4096];             /* of probabilities in 1/4096 */
    uint16_t squash[4096];             /* of stretched probabilities plus 2048, in 1/65536 */
    int32_t rate[COUNT_MAX + 1];       /* 32768 / (count + 1.6) */
    int32_t confidence[COUNT_MAX + 1]; /* in 1/256 */
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
        t->stretch[i] = (int16_t)x;
    }
    static const uint8_t early[CONFIDENT] = {0,   102, 154, 154, 154, 218, 218,
                                             218, 218, 218, 218, 218, 218};
    for (int i = 0; i <= COUNT_MAX; i++) {
        t->rate[i] = 327680 / (10 * i + 16);
        t->confidence[i] = i < CONFIDENT ? early[i] : 256;
    }
}

INLINE int clip(int x, int limit) { return x > limit ? limit : x < -limit ? -limit : x; }
INLINE int size_of(int x) { return x < 0 ? -x : x; }
INLINE int least(int a, int b) { return a < b ? a : b; }
INLINE int sign_of(int x) { return (x > 0) - (x < 0); }

INLINE int64_t size64(int64_t x) { return x < 0 ? -x : x; }
INLINE int64_t clip64(int64_t x, int64_t limit) {
    return x > limit ? limit : x < -limit ? -limit : x;
}

/* Twelve classes of magnitudes. */
INLINE int class12(int x) {
    return x < 5    ? x
           : x < 7  ? 5
           : x < 9  ? 6
           : x < 13 ? 7
           : x < 21 ? 8
           : x < 41 ? 9
           : x < 81 ? 10
                    : 11;
}
/* Six and four of them. */
INLINE int class6(int x) { return x < 3 ? x : x < 5 ? 3 : x < 11 ? 4 : 5; }
INLINE int class4(int x) { return x < 2 ? x : x < 5 ? 2 : 3; }

/* Thirteen classes of the size of a prediction that is in 1/16 steps. */
INLINE int size13(int x) {
    const int half = (size_of(x) + 4) >> 3;
    return half < 6     ? half
           : half < 9   ? 6
           : half < 13  ? 7
           : half < 20  ? 8
           : half < 32  ? 9
           : half < 64  ? 10
           : half < 128 ? 11
                        : 12;
}
INLINE int signed26(int x) { return 2 * size13(x) + (x < 0); }
/* 31 finer ones. */
INLINE int size31(int x) {
    const int a = (size_of(x) + 1) >> 1;
    return a < 8     ? a
           : a < 16  ? 8 + (a - 8) / 2
           : a < 32  ? 12 + (a - 16) / 4
           : a < 64  ? 16 + (a - 32) / 8
           : a < 128 ? 20 + (a - 64) / 16
           : a < 512 ? 24 + (a - 128) / 64
                     : 30;
}
INLINE int signed62(int x) { return size31(x) + (x < 0 ? 31 : 0); }
INLINE int signed15(int x) {
    const int s = least(size13(x), 7);
    return x < 0 ? 7 - s : 7 + s;
}

/* 73 classes of an expected magnitude in 1/16 steps. */
INLINE int expected73(int x) {
    return x < 0      ? 0
           : x < 48   ? 1 + x / 2
           : x < 96   ? 25 + (x - 48) / 4
           : x < 192  ? 37 + (x - 96) / 8
           : x < 384  ? 49 + (x - 192) / 16
           : x < 768  ? 61 + (x - 384) / 64
           : x < 2048 ? 67 + (x - 768) / 256
                      : 72;
}
/* 30 classes of a sum of magnitudes. */
INLINE int sum30(int x) {
    return x < 12    ? x
           : x < 20  ? 12 + (x - 12) / 2
           : x < 36  ? 16 + (x - 20) / 4
           : x < 68  ? 20 + (x - 36) / 8
           : x < 132 ? 24 + (x - 68) / 16
           : x < 260 ? 28
                     : 29;
}
