/* Small networks in integers: bytes in, stretched probabilities out, one set for each kind of
 * value. Two hidden layers; the first has a bias for each position. The network of luma's AC
 * coefficients may have a trunk, which is run once for a block. Then its first layer also sees all
 * that is known of the block.
 *
 * Bytes times int8 weights, at most TRUNK of them, are below 2^26 in sum, and biases are at most
 * 2^29 in size, so that every sum stays in 32 bits in any order.
 */
#pragma once

#include "trunk.h"

enum { OUTPUTS_MAX = 64, HIDDEN_SHIFT = 7, OUTPUT_SHIFT = 3, KINDS = 3, TILE = 16, TILES = 4 };

/* outputs x inputs weights, packed in tiles of outputs: [outputs / 16][inputs / beside][16]
 * [beside], so many inputs beside each other as the level multiplies at once. Inputs are a multiple
 * of 8. */
typedef struct {
    int inputs, outputs, by_position; /* outputs where each position has its own biases, else 0 */
    void *weights;                    /* int8 where four are beside each other, else int16 */
    int16_t *own;  /* of what is known of the block, or NULL: [64][outputs][2] */
    int32_t *bias; /* [outputs], or [64][outputs] */
} Layer;

typedef struct {
    Layer first, second, share;
} Trunk;

typedef struct Network {
    Layer first, second, third;
    const Trunk *trunk; /* or NULL */
} Network;

#ifndef BESIDE
#define BESIDE 1 /* see Level */
#endif
#if BESIDE == 2
#if defined(LEVEL_AVX2)
typedef int32_t Sums __attribute__((vector_size(32)));
INLINE Sums of_pairs(int32_t pair, Sums weights) {
    return (Sums)_mm256_madd_epi16(_mm256_set1_epi32(pair), (__m256i)weights);
}
#else
typedef int32_t Sums __attribute__((vector_size(16)));
INLINE Sums of_pairs(int32_t pair, Sums weights) {
    return (Sums)_mm_madd_epi16(_mm_set1_epi32(pair), (__m128i)weights);
}
#endif
INLINE Sums sums_at(const void *at) {
    Sums sums;
    memcpy(&sums, at, sizeof sums);
    return sums;
}
#elif BESIDE == 1
typedef int32_t Quad __attribute__((vector_size(16)));

/* A half of a row, widened. A byte times an int8 fits 16 bits. */
INLINE Quad quad_of(const Row *row, int half) {
    int16_t four __attribute__((vector_size(8)));
    memcpy(&four, (const int16_t *)row + 4 * half, sizeof four);
    return __builtin_convertvector(four, Quad);
}
#endif

/* Sums of so many tiles, from the output `at` on. Inputs are taken in so many parts, whose sums are
 * added at the end: a sum waits for the sum before it. */
INLINE void multiply_tiles(const Layer *l, const int32_t *bias, const uint8_t *x,
                           const int16_t *wide, int32_t *sums, int at, const int tiles,
                           const int parts) {
    const size_t apart = (size_t)l->inputs * TILE, start = (size_t)l->inputs * (size_t)at;
#if BESIDE == 4
    (void)wide;
    __m512i sum[2][2 * TILES];
    for (int j = 0; j < tiles; j++) {
        sum[0][j] = _mm512_loadu_si512(bias + at + TILE * j);
        for (int part = 1; part < parts; part++) sum[part][j] = _mm512_setzero_si512();
    }
    for (int i = 0; i < l->inputs; i += 4 * parts)
        for (int part = 0; part < parts; part++) {
            int32_t quad;
            memcpy(&quad, x + i + 4 * part, 4);
            const __m512i all = _mm512_set1_epi32(quad);
            const int8_t *w = (const int8_t *)l->weights + start + TILE * (i + 4 * part);
            for (int j = 0; j < tiles; j++)
                sum[part][j] = _mm512_dpbusd_epi32(sum[part][j], all,
                                                   _mm512_loadu_si512(w + apart * (size_t)j));
        }
    for (int j = 0; j < tiles; j++) {
        for (int part = 1; part < parts; part++)
            sum[0][j] = _mm512_add_epi32(sum[0][j], sum[part][j]);
        _mm512_storeu_si512(sums + at + TILE * j, sum[0][j]);
    }
#elif BESIDE == 2
    (void)x, (void)parts;
    enum { SUMS = sizeof(Sums) / 4, OF_TILE = TILE / SUMS };
    Sums sum[OF_TILE * TILES];
    for (int j = 0; j < OF_TILE * tiles; j++) sum[j] = sums_at(bias + at + SUMS * j);
    for (int i = 0; i < l->inputs; i += 2) {
        int32_t pair;
        memcpy(&pair, wide + i, 4);
        const int16_t *w = (const int16_t *)l->weights + start + TILE * i;
        for (int j = 0; j < tiles; j++)
            for (int part = 0; part < OF_TILE; part++)
                sum[OF_TILE * j + part] +=
                    of_pairs(pair, sums_at(w + apart * (size_t)j + 2 * SUMS * part));
    }
    memcpy(sums + at, sum, TILE * sizeof *sums * (size_t)tiles);
#else
    (void)wide, (void)parts;
    for (int j = 0; j < tiles; j++) {
        Quad sum[TILE / 4];
        const int16_t *w = (const int16_t *)l->weights + start + apart * (size_t)j;
        memcpy(sum, bias + at + TILE * j, sizeof sum);
        for (int i = 0; i < l->inputs; i++, w += TILE) {
            const int16_t input = x[i];
            const Row low = row_at(w) * input, high = row_at(w + 8) * input;
            sum[0] += quad_of(&low, 0), sum[1] += quad_of(&low, 1);
            sum[2] += quad_of(&high, 0), sum[3] += quad_of(&high, 1);
        }
        memcpy(sums + at + TILE * j, sum, sizeof sum);
    }
#endif
}

/* sums = bias + weights x, of the first `outputs`, which are a multiple of 16. */
INLINE void multiply(const Layer *l, const int32_t *bias, const uint8_t *x, int outputs,
                     int32_t *sums) {
    int16_t wide[TRUNK];
#if BESIDE == 2
    for (int i = 0; i < l->inputs; i++) wide[i] = x[i];
#endif
    int at = 0;
#if defined(LEVEL_AVX512)
    for (; at + 2 * TILES * TILE <= outputs; at += 2 * TILES * TILE)
        multiply_tiles(l, bias, x, wide, sums, at, 2 * TILES, 1);
#endif
    for (; at + TILES * TILE <= outputs; at += TILES * TILE)
        multiply_tiles(l, bias, x, wide, sums, at, TILES, 2);
    for (; at + 2 * TILE <= outputs; at += 2 * TILE)
        multiply_tiles(l, bias, x, wide, sums, at, 2, 2);
    if (at < outputs) multiply_tiles(l, bias, x, wide, sums, at, 1, 2);
}

/* Bytes of a hidden layer; count is a multiple of 16. */
INLINE void hidden(const int32_t *sums, uint8_t *bytes, int count) {
#if defined(LEVEL_AVX512)
    for (int i = 0; i < count; i += 16) {
        const __m512i sum = _mm512_srai_epi32(_mm512_loadu_si512(sums + i), HIDDEN_SHIFT);
        const __m512i above = _mm512_max_epi32(sum, _mm512_setzero_si512());
        _mm_storeu_si128((__m128i *)(bytes + i), _mm512_cvtusepi32_epi8(above));
    }
#elif defined(LEVEL_AVX2)
    for (int i = 0; i < count; i += 16) {
        const __m256i *at = (const __m256i *)(sums + i);
        const __m256i words =
            narrowed(_mm256_srai_epi32(_mm256_loadu_si256(at), HIDDEN_SHIFT),
                     _mm256_srai_epi32(_mm256_loadu_si256(at + 1), HIDDEN_SHIFT));
        _mm_storeu_si128((__m128i *)(bytes + i),
                         _mm_packus_epi16(_mm256_castsi256_si128(words),
                                          _mm256_extracti128_si256(words, 1)));
    }
#else
    for (int i = 0; i < count; i++) {
        const int value = sums[i] >> HIDDEN_SHIFT;
        bytes[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
#endif
}

/* Stretched probabilities, clipped, from the sums of the first layer. */
INLINE void from_first(const Network *n, int32_t *sums, int k, int16_t *out) {
    uint8_t one[WIDEST], two[WIDEST];
    hidden(sums, one, n->first.outputs);
    multiply(&n->second, n->second.bias, one, n->second.outputs, sums);
    hidden(sums, two, n->second.outputs);
    multiply(&n->third, n->third.bias + k * n->third.by_position, two, n->third.outputs, sums);
    for (int i = 0; i < n->third.outputs; i++)
        out[i] = (int16_t)clip(sums[i] >> OUTPUT_SHIFT, STRETCH_MAX);
}

/* Of a value at position k. */
static __attribute__((noinline, unused)) void
run_network(const Network *n, const uint8_t *features, int k,
                                                  int16_t *out) {
    int32_t sums[WIDEST];
    multiply(&n->first, n->first.bias + k * n->first.by_position, features, n->first.outputs, sums);
    from_first(n, sums, k, out);
}

/* Run for a block, before any of its AC coefficients. */
static __attribute__((noinline, unused)) void
run_trunk(const Trunk *t, const Place *p, const Near *n, int last) {
    int32_t sums[POSITIONS * SHARED];
    uint8_t seen[TRUNK], one[WIDEST], two[WIDEST];
    trunk_bytes(seen, p, n, last);
    multiply(&t->first, t->first.bias, seen, t->first.outputs, sums);
    hidden(sums, one, t->first.outputs);
    multiply(&t->second, t->second.bias, one, t->second.outputs, sums);
    hidden(sums, two, t->second.outputs);
    const int shared = SHARED * (last + 1);
    multiply(&t->share, t->share.bias, two, shared, sums);
    hidden(sums, p->wide->shared, shared);
    memset(p->wide->own, 0, sizeof p->wide->own);
}

/* Of the AC coefficient at position k of a block whose trunk was run. */
static __attribute__((noinline, unused)) void
run_head(const Network *n, const Place *p, const uint8_t *features, int k,
                                               int16_t *out) {
    uint8_t seen[HEAD + SHARED];
    int32_t start[WIDEST], sums[WIDEST];
    memcpy(seen, features, FEATURES);
    extra_bytes(seen + FEATURES, p, ZIGZAG[k]);
    memcpy(seen + HEAD, p->wide->shared + SHARED * k, SHARED);
    const int32_t *bias = n->first.bias + k * n->first.by_position;
    for (int o = 0; o < n->first.outputs; o++) start[o] = bias[o] + p->wide->own[o];
    multiply(&n->first, start, seen, n->first.outputs, sums);
    from_first(n, sums, k, out);
}

/* Adds what a coefficient of the block that is not 0 says to the head's first layer. */
INLINE void add_own(const Layer *l, int32_t *own, int k, int value) {
    const int sign = signed_byte(value) - 128, size = magnitude_byte(size_of(value));
    const int16_t *w = l->own + (size_t)k * (size_t)l->outputs * 2;
#if defined(LEVEL_AVX512) || defined(LEVEL_AVX2)
    const __m256i both = _mm256_set1_epi32((int)((uint32_t)size << 16 | (sign & 0xffff)));
    for (int o = 0; o < l->outputs; o += 8) {
        __m256i *at = (__m256i *)(own + o);
        const __m256i said =
            _mm256_madd_epi16(both, _mm256_loadu_si256((const __m256i *)(w + 2 * o)));
        _mm256_storeu_si256(at, _mm256_add_epi32(_mm256_loadu_si256(at), said));
    }
#else
    for (int o = 0; o < l->outputs; o++) own[o] += sign * w[2 * o] + size * w[2 * o + 1];
#endif
}
