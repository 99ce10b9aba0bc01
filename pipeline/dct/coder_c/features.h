/* What a network sees: 96 bytes for a coefficient, for a DC coefficient, for a last position. */
#pragma once

#include "bytes.h"
#include "cross.h"

enum { FEATURES = 96 };

/* A block's magnitudes, at most 4095, with zeros around; sums of those beside each position. */
typedef struct {
    int16_t size[10][16], beside[POSITIONS];
} Seen;

typedef int16_t Row __attribute__((vector_size(16)));

INLINE Row row_at(const int16_t *at) {
    Row row;
    memcpy(&row, at, sizeof row);
    return row;
}

static __attribute__((noinline, unused)) void see(Seen *s, const int16_t *block) {
    memset(s->size, 0, sizeof s->size);
    for (int u = 0; u < 8; u++) {
        const Row value = row_at(block + 8 * u);
        const Row low = value < -COEFFICIENT_MAX, high = value > COEFFICIENT_MAX;
        const Row cut = (value & ~(low | high)) | ((low | high) & COEFFICIENT_MAX);
        const Row negative = cut < 0, size = (cut ^ negative) - negative;
        memcpy(s->size[u + 1] + 1, &size, sizeof size);
    }
    for (int u = 0; u < 8; u++) {
        const Row sum = row_at(s->size[u] + 1) + row_at(s->size[u + 2] + 1) +
                        row_at(s->size[u + 1]) + row_at(s->size[u + 1] + 2);
        memcpy(s->beside + 8 * u, &sum, sizeof sum);
    }
}

/* Blocks that the features of a coefficient are of. */
enum { NORTH, WEST, NORTHWEST, NORTHEAST, LUMA, CHROMA_BEFORE, SEEN };

INLINE void see_blocks(Seen *seen, const Place *p) {
    see(seen + NORTH, p->north), see(seen + WEST, p->west), see(seen + NORTHWEST, p->northwest),
        see(seen + NORTHEAST, p->northeast);
    if (p->chroma) {
        see(seen + LUMA, p->luma), see(seen + CHROMA_BEFORE, p->chroma_before);
    } else
        memset(seen + LUMA, 0, 2 * sizeof *seen);
}

/* A block's magnitudes at the four positions beside one. */
INLINE int32_t *across_from(int32_t *x, const Seen *s, int u, int v) {
    *x++ = s->size[u][v + 1], *x++ = s->size[u + 1][v];
    *x++ = s->size[u + 2][v + 1], *x++ = s->size[u + 1][v + 2];
    return x;
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

/* Which bytes of features have a sign. */
static const uint8_t AC_SIGNED[FEATURES] = {
    [27 ... 31] = 255, [40 ... 41] = 255, [54 ... 57] = 255, [61 ... 62] = 255,
    [67 ... 71] = 255, [80 ... 81] = 255};

INLINE void ac_features(uint8_t *f, const Place *p, const Near *n, const Seen *seen,
                        const Inside *in, int k, int last, int prediction, int cross,
                        int from_north, int from_west, int edges) {
    const int z = ZIGZAG[k], u = z >> 3, v = z & 7;
    static const int8_t INSIDE[14] = {
        1, PITCH,     PITCH + 1,     2,         2 * PITCH, PITCH + 2, 2 * PITCH + 1,
        3, 3 * PITCH, 2 * PITCH + 2, PITCH - 1, 1 - PITCH, 2 - PITCH, 2 * PITCH - 1};
    const int32_t *here = in->value + padded(u, v);
    int32_t numbers[FEATURES], *x = numbers + BLOCK_FEATURES;
    memset(numbers, 0, BLOCK_FEATURES * sizeof *numbers);
    for (int i = 0; i < 14; i++) *x++ = here[INSIDE[i]];
    for (int i = 0; i < 5; i++) *x++ = here[INSIDE[i]];
    *x++ = p->north[z], *x++ = p->west[z], *x++ = p->northwest[z], *x++ = p->northeast[z];
    *x++ = p->north_north[z], *x++ = p->west_west[z];
    *x++ = seen[NORTH].beside[z], *x++ = seen[WEST].beside[z];
    *x++ = p->north[z], *x++ = p->west[z];
    *x++ = 0, *x++ = 0;
    *x++ = in->sum, *x++ = in->before, *x++ = in->before_that;
    const int now = expected(n, p->steps, z), next = expected(n, p->steps, ZIGZAG[k - 1]);
    *x++ = now > 0 ? now : 0, *x++ = next > 0 ? next : 0;
    *x++ = n->around[z];
    for (int i = 0; i < 2; i++)
        *x++ = prediction, *x++ = from_north, *x++ = from_west, *x++ = edges;
    *x++ = p->steps->step[z];
    *x++ = p->luma[z], *x++ = p->chroma_before[z];
    *x++ = p->chroma ? cross : 0, *x++ = p->chroma_before[z];
    *x++ = here[PITCH + 3], *x++ = here[3 * PITCH + 1], *x++ = here[4], *x++ = here[4 * PITCH];
    for (int i = 5; i < 10; i++) *x++ = here[INSIDE[i]];
    x = across_from(x, seen + NORTH, u, v);
    x = across_from(x, seen + WEST, u, v);
    *x++ = p->northwest[z], *x++ = p->northeast[z];
    *x++ = seen[NORTHWEST].beside[z], *x++ = seen[NORTHEAST].beside[z];
    *x++ = seen[LUMA].beside[z], *x++ = seen[CHROMA_BEFORE].beside[z];
    *x++ = p->means->size[z] >> 8;
    *x++ = in->expected;
    const int after = expected(n, p->steps, ZIGZAG[least(k + 1, 63)]),
              later = expected(n, p->steps, ZIGZAG[k > 2 ? k - 2 : 1]);
    *x++ = after > 0 ? after : 0, *x++ = later > 0 ? later : 0;
    *x++ = p->steps->step[9];
    *x++ = 0, *x++ = 0;
    *x++ = p->steps->step[1];
    *x++ = p->chroma ? cross : 0, *x++ = p->chroma ? cross - prediction : 0;
    bytes_of(numbers, AC_SIGNED, FEATURES, f);
    memcpy(f, n->features, BLOCK_FEATURES);
    f[42] = (uint8_t)(4 * (last - k)), f[43] = (uint8_t)(4 * in->count);
    f[91] = (uint8_t)(4 * p->above->count), f[92] = (uint8_t)(4 * p->left->count);
}

/* Numbers that a DC coefficient's contexts and features share; rests are behind the base. */
typedef struct {
    int from_north, from_west, edges, exact, base, prediction;
} Dc;

static const uint8_t DC_SIGNED[FEATURES] = {
    [22 ... 30] = 255, [39 ... 46] = 255, [54 ... 55] = 255, [60 ... 63] = 255,
    [68 ... 71] = 255, [74 ... 75] = 255, [80 ... 83] = 255};

INLINE void dc_features(uint8_t *f, const Place *p, const Near *n, const Inside *in, const Dc *d) {
    static const int8_t LOW[8] = {1, PITCH, PITCH + 1, 2, 2 * PITCH, 3, 3 * PITCH, PITCH + 2},
                        ODD[4] = {PITCH + 3, 3 * PITCH + 1, 5, 5 * PITCH};
    const int base = d->base, *here = in->value + padded(0, 0);
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
    int32_t numbers[FEATURES] = {0}, *x = numbers + BLOCK_FEATURES;
    for (int i = 0; i < 9; i++) x[i] = x[9 + i] = rests[i];
    x += 18;
    for (int i = 0; i < 8; i++) x[i] = x[8 + i] = here[LOW[i]];
    x += 16;
    *x++ = 0, *x++ = in->sum;
    *x++ = north - northwest, *x++ = west - northwest, *x++ = north - northeast;
    *x++ = north - p->north_north[0], *x++ = west - p->west_west[0];
    *x++ = p->chroma_before[0], *x++ = p->luma[0];
    const int rest[4] = {p->above->rest, p->left->rest, p->above_left->rest, p->above_right->rest};
    for (int i = 0; i < 4; i++) x[i] = x[4 + i] = rest[i];
    x += 8;
    /* How the other components change here. */
    const int change[4] = {
        p->luma[0] - p->luma_north, p->luma[0] - p->luma_west,
        p->chroma_before[0] - p->before_north[0], p->chroma_before[0] - p->before_west[0]};
    for (int i = 0; i < 4; i++) x[i] = x[4 + i] = change[i];
    x += 8;
    *x++ = p->means->size[0] >> 8;
    *x++ = northeast - northwest;
    *x++ = p->chroma ? p->chroma_before[1] : 0, *x++ = p->chroma ? p->chroma_before[8] : 0;
    for (int i = 0; i < 4; i++) x[i] = x[4 + i] = here[ODD[i]];
    bytes_of(numbers, DC_SIGNED, FEATURES, f);
    memcpy(f, n->features, BLOCK_FEATURES);
    f[47] = (uint8_t)(4 * in->count);
}

INLINE void last_features(uint8_t *f, const Place *p, const Near *n) {
    static const uint8_t SEEN[41] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14,
                                     15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28,
                                     30, 32, 34, 36, 39, 42, 45, 48, 51, 54, 57, 60, 63};
    int32_t numbers[FEATURES] = {0}, *x = numbers + BLOCK_FEATURES;
    for (int i = 0; i < 41; i++) {
        const int size = expected(n, p->steps, ZIGZAG[SEEN[i]]);
        *x++ = size > 0 ? size : 0;
    }
    x += 4;
    *x++ = p->steps->step[1], *x++ = p->steps->step[9];
    *x++ = p->steps->step[27], *x++ = p->steps->step[63];
    *x++ = p->north[0] - p->west[0];
    x += 4;
    const Trace *near[4] = {p->above, p->left, p->above_left, p->above_right};
    for (int i = 0; i < 4; i++) *x++ = near[i]->high;
    static const uint8_t MEANS[16] = {1, 3, 5, 8, 11, 14, 18, 21, 24, 28, 33, 38, 43, 48, 54, 63};
    for (int i = 0; i < 16; i++) *x++ = p->means->size[ZIGZAG[MEANS[i]]] >> 8;
    x++;
    if (p->chroma) {
        for (int k = HIGH; k < POSITIONS; k++) x[0] += abs(p->luma[ZIGZAG[k]]);
        for (int z = 1; z < POSITIONS; z++) x[1] += abs(p->chroma_before[z]);
    }
    static const uint8_t NONE_SIGNED[FEATURES];
    bytes_of(numbers, NONE_SIGNED, FEATURES, f);
    block_features(f, p, n, 0);
    f[54] = (uint8_t)(4 * p->above_left->last), f[55] = (uint8_t)(4 * p->above_right->last);
    f[56] = (uint8_t)(4 * last_of(p->north_north)), f[57] = (uint8_t)(4 * last_of(p->west_west));
    for (int i = 0; i < 4; i++) f[63 + i] = (uint8_t)(4 * near[i]->count);
    f[87] = (uint8_t)(p->means->last >> 6);
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
