/* Small networks in integers: bytes in, stretched probabilities out, one set for each kind of
 * value. Two hidden layers; the first has a bias for each position.
 *
 * Bytes times int8 weights, at most 256 of them, are below 2^23 in sum, and biases are at most
 * 2^29 in size, so that every sum stays in 32 bits in any order.
 */
#pragma once

#include "trunk.h"

enum { WIDEST = 256, OUTPUTS_MAX = 64, HIDDEN_SHIFT = 7, OUTPUT_SHIFT = 3, KINDS = 3 };

/* outputs x inputs weights, packed: quads [inputs / 4][outputs][4], pairs [inputs / 2][outputs][2].
 */
typedef struct {
    int inputs, outputs, by_position; /* outputs where each position has its own biases, else 0 */
    int8_t *quads;
    int16_t *pairs;
    int32_t *bias; /* [outputs], or [64][outputs] */
} Layer;

typedef struct Network {
    Layer first, second, third;
} Network;

/* sums = bias + weights x; outputs and inputs are multiples of 16. */
INLINE void multiply(const Layer *l, const int32_t *bias, const uint8_t *x, int32_t *sums) {
#if defined(LEVEL_AVX512)
    for (int o = 0; o < l->outputs; o += 64) {
        const int wide = (l->outputs - o) / 16;
        __m512i sum[4];
        for (int j = 0; j < 4; j++)
            sum[j] = j < wide ? _mm512_loadu_si512(bias + o + 16 * j) : _mm512_setzero_si512();
        for (int i = 0; i < l->inputs; i += 4) {
            int32_t quad;
            memcpy(&quad, x + i, 4);
            const __m512i all = _mm512_set1_epi32(quad);
            const int8_t *w = l->quads + ((size_t)i / 4 * (size_t)l->outputs + (size_t)o) * 4;
            for (int j = 0; j < 4; j++)
                if (j < wide)
                    sum[j] = _mm512_dpbusd_epi32(sum[j], all, _mm512_loadu_si512(w + 64 * j));
        }
        for (int j = 0; j < 4; j++)
            if (j < wide) _mm512_storeu_si512(sums + o + 16 * j, sum[j]);
    }
#elif defined(LEVEL_AVX2)
    for (int o = 0; o < l->outputs; o += 16) {
        __m256i low = _mm256_loadu_si256((const __m256i *)(bias + o)),
                high = _mm256_loadu_si256((const __m256i *)(bias + o + 8));
        for (int i = 0; i < l->inputs; i += 2) {
            const __m256i both = _mm256_set1_epi32(x[i] | x[i + 1] << 16);
            const __m256i *w =
                (const __m256i *)(l->pairs + ((size_t)i / 2 * (size_t)l->outputs + (size_t)o) * 2);
            low = _mm256_add_epi32(low, _mm256_madd_epi16(both, _mm256_loadu_si256(w)));
            high = _mm256_add_epi32(high, _mm256_madd_epi16(both, _mm256_loadu_si256(w + 1)));
        }
        _mm256_storeu_si256((__m256i *)(sums + o), low);
        _mm256_storeu_si256((__m256i *)(sums + o + 8), high);
    }
#else
    memcpy(sums, bias, (size_t)l->outputs * sizeof *sums);
    for (int i = 0; i < l->inputs; i += 2) {
        const int16_t *w = l->pairs + (size_t)i / 2 * (size_t)l->outputs * 2;
        for (int o = 0; o < l->outputs; o++) sums[o] += x[i] * w[2 * o] + x[i + 1] * w[2 * o + 1];
    }
#endif
}

INLINE void hidden(const int32_t *sums, uint8_t *bytes, int count) {
    for (int i = 0; i < count; i++) {
        const int value = sums[i] >> HIDDEN_SHIFT;
        bytes[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
}

/* Stretched probabilities, clipped, of a value at position k. */
static __attribute__((noinline, unused)) void
run_network(const Network *n, const uint8_t *features, int k,
                                                  int16_t *out) {
    int32_t sums[WIDEST];
    uint8_t one[WIDEST], two[WIDEST];
    multiply(&n->first, n->first.bias + k * n->first.by_position, features, sums);
    hidden(sums, one, n->first.outputs);
    multiply(&n->second, n->second.bias, one, sums);
    hidden(sums, two, n->second.outputs);
    multiply(&n->third, n->third.bias + k * n->third.by_position, two, sums);
    for (int i = 0; i < n->third.outputs; i++)
        out[i] = (int16_t)clip(sums[i] >> OUTPUT_SHIFT, STRETCH_MAX);
}
