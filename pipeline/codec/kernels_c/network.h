/* The network of a model: its packed layers and tables, and how pixels go through it. */
#pragma once

#include "front_end.h"
#include "layers.h"
#include "least_squares.h"

struct Network {
    Sizes sizes;
    Layer context, fusion;
    Layer *hidden, *output; /* [heads][experts] */
    Tables tables;
    Predictor predictor[MAX_PREDICTORS];
};

INLINE int speakers(const Network *net) { return heads_of(&net->sizes) * net->sizes.experts; }

static void free_network(Network *net) {
    free_layer(&net->context), free_layer(&net->fusion);
    for (int i = 0; net->hidden && i < speakers(net); i++) free_layer(net->hidden + i);
    for (int i = 0; net->output && i < speakers(net); i++) free_layer(net->output + i);
    for (int p = 0; p < net->sizes.predictors; p++) free_predictor(net->predictor + p);
    free(net->hidden), free(net->output), free(net);
}

/* One of the groups of a layer's buffers, which hold `out` rows for each. */
static int pack_group(Layer *l, const void *const *buffers, int group, int in, int out) {
    return pack(l, (const int8_t *)buffers[0] + (size_t)group * out * in,
                (const int32_t *)buffers[1] + (size_t)group * out,
                (const int32_t *)buffers[2] + (size_t)group * out, in, out, NULL);
}

static int pack_layers(Network *net, const void *const *b) {
    const Sizes *s = &net->sizes;
    int16_t order[INPUTS];
    input_order(order); /* with predictors the model's own is that of memory */
    net->hidden = calloc((size_t)speakers(net), sizeof(Layer));
    net->output = calloc((size_t)speakers(net), sizeof(Layer));
    int ok = net->hidden && net->output &&
             pack(&net->context, b[0], b[1], b[2], inputs_of(s), s->width,
                  s->predictors ? NULL : order) &&
             pack_group(&net->fusion, b + 3, 0, s->width + s->features, s->fused);
    for (int i = 0; ok && i < speakers(net); i++) {
        const int head = i / s->experts, e = i % s->experts;
        const void *const *own = b + 6 + 6 * head;
        ok = pack_group(net->hidden + i, own, e, s->fused + head_inputs(s, head), s->hidden) &&
             pack_group(net->output + i, own + 3, e, s->hidden, outputs_of(s, head));
    }
    return ok;
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
    return net->output ? padded_out(&net->output[speakers(net) - 1]) : 0;
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

/* One head of an expert on n pixels: fused features to mixture parameters. kept: where its hidden
 * features stay, `stride` apart; NULL if nobody wants them, stride is how many there are then. */
static void speak(const Network *net, int head, int expert, const int16_t *fused, int n,
                  Scratch *s, int16_t *kept, int stride, int16_t *params) {
    const int speaker = head * net->sizes.experts + expert;
    const Layer *hidden = &net->hidden[speaker], *output = &net->output[speaker];
    for (int first = 0; first < n; first += CHUNK) {
        const int count = n - first < CHUNK ? n - first : CHUNK;
        int16_t *own = kept ? kept + (size_t)first * stride : s->feature;
        layer(hidden, fused + (size_t)first * fused_stride(net), fused_stride(net), count, 1, own,
              stride);
        layer(output, own, stride, count, 0, params + (size_t)first * params_stride(net),
              params_stride(net));
    }
}
