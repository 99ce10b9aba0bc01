/* From a wavefront step of a tile group to the mixtures of its pixels, and back to what predictors
 * learn from: what encoding, decoding and measuring share. */
#pragma once

#include "wavefront.h"

/* Network inputs and contexts of n <= CHUNK pixels, those with the numbers in `order`, where
 * there are predictors. What one loop has written the next one reads, at its leisure. */
static void gather_adaptive(const Group *g, const Step *s, const uint32_t *order, int n) {
    const Network *net = g->net;
    const Adaptive *a = &s->adaptive;
    const ptrdiff_t stride = row_stride(g);
    int16_t *const inputs = s->scratch->input;
    for (int k = 0; k < n; k++) {
        const int i = (int)order[k];
        gather_taps(net, a, g->canvas, s->place[i].at, i, stride, inputs + k * INPUT_ROOM,
                    &s->contexts);
    }
    for (int p = 0; p < net->sizes.predictors; p++) {
        for (int k = 0; k < n; k++) {
            const int i = (int)order[k];
            record_taps(a->predicted + p, i, s->tile[i], s->y[i], inputs + k * INPUT_ROOM);
        }
        for (int k = 0; k < n; k++) predict_from_taps(a->predicted + p, (int)order[k]);
    }
    for (int k = 0; k < n; k++) {
        const int i = (int)order[k];
        int16_t *next = inputs + k * INPUT_ROOM + INPUTS;
        for (int p = 0; p < net->sizes.predictors; p++)
            next = put_inputs(net, a, p, i, s->place[i].at, stride, next, &s->contexts);
    }
}

/* Network inputs and contexts of n <= CHUNK pixels, those with the numbers in `order`. */
static void gather_chunk(const Group *g, Step *s, const uint32_t *order, int n) {
    const Network *net = g->net;
    if (net->sizes.predictors)
        gather_adaptive(g, s, order, n);
    else
        for (int k = 0; k < n; k++)
            gather(&net->tables, g->canvas + s->place[order[k]].at, row_stride(g),
                   s->scratch->input + k * INPUT_ROOM, &s->contexts, order[k]);
    spend(g, s, net->sizes.predictors ? PREDICTORS_PART : INPUTS_PART);
}

/* Contexts and fused features of the first n sorted pixels. */
static void fuse_step(const Group *g, Step *s, int n) {
    const Network *net = g->net;
    for (int first = 0; first < n; first += CHUNK) {
        const int count = n - first < CHUNK ? n - first : CHUNK;
        gather_chunk(g, s, s->order + first, count);
        fuse(net, g->side, s->sorted + first, count, s->scratch,
             s->fused + (size_t)first * fused_stride(net));
        spend(g, s, LAYERS_PART);
    }
}

/* Runs the predictors, but no network, for sorted pixels from `first` to before `last`. */
static void run_predictors(const Group *g, Step *s, int first, int last) {
    for (; first < last; first += CHUNK)
        gather_chunk(g, s, s->order + first, last - first < CHUNK ? last - first : CHUNK);
}

/* Before step t. */
static void begin_step(const Group *g, Step *s, int t) {
    for (int p = 0; p < g->net->sizes.predictors; p++)
        begin_strips(&s->adaptive.predicted[p].learner, t);
}

/* What is known of the n pixels of a step before any of their channels is. */
static void predict_step(const Group *g, Step *s, int n) {
    sort_step(g->net, s, n);
    fuse_step(g, s, n);
}

/* What the head of a channel sees of the first n sorted pixels, beside the fused features. */
static void prepare_heads(const Group *g, Step *s, int n, int channel) {
    const Network *net = g->net;
    for (int i = 0; channel && i < n; i++)
        put_head_inputs(net, &s->adaptive, (int)s->order[i], channel,
                        s->fused + (size_t)i * fused_stride(net) + net->sizes.fused);
    spend(g, s, INPUTS_PART);
}

/* The mixtures of one channel of the LANES pixels from `first` on, but for their bins. */
INLINE void mix(const Group *g, const Step *s, int first, int channel, Mixtures *m) {
    const Network *net = g->net;
    const int count = net->sizes.mixtures, adaptive = net->sizes.predictors > 0;
    const int pi = adaptive ? 0 : channel * count;
    const int scale = adaptive ? 2 * count : (6 + channel) * count;
    for (int at = 0; at < LANES; at += VECTOR) {
        const int i = first + at;
        const vec rows = load(s->row + i);
        mix_weights(net, s->params, rows, pi, at, m);
        mix_scales(net, s->params, rows, scale, at, load(s->contexts.level[channel] + i), m);
        if (adaptive) {
            mix_adaptive_means(net, &s->adaptive, &s->contexts, s->params, rows, channel, first,
                               at, m);
            continue;
        }
        const vec residual[2] = {load(s->residual[0] + i), load(s->residual[1] + i)};
        mix_means(net, s->params, rows, channel, at, load(s->contexts.med[channel] + i),
                  load(s->contexts.gain[channel] + i), residual, m);
    }
}

/* The bins of the LANES pixels from `first` on. */
INLINE void set_bins(const Step *s, int first, int channel, Mixtures *m) {
    for (int lane = 0; lane < LANES; lane++) {
        const int32_t width = s->width[first + lane];
        m->width[lane] = width;
        m->first[lane] = width == 1 ? 0 : first_bin(s->contexts.med[channel][first + lane], width);
    }
}

/* The mixtures of one channel of the n pixels of a step. */
static void mix_step(const Group *g, Step *s, int n, int channel) {
    for (int first = 0; first < n; first += LANES) {
        mix(g, s, first, channel, s->mixtures + first / LANES);
        set_bins(s, first, channel, s->mixtures + first / LANES);
    }
    spend(g, s, MIXTURES_PART);
}

/* The value of a channel of a pixel is known. */
INLINE void settle_value(const Group *g, Step *s, int i, int channel, int32_t value) {
    g->canvas[s->place[i].at + channel] = (uint8_t)value;
    s->value[i] = value;
    if (channel < 2) s->residual[channel][i] = value - s->contexts.med[channel][i];
}

/* A channel of all n pixels of a step is known. */
static void end_channel(const Group *g, Step *s, int n, int channel) {
    if (g->net->sizes.predictors) record_values(&s->adaptive, &s->contexts, n, channel, s->value);
}

/* Predictors learn from the n coded pixels of step t. */
static void learn_step(const Group *g, Step *s, int t, int n) {
    for (int c = g->channels; c < 3; c++) { /* gray: all are the same */
        complete_predictions(g->net, &s->adaptive, &s->contexts, n, c);
        record_values(&s->adaptive, &s->contexts, n, c, s->value);
    }
    for (int i = 0; i < n; i++) record_pixel(g->net, &s->adaptive, g->canvas, s->place[i].at, i);
    for (int p = 0; p < g->net->sizes.predictors; p++) {
        const Learner *l = &s->adaptive.predicted[p].learner;
        if ((t + 1) % l->p->sizes.every) continue;
        for (int tile = 0; tile < g->tiles; tile++) {
            const int height = g->size[2 * tile], width = g->size[2 * tile + 1];
            const int first = first_row(t, width), last = last_row(t, height);
            update_tile(l, tile, strip_of(l, 0, first), last < first ? 0 : strip_of(l, 0, last));
        }
    }
    spend(g, s, PREDICTORS_PART);
}

/* After a step: gray fills all channels, edge pixels fill the margins, predictors learn. */
static void end_step(const Group *g, Step *s, int t, int n) {
    if (g->channels == 1)
        for (int i = 0; i < n; i++) {
            uint8_t *pixel = g->canvas + s->place[i].at;
            pixel[1] = pixel[2] = pixel[0];
        }
    extend_margins(g, t);
    if (g->net->sizes.predictors) learn_step(g, s, t, n);
}
