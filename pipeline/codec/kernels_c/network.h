/* The network of a model: its packed layers and tables, and how pixels go through it. */
#pragma once

#include "front_end.h"
#include "layers.h"

struct Network {
    Sizes sizes;
    Layer context, fusion;
    Layer *hidden, *output; /* one per expert */
    Tables tables;
};

static void free_network(Network *net) {
    free_layer(&net->context), free_layer(&net->fusion);
    for (int e = 0; net->hidden && e < net->sizes.experts; e++) free_layer(net->hidden + e);
    for (int e = 0; net->output && e < net->sizes.experts; e++) free_layer(net->output + e);
    free(net->hidden), free(net->output), free(net);
}

/* One of the groups of a layer's buffers, which hold `out` rows for each. */
static int pack_group(Layer *l, const void *const *buffers, int group, int in, int out) {
    return pack(l, (const int8_t *)buffers[0] + (size_t)group * out * in,
                (const int32_t *)buffers[1] + (size_t)group * out,
                (const int32_t *)buffers[2] + (size_t)group * out, in, out, NULL);
}

static int pack_all(Network *net, const void *const *b) {
    const Sizes *s = &net->sizes;
    int16_t order[INPUTS];
    input_order(order);
    net->hidden = calloc((size_t)s->experts, sizeof(Layer));
    net->output = calloc((size_t)s->experts, sizeof(Layer));
    int ok = net->hidden && net->output &&
             pack(&net->context, b[0], b[1], b[2], INPUTS, s->width, order) &&
             pack_group(&net->fusion, b + 3, 0, s->width + s->features, s->fused);
    for (int e = 0; ok && e < s->experts; e++)
        ok = pack_group(net->hidden + e, b + 6, e, s->fused, s->hidden) &&
             pack_group(net->output + e, b + 9, e, s->hidden, 12 * s->mixtures);
    return ok;
}

static Network *make_network(const Sizes *sizes, const void *const buffers[BUFFERS]) {
    Network *net = calloc(1, sizeof *net);
    if (!net) return NULL;
    net->sizes = *sizes;
    read_tables(&net->tables, buffers + LAYER_BUFFERS);
    if (pack_all(net, buffers)) return net;
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

/* Numbers from one pixel's fused features to the next's. */
INLINE int fused_stride(const Network *net) { return net->sizes.fused; }

/* Numbers from one pixel's mixture parameters to the next's; even. */
INLINE int params_stride(const Network *net) { return padded_out(&net->output[0]); }

/* Inputs of n <= CHUNK pixels, left in scratch, and their contexts as numbers order[0..n - 1]. */
static void gather_all(const Network *net, const uint8_t *canvas, const Place *places,
                       const uint32_t *order, ptrdiff_t stride, int n, Scratch *s,
                       const Contexts *contexts) {
    for (int i = 0; i < n; i++)
        gather(&net->tables, canvas + places[i].at, stride, s->input + (size_t)i * INPUT_ROOM,
               contexts, order[i]);
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

/* One entropy model on n pixels: fused features to mixture parameters. */
static void speak(const Network *net, int expert, const int16_t *fused, int n, Scratch *s,
                  int16_t *params) {
    const Layer *hidden = &net->hidden[expert], *output = &net->output[expert];
    const int width = net->sizes.hidden;
    for (int first = 0; first < n; first += CHUNK) {
        const int count = n - first < CHUNK ? n - first : CHUNK;
        layer(hidden, fused + (size_t)first * fused_stride(net), fused_stride(net), count, 1,
              s->feature, width);
        layer(output, s->feature, width, count, 0, params + (size_t)first * params_stride(net),
              params_stride(net));
    }
}
