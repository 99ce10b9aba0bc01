/* Local least-squares predictors, which learn while a tile is coded; see predictor.py.
 *
 * Sums of products are int32, and what is solved for are integers in doubles: all stay below
 * 2^53 (see bounds.py), so that every order of adding them up gives the same.
 */
#pragma once

#include "products.h"

enum {
    PREDICTOR_BITS = 12,
    PREDICTOR_LIMIT = 32767,
    RIDGE = 2000,
    FARTHEST_STEP = 1 << 17, /* from any weight, it ends beyond the limit on either side */
    WIDE_ROOM = (TAP_VALUES + 3 + 15) / 16 * 16,
    SOLVED_AT_ONCE = 4, /* a processor overlaps the solutions of so many strips */
    HALF = VECTOR / 2,
};

typedef double doubles __attribute__((vector_size(8 * HALF)));
typedef int32_t half_vec __attribute__((vector_size(4 * HALF)));

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

INLINE doubles load_doubles(const double *from) {
    doubles v;
    memcpy(&v, from, sizeof v);
    return v;
}

INLINE void store_doubles(double *to, doubles v) { memcpy(to, &v, sizeof v); }

INLINE half_vec load_half(const int32_t *from) {
    half_vec v;
    memcpy(&v, from, sizeof v);
    return v;
}

INLINE doubles as_doubles(half_vec v) {
#if defined(LEVEL_AVX512)
    return (doubles)_mm512_cvtepi32_pd((__m256i)v);
#elif defined(LEVEL_AVX2)
    return (doubles)_mm256_cvtepi32_pd((__m128i)v);
#else
    return __builtin_convertvector(v, doubles);
#endif
}

/* What is solved for, of one strip. left[c][i]: by how much the products of number i with
 * channel c, and with what its weights make of all numbers, differ. moved[c][k]: by how much
 * number k of a block moved last. */
typedef struct {
    double *total;    /* [all][stride] */
    int16_t *weights; /* [3][room] */
    double left[3][WIDE_ROOM], moved[3][HALF];
} Solution;

/* The sums of a strip, the one above it and the prior, as doubles. */
static void total_sums(const Learner *l, int strip, double *total) {
    const Predictor *p = l->p;
    const int32_t *own = l->sums + strip * sums_size(p), *above = own - sums_size(p);
    for (int i = 0; i < p->all * p->stride; i += HALF) {
        const half_vec sum = load_half(own + i) + load_half(above + i) + load_half(p->prior + i);
        store_doubles(total + i, as_doubles(sum));
    }
}

static void begin_solution(const Learner *l, int strip, double *total, Solution *s) {
    const Predictor *p = l->p;
    double weight[3][WIDE_ROOM];
    s->total = total, s->weights = weights_of(l, strip);
    total_sums(l, strip, total);
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < p->all - 1; i++) weight[c][i] = s->weights[c * p->room + i];
    for (int j = 0; j < p->all - 1; j += HALF) {
        const double *targets = total + (size_t)p->known * p->stride + j;
        doubles left[3];
        for (int c = 0; c < 3; c++)
            left[c] = load_doubles(targets + c * p->stride) * (double)(1 << PREDICTOR_BITS);
        for (int i = 0; i < p->all - 1; i++) {
            const doubles products = load_doubles(total + (size_t)i * p->stride + j);
            for (int c = 0; c < 3; c++) left[c] -= products * weight[c][i];
        }
        for (int c = 0; c < 3; c++) store_doubles(s->left[c] + j, left[c]);
    }
}

/* Moves the weight of number i in the channels from `first` on to where its equation holds; what
 * is left of the others of its block follows. */
INLINE void descend(const Predictor *p, Solution *s, int i, int first) {
    const double *row = s->total + (size_t)i * p->stride;
    const double divisor = row[i] + RIDGE;
    const int start = i / HALF * HALF;
    const doubles products = load_doubles(row + start);
    for (int c = 0; c < 3; c++) s->moved[c][i - start] = 0;
    for (int c = first; c < 3; c++) {
        double step = s->left[c][i] / divisor;
        step = step > FARTHEST_STEP ? FARTHEST_STEP : step < -FARTHEST_STEP ? -FARTHEST_STEP : step;
        const int32_t old = s->weights[c * p->room + i];
        int32_t next = old + (int32_t)step;
        next = next > PREDICTOR_LIMIT ? PREDICTOR_LIMIT : next;
        next = next < -PREDICTOR_LIMIT ? -PREDICTOR_LIMIT : next;
        s->weights[c * p->room + i] = (int16_t)next;
        const double moved = next - old;
        s->moved[c][i - start] = moved;
        store_doubles(s->left[c] + start, load_doubles(s->left[c] + start) - products * moved);
    }
}

/* What is left of the numbers from j to before `end` follows the moves of the block at `start`. */
INLINE void follow_block(const Predictor *p, Solution *s, int start, int j, int end) {
    const int rows = p->all - 1 - start < HALF ? p->all - 1 - start : HALF;
    for (; j < end; j += HALF) {
        doubles left[3];
        for (int c = 0; c < 3; c++) left[c] = load_doubles(s->left[c] + j);
        for (int k = 0; k < rows; k++) {
            const doubles products = load_doubles(s->total + (size_t)(start + k) * p->stride + j);
            for (int c = 0; c < 3; c++) left[c] -= products * s->moved[c][k];
        }
        for (int c = 0; c < 3; c++) store_doubles(s->left[c] + j, left[c]);
    }
}

/* One sweep through the weights of `count` strips; in the last one only later numbers follow. */
static void sweep(const Predictor *p, Solution *s, int count, int is_last) {
    const int size = p->all - 1;
    for (int start = 0; start < size; start += HALF) {
        const int end = start + HALF < size ? start + HALF : size;
        for (int i = start; i < end; i++)
            for (int k = 0; k < count; k++) {
                if (i < p->known)
                    descend(p, s + k, i, 0);
                else
                    descend(p, s + k, i, i - p->known + 1);
            }
        for (int k = 0; k < count; k++) {
            if (!is_last) follow_block(p, s + k, start, 0, start);
            follow_block(p, s + k, start, start + HALF, size);
        }
    }
}

static void solve(const Learner *l, int strip, int count) {
    const Predictor *p = l->p;
    Solution s[SOLVED_AT_ONCE];
    for (int k = 0; k < count; k++)
        begin_solution(l, strip + k, l->total + (size_t)k * p->all * p->stride, s + k);
    for (int i = 1; i <= p->sizes.sweeps; i++) sweep(p, s, count, i == p->sizes.sweeps);
}

static void forget(const Learner *l, int strip) {
    const size_t size = sums_size(l->p);
    int32_t *sums = l->sums + strip * size;
    for (size_t i = 0; i < size; i += VECTOR)
        store(sums + i, load(sums + i) - (load(sums + i) >> l->p->sizes.forget));
}

/* After a step that had pixels in these strips of a tile, none if last < first. */
static void update_tile(const Learner *l, int tile, int first, int last) {
    first += tile * l->strips, last += tile * l->strips;
    for (int strip = first; strip <= last; strip++) add_pixels(l, strip);
    for (int strip = first; strip <= last; strip += SOLVED_AT_ONCE) {
        const int rest = last - strip + 1;
        solve(l, strip, rest < SOLVED_AT_ONCE ? rest : SOLVED_AT_ONCE);
    }
    for (int strip = first; strip <= last; strip++) forget(l, strip);
    /* No strip will use the pixels that another one has seen after its last update. */
    memset(l->count + (size_t)tile * l->strips, 0, (size_t)l->strips * sizeof *l->count);
}
