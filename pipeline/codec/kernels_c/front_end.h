/* From the causal neighbours of a pixel to the inputs of the network. */
#pragma once

#include "simd.h"
#include "tables.h"

enum {
    INPUT_LIMIT = 127,
    SCALE_BIAS = 48,
    TAP_ROOM = 3 * LANES * 2, /* tap values of a pixel with what vectors write behind them */
    INPUT_ROOM = 7 * LANES,   /* the same of all inputs */
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

INLINE int32_t median_prediction(int32_t west, int32_t north, int32_t north_west) {
    int32_t low = west < north ? west : north, high = west < north ? north : west;
    int32_t m = west + north - north_west;
    return m < low ? low : m > high ? high : m;
}

/* MED predictions and activities of a pixel, and the reciprocal behind its normalised taps. */
typedef struct {
    int32_t med[3], activity[3], total, reciprocal;
} View;

/* Normalised taps of the pixel at `at`, [TAP_ROOM], the six inputs that tell of activity and
 * brightness behind them. */
INLINE View look(const Tables *tables, const uint8_t *at, ptrdiff_t stride,
                 int16_t *restrict input) {
    int32_t tap[TAP_ROOM] = {0}, repeated[3 * LANES];
    View v = {.total = 0};
    for (int j = 0; j < 21; j++) tap[j] = at[-3 * stride - 9 + j];
    for (int j = 0; j < 21; j++) tap[21 + j] = at[-2 * stride - 9 + j];
    for (int j = 0; j < 15; j++) tap[42 + j] = at[-stride - 9 + j];
    for (int j = 0; j < 9; j++) tap[57 + j] = at[-9 + j];
    for (int c = 0; c < 3; c++) {
        const int32_t west = tap[63 + c], north = tap[51 + c], north_west = tap[48 + c];
        const int32_t m = median_prediction(west, north, north_west);
        v.activity[c] = abs(west - m) + abs(tap[60 + c] - m) + abs(north - m) +
                        abs(north_west - m) + abs(tap[54 + c] - m) + abs(tap[30 + c] - m);
        v.total += v.activity[c];
        v.med[c] = m;
    }
    for (int j = 0; j < 3 * LANES; j++) repeated[j] = v.med[j % 3];
    v.reciprocal = tables->reciprocal[v.total];
    const vec reciprocal = fill(v.reciprocal);
    for (int j = 0; j < TAP_ROOM; j += VECTOR) {
        vec d = load(tap + j) - load(repeated + j % (3 * LANES));
        store_narrow(input + j, between((d * reciprocal + 2048) >> 12, -INPUT_LIMIT, INPUT_LIMIT));
    }
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
    const View v = look(tables, at, stride, input);
    for (int c = 0; c < 3; c++) {
        contexts->med[c][i] = v.med[c];
        contexts->gain[c][i] = v.activity[c] + 3 > 6 ? v.activity[c] + 3 : 6;
        contexts->level[c][i] = tables->log_activity[v.activity[c]] + SCALE_BIAS;
    }
}
