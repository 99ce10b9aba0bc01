/* Coding a tile group: wavefront step by step, first the high nibbles of a channel, then the low.
 */
#pragma once

#include "hidden_adaptation.h"

/* Whether output layers learn, and any tile has enough pixels to make use of it. */
static int can_learn(const Group *g) {
    const int every = g->net->sizes.adaptation.every;
    for (int tile = 0; every && tile < g->tiles; tile++)
        if ((int64_t)g->size[2 * tile] * g->size[2 * tile + 1] > every) return 1;
    return 0;
}

/* A step for coding, with what output layers need to learn. Returns as make_step. */
static int make_coding_step(Step *s, const Group *g) {
    if (!make_step(s, g)) return 0;
    return !can_learn(g) ||
           make_output_adapter(&s->adapter, g->net, g->tiles, most_at_once(g));
}

/* Fused features of the n pixels of a step, from the pixels before them. */
static void predict_coding_step(const Group *g, Step *s, int n) {
    if (!s->adapter.deep.learns) {
        predict_step(g, s, n);
        return;
    }
    sort_step(g->net, s, n);
    fuse_adapted(g, s, n);
}

/* Adds the corrections of their tiles to the parameters of a channel of the n pixels of a step. */
static void correct_channel(const Group *g, Step *s, int n, int channel) {
    for (int first = 0, end; first < n; first = end) {
        end = end_of_run(s, first, n);
        correct_run(&s->adapter, s->tile[s->order[first]], channel, first, end - first, s->params,
                    params_stride(g->net));
    }
    spend(g, s, ADAPTATION_PART);
}

/* Mixture parameters of a channel of the n pixels of a step; without predictors all come with the
 * first. */
static void predict_channel(const Group *g, Step *s, int n, int channel) {
    const Network *net = g->net;
    if (net->sizes.predictors) {
        complete_predictions(net, &s->adaptive, &s->contexts, n, channel);
        spend(g, s, PREDICTORS_PART);
        prepare_heads(g, s, n, channel);
    } else if (channel)
        return;
    const OutputAdapter *t = &s->adapter;
    const int stride = t->weight ? t->stride : net->sizes.hidden;
    for (int e = 0, first = 0; first < n; first = s->end[e++])
        if (t->deep.learns)
            adapted_mixture_params(g, s, channel, e, first, s->end[e]);
        else if (s->end[e] > first)
            mixture_params(net, channel, e, s->fused + (size_t)first * fused_stride(net),
                           s->end[e] - first, s->scratch,
                           t->weight ? t->hidden + (size_t)first * stride : NULL, stride,
                           s->params + (size_t)first * params_stride(net));
    spend(g, s, LAYERS_PART);
    if (t->weight) correct_channel(g, s, n, channel);
}

/* Adds the gradients of a channel of the n coded pixels of a step to the sums of their tiles. */
static void accumulate_channel(const Group *g, Step *s, int n, int channel) {
    const OutputAdapter *t = &s->adapter;
    if (!t->weight) return;
    for (int i = 0; i < n; i += VECTOR)
        mixture_gradients(g->net, s->mixtures + i / LANES, i % LANES, load(s->value + i),
                          t->capacity, t->gradient + i);
    for (int first = 0, end; first < n; first = end) {
        end = end_of_tile(s, first, n);
        accumulate_run(t, s->tile[first], channel, s->rank, first, end - first);
    }
    if (t->deep.learns) backprop_channel(g, s, channel, n);
    spend(g, s, ADAPTATION_PART);
}

/* Steps the weights of the tiles that have coded enough pixels since their last update. */
static void step_tiles(const Group *g, Step *s, int n) {
    const OutputAdapter *t = &s->adapter;
    if (!t->weight) return;
    if (t->deep.learns) backprop_fusion(g, s, n);
    for (int i = 0; i < n; i++) t->count[s->tile[i]]++;
    for (int tile = 0; tile < g->tiles; tile++) {
        if (t->count[tile] < t->every) continue;
        t->count[tile] = 0;
        for (int c = 0; c < g->channels; c++) {
            step_corrections(t, tile, c);
            if (t->deep.learns) step_adapted_layer(&t->deep.hidden[c], tile);
        }
        if (t->deep.learns) step_adapted_layer(&t->deep.fusion, tile);
    }
    spend(g, s, ADAPTATION_PART);
}

/* The edges of the high nibble of pixel i, or of the low one once s->bin has the high one. */
INLINE void next_edges(const Group *g, Step *s, int i, int is_low, Edges *edges) {
    if (!s->width[i]) return; /* s->bin may hold anything */
    const Mixtures *m = s->mixtures + i / LANES;
    int32_t *below = s->below + (size_t)i * LANES;
    if (is_low)
        find_low(g->net, m, i % LANES, s->bin[i], below, edges);
    else
        find_high(g->net, m, i % LANES, below, edges);
}

/* The high or the low nibble of each of n pixels, into s->bin; returns whether the words can be an
 * encoder's. A nibble waits for the one before it and for its own edges, edges for neither: with
 * those of the next pixel in front, a processor finds them while it waits. */
INLINE int take_nibbles(const Group *g, Step *s, RangeDecoder *coder, int n, int is_low) {
    int sound = 1;
    RangeDecoder c = *coder; /* a copy that stays in registers */
    Edges edges[2];
    for (int next = 0; next <= n; next++) {
        if (next < n) next_edges(g, s, next, is_low, edges + next % 2);
        const int i = next - 1;
        if (i < 0 || !s->width[i]) continue;
        const int nibble = take(&c, edges + i % 2);
        sound &= nibble >= 0;
        s->bin[i] = (is_low ? 16 * s->bin[i] : 0) + (nibble & 15);
    }
    *coder = c;
    spend(g, s, CODING_PART);
    return sound;
}

static int decode_channel(const Group *g, Step *s, RangeDecoder *coder, int n, int channel) {
    predict_channel(g, s, n, channel);
    mix_step(g, s, n, channel);
    int sound = take_nibbles(g, s, coder, n, 0);
    sound &= take_nibbles(g, s, coder, n, 1);
    for (int i = 0; i < n; i++) {
        const Mixtures *m = s->mixtures + i / LANES;
        settle_value(g, s, i, channel,
                     s->width[i] ? bin_value(m, i % LANES, s->bin[i])
                                 : likeliest(g->net, m, i % LANES));
    }
    accumulate_channel(g, s, n, channel);
    end_channel(g, s, n, channel);
    return sound;
}

static int decode_group(const Group *g, const uint8_t *words, size_t size) {
    Step s;
    if (!make_coding_step(&s, g)) {
        free_step(&s);
        return -2;
    }
    RangeDecoder coder = begin_decoder(words, size);
    if (!size) coder.overrun--; /* where everything is skipped there are no words at all */
    const int steps = step_count(g);
    int sound = 1;
    for (int t = 0; t < steps && sound; t++) {
        const int n = list_step(g, t, &s);
        begin_step(g, &s, t);
        predict_coding_step(g, &s, n);
        for (int c = 0; c < g->channels; c++) sound &= decode_channel(g, &s, &coder, n, c);
        end_step(g, &s, t, n);
        step_tiles(g, &s, n);
        sound &= coder.overrun <= 1;
    }
    free_step(&s);
    return sound && coder.next == coder.end ? 0 : -1;
}

/* Intervals of one channel of n pixels; their bins stay in s->bin. */
static void find_all_intervals(const Group *g, Step *s, int n, int channel) {
    for (int first = 0; first < n; first += LANES) {
        const Mixtures *m = s->mixtures + first / LANES;
        const int count = n - first < LANES ? n - first : LANES;
        for (int lane = 0; lane < count; lane++) {
            const int32_t value = g->canvas[s->place[first + lane].at + channel];
            const int32_t width = m->width[lane] > 1 ? m->width[lane] : 1;
            s->bin[first + lane] = width == 1 ? value : (value - m->first[lane]) / width;
        }
        find_intervals(g->net, m, s->bin + first, s->intervals + first / LANES);
    }
    spend(g, s, EDGES_PART);
}

static void encode_nibbles(const Group *g, Step *s, RangeEncoder *coder, int n, int channel) {
    for (int i = 0; i < n; i++) {
        const Intervals *at = s->intervals + i / LANES;
        if (s->width[i])
            put(coder, (uint32_t)at->high_left[i % LANES], (uint32_t)at->high_right[i % LANES]);
    }
    for (int i = 0; i < n; i++) {
        const Intervals *at = s->intervals + i / LANES;
        const Mixtures *m = s->mixtures + i / LANES;
        const int lane = i % LANES;
        if (s->width[i]) {
            put(coder, (uint32_t)at->low_left[lane], (uint32_t)at->low_right[lane]);
            settle_value(g, s, i, channel, bin_value(m, lane, s->bin[i]));
        } else
            settle_value(g, s, i, channel, likeliest(g->net, m, lane));
    }
    spend(g, s, CODING_PART);
}

static int encode_group(const Group *g, Words *result) {
    RangeEncoder coder = begin_encoder();
    Step s;
    if (!make_coding_step(&s, g)) {
        free_step(&s);
        return -2;
    }
    const int steps = step_count(g);
    for (int t = 0; t < steps && !coder.failed; t++) {
        const int n = list_step(g, t, &s);
        begin_step(g, &s, t);
        predict_coding_step(g, &s, n);
        for (int c = 0; c < g->channels; c++) {
            predict_channel(g, &s, n, c);
            mix_step(g, &s, n, c);
            find_all_intervals(g, &s, n, c);
            encode_nibbles(g, &s, &coder, n, c);
            accumulate_channel(g, &s, n, c);
            end_channel(g, &s, n, c);
        }
        end_step(g, &s, t, n);
        step_tiles(g, &s, n);
    }
    seal(&coder);
    free_step(&s);
    *result = (Words){coder.words, coder.count};
    return coder.failed ? -2 : 0;
}
