/* The code length of each block of a tile group under each entropy model. */
#pragma once

#include "group.h"

/* log2(v) in 1/256 bit, 1 <= v < 2^24, which a float holds exactly: its exponent is the whole
 * part, and its first ten bits look up the rest. */
INLINE vec log2_q8(const int32_t *table, vec v) {
    vec bits;
    const reals real = __builtin_convertvector(v, reals);
    memcpy(&bits, &real, sizeof bits);
    return (((bits >> 23) - 127) << 8) + look_up(table, (bits >> 13) & 1023);
}

/* Adds the code lengths in 1/256 bit of one channel of the LANES pixels from `first` on. */
INLINE void add_lengths(const Group *g, const Step *s, const int32_t *log2_table, int first,
                        int channel, const int32_t value[LANES], int32_t lengths[LANES]) {
    Mixtures m;
    mix(g, s, first, channel, &m);
    for (int lane = 0; lane < LANES; lane++) m.first[lane] = 0, m.width[lane] = 1;
    for (int at = 0; at < LANES; at += VECTOR) {
        const vec v = load(value + at);
        const vec mass = below_bin(g->net, &m, at, v + 1) - below_bin(g->net, &m, at, v) + FLOOR;
        const vec all = load(m.total + at) + 256 * FLOOR;
        const vec length = log2_q8(log2_table, all) - log2_q8(log2_table, mass);
        store(lengths + at, load(lengths + at) + length);
    }
}

/* Adds the code lengths of a channel of the first n pixels under one entropy model. cost: [n], of
 * the block of each pixel, [entropy models]. */
static void add_costs(const Group *g, Step *s, const int32_t *log2_table, int label, int channel,
                      int n, int64_t *const *cost) {
    for (int first = 0; first < n; first += LANES) {
        const int count = n - first < LANES ? n - first : LANES;
        int32_t lengths[LANES] = {0}, value[LANES] = {0};
        for (int i = 0; i < count; i++) value[i] = g->canvas[s->place[first + i].at + channel];
        add_lengths(g, s, log2_table, first, channel, value, lengths);
        for (int i = 0; i < count; i++) cost[first + i][label] += lengths[i];
    }
    spend(g, s, MIXTURES_PART);
}

/* The pixels of a row of a tile, all known, in the order in which they lie. */
static int list_row(const Group *g, int tile, int y, Step *s) {
    const int n = g->size[2 * tile + 1];
    for (int x = 0; x < n; x++) s->place[x] = place_of(g, tile, y, x);
    return n;
}

/* The pixels of step t, those of even rows first; returns how many those are. */
static int list_even_first(const Group *g, int t, Step *s, int *all) {
    int even = 0;
    *all = list_step(g, t, s);
    for (int i = 0; i < *all; i++) {
        if (s->y[i] % 2) continue;
        const Place place = s->place[i];
        const int32_t tile = s->tile[i], y = s->y[i];
        s->place[i] = s->place[even], s->tile[i] = s->tile[even], s->y[i] = s->y[even];
        s->place[even] = place, s->tile[even] = tile, s->y[even++] = y;
    }
    return even;
}

/* Keeps the first n pixels in the order in which they are listed, whatever their labels. */
static void keep_order(const Group *g, Step *s, int n) {
    for (int i = 0; i < n; i++) {
        s->sorted[i] = s->place[i];
        s->order[i] = (uint32_t)i;
        s->row[i] = i * (params_stride(g->net) / 2);
    }
}

static void find_residuals(const Group *g, Step *s, int n) {
    for (int i = 0; i < n; i++)
        for (int c = 0; c < 2; c++)
            s->residual[c][i] = g->canvas[s->place[i].at + c] - s->contexts.med[c][i];
}

static void measure_row(const Group *g, Step *s, const int32_t *log2_table, int n,
                        int64_t *const *cost) {
    keep_order(g, s, n);
    fuse_step(g, s, n);
    find_residuals(g, s, n);
    for (int e = 0; e < g->net->sizes.entropy_models; e++) {
        mixture_params(g->net, 0, e, s->fused, n, s->scratch, NULL, g->net->sizes.hidden,
                       s->params);
        spend(g, s, LAYERS_PART);
        for (int c = 0; c < g->channels; c++) add_costs(g, s, log2_table, e, c, n, cost);
    }
}

static void take_values(const Group *g, Step *s, int n, int channel) {
    for (int i = 0; i < n; i++) s->value[i] = g->canvas[s->place[i].at + channel];
}

/* With predictors: measures the first n of all pixels of step t. Predictors learn from all. */
static void measure_step(const Group *g, Step *s, const int32_t *log2_table, int t, int n, int all,
                         int64_t *const *cost) {
    begin_step(g, s, t);
    keep_order(g, s, all);
    fuse_step(g, s, n);
    run_predictors(g, s, n, all);
    for (int c = 0; c < g->channels; c++) {
        complete_predictions(g->net, &s->adaptive, &s->contexts, all, c);
        prepare_heads(g, s, n, c);
        for (int e = 0; e < g->net->sizes.entropy_models; e++) {
            mixture_params(g->net, c, e, s->fused, n, s->scratch, NULL, g->net->sizes.hidden,
                           s->params);
            spend(g, s, LAYERS_PART);
            add_costs(g, s, log2_table, e, c, n, cost);
        }
        take_values(g, s, all, c);
        end_channel(g, s, all, c);
    }
    learn_step(g, s, t, all);
}

static void measure_rows(const Group *g, Step *s, const int32_t *log2_table, int64_t *costs,
                         int64_t **cost) {
    for (int tile = 0; tile < g->tiles; tile++)
        for (int y = 0; y < g->size[2 * tile]; y += 2) {
            const int n = list_row(g, tile, y, s);
            for (int x = 0; x < n; x++)
                cost[x] = costs + block_of(g, tile, y, x) * g->net->sizes.entropy_models;
            measure_row(g, s, log2_table, n, cost);
        }
}

static void measure_steps(const Group *g, Step *s, const int32_t *log2_table, int64_t *costs,
                          int64_t **cost) {
    const int steps = step_count(g);
    for (int t = 0; t < steps; t++) {
        int all;
        const int n = list_even_first(g, t, s, &all);
        for (int i = 0; i < n; i++)
            cost[i] = costs + block_of(g, s->tile[i], s->y[i], t - 2 * s->y[i]) *
                                  g->net->sizes.entropy_models;
        measure_step(g, s, log2_table, t, n, all, cost);
    }
}

/* Only even rows are measured: they are enough to choose an entropy model by. */
static int measure_group(const Group *g, const int32_t *log2_table, int64_t *costs) {
    Step s;
    int64_t **cost = malloc(most_at_once(g) * sizeof *cost);
    const int made = make_step(&s, g) && cost;
    if (made)
        (g->net->sizes.predictors ? measure_steps : measure_rows)(g, &s, log2_table, costs, cost);
    free_step(&s);
    free(cost);
    return made ? 0 : -2;
}

static void keep_planes(const Network *net, const Step *s, int n, int channel, size_t samples,
                        Planes *planes) {
    for (int p = 0; p < net->sizes.predictors; p++) {
        const Predicted *predicted = s->adaptive.predicted + p;
        for (int i = 0; i < n; i++) {
            const size_t at = p * samples + s->place[i].at + channel;
            planes->base[at] = (int16_t)predicted->base[channel][i];
            planes->ls[at] = (int8_t)sum_as_input(predicted->from_taps[channel][i]);
            planes->full[at] = (int8_t)sum_as_input(predicted->full[i]);
        }
    }
}

/* Runs the predictors over a full canvas. */
static int follow_group(const Group *g, Planes *planes) {
    Step s;
    const size_t samples = sample_count(g);
    const int made = make_step(&s, g), steps = step_count(g);
    for (int t = 0; made && t < steps; t++) {
        const int n = list_step(g, t, &s);
        begin_step(g, &s, t);
        keep_order(g, &s, n);
        run_predictors(g, &s, 0, n);
        for (int c = 0; c < 3; c++) {
            complete_predictions(g->net, &s.adaptive, &s.contexts, n, c);
            keep_planes(g->net, &s, n, c, samples, planes);
            take_values(g, &s, n, c);
            end_channel(g, &s, n, c);
        }
        learn_step(g, &s, t, n);
    }
    free_step(&s);
    return made ? 0 : -2;
}
