/* Tables beyond those of pipeline/dct, made by integers alone, and classes of numbers. */
#pragma once

#include "../../dct/coder_c/mixed.h"

enum {
    SOFT_REACH = 12 * 128, /* distances, in 1/128 of a scale */
    GONE_MAX = 8 * 4096,   /* losses, in 1/4096 */
    GONE_FINE = 512,
    SEEN_MAX = 400, /* how often a slot or a mean counts what it met */
};

typedef struct DeepTables {
    Tables of;
    uint16_t soft[2 * SOFT_REACH];
    int16_t remains[GONE_FINE + GONE_MAX / 16 + 1];
    int32_t rate[SEEN_MAX + 1]; /* 65536 / (n + 1.5) */
} DeepTables;

static inline void make_deep_tables(DeepTables *t) {
    make_tables(&t->of);
    uint32_t sum = 0;
    for (int i = 0; i < 2 * SOFT_REACH; i++) {
        t->soft[i] = (uint16_t)(sum >> 11);
        sum += t->of.squash[clip(2 * (i - SOFT_REACH) + 1, STRETCH_MAX) + 2048];
    }
    uint32_t e = 1u << 31;
    for (int i = 0; i <= GONE_MAX; i++, e -= e >> 12) {
        const int16_t logit = t->of.stretch[least((int)(e >> 19), 4095)];
        if (i < GONE_FINE) t->remains[i] = logit;
        if (i % 16 == 0) t->remains[GONE_FINE + i / 16] = logit;
    }
    for (int n = 0; n <= SEEN_MAX; n++) t->rate[n] = 131072 / (2 * n + 3);
}

/* ln(1 + exp(t)) in 1/4096, of t in 1/128: what a logistic distribution has lost on its way. */
INLINE int64_t softplus(const DeepTables *t, int64_t at) {
    if (at >= SOFT_REACH) return at * 32;
    return t->soft[at < -SOFT_REACH ? 0 : at + SOFT_REACH];
}

/* The logit of exp(-gone), gone in 1/4096. */
INLINE int remaining(const DeepTables *t, int64_t gone) {
    if (gone <= 0) return t->remains[0];
    if (gone > GONE_MAX) gone = GONE_MAX;
    return t->remains[gone < GONE_FINE ? gone : GONE_FINE + gone / 16];
}

INLINE int64_t between(int64_t v, int64_t low, int64_t high) {
    return v < low ? low : v > high ? high : v;
}
/* v * 2^-by, rounded down; by may be negative. */
INLINE int64_t shifted(int64_t v, int by) {
    return by > 0 ? v >> by : v * ((int64_t)1 << -by);
}

INLINE int bit_length(uint64_t v) { return v ? 64 - __builtin_clzll(v) : 0; }

/* Four classes for each octave, from 0 on. */
INLINE int quarter_octave(uint64_t v) {
    v += 4;
    const int n = bit_length(v) - 3;
    return 4 * n + (int)(v >> n & 3);
}

/* Seven or five classes of a difference in units of 2^unit; the middle one holds 0. */
INLINE int level7(int64_t v, int unit) {
    const int64_t size = size64(v) >> unit;
    const int level = size < 1 ? 0 : size < 3 ? 1 : size < 7 ? 2 : 3;
    return v < 0 ? 3 - level : 3 + level;
}
INLINE int level5(int64_t v, int unit) {
    const int64_t size = size64(v) >> unit;
    const int level = size < 1 ? 0 : size < 4 ? 1 : 2;
    return v < 0 ? 2 - level : 2 + level;
}

INLINE uint32_t hashed(uint32_t a, uint32_t b) {
    uint32_t h = a * 0x9E3779B1u ^ (b + 0x7F4A7C15u) * 0x85EBCA6Bu;
    h ^= h >> 15;
    return h * 0x2C1B3C6Du;
}

/* The least magnitude of class j, in units: 0, 1, 2, 3, 4, 6, 8, 12, 16, 24 ... */
INLINE int64_t least_of(int j) { return j < 4 ? j : (int64_t)(2 + (j & 1)) << (j / 2 - 1); }
INLINE int bits_of(int j) { return j < 4 ? 0 : j / 2 - 1; }
