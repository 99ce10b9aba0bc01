/* Exact layers: matrix products of small integers, then a rounding shift and a clamp.
 *
 * Activations are int16. Loading a model proves that every partial sum stays below 2^24 (see
 * weights.py). So int32 sums of products of pairs cannot overflow, and where a processor has no
 * such instruction, floats carry the same integers without rounding, in any order and with or
 * without fused multiply-add.
 */
#pragma once

#include "simd.h"

enum {
    LIMIT = 2047,
    CHUNK = 48, /* pixels whose features fit in the first-level cache; multiple of ROWS */
#if defined(LEVEL_AVX512)
    ROWS = 8, /* pixels in one block of registers, which has two vectors of outputs for each */
#else
    ROWS = 4,
#endif
};

#if defined(LEVEL_AVX512) || defined(LEVEL_AVX2)
enum { TERMS = 2 }; /* inputs in one lane */
typedef int16_t Element;
typedef vec Sums;

INLINE Sums as_sums(vec start) { return start; }
INLINE vec as_integers(Sums sum) { return sum; }

INLINE Sums spread(const Element *in) {
    int32_t pair;
    memcpy(&pair, in, sizeof pair);
    return fill(pair);
}

INLINE Sums add_products(Sums sum, Sums weight, Sums a) { return add_pairs(sum, weight, a); }
#else
enum { TERMS = 1 };
typedef float Element;
typedef reals Sums;

INLINE Sums as_sums(vec start) { return __builtin_convertvector(start, reals); }
INLINE vec as_integers(Sums sum) { return __builtin_convertvector(sum, vec); }
INLINE Sums spread(const Element *in) { return *in - (reals){0}; }
INLINE Sums add_products(Sums sum, Sums weight, Sums a) { return sum + weight * a; }
#endif

typedef struct {
    int in, out;
    int columns;     /* vectors that hold the outputs, padded to whole panels */
    int steps;       /* TERMS inputs each, the last one padded with zero */
    Element *weight; /* [columns][steps][VECTOR][TERMS] */
    int32_t *start;  /* [columns * VECTOR]: bias + half of the rounding shift */
    int32_t *shift;  /* the same shape */
} Layer;

static void free_layer(Layer *l) { free(l->weight), free(l->start), free(l->shift); }

/* Outputs of a layer with the padding that it writes. */
INLINE int padded_out(const Layer *l) { return l->columns * VECTOR; }

/* Where the weight of input i for output o stands. */
INLINE size_t weight_place(const Layer *l, int o, int i) {
    const size_t step = (size_t)(o / VECTOR) * l->steps + i / TERMS;
    return (step * VECTOR + o % VECTOR) * TERMS + i % TERMS;
}

/* weight int8 [out][in], bias and shift int32 [out]. order: [in], which of the model's inputs
 * each of ours is; NULL where they are the same. Returns 0 out of memory. */
static int pack(Layer *l, const int8_t *weight, const int32_t *bias, const int32_t *shift, int in,
                int out, const int16_t *order) {
    l->in = in, l->out = out, l->steps = (in + TERMS - 1) / TERMS;
    const int padded = (out + PANEL - 1) / PANEL * PANEL;
    l->columns = padded / VECTOR;
    l->weight = aligned_room((size_t)padded * l->steps * TERMS * sizeof(Element));
    l->start = aligned_room((size_t)padded * sizeof(int32_t));
    l->shift = aligned_room((size_t)padded * sizeof(int32_t));
    if (!l->weight || !l->start || !l->shift) return 0;
    for (int o = 0; o < out; o++) {
        l->start[o] = bias[o] + (1 << (shift[o] - 1));
        l->shift[o] = shift[o];
        for (int i = 0; i < in; i++) {
            l->weight[weight_place(l, o, i)] =
                weight[(size_t)o * in + (order ? order[i] : i)];
        }
    }
    return 1;
}

/* The weight of input i for output o. */
static int weight_of(const Layer *l, int o, int i) {
    return (int)l->weight[weight_place(l, o, i)];
}

INLINE Sums load_weight(const Element *from) {
    Sums w;
    memcpy(&w, from, sizeof w);
    return w;
}

/* `rows` pixels and `columns` vectors of outputs from `first` on, all in registers. */
INLINE void block(const Layer *l, const Element *in, int in_stride, int first, int rows,
                  int columns, int leaky, int16_t *out, int out_stride) {
    const Element *weight = l->weight + (size_t)first * l->steps * VECTOR * TERMS;
    const size_t column = (size_t)l->steps * VECTOR * TERMS;
    Sums sum[ROWS][2];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++)
            sum[r][c] = as_sums(load(l->start + (first + c) * VECTOR));
    for (int i = 0; i < l->steps; i++, weight += VECTOR * TERMS) {
        const Sums left = load_weight(weight);
        const Sums right = columns > 1 ? load_weight(weight + column) : left;
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            const Sums a = spread(in + (size_t)r * in_stride + i * TERMS);
            sum[r][0] = add_products(sum[r][0], left, a);
            if (columns > 1) sum[r][1] = add_products(sum[r][1], right, a);
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++) {
            vec y = as_integers(sum[r][c]) >> load(l->shift + (first + c) * VECTOR);
            y = between(y, -LIMIT, LIMIT);
            store_narrow(out + (size_t)r * out_stride + (first + c) * VECTOR,
                         leaky ? greater(y, y >> 3) : y);
        }
}

/* All pixels, ROWS at a time and the last few half as many. */
INLINE void column_of_blocks(const Layer *l, const Element *in, int in_stride, int n, int first,
                             int columns, int leaky, int16_t *out, int out_stride) {
    for (int i = 0; i < n; i += ROWS) {
        const Element *from = in + (size_t)i * in_stride;
        int16_t *to = out + (size_t)i * out_stride;
        if (n - i > ROWS / 2)
            block(l, from, in_stride, first, ROWS, columns, leaky, to, out_stride);
        else
            block(l, from, in_stride, first, ROWS / 2, columns, leaky, to, out_stride);
    }
}

INLINE void all_columns(const Layer *l, const Element *in, int in_stride, int n, int leaky,
                        int16_t *out, int out_stride) {
    int first = 0;
    for (; first + 2 <= l->columns; first += 2)
        column_of_blocks(l, in, in_stride, n, first, 2, leaky, out, out_stride);
    if (first < l->columns)
        column_of_blocks(l, in, in_stride, n, first, 1, leaky, out, out_stride);
}

/* One layer on n <= CHUNK pixels.
 *
 * in: [n][in_stride] int16, the first l->in of each row within +-2047; a row is readable for one
 * number more where l->in is odd. out: [n][out_stride] int16, padded_out(l) of each row are
 * written. Both have ROWS rows to spare. leaky: whether negative results are divided by 8. */
INLINE void layer(const Layer *l, const int16_t *in, int in_stride, int n, int leaky,
                  int16_t *out, int out_stride) {
#if defined(LEVEL_AVX512) || defined(LEVEL_AVX2)
    all_columns(l, in, in_stride, n, leaky, out, out_stride);
#else
    float carried[(CHUNK + ROWS) * WIDEST];
    for (int r = 0; r < (n + ROWS - 1) / ROWS * ROWS; r++)
        for (int i = 0; i < l->in; i++)
            carried[(size_t)r * l->in + i] = in[(size_t)r * in_stride + i];
    all_columns(l, carried, l->in, n, leaky, out, out_stride);
#endif
}
