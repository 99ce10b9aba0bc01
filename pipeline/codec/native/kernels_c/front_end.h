/* From the causal neighbours of a pixel to the inputs of the network. */
#pragma once

#include "simd.h"
#include "tables.h"

enum {
    INPUT_LIMIT = 127,
    SCALE_BIAS = 48,
    TAP_ROOM = 57 + LANES,  /* tap values of a pixel with what vectors write behind them */
    INPUT_ROOM = 8 * LANES, /* the same of all inputs */
};

/* What mixtures need to know of the surroundings of many pixels, by channel. */
typedef struct {
    int32_t *med[3];   /* MED prediction */
    int32_t *gain[3];  /* unit of the means */
    int32_t *level[3]; /* what scales start from, + SCALE_BIAS */
} Contexts;

/* Which of the model's inputs, channel by channel, each of ours is: tap by tap, with the
 * channels interleaved as in memory. */
static void input_order(int16_t order[INPUTS]) {
    for (int i = 0; i < INPUTS; i++)
        order[i] = (int16_t)(i < TAP_VALUES ? i % 3 * TAPS + i / 3 : i);
}

/* MED predictions and activities of a pixel, and the reciprocal behind its normalised taps. */
typedef struct {
    int32_t med[4], activity[4], total, reciprocal;
} Neighbourhood;

/* MED, and the sum of the differences of the six nearest pixels from it. */
INLINE quad median_prediction(const uint8_t *at, ptrdiff_t stride, quad *activity) {
    const quad west = quad_of_bytes(at - 3), north = quad_of_bytes(at - stride);
    const quad north_west = quad_of_bytes(at - stride - 3);
    const quad low = quad_lesser(west, north), high = quad_greater(west, north);
    const quad med = quad_lesser(quad_greater(west + north - north_west, low), high);
    *activity = quad_abs(west - med) + quad_abs(quad_of_bytes(at - 6) - med) +
                quad_abs(north - med) + quad_abs(north_west - med) +
                quad_abs(quad_of_bytes(at - stride + 3) - med) +
                quad_abs(quad_of_bytes(at - 2 * stride) - med);
    return med;
}

/* `count` tap values of a row, normalised; up to VECTOR - 1 more are written behind them. */
INLINE void normalise_row(const uint8_t *from, int count, quad med, vec reciprocal,
                          int16_t *to) {
    for (int j = 0; j < count; j += VECTOR) {
        const vec d = load_bytes(from + j) - repeat(med, j);
        store_narrow(to + j, between((d * reciprocal + 2048) >> 12, -INPUT_LIMIT, INPUT_LIMIT));
    }
}

/* Normalised taps of the pixel at `at`, [TAP_ROOM], the six inputs for activity and
 * brightness behind them. Looks at bytes of the canvas that are no taps: up to 7 behind the
 * pixel itself. */
INLINE Neighbourhood normalise_taps(const Tables *tables, const uint8_t *at, ptrdiff_t stride,
                                    int16_t *restrict input) {
    Neighbourhood v;
    quad activity;
    const quad med = median_prediction(at, stride, &activity);
    store_quad(v.med, med), store_quad(v.activity, activity);
    v.total = v.activity[0] + v.activity[1] + v.activity[2];
    v.reciprocal = tables->reciprocal[v.total];
    const vec reciprocal = fill(v.reciprocal);
    normalise_row(at - 3 * stride - 9, 21, med, reciprocal, input);
    normalise_row(at - 2 * stride - 9, 21, med, reciprocal, input + 21);
    normalise_row(at - stride - 9, 15, med, reciprocal, input + 42);
    normalise_row(at - 9, 9, med, reciprocal, input + 57);
    for (int c = 0; c < 3; c++) {
        input[TAP_VALUES + c] = (int16_t)(tables->log_activity[v.activity[c]] - 32);
        input[TAP_VALUES + 3 + c] = (int16_t)((v.med[c] - 128) >> 1);
    }
    return v;
}

/* Network inputs [INPUT_ROOM] of the pixel at `at`, and its context as number i of `contexts`; of
 * a network without predictors. */
INLINE void gather(const Tables *tables, const uint8_t *at, ptrdiff_t stride,
                   int16_t *restrict input, const Contexts *contexts, size_t i) {
    const Neighbourhood v = normalise_taps(tables, at, stride, input);
    for (int c = 0; c < 3; c++) {
        contexts->med[c][i] = v.med[c];
        contexts->gain[c][i] = v.activity[c] + 3 > 6 ? v.activity[c] + 3 : 6;
        contexts->level[c][i] = tables->log_activity[v.activity[c]] + SCALE_BIAS;
    }
}
