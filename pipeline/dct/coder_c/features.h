/* What a network sees: 96 bytes for a coefficient, for a DC coefficient, for a last position. */
#pragma once

#include "cross.h"

enum { FEATURES = 96 };

/* 24 log2(1 + x), straight between powers of two, at most 255; x >= 0. */
INLINE uint8_t magnitude_byte(int x) {
    const uint32_t y = (uint32_t)x + 1;
    const int whole = 31 - __builtin_clz(y);
    const int part = (int)(((uint64_t)y << 8 >> whole) - 256);
    return (uint8_t)least((whole * 256 + part) * 24 >> 8, 255);
}
/* Half as fine, around 128. */
INLINE uint8_t signed_byte(int x) {
    const int half = magnitude_byte(size_of(x)) >> 1;
    return (uint8_t)(x < 0 ? 128 - half : 128 + half);
}

/* A neighbour's magnitude at a position, and the sum of those beside the position. */
INLINE int beside(const int16_t *block, int u, int v) {
    const int16_t *at = block + u * 8 + v;
    return (u ? abs(at[-8]) : 0) + (u < 7 ? abs(at[8]) : 0) + (v ? abs(at[-1]) : 0) +
           (v < 7 ? abs(at[1]) : 0);
}

/* A neighbour's magnitudes at the four positions beside one. */
INLINE uint8_t *cross_bytes(uint8_t *f, const int16_t *block, int u, int v) {
    const int16_t *at = block + u * 8 + v;
    *f++ = magnitude_byte(u ? abs(at[-8]) : 0);
    *f++ = magnitude_byte(v ? abs(at[-1]) : 0);
    *f++ = magnitude_byte(u < 7 ? abs(at[8]) : 0);
    *f++ = magnitude_byte(v < 7 ? abs(at[1]) : 0);
    return f;
}

/* The first BLOCK_FEATURES bytes. */
INLINE void block_features(uint8_t *f, const Place *p, const Near *n, int last) {
    int luma_sum = 0;
    if (p->chroma)
        for (int z = 1; z < POSITIONS; z++) luma_sum += abs(p->luma[z]);
    f[0] = (uint8_t)(4 * last);
    f[1] = (uint8_t)(4 * n->last_near);
    f[2] = (uint8_t)(4 * p->above->last);
    f[3] = (uint8_t)(4 * p->left->last);
    f[4] = magnitude_byte(p->above->activity);
    f[5] = magnitude_byte(p->left->activity);
    f[6] = magnitude_byte(p->above_left->activity);
    f[7] = magnitude_byte(p->above_right->activity);
    f[8] = magnitude_byte(p->steps->step[0]);
    f[9] = magnitude_byte(luma_sum);
    f[10] = (uint8_t)(p->chroma ? 4 * last_of(p->luma) : 0);
    f[11] = (uint8_t)(p->chroma ? 4 * last_of(p->chroma_before) : 0);
    f[12] = (uint8_t)(p->has_north * 128 + p->has_west * 64);
}

INLINE void ac_features(uint8_t *f, const Place *p, const Near *n, const Inside *in, int k,
                        int last, int prediction, int cross, int from_north, int from_west,
                        int edges) {
    const int z = ZIGZAG[k], u = z >> 3, v = z & 7, at = padded(u, v);
    static const int8_t INSIDE[14] = {
        1, PITCH,     PITCH + 1,     2,         2 * PITCH, PITCH + 2, 2 * PITCH + 1,
        3, 3 * PITCH, 2 * PITCH + 2, PITCH - 1, 1 - PITCH, 2 - PITCH, 2 * PITCH - 1};
    f += BLOCK_FEATURES;
    for (int i = 0; i < 14; i++) *f++ = magnitude_byte(in->size[at + INSIDE[i]]);
    for (int i = 0; i < 5; i++)
        *f++ = signed_byte(in->sign[at + INSIDE[i]] * in->size[at + INSIDE[i]]);
    *f++ = magnitude_byte(abs(p->north[z]));
    *f++ = magnitude_byte(abs(p->west[z]));
    *f++ = magnitude_byte(abs(p->northwest[z]));
    *f++ = magnitude_byte(abs(p->northeast[z]));
    *f++ = magnitude_byte(abs(p->north_north[z]));
    *f++ = magnitude_byte(abs(p->west_west[z]));
    *f++ = magnitude_byte(beside(p->north, u, v));
    *f++ = magnitude_byte(beside(p->west, u, v));
    *f++ = signed_byte(p->north[z]);
    *f++ = signed_byte(p->west[z]);
    *f++ = (uint8_t)(4 * (last - k));
    *f++ = (uint8_t)(4 * in->count);
    *f++ = magnitude_byte(in->sum);
    *f++ = magnitude_byte(in->before);
    *f++ = magnitude_byte(in->before_that);
    const int now = expected(n, p->steps, z), next = expected(n, p->steps, ZIGZAG[k - 1]);
    *f++ = magnitude_byte(now > 0 ? now : 0);
    *f++ = magnitude_byte(next > 0 ? next : 0);
    *f++ = magnitude_byte(n->around[z]);
    *f++ = magnitude_byte(size_of(prediction));
    *f++ = magnitude_byte(size_of(from_north));
    *f++ = magnitude_byte(size_of(from_west));
    *f++ = magnitude_byte(size_of(edges));
    *f++ = signed_byte(prediction);
    *f++ = signed_byte(from_north);
    *f++ = signed_byte(from_west);
    *f++ = signed_byte(edges);
    *f++ = magnitude_byte(p->steps->step[z]);
    *f++ = magnitude_byte(abs(p->luma[z]));
    *f++ = magnitude_byte(abs(p->chroma_before[z]));
    *f++ = p->chroma ? signed_byte(cross) : 128;
    *f++ = signed_byte(p->chroma_before[z]);
    static const int8_t FURTHER[4] = {PITCH + 3, 3 * PITCH + 1, 4, 4 * PITCH};
    for (int i = 0; i < 4; i++) *f++ = magnitude_byte(in->size[at + FURTHER[i]]);
    for (int i = 5; i < 10; i++)
        *f++ = signed_byte(in->sign[at + INSIDE[i]] * in->size[at + INSIDE[i]]);
    f = cross_bytes(f, p->north, u, v);
    f = cross_bytes(f, p->west, u, v);
    *f++ = signed_byte(p->northwest[z]);
    *f++ = signed_byte(p->northeast[z]);
    *f++ = magnitude_byte(beside(p->northwest, u, v));
    *f++ = magnitude_byte(beside(p->northeast, u, v));
    *f++ = magnitude_byte(beside(p->luma, u, v));
    *f++ = magnitude_byte(beside(p->chroma_before, u, v));
    *f++ = magnitude_byte(p->means->size[z] >> 8);
    *f++ = magnitude_byte(in->expected);
    const int after = expected(n, p->steps, ZIGZAG[least(k + 1, 63)]);
    *f++ = magnitude_byte(after > 0 ? after : 0);
    const int later = expected(n, p->steps, ZIGZAG[k > 2 ? k - 2 : 1]);
    *f++ = magnitude_byte(later > 0 ? later : 0);
    *f++ = magnitude_byte(p->steps->step[9]);
    *f++ = (uint8_t)(4 * p->above->count);
    *f++ = (uint8_t)(4 * p->left->count);
    *f++ = magnitude_byte(p->steps->step[1]);
    *f++ = p->chroma ? magnitude_byte(size_of(cross)) : 0;
    *f++ = p->chroma ? magnitude_byte(size_of(cross - prediction)) : 0;
}

/* Numbers that a DC coefficient's contexts and features share; rests are behind the base. */
typedef struct {
    int from_north, from_west, edges, exact, base, prediction;
} Dc;

INLINE void dc_features(uint8_t *f, const Place *p, const Inside *in, const Dc *d) {
    static const int8_t LOW[8] = {1, PITCH, PITCH + 1, 2, 2 * PITCH, 3, 3 * PITCH, PITCH + 2};
    const int base = d->base, at = padded(0, 0);
    const int north = p->north[0], west = p->west[0], northwest = p->northwest[0],
              northeast = p->northeast[0];
    const int rests[9] = {d->from_north - 16 * base,
                          d->from_west - 16 * base,
                          d->edges - d->exact,
                          d->prediction,
                          (west + north - northwest - base) * 16,
                          (north - base) * 16,
                          (west - base) * 16,
                          (northeast - base) * 16,
                          d->from_north - d->from_west};
    f += BLOCK_FEATURES;
    for (int i = 0; i < 9; i++) *f++ = magnitude_byte(size_of(rests[i]));
    for (int i = 0; i < 9; i++) *f++ = signed_byte(rests[i]);
    for (int i = 0; i < 8; i++) *f++ = magnitude_byte(in->size[at + LOW[i]]);
    for (int i = 0; i < 8; i++) *f++ = signed_byte(in->sign[at + LOW[i]] * in->size[at + LOW[i]]);
    *f++ = (uint8_t)(4 * in->count);
    *f++ = magnitude_byte(in->sum);
    *f++ = magnitude_byte(abs(north - northwest));
    *f++ = magnitude_byte(abs(west - northwest));
    *f++ = magnitude_byte(abs(north - northeast));
    *f++ = magnitude_byte(abs(north - p->north_north[0]));
    *f++ = magnitude_byte(abs(west - p->west_west[0]));
    *f++ = signed_byte(p->chroma_before[0]);
    *f++ = signed_byte(p->luma[0]);
    const int rest[4] = {p->above->rest, p->left->rest, p->above_left->rest, p->above_right->rest};
    for (int i = 0; i < 4; i++) *f++ = magnitude_byte(size_of(rest[i]));
    for (int i = 0; i < 4; i++) *f++ = signed_byte(rest[i]);
    /* How the other components change here. */
    const int change[4] = {
        p->luma[0] - p->luma_north, p->luma[0] - p->luma_west,
        p->chroma_before[0] - p->before_north[0], p->chroma_before[0] - p->before_west[0]};
    for (int i = 0; i < 4; i++) *f++ = magnitude_byte(size_of(change[i]));
    for (int i = 0; i < 4; i++) *f++ = signed_byte(change[i]);
    *f++ = magnitude_byte(p->means->size[0] >> 8);
    *f++ = magnitude_byte(abs(northeast - northwest));
    *f++ = signed_byte(p->chroma ? p->chroma_before[1] : 0);
    *f++ = signed_byte(p->chroma ? p->chroma_before[8] : 0);
    static const int8_t ODD[4] = {PITCH + 3, 3 * PITCH + 1, 5, 5 * PITCH};
    for (int i = 0; i < 4; i++) *f++ = magnitude_byte(in->size[at + ODD[i]]);
    for (int i = 0; i < 4; i++) *f++ = signed_byte(in->sign[at + ODD[i]] * in->size[at + ODD[i]]);
    memset(f, 0, 12);
}

INLINE void last_features(uint8_t *f, const Place *p, const Near *n) {
    static const uint8_t SEEN[41] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14,
                                     15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
                                     30, 32, 34, 36, 39, 42, 45, 48, 51, 54, 57, 60, 63};
    block_features(f, p, n, 0);
    f += BLOCK_FEATURES;
    for (int i = 0; i < 41; i++) {
        const int size = expected(n, p->steps, ZIGZAG[SEEN[i]]);
        *f++ = magnitude_byte(size > 0 ? size : 0);
    }
    *f++ = (uint8_t)(4 * p->above_left->last);
    *f++ = (uint8_t)(4 * p->above_right->last);
    *f++ = (uint8_t)(4 * last_of(p->north_north));
    *f++ = (uint8_t)(4 * last_of(p->west_west));
    *f++ = magnitude_byte(p->steps->step[1]);
    *f++ = magnitude_byte(p->steps->step[9]);
    *f++ = magnitude_byte(p->steps->step[27]);
    *f++ = magnitude_byte(p->steps->step[63]);
    *f++ = magnitude_byte(abs(p->north[0] - p->west[0]));
    const Trace *near[4] = {p->above, p->left, p->above_left, p->above_right};
    for (int i = 0; i < 4; i++) *f++ = (uint8_t)(4 * near[i]->count);
    for (int i = 0; i < 4; i++) *f++ = magnitude_byte(near[i]->high);
    static const uint8_t MEANS[16] = {1, 3, 5, 8, 11, 14, 18, 21, 24, 28, 33, 38, 43, 48, 54, 63};
    for (int i = 0; i < 16; i++) *f++ = magnitude_byte(p->means->size[ZIGZAG[MEANS[i]]] >> 8);
    *f++ = (uint8_t)(p->means->last >> 6);
    int luma_high = 0, before_sum = 0;
    if (p->chroma)
        for (int k = HIGH; k < POSITIONS; k++) luma_high += abs(p->luma[ZIGZAG[k]]);
    if (p->chroma)
        for (int z = 1; z < POSITIONS; z++) before_sum += abs(p->chroma_before[z]);
    *f++ = magnitude_byte(luma_high);
    *f++ = magnitude_byte(before_sum);
    memset(f, 0, 6);
}

/* Features of decisions that were met, for training. A sample is its features, and 4 bytes: kind
 * (0 last, 1 DC, 2 AC; 3 more for chroma), position, whether zero was ruled out, unused; then the
 * value as an int32. */
enum { SAMPLE = FEATURES + 8 };

struct Gathered;

typedef struct Samples {
    uint8_t *bytes;
    size_t count, room;
    uint32_t random,
        share; /* of 2^16 AC coefficients are taken; of others, which are few, 8 times so many */
    struct Gathered *gathered; /* blocks of luma, or NULL: see trunk.h */
} Samples;

static inline void take_sample(Samples *s, const uint8_t *features, int kind, int k, int known,
                        int32_t value) {
    s->random = s->random * 1664525 + 1013904223;
    const uint32_t share = kind % 3 == 2 ? s->share : 8 * s->share;
    if (s->random >> 16 >= share || s->count == s->room) return;
    uint8_t *at = s->bytes + SAMPLE * s->count++;
    memcpy(at, features, FEATURES);
    const uint8_t head[4] = {(uint8_t)kind, (uint8_t)k, (uint8_t)known, 0};
    memcpy(at + FEATURES, head, 4);
    memcpy(at + FEATURES + 4, &value, 4);
}
