/* Hidden layers that learn while a tile is decoded; see hidden_adaptation.py.
 *
 * A tile has weights of its own, in 1/32 of the model's. All entropy models share their changes.
 *
 * Bounds. A sum of the model's own products stays below 2^24 (bounds.py), and below 2^29 in finer
 * steps. Changes lie in +-1023. A layer has at most 512 inputs in +-2047, a one of 128, and at most
 * 10 inputs of a head in +-508: 1023 * (512 * 2047 + 128 + 10 * 508) < 2^30 + 2^22. Together that
 * stays below 2^31. A weight, 127 * 32 + 1023, has 16 bits.
 *
 * The sum of a weight adds up gradients in +-511 times inputs in +-2047 over the pixels from one
 * update to the next: at most every - 1, and those of the step that completes them, of which a tile
 * has half its edge. weights.py allows every <= 1024 and tiles up to 2048 x 2048, so sums stay
 * below 2047 * 511 * 2047 < 2^31. With memory both limits are halved: a sum that starts at s / 2
 * stays below twice what is added, which is the same.
 */
#pragma once

#include "mixture.h"

enum {
    HIDDEN_ONE = 128,
    FINE_BITS = 5,
    CHANGE_LIMIT = 1023,
    LEAST_GRADIENT = 64, /* of a pixel, in the mean */
    GRADIENT_LIMIT = 511,
    PULL_LIMIT = 65535,
    GRADIENT_STRIDE = 32, /* of a pixel's gradients of mixture parameters, padded */
    JOINED = 48,          /* pairs of pixels whose numbers stay in a near cache */
};

/* One layer in all tiles of a group. */
typedef struct {
    int in, out, steps, models, rate;
    int least;        /* a weight whose sum is no larger stays */
    int memory;       /* whether half of the sums stays after a step */
    int in_room;      /* inputs, padded to whole vectors */
    int rows;         /* inputs, padded to whole blocks of sums */
    int16_t *change;  /* [tiles][out / VECTOR][steps][VECTOR][2], in 1/32 of a weight */
    int16_t *weight;  /* [tiles][models] of the same: the model's and the changes */
    int32_t *bias;    /* [tiles][out], changes */
    int32_t *start;   /* [tiles][models][out] */
    int32_t *shift;   /* [models][out] */
    int32_t *sum;     /* [tiles][rows + 1][out]: of inputs times gradients; a last row of ones */
    int32_t *inputs;  /* [JOINED][in_room]: of two pixels in each lane */
    int32_t *joined;  /* [JOINED][out] */
} AdaptedLayer;

static void free_adapted_layer(AdaptedLayer *l) {
    free(l->change), free(l->weight), free(l->bias), free(l->start), free(l->shift);
    free(l->sum), free(l->inputs), free(l->joined);
}

INLINE size_t adapted_size(const AdaptedLayer *l) { return 2 * (size_t)l->steps * l->out; }

INLINE int16_t *adapted_weights(const AdaptedLayer *l, int tile, int label) {
    return l->weight + ((size_t)tile * l->models + label) * adapted_size(l);
}

INLINE int32_t *adapted_sums(const AdaptedLayer *l, int tile) {
    return l->sum + (size_t)tile * (l->rows + 1) * l->out;
}

/* Where the weight of input i for output o stands. */
INLINE size_t adapted_place(const AdaptedLayer *l, int o, int i) {
    return (((size_t)(o / VECTOR) * l->steps + i / 2) * VECTOR + o % VECTOR) * 2 + i % 2;
}

/* Begins with the model's layers, one of each entropy model. Returns 0 out of memory. */
static int make_adapted_layer(AdaptedLayer *l, const Layer *model, int models, int tiles,
                              const AdaptationSizes *adaptation, int rate) {
    l->in = model->in, l->out = model->out, l->steps = (model->in + 1) / 2;
    l->models = models, l->rate = rate, l->least = LEAST_GRADIENT * adaptation->every;
    l->memory = adaptation->memory;
    l->in_room = round_up(model->in, 16);
    l->rows = round_up(model->in, 4);
    const size_t each = adapted_size(l), out = (size_t)l->out;
    l->change = aligned_room(tiles * each * sizeof *l->change);
    l->weight = aligned_room((size_t)tiles * models * each * sizeof *l->weight);
    l->bias = aligned_room(tiles * out * sizeof *l->bias);
    l->start = aligned_room((size_t)tiles * models * out * sizeof *l->start);
    l->shift = aligned_room(models * out * sizeof *l->shift);
    l->sum = aligned_room(tiles * ((size_t)l->rows + 1) * out * sizeof *l->sum);
    l->inputs = aligned_room((size_t)JOINED * l->in_room * sizeof *l->inputs);
    l->joined = aligned_room(JOINED * out * sizeof *l->joined);
    if (!l->change || !l->weight || !l->bias || !l->start || !l->shift || !l->sum || !l->inputs ||
        !l->joined)
        return 0;
    for (int e = 0; e < models; e++)
        for (int o = 0; o < l->out; o++) {
            l->shift[e * out + o] = model[e].shift[o] + FINE_BITS;
            l->start[e * out + o] = model[e].start[o] * (1 << FINE_BITS);
            for (int i = 0; i < l->in; i++)
                adapted_weights(l, 0, e)[adapted_place(l, o, i)] =
                    (int16_t)(weight_of(model + e, o, i) * (1 << FINE_BITS));
        }
    for (int tile = 1; tile < tiles; tile++) {
        memcpy(adapted_weights(l, tile, 0), l->weight, models * each * sizeof *l->weight);
        memcpy(l->start + tile * models * out, l->start, models * out * sizeof *l->start);
    }
    return 1;
}

/* `columns` vectors of outputs from `first` on of up to ROWS pixels, `rows` of which are kept. */
INLINE void adapted_block(const AdaptedLayer *l, const int16_t *weight, const int32_t *start,
                          const int32_t *shift, const int16_t *in, int in_stride, int first,
                          int columns, int rows, int16_t *out, int out_stride) {
    const size_t column = 2 * (size_t)l->steps * VECTOR;
    vec sum[ROWS][2];
    weight += first * column;
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < columns; c++) sum[r][c] = load(start + (first + c) * VECTOR);
    for (int i = 0; i < l->steps; i++, weight += 2 * VECTOR) {
        const vec left = load_pairs(weight);
        const vec right = columns > 1 ? load_pairs(weight + column) : left;
#pragma GCC unroll 8
        for (int r = 0; r < ROWS; r++) {
            int32_t pair;
            memcpy(&pair, in + (size_t)r * in_stride + 2 * i, sizeof pair);
            sum[r][0] = add_pairs(sum[r][0], left, fill(pair));
            if (columns > 1) sum[r][1] = add_pairs(sum[r][1], right, fill(pair));
        }
    }
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++) {
            vec y = sum[r][c] >> load(shift + (first + c) * VECTOR);
            y = between(y, -LIMIT, LIMIT);
            store_narrow(out + (size_t)r * out_stride + (first + c) * VECTOR, greater(y, y >> 3));
        }
}

/* The layer on n pixels of a tile: in [n][in_stride], out [n][out_stride], ROWS rows of `in` to
 * spare. */
INLINE void apply_adapted_layer(const AdaptedLayer *l, int tile, int label, const int16_t *in,
                                int in_stride, int n, int16_t *out, int out_stride) {
    const int16_t *weight = adapted_weights(l, tile, label);
    const int32_t *start = l->start + ((size_t)tile * l->models + label) * l->out;
    const int32_t *shift = l->shift + (size_t)label * l->out;
    const int columns = l->out / VECTOR;
    for (int i = 0; i < n; i += ROWS) {
        const int rows = n - i < ROWS ? n - i : ROWS;
        const int16_t *from = in + (size_t)i * in_stride;
        int16_t *to = out + (size_t)i * out_stride;
        int first = 0;
        for (; first + 2 <= columns; first += 2)
            adapted_block(l, weight, start, shift, from, in_stride, first, 2, rows, to, out_stride);
        if (first < columns)
            adapted_block(l, weight, start, shift, from, in_stride, first, 1, rows, to, out_stride);
    }
}

/* Joins `count` numbers of each of n rows pair by pair; rank: which rows those are. A last one
 * alone is joined with zeros. */
INLINE void join_rows(const int16_t *from, int stride, int count, const int32_t *rank, int n,
                      int32_t *pairs) {
    for (int i = 0; i < n; i += 2, pairs += count) {
        const int16_t *one = from + (size_t)rank[i] * stride;
        const int16_t *other = from + (size_t)rank[i + 1 < n ? i + 1 : i] * stride;
        const vec keep = fill(i + 1 < n ? -1 : 0);
        for (int j = 0; j < count; j += VECTOR)
            store(pairs + j,
                  (load_wide(one + j) & 0xffff) | ((load_wide(other + j) & keep) << 16));
    }
}

/* Adds the gradients of n pixels of a tile times their inputs to its sums. rank: the rows of the
 * pixels. Both arrays have rows of whole vectors that may be read. */
static void accumulate_gradients(const AdaptedLayer *l, int tile, const int16_t *in, int in_stride,
                                 const int16_t *gradient, int stride, const int32_t *rank, int n) {
    int32_t *sums = adapted_sums(l, tile), *bias = sums + (size_t)l->rows * l->out;
    for (int i = 0; i < n; i += 2 * JOINED) {
        const int some = n - i < 2 * JOINED ? n - i : 2 * JOINED, pairs = (some + 1) / 2;
        join_rows(in, in_stride, l->in_room, rank + i, some, l->inputs);
        join_rows(gradient, stride, l->out, rank + i, some, l->joined);
        add_products_of_rows(l->inputs, l->in_room, l->joined, pairs, l->rows, sums, l->out);
        for (int at = 0; at < l->out; at += VECTOR) {
            vec sum = load(bias + at);
            for (int q = 0; q < pairs; q++)
                sum = add_pairs(sum, load(l->joined + (size_t)q * l->out + at),
                                fill(HIDDEN_ONE * 0x10001));
            store(bias + at, sum);
        }
    }
}

/* Steps VECTOR changes against the sums of their weights; returns by how much they moved. */
INLINE vec step_change(const AdaptedLayer *l, vec *change, vec sum) {
    const vec old = *change;
    const vec way = (sum > l->least) - (sum < -l->least);
    *change = between(old + l->rate * way, -CHANGE_LIMIT, CHANGE_LIMIT);
    return *change - old; /* true is -1 */
}

INLINE vec join_halves(vec low, vec high) { return (low & 0xffff) | (high << 16); }

/* Steps the weights of a pair of inputs for VECTOR outputs. */
INLINE void step_pair(const AdaptedLayer *l, int tile, size_t place, vec first, vec second) {
    int16_t *at = l->change + tile * adapted_size(l) + place;
    vec pair = load_pairs(at), low = (pair << 16) >> 16, high = pair >> 16;
    const vec by_low = step_change(l, &low, first), by_high = step_change(l, &high, second);
    pair = join_halves(low, high);
    memcpy(at, &pair, sizeof pair);
    for (int e = 0; e < l->models; e++) {
        int16_t *own = adapted_weights(l, tile, e) + place;
        const vec weights = load_pairs(own);
        pair = join_halves(weights + by_low, (weights >> 16) + by_high);
        memcpy(own, &pair, sizeof pair);
    }
}

/* Clears n sums, or with memory halves them, rounding down. */
static void decay_sums(const AdaptedLayer *l, int32_t *sums, size_t n) {
    if (!l->memory) {
        memset(sums, 0, n * sizeof *sums);
        return;
    }
    for (size_t i = 0; i < n; i++) sums[i] >>= 1;
}

/* Steps all weights of a tile against their sums. */
static void step_adapted_layer(const AdaptedLayer *l, int tile) {
    int32_t *sums = adapted_sums(l, tile);
    for (int at = 0; at < l->out; at += VECTOR) {
        for (int i = 0; i < l->steps; i++) {
            const int32_t *sum = sums + 2 * (size_t)i * l->out + at;
            const vec second = 2 * i + 1 < l->in ? load(sum + l->out) : fill(0);
            step_pair(l, tile, ((size_t)(at / VECTOR) * l->steps + i) * 2 * VECTOR, load(sum),
                      second);
        }
        int32_t *bias = l->bias + (size_t)tile * l->out + at;
        vec change = load(bias);
        const vec sum = load(sums + (size_t)l->rows * l->out + at);
        const vec by = step_change(l, &change, sum);
        store(bias, change);
        for (int e = 0; e < l->models; e++) {
            int32_t *start = l->start + ((size_t)tile * l->models + e) * l->out + at;
            store(start, load(start) + by * HIDDEN_ONE);
        }
    }
    decay_sums(l, sums, ((size_t)l->rows + 1) * l->out);
}
