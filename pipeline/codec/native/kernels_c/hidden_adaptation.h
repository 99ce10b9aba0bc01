/* Gradients of a coded step: of mixture parameters, and from there back to the hidden layers of the
 * entropy models and to the fusion; see hidden_adaptation.py.
 *
 * Bounds. The gradients of output_adaptation.h lie in +-127, `narrow` in 0..32767 and a gain below
 * 2^13: the spread of six errors of at most 1020, and 12. So narrow * gain < 2^28, and the sum of
 * gradient * narrow over eight components stays below 127 * 2^15 * 8 < 2^25. `pull` is clamped to
 * 2^16, an offset of a predictor from the MED prediction to 64 * 255 < 2^14: their product stays
 * below 2^30. Gradients are clamped to +-511 in front of each layer.
 *
 * The layers backwards are like all layers: their sums stay below 2^24, which floats hold exactly.
 * A channel has at most 3 * 8 + 4 + 2 = 30 parameters: 30 * 511 * 127 < 2^21. It has at most 256
 * hidden features where hidden layers learn (weights.py): 256 * 511 * 127 + 2^5 < 2^24. */
#pragma once

#include "group.h"

INLINE HiddenAdapter *deep_of(Step *s) { return &s->adapter.deep; }

/* Fused features of the n sorted pixels of a step, from their inputs. */
static void fuse_adapted(const Group *g, Step *s, int n) {
    const Network *net = g->net;
    const HiddenAdapter *d = deep_of(s);
    for (int first = 0; first < n; first += CHUNK) {
        const int count = n - first < CHUNK ? n - first : CHUNK;
        gather_chunk(g, s, s->order + first, count);
        layer(&net->context, s->scratch->input, INPUT_ROOM, count, 1,
              d->context + (size_t)first * d->context_stride, d->context_stride);
    }
    const int stride = fused_stride(net);
    for (int first = 0, end; first < n; first = end) {
        end = end_of_run(s, first, n);
        apply_adapted_layer(&d->fusion, s->tile[s->order[first]], 0,
                            d->context + (size_t)first * d->context_stride, d->context_stride,
                            end - first, s->fused + (size_t)first * stride, stride);
    }
    spend(g, s, LAYERS_PART);
}

/* Hidden features and mixture parameters of a channel of sorted pixels from `first` to before
 * `last`, all of one entropy model.
 * What the tile has learnt is part of the hidden layer. */
static void adapted_mixture_params(const Group *g, Step *s, int channel, int label, int first,
                                   int last) {
    const Network *net = g->net;
    const OutputAdapter *t = &s->adapter;
    const Layer *output = &net->output[channel * net->sizes.entropy_models + label];
    const int seen = fused_stride(net), stride = params_stride(net);
    for (int i = first, end; i < last; i = end) {
        end = end_of_run(s, i, last);
        apply_adapted_layer(&t->deep.hidden[channel], s->tile[s->order[i]], label,
                            s->fused + (size_t)i * seen, seen, end - i,
                            t->hidden + (size_t)i * t->stride, t->stride);
    }
    for (int i = first; i < last; i += CHUNK)
        layer(output, t->hidden + (size_t)i * t->stride, t->stride,
              last - i < CHUNK ? last - i : CHUNK, 0, s->params + (size_t)i * stride, stride);
}

/* Keeps the gradients of parameter `row` of VECTOR pixels. */
INLINE void keep_gradients(const Step *s, int row, vec gradient, int i, int n) {
    int32_t lanes[VECTOR];
    store(lanes, between(gradient, -GRADIENT_LIMIT, GRADIENT_LIMIT));
    for (int lane = 0; lane < VECTOR && i + lane < n; lane++)
        s->adapter.deep.gradient[(size_t)s->rank[i + lane] * GRADIENT_STRIDE + row] =
            (int16_t)lanes[lane];
}

/* The gradients of VECTOR pixels of a channel as gradients of pi, mu and sigma, in 1/128 of
 * a parameter. Returns how the code length rises with all means, in 1/64 of that for 1/64. */
INLINE vec find_gradients(const Step *s, int channel, int i, int n) {
    const OutputAdapter *t = &s->adapter;
    const Mixtures *m = s->mixtures + i / LANES;
    const int count = t->size / 3;
    const vec gain = load(s->contexts.gain[channel] + i);
    vec pull = fill(8);
    for (int row = 0; row < t->size; row++) {
        vec gradient = load_wide(t->gradient + (size_t)row * t->capacity + i);
        if (row >= 2 * count)
            gradient = (gradient * 11 + 2) >> 2;
        else if (row >= count) {
            const vec inverse = load(m->inverse[row - count] + i % LANES);
            const vec narrow = lesser(inverse >> 5, fill(32767)), steep = (narrow * gain) >> 8;
            pull += gradient * narrow;
            gradient = (gradient * lesser(steep, fill(LIMIT)) + 32) >> 6;
        }
        keep_gradients(s, row, gradient, i, n);
    }
    return between(pull >> 4, -PULL_LIMIT, PULL_LIMIT);
}

/* The same of gamma and beta, which move all means alike. */
INLINE void find_more_gradients(const Step *s, int predictors, int channel, vec pull, int i,
                                int n) {
    const Adaptive *a = &s->adaptive;
    const vec med = 64 * load(s->contexts.med[channel] + i);
    int row = s->adapter.size;
    for (int p = 0; p < predictors; p++) {
        const vec way = load(a->predicted[p].base[channel] + i) - med;
        keep_gradients(s, row++, (pull * way + 2048) >> 12, i, n);
    }
    for (int k = 0; k < channel; k++)
        keep_gradients(s, row++, (pull * load(a->known[k] + i) + 128) >> 8, i, n);
}

/* Passes `count` gradients of a pixel through a leaky layer with these outputs. */
INLINE void backprop_leak(int16_t *gradient, const int16_t *output, int count) {
    for (int j = 0; j < count; j += VECTOR) {
        const vec whole = between(load_wide(gradient + j), -GRADIENT_LIMIT, GRADIENT_LIMIT);
        /* To the nearest, halves to even: what is rounded one way adds up. */
        const vec less = (whole + 3 + ((whole >> 3) & 1)) >> 3;
        store_narrow(gradient + j, choose(load_wide(output + j) < 0, less, whole));
    }
}

/* Gradients of the hidden features of a channel of the pixels of a step, and what they
 * add to those of the fused features. */
static void backprop_heads(const Group *g, Step *s, int channel) {
    const Network *net = g->net;
    const OutputAdapter *t = &s->adapter;
    const HiddenAdapter *d = &t->deep;
    const int hidden = net->sizes.hidden, fused = net->sizes.fused;
    for (int e = 0, first = 0; e < net->sizes.entropy_models; first = s->end[e++])
        for (int i = first; i < s->end[e]; i += CHUNK) {
            const int count = s->end[e] - i < CHUNK ? s->end[e] - i : CHUNK;
            const int number = channel * net->sizes.entropy_models + e;
            int16_t *own = d->back + (size_t)i * hidden, *more = s->scratch->feature;
            layer(&net->back_output[number], d->gradient + (size_t)i * GRADIENT_STRIDE,
                  GRADIENT_STRIDE, count, 0, own, hidden);
            for (int k = 0; k < count; k++)
                backprop_leak(own + (size_t)k * hidden, t->hidden + (size_t)(i + k) * t->stride,
                              hidden);
            layer(&net->back_hidden[number], own, hidden, count, 0, more, fused);
            for (int k = 0; k < count; k++)
                for (int j = 0; j < fused; j++)
                    d->sum[(size_t)(i + k) * fused + j] += more[(size_t)k * fused + j];
        }
}

/* Adds the gradients of a channel of the n coded pixels of a step to the sums of its hidden layer,
 * and those of the fused features to d->sum. */
static void backprop_channel(const Group *g, Step *s, int channel, int n) {
    const HiddenAdapter *d = deep_of(s);
    const int fused = g->net->sizes.fused, hidden = g->net->sizes.hidden;
    if (!channel) memset(d->sum, 0, (size_t)n * fused * sizeof *d->sum);
    for (int i = 0; i < n; i += VECTOR) {
        const vec pull = find_gradients(s, channel, i, n);
        if (g->net->sizes.adaptation.means)
            find_more_gradients(s, g->net->sizes.predictors, channel, pull, i, n);
    }
    backprop_heads(g, s, channel);
    for (int first = 0, end; first < n; first = end) {
        end = end_of_tile(s, first, n);
        accumulate_gradients(&d->hidden[channel], s->tile[first], s->fused, fused_stride(g->net),
                             d->back, hidden, s->rank + first, end - first);
    }
}

/* Adds the gradients of all channels of the n coded pixels of a step to the sums of the fusion.
 * d->sum holds at most three clamped outputs, 3 * 2047: 16 bits are enough. */
static void backprop_fusion(const Group *g, Step *s, int n) {
    const HiddenAdapter *d = deep_of(s);
    const int fused = g->net->sizes.fused;
    for (int i = 0; i < n; i++)
        backprop_leak(d->sum + (size_t)i * fused, s->fused + (size_t)i * fused_stride(g->net),
                      fused);
    for (int first = 0, end; first < n; first = end) {
        end = end_of_tile(s, first, n);
        accumulate_gradients(&d->fusion, s->tile[first], d->context, d->context_stride, d->sum,
                             fused, s->rank + first, end - first);
    }
}
