/* What a predictor has seen and what it predicts from; see predictor.py. It learns while a tile is
 * coded: least_squares.h solves for its weights.
 *
 * Bounds. Sums of products and the prior stay below 2^30 together (bounds.py).
 */
#pragma once

#include "products.h"

enum {
    PREDICTOR_BITS = 12,
    PREDICTOR_LIMIT = 32767,
    SOLVED_AT_ONCE = 4, /* a processor overlaps the solutions of so many strips */
};

/* Taps that follow each other in a pixel's inputs. */
typedef struct {
    int from, to, count;
} Run;

typedef struct {
    PredictorSizes sizes;
    int known;  /* T: regressors of the taps */
    int all;    /* T + 3: the residuals of the pixel's channels stand behind them */
    int stride; /* of a row of sums, padded to whole vectors */
    int room;   /* of a row of int16 numbers or weights, padded to whole vectors */
    int per_row; /* 2^20 / rows, rounded up */
    Run runs[TAPS];
    int run_count;
    int32_t *prior; /* [all][stride] */
    int16_t *start; /* [3][room] */
} Predictor;

static void free_predictor(Predictor *p) { free(p->prior), free(p->start); }

INLINE int round_up(int n, int unit) { return (n + unit - 1) / unit * unit; }

/* Finds where the taps that a predictor sees follow each other. */
static void find_runs(Predictor *p) {
    const uint8_t *seen = p->sizes.seen;
    int to = 0;
    for (int i = 0; i < TAPS; i++) {
        if (!seen[i]) continue;
        if (!i || !seen[i - 1]) p->runs[p->run_count++] = (Run){3 * i, to, 0};
        p->runs[p->run_count - 1].count += 3;
        to += 3;
    }
}

/* prior: [T + 3][T + 3]. start: [3][T + 2]. Returns 0 out of memory. */
static int pack_predictor(Predictor *p, const PredictorSizes *sizes, const int32_t *prior,
                          const int32_t *start) {
    p->sizes = *sizes;
    p->known = 3 * sizes->taps, p->all = p->known + 3;
    p->stride = round_up(p->all, VECTOR > 4 ? VECTOR : 8), p->room = round_up(p->all, 2 * VECTOR);
    p->per_row = ((1 << 20) + sizes->rows - 1) / sizes->rows;
    find_runs(p);
    p->prior = aligned_room((size_t)p->all * p->stride * sizeof *p->prior);
    p->start = aligned_room(3 * (size_t)p->room * sizeof *p->start);
    if (!p->prior || !p->start) return 0;
    for (int i = 0; i < p->all; i++)
        memcpy(p->prior + (size_t)i * p->stride, prior + (size_t)i * p->all,
               (size_t)p->all * sizeof *prior);
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < p->all - 1; i++)
            p->start[(size_t)c * p->room + i] = (int16_t)start[c * (p->all - 1) + i];
    return 1;
}

/* One predictor in the tiles of a group: the strips of a tile follow each other, after an empty
 * one that stands above its first. */
typedef struct {
    const Predictor *p;
    int tiles, strips; /* of each tile */
    int capacity;      /* pixels of a strip from one update to the next, and two that fill a pair */
    int32_t *sums;     /* [tiles][strips][padded all][stride] */
    int16_t *weights;  /* [tiles][strips][3][room] */
    int16_t *numbers;  /* [tiles][strips][capacity][room]: of pixels since the last update */
    int *count;        /* [tiles][strips]: how many those are */
    int32_t *pairs;    /* [capacity / 2][stride] */
    double *total;     /* [SOLVED_AT_ONCE][all][stride] */
} Learner;

INLINE size_t sums_size(const Predictor *p) { return (size_t)round_up(p->all, 4) * p->stride; }

static void free_learner(Learner *l) {
    free(l->sums), free(l->weights), free(l->numbers);
    free(l->count), free(l->pairs), free(l->total);
}

/* height: of the highest tile. Returns 0 out of memory. */
static int make_learner(Learner *l, const Predictor *p, int tiles, int height) {
    const PredictorSizes *s = &p->sizes;
    l->p = p, l->tiles = tiles, l->strips = (height + s->rows - 1) / s->rows + 1;
    l->capacity = s->rows * s->every + 2;
    const size_t strips = (size_t)tiles * l->strips;
    l->sums = aligned_room(strips * sums_size(p) * sizeof *l->sums);
    l->weights = aligned_room(strips * 3 * p->room * sizeof *l->weights);
    l->numbers = aligned_room(strips * l->capacity * p->room * sizeof *l->numbers);
    l->count = aligned_room(strips * sizeof *l->count);
    l->pairs = aligned_room((size_t)l->capacity / 2 * p->stride * sizeof *l->pairs);
    l->total = aligned_room((size_t)SOLVED_AT_ONCE * p->all * p->stride * sizeof *l->total);
    return l->sums && l->weights && l->numbers && l->count && l->pairs && l->total;
}

/* y / rows without a division: exact while y < 2^20 / rows. */
INLINE int strip_of(const Learner *l, int tile, int y) {
    return tile * l->strips + (int)((int64_t)y * l->p->per_row >> 20) + 1;
}

INLINE int16_t *weights_of(const Learner *l, int strip) {
    return l->weights + (size_t)strip * 3 * l->p->room;
}

INLINE int16_t *numbers_of(const Learner *l, int strip, int i) {
    return l->numbers + ((size_t)strip * l->capacity + i) * l->p->room;
}

/* Before step t: strips that begin with it take the weights of the one above as they are now. */
static void begin_strips(const Learner *l, int t) {
    const Predictor *p = l->p;
    if (t % (2 * p->sizes.rows)) return;
    const int number = t / (2 * p->sizes.rows) + 1;
    if (number >= l->strips) return;
    for (int tile = 0; tile < l->tiles; tile++) {
        const int strip = tile * l->strips + number;
        memcpy(weights_of(l, strip), number == 1 ? p->start : weights_of(l, strip - 1),
               3 * (size_t)p->room * sizeof *p->start);
    }
}

/* Takes the taps of a pixel [TAP_VALUES, with LANES to spare] for a number more of its strip;
 * the residuals are 0 until they are known. */
INLINE int16_t *add_numbers(const Learner *l, int strip, const int16_t *taps) {
    const Predictor *p = l->p;
    int16_t *to = numbers_of(l, strip, l->count[strip]++);
    for (int r = 0; r < p->run_count; r++)
        for (int i = 0; i < p->runs[r].count; i += LANES)
            memcpy(to + p->runs[r].to + i, taps + p->runs[r].from + i, LANES * sizeof *to);
    memset(to + p->known, 0, (size_t)(p->room - p->known) * sizeof *to);
    return to;
}

/* The sums of products of weights and numbers, for each channel. */
INLINE quad weigh(const Predictor *p, const int16_t *weights, const int16_t *numbers) {
    vec sum[3] = {0};
    for (int i = 0; i < p->room; i += 2 * VECTOR) {
        const vec pairs = load_pairs(numbers + i);
        for (int c = 0; c < 3; c++)
            sum[c] = add_pairs(sum[c], load_pairs(weights + c * p->room + i), pairs);
    }
    return sums_of(sum);
}

/* Two rows of numbers in the halves of lanes. */
INLINE void join_pair(const Predictor *p, const int16_t *rows, int32_t *pairs) {
    for (int j = 0; j < p->stride; j += VECTOR) {
        const vec first = load_wide(rows + j), second = load_wide(rows + p->room + j);
        store(pairs + j, (first & 0xffff) | (second << 16));
    }
}

/* Adds what the pixels of a strip were since the last update to its sums. */
static void add_pixels(const Learner *l, int strip) {
    const Predictor *p = l->p;
    const int count = (l->count[strip] + 1) / 2;
    int32_t *sums = l->sums + strip * sums_size(p);
    memset(numbers_of(l, strip, l->count[strip]), 0, (size_t)p->room * sizeof *l->numbers);
    for (int q = 0; q < count; q++)
        join_pair(p, numbers_of(l, strip, 2 * q), l->pairs + (size_t)q * p->stride);
    add_products_of_rows(l->pairs, p->stride, l->pairs, count, p->all, sums, p->stride);
    l->count[strip] = 0;
}
