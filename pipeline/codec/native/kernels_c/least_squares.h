/* The weights of predictors by least squares: coordinate descent over the sums of their strips.
 *
 * Bounds. Integers in doubles, all below 2^53, so that any order of additions gives the same. A sum
 * of products stays below 2^30 (bounds.py) and a weight lies in +-(2^15 - 1) at any time. What is
 * left of an equation is a sum times 2^12, less at most 68 sums times a weight:
 * 2^42 + 68 * 2^45 < 2^52. A weight moves by less than 2^16, a product with a sum stays below 2^46.
 * The one division is rounded alike everywhere, and cut off to a whole number.
 */
#pragma once

#include "predictor.h"

enum {
    RIDGE = 2000,
    FARTHEST_STEP = 1 << 17, /* from any weight, it ends beyond the limit on either side */
    WIDE_ROOM = (TAP_VALUES + 3 + 15) / 16 * 16,
    HALF = VECTOR / 2,
};

typedef double doubles __attribute__((vector_size(8 * HALF)));
typedef int32_t half_vec __attribute__((vector_size(4 * HALF)));

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
