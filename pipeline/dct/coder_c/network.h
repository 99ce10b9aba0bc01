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

/* outputs x inputs weights, packed in tiles of outputs: quads [outputs / 16][inputs / 4][16][4],
 * pairs [outputs / 16][inputs / 2][16][2]. Inputs are a multiple of 8. */
typedef struct {
    int inputs, outputs, by_position; /* outputs where each position has its own biases, else 0 */
    int8_t *quads;
    int16_t *pairs;
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

/* Sums of so many tiles, from the output `at` on. Inputs are taken in so many parts, whose sums are
 * added at the end: a sum waits for the sum before it. */
INLINE void multiply_tiles(const Layer *l, const int32_t *bias, const uint8_t *x,
                           const int16_t *wide, int32_t *sums, int at, const int tiles,
                           const int parts) {
    const size_t apart = (size_t)l->inputs * TILE, start = (size_t)l->inputs * (size_t)at;
#if defined(LEVEL_AVX512)
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
            const int8_t *w = l->quads + start + TILE * (i + 4 * part);
            for (int j = 0; j < tiles; j++)
                sum[part][j] = _mm512_dpbusd_epi32(sum[part][j], all,
                                                   _mm512_loadu_si512(w + apart * (size_t)j));
        }
    for (int j = 0; j < tiles; j++) {
        for (int part = 1; part < parts; part++)
            sum[0][j] = _mm512_add_epi32(sum[0][j], sum[part][j]);
        _mm512_storeu_si512(sums + at + TILE * j, sum[0][j]);
    }
#elif defined(LEVEL_AVX2)
    (void)x, (void)parts;
    __m256i sum[2 * TILES];
    for (int j = 0; j < 2 * tiles; j++)
        sum[j] = _mm256_loadu_si256((const __m256i *)(bias + at + 8 * j));
    for (int i = 0; i < l->inputs; i += 2) {
        int32_t pair;
        memcpy(&pair, wide + i, 4);
        const __m256i both = _mm256_set1_epi32(pair);
        const int16_t *w = l->pairs + start + TILE * i;
        for (int j = 0; j < tiles; j++) {
            const __m256i *tile = (const __m256i *)(w + apart * (size_t)j);
            sum[2 * j] = _mm256_add_epi32(sum[2 * j],
                                          _mm256_madd_epi16(both, _mm256_loadu_si256(tile)));
            sum[2 * j + 1] = _mm256_add_epi32(
                sum[2 * j + 1], _mm256_madd_epi16(both, _mm256_loadu_si256(tile + 1)));
        }
    }
    for (int j = 0; j < 2 * tiles; j++)
        _mm256_storeu_si256((__m256i *)(sums + at + 8 * j), sum[j]);
#else
    (void)wide, (void)parts;
    for (int j = 0; j < tiles; j++) {
        int32_t *sum = sums + at + TILE * j;
        const int16_t *w = l->pairs + start + apart * (size_t)j;
        memcpy(sum, bias + at + TILE * j, TILE * sizeof *sum);
        for (int i = 0; i < l->inputs; i += 2, w += 2 * TILE)
            for (int o = 0; o < TILE; o++) sum[o] += x[i] * w[2 * o] + x[i + 1] * w[2 * o + 1];
    }
#endif
}

/* sums = bias + weights x, of the first `outputs`, which are a multiple of 16. */
INLINE void multiply(const Layer *l, const int32_t *bias, const uint8_t *x, int outputs,
                     int32_t *sums) {
    int16_t wide[TRUNK];
#if defined(LEVEL_AVX2)
    for (int i = 0; i < l->inputs; i += 8)
        _mm_storeu_si128((__m128i *)(wide + i),
                         _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(x + i))));
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
