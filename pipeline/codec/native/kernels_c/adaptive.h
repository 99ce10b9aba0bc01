/* What predictors say of the pixels of a step, and how that reaches the network; see adaptive.py.
 */
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
    int32_t *trunk[3];
    int32_t *rest[3]; /* weights of R for G, R for B, G for B */
    int32_t *full;    /* of the channel that is being coded */
    int32_t *base[3];
    int16_t **numbers;
} Said;

/* Of all predictors. */
typedef struct {
    Said said[MAX_PREDICTORS];
    int32_t *reciprocal, *unit;
    int32_t *known[3];    /* errors of the first predictor, once the channel is known */
    int32_t *residual[3]; /* in units of the activity, too */
} Adaptive;

static void free_adaptive(Adaptive *a) {
    for (int p = 0; p < MAX_PREDICTORS; p++) {
        free_learner(&a->said[p].learner);
        free(a->said[p].error);
    }
}

/* samples: of the canvas; height: of its highest tile. Returns 0 out of memory. */
static int make_adaptive(Adaptive *a, const Network *net, int tiles, int height, size_t samples) {
    for (int p = 0; p < net->sizes.predictors; p++) {
        Said *said = a->said + p;
        said->error = aligned_room(samples * sizeof *said->error);
        if (!said->error || !make_learner(&said->learner, net->predictor + p, tiles, height))
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

/* Looks around pixel i at `at`, into its inputs [INPUT_ROOM] and its context. */
INLINE void look_around(const Network *net, const Adaptive *a, const uint8_t *canvas, uint32_t at,
                        int i, ptrdiff_t stride, int16_t *input, const Contexts *contexts) {
    const View v = look(&net->tables, canvas + at, stride, input);
    a->reciprocal[i] = v.reciprocal;
    a->unit[i] = 27 + v.total;
    for (int c = 0; c < 3; c++) contexts->med[c][i] = v.med[c];
}

/* Hands the normalised taps of pixel i, the first of its inputs, to a predictor. */
INLINE void tell(const Said *said, int i, int tile, int y, const int16_t *input) {
    const Learner *l = &said->learner;
    said->strip[i] = strip_of(l, tile, y);
    said->numbers[i] = add_numbers(l, said->strip[i], input);
}

/* Asks a predictor of pixel i, of which it has been told. */
INLINE void ask(const Said *said, int i) {
    const Learner *l = &said->learner;
    const int known = l->p->known, room = l->p->room;
    const int16_t *weights = weights_of(l, said->strip[i]);
    int32_t trunk[4];
    store_quad(trunk, weigh(l->p, weights, said->numbers[i]));
    for (int c = 0; c < 3; c++) said->trunk[c][i] = trunk[c];
    said->rest[0][i] = weights[room + known];
    said->rest[1][i] = weights[2 * room + known];
    said->rest[2][i] = weights[2 * room + known + 1];
}

/* The errors of a predictor at the six places around `at`; returns the sum of their sizes. */
INLINE quad look_at_errors(const Said *said, uint32_t at, ptrdiff_t stride, quad around[PLACES]) {
    const int16_t *here = said->error + at;
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

/* Puts what a predictor said of pixel i, and how it erred around, among its inputs; returns where
 * they end. The first predictor's errors are inputs each and go into the context. */
INLINE int16_t *put_inputs(const Network *net, const Adaptive *a, int p, int i, uint32_t at,
                           ptrdiff_t stride, int16_t *next, const Contexts *contexts) {
    const Said *said = a->said + p;
    quad around[PLACES];
    int32_t spread[4], level[3];
    store_quad(spread, look_at_errors(said, at, stride, around));
    for (int c = 0; c < 3; c++) level[c] = net->tables.log_error[spread[c]];
    for (int c = 0; c < 3; c++) *next++ = (int16_t)sum_as_input(said->trunk[c][i]);
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

/* What the predictors say of a channel of n pixels, when those before it are known. */
static void consult(const Network *net, const Adaptive *a, const Contexts *contexts, int n,
                    int channel) {
    for (int p = 0; p < net->sizes.predictors; p++) {
        const Said *said = a->said + p;
        for (int i = 0; i < n; i += VECTOR) {
            vec full = load(said->trunk[channel] + i);
            for (int k = 0; k < channel; k++)
                full += load(said->rest[channel - 1 + k] + i) * load(a->residual[k] + i);
            store(said->full + i, full);
            const vec q = between((full + 128) >> 8, -OFFSET_LIMIT, OFFSET_LIMIT);
            const vec offset = (q * load(a->unit + i) * 91 + 4096) >> 13;
            const vec base = 64 * load(contexts->med[channel] + i) + offset;
            store(said->base[channel] + i, between(base, 0, BASE_LIMIT));
        }
    }
}

/* What the head of a channel sees beside the fused features of pixel i. */
INLINE void put_head_inputs(const Network *net, const Adaptive *a, int i, int channel,
                            int16_t *to) {
    const int32_t *log_error = net->tables.log_error;
    int count = 0;
    int32_t numbers[MAX_PREDICTORS + 6];
    numbers[count++] = sum_as_input(a->said[0].full[i]);
    for (int k = 0; k < channel; k++) {
        const int32_t error = a->known[k][i];
        const int32_t scaled = clamp_input((error * a->reciprocal[i] + 8192) >> 14);
        numbers[count++] = scaled;
        numbers[count++] = abs(scaled);
        numbers[count++] = log_error[PLACES * abs(error)] - 32;
    }
    for (int p = 1; p < net->sizes.predictors; p++)
        numbers[count++] = sum_as_input(a->said[p].full[i]);
    for (int k = 0; k < count; k++) to[k] = (int16_t)(numbers[k] * (1 << HEAD_SHIFT));
}

INLINE vec error_of(vec value, vec base) { return 4 * value - ((base + 8) >> 4); }

/* A channel of n pixels is known: values [n]. */
static void note_values(const Adaptive *a, const Contexts *contexts, int n, int channel,
                        const int32_t *value) {
    for (int i = 0; i < n; i += VECTOR) {
        const vec v = load(value + i), med = load(contexts->med[channel] + i);
        store(a->known[channel] + i, error_of(v, load(a->said[0].base[channel] + i)));
        const vec residual = ((v - med) * load(a->reciprocal + i) + 2048) >> 12;
        store(a->residual[channel] + i, between(residual, -INPUT_LIMIT, INPUT_LIMIT));
    }
}

/* Pixel i at `at` is known, and what predictors said of all its channels. */
INLINE void note_pixel(const Network *net, const Adaptive *a, const uint8_t *canvas, uint32_t at,
                       int i) {
    for (int p = 0; p < net->sizes.predictors; p++) {
        const Said *said = a->said + p;
        for (int c = 0; c < 3; c++) {
            const int32_t base = said->base[c][i];
            said->error[at + c] = (int16_t)(4 * canvas[at + c] - ((base + 8) >> 4));
            said->numbers[i][said->learner.p->known + c] = (int16_t)a->residual[c][i];
        }
    }
}

/* The means of a channel of the VECTOR pixels from first + at on: corrections of what the predictors
 * say. A pixel's parameters are pi, mu, sigma, gamma and beta. */
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
        centre += (gamma[p] * (load(a->said[p].base[channel] + i) - med) + 32) >> 6;
    for (int k = 0; k < channel; k++)
        centre += (clamp_beta(beta[k]) * load(a->known[k] + i)) >> 2;
    for (int k = 0; k < count; k++) store(m->mean[k] + at, centre + ((mu[k] * gain) >> 4));
}
