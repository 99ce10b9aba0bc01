/* The network of a model: its packed layers and tables, and how pixels go through it. */
#pragma once

#include "front_end.h"
#include "layers.h"
#include "least_squares.h"

enum { BACK_BITS = 6 }; /* fractional bits of weights that gradients go through */

struct Network {
    Sizes sizes;
    Layer context, fusion;
    Layer *hidden, *output;           /* [heads][entropy models] */
    Layer *back_hidden, *back_output; /* the same shape, for gradients; or NULL */
    Tables tables;
    Predictor predictor[MAX_PREDICTORS];
};

/* Heads of all entropy models. */
INLINE int head_count(const Network *net) {
    return heads_of(&net->sizes) * net->sizes.entropy_models;
}

static void free_network(Network *net) {
    free_layer(&net->context), free_layer(&net->fusion);
    for (int i = 0; net->hidden && i < head_count(net); i++) free_layer(net->hidden + i);
    for (int i = 0; net->output && i < head_count(net); i++) free_layer(net->output + i);
    for (int p = 0; p < net->sizes.predictors; p++) free_predictor(net->predictor + p);
    for (int i = 0; net->back_hidden && i < head_count(net); i++) free_layer(net->back_hidden + i);
    for (int i = 0; net->back_output && i < head_count(net); i++) free_layer(net->back_output + i);
    free(net->hidden), free(net->output), free(net->back_hidden), free(net->back_output);
    free(net);
}

/* One of the groups of a layer's buffers, which hold `out` rows for each. */
static int pack_group(Layer *l, const void *const *buffers, int group, int in, int out) {
    return pack(l, (const int8_t *)buffers[0] + (size_t)group * out * in,
                (const int32_t *)buffers[1] + (size_t)group * out,
                (const int32_t *)buffers[2] + (size_t)group * out, in, out, NULL);
}

/* A weight with `bits` fractional bits as one with BACK_BITS. */
INLINE int8_t back_weight(int weight, int bits) {
    const int fine = BACK_BITS - bits;
    const int found =
        fine >= 0 ? weight * (1 << fine) : (weight + (1 << (-fine - 1))) >> -fine;
    return (int8_t)(found > 127 ? 127 : found < -127 ? -127 : found);
}

/* The layer by which gradients of the first `from` outputs of another become those of its first
 * `to` inputs. coarse: fractional bits that its outputs have less than its inputs. */
static int pack_back(Layer *l, const Layer *model, int from, int to, int coarse, int shift) {
    int8_t *weight = malloc((size_t)to * from);
    int32_t *shifts = malloc((size_t)to * sizeof *shifts);
    int32_t *bias = calloc((size_t)to, sizeof *bias);
    int ok = weight && shifts && bias;
    for (int i = 0; ok && i < to; i++) {
        shifts[i] = shift;
        for (int o = 0; o < from; o++)
            weight[(size_t)i * from + o] =
                back_weight(weight_of(model, o, i), model->shift[o] - coarse);
    }
    ok = ok && pack(l, weight, bias, shifts, from, to, NULL);
    free(weight), free(shifts), free(bias);
    return ok;
}

/* Outputs of a channel that gradients go back through. */
INLINE int backprop_outputs(const Sizes *s, int channel) {
    return s->adaptation.means ? outputs_of(s, channel) : 3 * s->mixtures;
}

static int pack_back_layers(Network *net) {
    const Sizes *s = &net->sizes;
    net->back_hidden = calloc((size_t)head_count(net), sizeof(Layer));
    net->back_output = calloc((size_t)head_count(net), sizeof(Layer));
    int ok = net->back_hidden && net->back_output;
    for (int i = 0; ok && i < head_count(net); i++)
        ok = pack_back(net->back_output + i, net->output + i,
                       backprop_outputs(s, i / s->entropy_models), s->hidden, 1, BACK_BITS - 1) &&
             pack_back(net->back_hidden + i, net->hidden + i, s->hidden, s->fused, 0, BACK_BITS);
    return ok;
}

static int pack_layers(Network *net, const void *const *b) {
    const Sizes *s = &net->sizes;
    int16_t order[INPUTS];
    input_order(order); /* with predictors the model's own is that of memory */
    net->hidden = calloc((size_t)head_count(net), sizeof(Layer));
    net->output = calloc((size_t)head_count(net), sizeof(Layer));
    int ok = net->hidden && net->output &&
             pack(&net->context, b[0], b[1], b[2], inputs_of(s), s->width,
                  s->predictors ? NULL : order) &&
             pack_group(&net->fusion, b + 3, 0, s->width + s->features, s->fused);
    for (int i = 0; ok && i < head_count(net); i++) {
        const int head = i / s->entropy_models, e = i % s->entropy_models;
        const void *const *own = b + 6 + 6 * head;
        ok = pack_group(net->hidden + i, own, e, s->fused + head_inputs(s, head),
                        s->hidden) &&
             pack_group(net->output + i, own + 3, e, s->hidden, outputs_of(s, head));
    }
    return ok && (!learns_deeply(s) || pack_back_layers(net));
}

static int pack_predictors(Network *net, const void *const *b) {
    const Sizes *s = &net->sizes;
    int ok = 1;
    for (int p = 0; ok && p < s->predictors; p++)
        ok = pack_predictor(net->predictor + p, s->predictor + p, b[2 * p], b[2 * p + 1]);
    return ok;
}

static Network *make_network(const Sizes *sizes, const void *const *buffers) {
    Network *net = calloc(1, sizeof *net);
    if (!net) return NULL;
    net->sizes = *sizes;
    const void *const *tables = buffers + layer_buffers(sizes);
    read_tables(&net->tables, tables);
    if ((!sizes->width || pack_layers(net, buffers)) &&
        pack_predictors(net, tables + TABLE_BUFFERS))
        return net;
    free_network(net);
    return NULL;
}

/* What the layers of one chunk of pixels leave to each other. */
typedef struct {
    int16_t input[(CHUNK + ROWS) * INPUT_ROOM];
    int16_t feature[(CHUNK + ROWS) * WIDEST];
} Scratch;

/* Where a pixel is: its offset in the canvas, and its number among the pixels of all tiles. */
typedef struct {
    uint32_t at, number;
} Place;

/* Numbers from one pixel's fused features, and what heads see beside them, to the next's. */
INLINE int fused_stride(const Network *net) {
    return round_up(net->sizes.fused + head_inputs(&net->sizes, 2), 2);
}

/* Numbers from one pixel's mixture parameters to the next's. */
INLINE int params_stride(const Network *net) {
    return net->output ? padded_out(&net->output[head_count(net) - 1]) : 0;
}

/* Inputs to fused features of n <= CHUNK pixels. side: the features of SIC, [pixels][features]. */
static void fuse(const Network *net, const int16_t *side, const Place *places, int n, Scratch *s,
                 int16_t *fused) {
    const int own = net->sizes.width, more = net->sizes.features;
    const int joined = (own + more + 1) / 2 * 2;
    for (int i = 0; i < n; i++)
        memcpy(s->feature + (size_t)i * joined + own, side + (size_t)places[i].number * more,
               sizeof *side * (size_t)more);
    layer(&net->context, s->input, INPUT_ROOM, n, 1, s->feature, joined);
    layer(&net->fusion, s->feature, joined, n, 1, fused, fused_stride(net));
}

/* Mixture parameters of n pixels from their fused features, by one head of an entropy model. kept:
 * where its hidden features stay, `stride` apart; if NULL they are not kept, and stride is how many
 * there are. */
static void mixture_params(const Network *net, int head, int label, const int16_t *fused, int n,
                           Scratch *s, int16_t *kept, int stride, int16_t *params) {
    const int number = head * net->sizes.entropy_models + label;
    const Layer *hidden = &net->hidden[number], *output = &net->output[number];
    for (int first = 0; first < n; first += CHUNK) {
        const int count = n - first < CHUNK ? n - first : CHUNK;
        int16_t *own = kept ? kept + (size_t)first * stride : s->feature;
        layer(hidden, fused + (size_t)first * fused_stride(net), fused_stride(net), count, 1, own,
              stride);
        layer(output, own, stride, count, 0, params + (size_t)first * params_stride(net),
              params_stride(net));
    }
}
