/* Sums of products of two rows of numbers, over many pairs of rows. */
#pragma once

#include "simd.h"

/* Adds the products of four numbers of `left`, from `row` on, with `columns` vectors of `right`,
 * from `at` on, to as many rows of sums. Both have a row for each pair, two numbers in a lane. */
INLINE void add_block(const int32_t *left, int left_stride, const int32_t *right, int right_stride,
                      int pairs, int row, int at, int columns, int32_t *sums, int stride) {
    vec sum[4][2];
    int32_t *first = sums + (size_t)row * stride + at;
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < columns; c++)
            sum[r][c] = load(first + (size_t)r * stride + c * VECTOR);
    for (int q = 0; q < pairs; q++, left += left_stride, right += right_stride) {
        const vec one = load(right + at), other = columns > 1 ? load(right + at + VECTOR) : one;
#pragma GCC unroll 4
        for (int r = 0; r < 4; r++) {
            const vec own = fill(left[row + r]);
            sum[r][0] = add_pairs(sum[r][0], one, own);
            if (columns > 1) sum[r][1] = add_pairs(sum[r][1], other, own);
        }
    }
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < columns; c++)
            store(first + (size_t)r * stride + c * VECTOR, sum[r][c]);
}

/* Adds the products of the first `rows` numbers of `left`, four at a time, with all `stride` of
 * `right`, whole vectors, to sums [rows][stride]. */
INLINE void add_products_of_rows(const int32_t *left, int left_stride, const int32_t *right,
                                 int pairs, int rows, int32_t *sums, int stride) {
    for (int row = 0; row < rows; row += 4) {
        int at = 0;
        for (; at + 2 * VECTOR <= stride; at += 2 * VECTOR)
            add_block(left, left_stride, right, stride, pairs, row, at, 2, sums, stride);
        if (at < stride)
            add_block(left, left_stride, right, stride, pairs, row, at, 1, sums, stride);
    }
}
