/* The predictions for the pixels of a step, and how they reach the network; see adaptive.py. */
#pragma once

#include "mixture.h"

enum {
    OFFSET_LIMIT = 4095,
    BASE_LIMIT = 64 * 255,
    HEAD_SHIFT = 2, /* from fractional bits of inputs to those of hidden features */
    PLACES = AROUND / 3,
};

/* Of one predictor; arrays have one number for each pixel of the step. */
typedef struct {
    Learner learner;
    int16_t *error;   /* 1/4 of a value; laid out as the canvas, 0 in its margins */
    int32_t *strip;
    int32_t *from_taps[3];
    int32_t *from_channels[3]; /* weights of R for G, R for B, G for B */
    int32_t *full;             /* of the channel that is being coded */
    int32_t *base[3];
    int16_t **numbers;
} Predicted;

/* Of all predictors. */
typedef struct {
    Predicted predicted[MAX_PREDICTORS];
    int32_t *reciprocal, *unit;
    int32_t *known[3];    /* errors of the first predictor, once the channel is known */
    int32_t *residual[3]; /* in units of the activity, too */
} Adaptive;

static void free_adaptive(Adaptive *a) {
    for (int p = 0; p < MAX_PREDICTORS; p++) {
        free_learner(&a->predicted[p].learner);
        free(a->predicted[p].error);
    }
}

/* samples: of the canvas; height: of its highest tile. Returns 0 out of memory. */
static int make_adaptive(Adaptive *a, const Network *net, int tiles, int height, size_t samples) {
    for (int p = 0; p < net->sizes.predictors; p++) {
        Predicted *predicted = a->predicted + p;
        predicted->error = aligned_room(samples * sizeof *predicted->error);
        if (!predicted->error ||
            !make_learner(&predicted->learner, net->predictor + p, tiles, height))
            return 0;
    }
    return 1;
}

INLINE int32_t clamp_input(int32_t x) {
    return x > INPUT_LIMIT ? INPUT_LIMIT : x < -INPUT_LIMIT ? -INPUT_LIMIT : x;
}

/* A sum of products of weights as a network input. */
INLINE int32_t sum_as_input(int32_t sum) {
    return clamp_input((sum + (1 << (PREDICTOR_BITS - 1))) >> PREDICTOR_BITS);
}

/* Normalised taps of pixel i at `at` as its first inputs [INPUT_ROOM], and its context. */
INLINE void gather_taps(const Network *net, const Adaptive *a, const uint8_t *canvas, uint32_t at,
                        int i, ptrdiff_t stride, int16_t *input, const Contexts *contexts) {
    const Neighbourhood v = normalise_taps(&net->tables, canvas + at, stride, input);
    a->reciprocal[i] = v.reciprocal;
    a->unit[i] = 27 + v.total;
    for (int c = 0; c < 3; c++) contexts->med[c][i] = v.med[c];
}

/* Copies the normalised taps of pixel i, the first of its inputs, to its strip of a predictor. */
INLINE void record_taps(const Predicted *predicted, int i, int tile, int y, const int16_t *input) {
    const Learner *l = &predicted->learner;
    predicted->strip[i] = strip_of(l, tile, y);
    predicted->numbers[i] = add_numbers(l, predicted->strip[i], input);
}

/* Predicts pixel i from its recorded taps, and keeps the weights of its own channels. */
INLINE void predict_from_taps(const Predicted *predicted, int i) {
    const Learner *l = &predicted->learner;
    const int known = l->p->known, room = l->p->room;
    const int16_t *weights = weights_of(l, predicted->strip[i]);
    int32_t from_taps[4];
    store_quad(from_taps, weigh(l->p, weights, predicted->numbers[i]));
    for (int c = 0; c < 3; c++) predicted->from_taps[c][i] = from_taps[c];
    predicted->from_channels[0][i] = weights[room + known];
    predicted->from_channels[1][i] = weights[2 * room + known];
    predicted->from_channels[2][i] = weights[2 * room + known + 1];
}

/* The errors of a predictor at the six places around `at`; returns the sum of their sizes. */
INLINE quad read_errors(const Predicted *predicted, uint32_t at, ptrdiff_t stride,
                        quad around[PLACES]) {
    const int16_t *here = predicted->error + at;
    const ptrdiff_t places[PLACES] = {-3, -6, -stride, -stride - 3, -stride + 3, -2 * stride};
    quad spread = {0};
    for (int k = 0; k < PLACES; k++) {
        around[k] = quad_of_shorts(here + places[k]);
        spread += quad_abs(around[k]);
    }
    return spread;
}

/* The errors as inputs, three at each place; writes one number behind them. */
INLINE void put_errors(const quad around[PLACES], int32_t reciprocal, int16_t *to) {
    const quad scale = reciprocal - (quad){0}, limit = INPUT_LIMIT - (quad){0};
    for (int k = 0; k < PLACES; k++) {
        const quad scaled = (around[k] * scale + 8192) >> 14;
        store_narrow_quad(to + 3 * k, quad_lesser(quad_greater(scaled, -limit), limit));
    }
}

/* Puts the prediction for pixel i, and the errors of the predictor around it, among its inputs;
 * returns where they end. The first predictor's errors are inputs each and go into the context. */
INLINE int16_t *put_inputs(const Network *net, const Adaptive *a, int p, int i, uint32_t at,
                           ptrdiff_t stride, int16_t *next, const Contexts *contexts) {
    const Predicted *predicted = a->predicted + p;
    quad around[PLACES];
    int32_t spread[4], level[3];
    store_quad(spread, read_errors(predicted, at, stride, around));
    for (int c = 0; c < 3; c++) level[c] = net->tables.log_error[spread[c]];
    for (int c = 0; c < 3; c++) *next++ = (int16_t)sum_as_input(predicted->from_taps[c][i]);
    if (!p) {
        put_errors(around, a->reciprocal[i], next);
        next += AROUND;
        for (int c = 0; c < 3; c++) {
            contexts->gain[c][i] = spread[c] + 12 > 16 ? spread[c] + 12 : 16;
            contexts->level[c][i] = level[c] + SCALE_BIAS;
        }
    }
    for (int c = 0; c < 3; c++) *next++ = (int16_t)(level[c] - 32);
    return next;
}

/* Completes the predictions of a channel of n pixels, once the channels before it are known. */
static void complete_predictions(const Network *net, const Adaptive *a, const Contexts *contexts,
                                 int n, int channel) {
    for (int p = 0; p < net->sizes.predictors; p++) {
        const Predicted *predicted = a->predicted + p;
        for (int i = 0; i < n; i += VECTOR) {
            vec full = load(predicted->from_taps[channel] + i);
            for (int k = 0; k < channel; k++)
                full +=
                    load(predicted->from_channels[channel - 1 + k] + i) * load(a->residual[k] + i);
            store(predicted->full + i, full);
            const vec q = between((full + 128) >> 8, -OFFSET_LIMIT, OFFSET_LIMIT);
            const vec offset = (q * load(a->unit + i) * 91 + 4096) >> 13;
            const vec base = 64 * load(contexts->med[channel] + i) + offset;
            store(predicted->base[channel] + i, between(base, 0, BASE_LIMIT));
        }
    }
}

/* What the head of a channel sees beside the fused features of pixel i. */
INLINE void put_head_inputs(const Network *net, const Adaptive *a, int i, int channel,
                            int16_t *to) {
    const int32_t *log_error = net->tables.log_error;
    int count = 0;
    int32_t numbers[MAX_PREDICTORS + 6];
    numbers[count++] = sum_as_input(a->predicted[0].full[i]);
    for (int k = 0; k < channel; k++) {
        const int32_t error = a->known[k][i];
        const int32_t scaled = clamp_input((error * a->reciprocal[i] + 8192) >> 14);
        numbers[count++] = scaled;
        numbers[count++] = abs(scaled);
        numbers[count++] = log_error[PLACES * abs(error)] - 32;
    }
    for (int p = 1; p < net->sizes.predictors; p++)
        numbers[count++] = sum_as_input(a->predicted[p].full[i]);
    for (int k = 0; k < count; k++) to[k] = (int16_t)(numbers[k] * (1 << HEAD_SHIFT));
}

INLINE vec error_of(vec value, vec base) { return 4 * value - ((base + 8) >> 4); }

/* Keeps errors and residuals of a channel of n coded pixels; value: [n]. */
static void record_values(const Adaptive *a, const Contexts *contexts, int n, int channel,
                          const int32_t *value) {
    for (int i = 0; i < n; i += VECTOR) {
        const vec v = load(value + i), med = load(contexts->med[channel] + i);
        store(a->known[channel] + i, error_of(v, load(a->predicted[0].base[channel] + i)));
        const vec residual = ((v - med) * load(a->reciprocal + i) + 2048) >> 12;
        store(a->residual[channel] + i, between(residual, -INPUT_LIMIT, INPUT_LIMIT));
    }
}

/* Keeps the errors of all predictors for the coded pixel i at `at`, and its residuals for the next
 * update. */
INLINE void record_pixel(const Network *net, const Adaptive *a, const uint8_t *canvas, uint32_t at,
                         int i) {
    for (int p = 0; p < net->sizes.predictors; p++) {
        const Predicted *predicted = a->predicted + p;
        for (int c = 0; c < 3; c++) {
            const int32_t base = predicted->base[c][i];
            predicted->error[at + c] = (int16_t)(4 * canvas[at + c] - ((base + 8) >> 4));
            predicted->numbers[i][predicted->learner.p->known + c] = (int16_t)a->residual[c][i];
        }
    }
}

/* The means of a channel of the VECTOR pixels from first + at on: corrections of
 * the predictions. A pixel's parameters are pi, mu, sigma, gamma and beta. */
INLINE void mix_adaptive_means(const Network *net, const Adaptive *a, const Contexts *contexts,
                               const int16_t *params, vec rows, int channel, int first, int at,
                               Mixtures *m) {
    const int count = net->sizes.mixtures, predictors = net->sizes.predictors;
    const int i = first + at;
    vec mu[MAX_MIXTURES], beta[MAX_MIXTURES], gamma[MAX_MIXTURES];
    const vec med = 64 * load(contexts->med[channel] + i), gain = load(contexts->gain[channel] + i);
    read_params(params, rows, count, count, mu);
    read_params(params, rows, 3 * count, predictors, gamma);
    read_params(params, rows, 3 * count + predictors, channel, beta);
    vec centre = med;
    for (int p = 0; p < predictors; p++)
        centre += (gamma[p] * (load(a->predicted[p].base[channel] + i) - med) + 32) >> 6;
    for (int k = 0; k < channel; k++) centre += (clamp_beta(beta[k]) * load(a->known[k] + i)) >> 2;
    for (int k = 0; k < count; k++) store(m->mean[k] + at, centre + ((mu[k] * gain) >> 4));
}
