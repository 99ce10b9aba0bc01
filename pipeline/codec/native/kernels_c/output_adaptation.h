/* Output layers that learn while a tile is decoded; see output_adaptation.py.
 *
 * A step below is a step of the weights; a wavefront step is always called one of pixels.
 *
 * Bounds. A correction adds up products of weights in +-2047 with at most 512 hidden features in
 * +-2047 and a one of 128: 2047 * (512 * 2047 + 128) + 2^11 < 2^31.
 *
 * The sum of a weight adds gradients in +-127 times hidden features in +-2047 over the pixels from
 * one update to the next: at most every - 1 < 4096, and those of the step of pixels that completes
 * them, of which a tile of 4096 x 4096 has 2048: 127 * 2047 * (4095 + 2048) < 2^31.
 *
 * The mass of a component is at most 255 * 2^15 / 2^5 < 2^18, its spread at most
 * 255 * 2^18 / 2^5 < 2^21, because a slant lies in +-2^17: 2^15 * 2^13 / 2^11. The mass of eight
 * stays below 2^21. So 1024 times a mass or a spread stays below 255 * 2^23 < 2^31 - 2^22. Floats
 * guess a share with a relative error below 2^-22, so the product of guess and whole exceeds 1024
 * times the part by less than 2^9, and stays below 2^31, too. */
#pragma once

#include "adapted_layer.h"

enum {
    ADAPTATION_SHIFT = 12, /* from products of corrections to mixture parameters */
    ADAPTATION_LIMIT = 2047,
    OUTPUT_GRADIENT_LIMIT = 127,
};

/* What the fusion and the hidden layers of a step's channels need to learn; pixels are sorted. */
typedef struct {
    int learns;
    AdaptedLayer fusion, hidden[3];
    int context_stride;
    int16_t *context;  /* [capacity][context_stride]: features of the context layer */
    int16_t *gradient; /* [capacity][GRADIENT_STRIDE]: of the parameters of a channel */
    int16_t *back;     /* [capacity][hidden]: of its hidden features */
    int16_t *sum;      /* [capacity][fused]: of fused features, from all channels */
} HiddenAdapter;

/* The corrections of the tiles of a group, and their sums. */
typedef struct {
    int size, room;    /* outputs of a channel that are corrected; padded to whole vectors */
    int features;      /* hidden ones of a pixel */
    int stride;        /* those, a one, and zeros up to whole panels */
    int steps;         /* pairs of what is not zero */
    int every, rate;
    int capacity;      /* pixels of a step, padded */
    int16_t *weight;   /* [tiles][3][steps][room][2]; NULL if no layer learns */
    int32_t *sum;      /* [tiles][3][padded size][features]: of gradients times hidden features */
    int32_t *bias;     /* [tiles][3][padded size]: of gradients */
    int32_t *count;    /* [tiles]: pixels since the last update */
    int16_t *hidden;   /* [capacity][stride]: of a channel of the sorted pixels of a step */
    int16_t *gradient; /* [padded size][capacity]: of a channel, in coding order */
    int32_t *pairs;    /* [JOINED][features] */
    HiddenAdapter deep;
} OutputAdapter;

static void free_hidden_adapter(HiddenAdapter *d) {
    free_adapted_layer(&d->fusion);
    for (int c = 0; c < 3; c++) free_adapted_layer(&d->hidden[c]);
    free(d->context), free(d->gradient), free(d->back), free(d->sum);
}

/* capacity: pixels of a step. Returns 0 out of memory. */
static int make_hidden_adapter(HiddenAdapter *d, const Network *net, int tiles, size_t capacity) {
    const Sizes *s = &net->sizes;
    d->learns = 1, d->context_stride = padded_out(&net->context);
    const AdaptationSizes *rates = &s->adaptation;
    const int models = s->entropy_models;
    int ok = make_adapted_layer(&d->fusion, &net->fusion, 1, tiles, rates, rates->fusion_rate);
    for (int c = 0; c < 3 && ok; c++)
        ok = make_adapted_layer(&d->hidden[c], net->hidden + c * models, models, tiles, rates,
                                rates->hidden_rate);
    d->context = aligned_room(capacity * d->context_stride * sizeof *d->context);
    d->gradient = aligned_room(capacity * GRADIENT_STRIDE * sizeof *d->gradient);
    d->back = aligned_room(capacity * s->hidden * sizeof *d->back);
    d->sum = aligned_room(capacity * s->fused * sizeof *d->sum);
    return ok && d->context && d->gradient && d->back && d->sum;
}

static void free_output_adapter(OutputAdapter *t) {
    free(t->weight), free(t->sum), free(t->bias), free(t->count);
    free(t->hidden), free(t->gradient), free(t->pairs);
    free_hidden_adapter(&t->deep);
}

INLINE size_t weights_each(const OutputAdapter *t) { return 2 * (size_t)t->steps * t->room; }

INLINE size_t rows_each(const OutputAdapter *t) { return (size_t)round_up(t->size, 4); }

INLINE size_t sums_each(const OutputAdapter *t) { return rows_each(t) * t->features; }

INLINE int16_t *corrections(const OutputAdapter *t, int tile, int channel) {
    return t->weight + (3 * (size_t)tile + channel) * weights_each(t);
}

INLINE int32_t *tile_sums(const OutputAdapter *t, int tile, int channel) {
    return t->sum + (3 * (size_t)tile + channel) * sums_each(t);
}

INLINE int32_t *bias_sums(const OutputAdapter *t, int tile, int channel) {
    return t->bias + (3 * (size_t)tile + channel) * rows_each(t);
}

/* pixels: of the largest step. Returns 0 out of memory. */
static int make_output_adapter(OutputAdapter *t, const Network *net, int tiles, size_t pixels) {
    const Sizes *s = &net->sizes;
    t->size = 3 * s->mixtures, t->room = round_up(t->size, VECTOR);
    t->features = s->hidden, t->stride = s->hidden + PANEL,
    t->steps = s->hidden / 2 + 1;
    t->every = s->adaptation.every, t->rate = s->adaptation.rate;
    t->capacity = round_up((int)pixels + ROWS, LANES);
    const size_t each = 3 * (size_t)tiles, capacity = (size_t)t->capacity;
    t->weight = aligned_room(each * weights_each(t) * sizeof *t->weight);
    t->sum = aligned_room(each * sums_each(t) * sizeof *t->sum);
    t->bias = aligned_room(each * rows_each(t) * sizeof *t->bias);
    t->count = aligned_room((size_t)tiles * sizeof *t->count);
    t->hidden = aligned_room(capacity * t->stride * sizeof *t->hidden);
    t->gradient = aligned_room(capacity * rows_each(t) * sizeof *t->gradient);
    t->pairs = aligned_room((size_t)JOINED * t->features * sizeof *t->pairs);
    for (size_t i = 0; t->hidden && i < capacity; i++)
        t->hidden[i * t->stride + s->hidden] = HIDDEN_ONE;
    return t->weight && t->sum && t->bias && t->count && t->hidden && t->gradient && t->pairs &&
           (!learns_deeply(s) || make_hidden_adapter(&t->deep, net, tiles, capacity));
}

/* Corrects VECTOR parameters from number `first` on of up to ROWS pixels of a tile. */
INLINE void correct_block(const OutputAdapter *t, const int16_t *weight, const int16_t *hidden,
                          int rows, int first, int16_t *params, int params_stride) {
    vec sum[ROWS];
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++) sum[r] = fill(1 << (ADAPTATION_SHIFT - 1));
    weight += 2 * first;
    for (int i = 0; i < t->steps; i++, weight += 2 * t->room) {
        const vec own = load_pairs(weight);
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; r++) {
            int32_t pair;
            memcpy(&pair, hidden + (size_t)r * t->stride + 2 * i, sizeof pair);
            sum[r] = add_pairs(sum[r], own, fill(pair));
        }
    }
    for (int r = 0; r < rows; r++) {
        int16_t *at = params + (size_t)r * params_stride + first;
        const vec move = between(sum[r] >> ADAPTATION_SHIFT, -LIMIT, LIMIT);
        store_narrow(at, between(load_wide(at) + move, -LIMIT, LIMIT));
    }
}

/* Corrects the parameters of a channel of n sorted pixels of a tile, the first of them `first`. */
INLINE void correct_run(const OutputAdapter *t, int tile, int channel, int first, int n,
                        int16_t *params, int params_stride) {
    const int16_t *weight = corrections(t, tile, channel);
    const int16_t *hidden = t->hidden + (size_t)first * t->stride;
    params += (size_t)first * params_stride;
    for (int i = 0; i < n; i += ROWS) {
        const int rows = n - i < ROWS ? n - i : ROWS;
        for (int o = 0; o < t->size; o += VECTOR)
            correct_block(t, weight, hidden + (size_t)i * t->stride, rows, o,
                          params + (size_t)i * params_stride, params_stride);
    }
}

/* 1024 part / whole, off by less than one from its floor unless the share is beyond 2^22. */
INLINE vec guess_share(vec part, vec whole) {
    return __builtin_convertvector(
        __builtin_convertvector(part * 1024, reals) / __builtin_convertvector(whole, reals), vec);
}

/* floor(1024 part / whole), 0 < whole < 2^22. What is beyond 2^22 may be off, and is far beyond
 * what any gradient is clamped to. */
INLINE vec share_of(vec part, vec whole) {
    const vec found = guess_share(part, whole), rest = part * 1024 - found * whole;
    return found + (rest < 0) - (rest >= whole); /* true is -1 */
}

/* How far from a component of VECTOR pixels a bound is, and how much of it lies below. */
INLINE vec away_from(const Mixtures *m, int k, int at, vec bound) {
    const vec reach = load(m->reach[k] + at);
    const vec d = lesser(greater(position_of(bound) - load(m->mean[k] + at), -reach), reach);
    return between((d * load(m->inverse[k] + at)) >> 10, -32768, 32767);
}

INLINE vec share_below(const Tables *tables, vec away) {
    const vec u = away + 32768, piece = look_up(tables->logistic, u >> 7);
    const vec rise = (vec)((unsigned_vec)piece >> 16);
    return (piece & 0xffff) + ((rise * (u & 127)) >> 7);
}

/* How the share below a bound falls with the logarithm of the scale. */
INLINE vec slant(vec away, vec share) { return (away * ((share * (32768 - share)) >> 15)) >> 11; }

/* Gradients of VECTOR pixels with these values: each kind [mixtures][VECTOR], a stride apart. */
INLINE void mixture_gradients(const Network *net, const Mixtures *m, int at, vec value, int stride,
                              int16_t *gradient) {
    const int count = net->sizes.mixtures;
    const vec exact = load(m->width + at) == 1;
    vec mass[MAX_MIXTURES], spread[MAX_MIXTURES], both[MAX_MIXTURES], all = fill(1), whole = {0};
    for (int k = 0; k < count; k++) {
        const vec weight = load(m->weight[k] + at);
        const vec start = away_from(m, k, at, value), end = away_from(m, k, at, value + 1);
        const vec low = share_below(&net->tables, start) & ~(value == 0);
        const vec high = choose(value == 255, fill(32768), share_below(&net->tables, end));
        mass[k] = (weight * (high - low)) >> 5;
        spread[k] = (weight * (slant(end, high) - slant(start, low))) >> 5;
        both[k] = low + high;
        all += mass[k], whole += weight;
    }
    for (int k = 0; k < count; k++) {
        const vec own = share_of(mass[k], all);
        const vec gradients[3] = {
            /* Of numbers below 2^12, where floats come no closer to the next integer. */
            (guess_share(load(m->weight[k] + at), whole) - own + 4) >> 3,
            (own * (32768 - both[k]) + (1 << 17)) >> 18,
            (share_of(spread[k], all) + 16) >> 5,
        };
        for (int i = 0; i < 3; i++)
            store_narrow(gradient + (size_t)(i * count + k) * stride,
                         between(gradients[i], -OUTPUT_GRADIENT_LIMIT, OUTPUT_GRADIENT_LIMIT) &
                             exact);
    }
}

/* Adds the products of four rows of gradients with `columns` vectors of hidden features. */
INLINE void add_gradients(const OutputAdapter *t, const int16_t *gradient, int count, int column,
                          int columns, int32_t *sums) {
    vec sum[4][2];
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < columns; c++)
            sum[r][c] = load(sums + (size_t)r * t->features + column + c * VECTOR);
    const int32_t *pairs = t->pairs + column;
    for (int q = 0; q < count; q++, pairs += t->features) {
        const vec left = load(pairs), right = columns > 1 ? load(pairs + VECTOR) : left;
#pragma GCC unroll 4
        for (int r = 0; r < 4; r++) {
            const int16_t *own = gradient + (size_t)r * t->capacity + 2 * q;
            const vec pair = fill((int32_t)((uint16_t)own[0] | (uint32_t)own[1] << 16));
            sum[r][0] = add_pairs(sum[r][0], left, pair);
            if (columns > 1) sum[r][1] = add_pairs(sum[r][1], right, pair);
        }
    }
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < columns; c++)
            store(sums + (size_t)r * t->features + column + c * VECTOR, sum[r][c]);
}

/* The sum of n numbers. */
INLINE int32_t sum_shorts(const int16_t *from, int n) {
    vec sums = {0};
    int32_t lanes[VECTOR], sum = 0;
    int i = 0;
    for (; i + 2 * VECTOR <= n; i += 2 * VECTOR)
        sums = add_pairs(sums, load_pairs(from + i), fill(0x10001));
    for (; i < n; i++) sum += from[i];
    store(lanes, sums);
    for (int lane = 0; lane < VECTOR; lane++) sum += lanes[lane];
    return sum;
}

/* Adds the gradients of n pixels to the sums of their tile; the first pixel is number `first`
 * in coding order. */
static void accumulate_run(const OutputAdapter *t, int tile, int channel, const int32_t *rank,
                           int first, int n) {
    int32_t *sums = tile_sums(t, tile, channel), *bias = bias_sums(t, tile, channel);
    for (int row = 0; row < t->size; row++)
        bias[row] += sum_shorts(t->gradient + (size_t)row * t->capacity + first, n);
    for (int i = 0; i < n; i += 2 * JOINED) {
        const int some = n - i < 2 * JOINED ? n - i : 2 * JOINED;
        const int count = (some + 1) / 2;
        /* A last pixel alone is joined with zeros, so the gradient behind it counts nothing. */
        join_rows(t->hidden, t->stride, t->features, rank + first + i, some, t->pairs);
        for (int row = 0; row < t->size; row += 4) {
            const int16_t *gradient = t->gradient + (size_t)row * t->capacity + first + i;
            int32_t *own = sums + (size_t)row * t->features;
            int column = 0;
            for (; column + 2 * VECTOR <= t->features; column += 2 * VECTOR)
                add_gradients(t, gradient, count, column, 2, own);
            if (column < t->features) add_gradients(t, gradient, count, column, 1, own);
        }
    }
}

INLINE void step_weight(const OutputAdapter *t, int16_t *weight, int32_t sum) {
    const int moved = *weight - t->rate * ((sum > 0) - (sum < 0));
    *weight = (int16_t)(moved > ADAPTATION_LIMIT    ? ADAPTATION_LIMIT
                        : moved < -ADAPTATION_LIMIT ? -ADAPTATION_LIMIT
                                                : moved);
}

/* Steps each correction of a channel against its sum, and clears the sums. */
static void step_corrections(const OutputAdapter *t, int tile, int channel) {
    int16_t *weight = corrections(t, tile, channel);
    int32_t *sums = tile_sums(t, tile, channel), *bias = bias_sums(t, tile, channel);
    for (int i = 0; i < t->features; i++)
        for (int o = 0; o < t->size; o++)
            step_weight(t, weight + 2 * ((size_t)(i / 2) * t->room + o) + i % 2,
                        sums[(size_t)o * t->features + i]);
    for (int o = 0; o < t->size; o++)
        step_weight(t, weight + 2 * ((size_t)(t->features / 2) * t->room + o), bias[o]);
    memset(sums, 0, sums_each(t) * sizeof *sums);
    memset(bias, 0, rows_each(t) * sizeof *bias);
}
