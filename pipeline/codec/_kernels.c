/* SEEC's integer arithmetic for CPUs: the same bits as integer.py, faster.
 *
 * A network layer is a matrix product of small integers carried in floats. It is exact in
 * any order and with or without fused multiply-add, because loading a model proves that
 * every partial sum stays below 2^24 (see weights.py). Everything else is int32.
 *
 * The range coder is the one of constriction's `stream.queue` with 32-bit words, 64-bit
 * state and 24-bit probabilities; schemas/FORMAT.md states it in full.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* One source, several instruction sets, chosen when the module is loaded. */
#if defined(MULTIVERSION) /* tests build one version at a time */
#elif defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#if __GNUC__ >= 12
#define MULTIVERSION \
    __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MULTIVERSION __attribute__((target_clones("avx512f", "avx2", "default")))
#endif
#else
#define MULTIVERSION
#endif
#define INLINE static inline __attribute__((always_inline))
#pragma GCC diagnostic ignored "-Wpsabi" /* vectors never leave this file */

enum {
    TAPS = 22,
    TAP_VALUES = 3 * TAPS,
    INPUTS = TAP_VALUES + 6,
    MARGIN = 3,
    LANES = 16,   /* outputs in one panel of packed weights */
    HALF = 8,     /* floats in one vector: two vectors make a panel */
    ROWS = 6,     /* pixels in one register block */
    CHUNK = 48,   /* pixels whose features fit in the first-level cache; multiple of ROWS */
    WIDEST = 512, /* features a layer may have; loading a model checks it */
    MAX_MIXTURES = 8,
    LIMIT = 2047,
    INPUT_LIMIT = 127,
    BETA_LIMIT = 96,
    SCALES = 176,
    SCALE_BIAS = 48,
    FLOOR = 4, /* added to the frequency of each of the 256 values */
    LOGISTIC_ONE_SHIFTED = 8192,
};

typedef float lanes __attribute__((vector_size(HALF * sizeof(float)), aligned(4), may_alias));
typedef int32_t integers
    __attribute__((vector_size(HALF * sizeof(int32_t)), aligned(4), may_alias));

typedef struct {
    int in, out, panels;
    float *weight;  /* [panels][in][LANES] */
    float *start;   /* [panels * LANES]: bias + half of the rounding shift */
    int32_t *shift; /* [panels * LANES] */
} Layer;

typedef struct {
    int experts, mixtures;
    int features; /* per pixel from SIC, behind those of the context; 0 without SIC */
    Layer context, fusion;
    Layer *hidden, *output; /* one per expert */
    int32_t reciprocal[4591], log_activity[1531], exp[512], logistic[513];
    int32_t inverse_scale[SCALES], reach[SCALES];
} Network;

/* ---------------------------------------------------------------- network */

INLINE integers most(integers a, integers b) {
    integers larger = a > b;
    return (a & larger) | (b & ~larger);
}

INLINE integers bounded(integers y, int32_t limit) {
    const integers high = {limit, limit, limit, limit, limit, limit, limit, limit};
    integers over = y > high;
    return most((high & over) | (y & ~over), -high);
}

/* Rounding shift (its half is already in the sum) and clamp. */
INLINE integers settle_sum(lanes sum, integers shift) {
    return bounded(__builtin_convertvector(sum, integers) >> shift, LIMIT);
}

/* One layer on `n` pixels, n <= CHUNK; `in` and the results have ROWS spare rows at the end.
 * A hidden layer goes on as leaky floats; the last one ends as integers. stride: numbers from
 * one row of results to the next. */
INLINE void layer(const Layer *layer, const float *in, int n, float *hidden, int32_t *last,
                  int stride) {
    for (int p = 0; p < layer->panels; p++) {
        const lanes *weight = (const lanes *)(layer->weight + (size_t)p * layer->in * LANES);
        const lanes *start = (const lanes *)(layer->start + p * LANES);
        const integers *shift = (const integers *)(layer->shift + p * LANES);
        for (int first = 0; first < n; first += ROWS) {
            lanes sum[ROWS][2];
            const float *x = in + (size_t)first * layer->in;
#pragma GCC unroll 6
            for (int r = 0; r < ROWS; r++) sum[r][0] = start[0], sum[r][1] = start[1];
            for (int i = 0; i < layer->in; i++) {
                const lanes low = weight[2 * i], high = weight[2 * i + 1];
#pragma GCC unroll 6
                for (int r = 0; r < ROWS; r++) {
                    const float a = x[(size_t)r * layer->in + i];
                    sum[r][0] += a * low;
                    sum[r][1] += a * high;
                }
            }
#pragma GCC unroll 6
            for (int r = 0; r < ROWS; r++) {
#pragma GCC unroll 2
                for (int half = 0; half < 2; half++) {
                    size_t at = (size_t)(first + r) * stride + p * LANES + half * HALF;
                    integers y = settle_sum(sum[r][half], shift[half]);
                    if (last)
                        *(integers *)(last + at) = y;
                    else
                        *(lanes *)(hidden + at) = __builtin_convertvector(most(y, y >> 3), lanes);
                }
            }
        }
    }
}

typedef struct {
    float input[(CHUNK + ROWS) * INPUTS];
    float feature[2][(CHUNK + ROWS) * WIDEST];
    int32_t sum[(CHUNK + ROWS) * WIDEST];
} Scratch;

typedef struct {
    int16_t med[3], activity[3];
} Context;

/* Network inputs of one pixel, tap by tap with the channels interleaved as in memory. */
INLINE void gather(const Network *net, const uint8_t *at, ptrdiff_t stride,
                   float *restrict input, Context *restrict context) {
    int32_t tap[INPUTS] = {0}, med[3], activity[3], repeated[3 * HALF];
    for (int i = 0; i < 21; i++) tap[i] = at[-3 * stride - 9 + i];
    for (int i = 0; i < 21; i++) tap[21 + i] = at[-2 * stride - 9 + i];
    for (int i = 0; i < 15; i++) tap[42 + i] = at[-stride - 9 + i];
    for (int i = 0; i < 9; i++) tap[57 + i] = at[-9 + i];
    int32_t total = 0;
    for (int c = 0; c < 3; c++) {
        int32_t west = tap[63 + c], north = tap[51 + c], north_west = tap[48 + c];
        int32_t low = west < north ? west : north, high = west < north ? north : west;
        int32_t m = west + north - north_west;
        m = m < low ? low : m > high ? high : m;
        med[c] = m;
        activity[c] = abs(west - m) + abs(tap[60 + c] - m) + abs(north - m) +
                      abs(north_west - m) + abs(tap[54 + c] - m) + abs(tap[30 + c] - m);
        total += activity[c];
        context->med[c] = (int16_t)m;
        context->activity[c] = (int16_t)activity[c];
    }
    for (int i = 0; i < 3 * HALF; i++) repeated[i] = med[i % 3];
    const int32_t reciprocal = net->reciprocal[total];
    for (int i = 0; i < INPUTS / HALF; i++) {
        integers d = ((const integers *)tap)[i] - ((const integers *)repeated)[i % 3];
        integers v = bounded((d * reciprocal + 2048) >> 12, INPUT_LIMIT);
        ((lanes *)input)[i] = __builtin_convertvector(v, lanes);
    }
    for (int c = 0; c < 3; c++) {
        input[TAP_VALUES + c] = (float)(net->log_activity[activity[c]] - 32);
        input[TAP_VALUES + 3 + c] = (float)((med[c] - 128) >> 1);
    }
}

/* Where a pixel is: its offset in the canvas, and its number among the pixels of all tiles. */
typedef struct {
    uint32_t at, number;
} Place;

/* Inputs to fused features of n <= CHUNK pixels; the result lies in scratch->feature[1].
 * side: the features of SIC, [pixels][net->features]. */
MULTIVERSION static void fuse(const Network *net, const uint8_t *canvas, const int16_t *side,
                              const Place *places, ptrdiff_t stride, int n, Scratch *s,
                              Context *contexts) {
    const int own = net->context.out, width = own + net->features;
    for (int i = 0; i < n; i++) {
        gather(net, canvas + places[i].at, stride, s->input + (size_t)i * INPUTS, contexts + i);
        const int16_t *from = side + (size_t)places[i].number * net->features;
        float *to = s->feature[0] + (size_t)i * width + own;
        for (int f = 0; f < net->features; f++) to[f] = from[f];
    }
    layer(&net->context, s->input, n, s->feature[0], NULL, width);
    layer(&net->fusion, s->feature[0], n, s->feature[1], NULL, net->fusion.out);
}

/* One entropy model on n <= CHUNK pixels; writes n rows of `panels * LANES` to scratch->sum. */
MULTIVERSION static void speak(const Network *net, int expert, const float *features, int n,
                               Scratch *s) {
    const Layer *hidden = &net->hidden[expert], *output = &net->output[expert];
    layer(hidden, features, n, s->feature[0], NULL, hidden->out);
    layer(output, s->feature[0], n, NULL, s->sum, output->panels * LANES);
}

/* ---------------------------------------------------------------- mixture */

typedef struct {
    int first, width; /* bin j holds the values first + j width ...; width 0: nothing is coded */
    int32_t total;    /* cumulative frequency of all 256 values, without floors */
    int32_t mean[MAX_MIXTURES], weight[MAX_MIXTURES], inverse[MAX_MIXTURES], reach[MAX_MIXTURES];
} Mixture;

INLINE int32_t clamp_beta(int32_t b) {
    return b > BETA_LIMIT ? BETA_LIMIT : b < -BETA_LIMIT ? -BETA_LIMIT : b;
}

/* params: pi[3][K], mu[3][K], log scale[3][K], beta[3][K]; pixel: the known channels. */
INLINE void make_mixture(const Network *net, const int16_t *params, const Context *context,
                         const uint8_t *pixel, int channel, Mixture *m) {
    const int k_count = net->mixtures;
    const int16_t *pi = params + channel * k_count, *mu = pi + 3 * k_count,
                  *scale = pi + 6 * k_count, *beta = params + 9 * k_count;
    const int32_t activity = context->activity[channel];
    const int32_t gain = activity + 3 > 6 ? activity + 3 : 6;
    const int32_t red = pixel[0] - context->med[0], green = pixel[1] - context->med[1];
    const int32_t log_activity = net->log_activity[activity] + SCALE_BIAS;
    int32_t best = pi[0], sum = 0;
    for (int k = 1; k < k_count; k++) best = pi[k] > best ? pi[k] : best;
    for (int k = 0; k < k_count; k++) {
        int32_t below = best - pi[k];
        m->weight[k] = net->exp[below > 511 ? 511 : below];
        sum += m->weight[k];
        int32_t mean = 64 * context->med[channel] + ((mu[k] * gain) >> 2);
        if (channel == 1) mean += clamp_beta(beta[k]) * red;
        if (channel == 2)
            mean += clamp_beta(beta[k_count + k]) * red + clamp_beta(beta[2 * k_count + k]) * green;
        m->mean[k] = mean;
        int32_t index = (scale[k] >> 2) + log_activity;
        index = index < 0 ? 0 : index >= SCALES ? SCALES - 1 : index;
        m->inverse[k] = net->inverse_scale[index];
        m->reach[k] = net->reach[index];
    }
    m->total = sum * LOGISTIC_ONE_SHIFTED;
}

/* Cumulative frequency below value `bound`, 0..256, without floors. */
INLINE int32_t cumulative(const Network *net, const Mixture *m, int bound) {
    if (bound == 0) return 0;
    if (bound == 256) return m->total;
    int32_t sum = 0;
    for (int k = 0; k < net->mixtures; k++) {
        int32_t d = 64 * bound - 32 - m->mean[k];
        d = d > m->reach[k] ? m->reach[k] : d < -m->reach[k] ? -m->reach[k] : d;
        int32_t u = (d * m->inverse[k]) >> 10;
        u = u > 32767 ? 32767 : u < -32768 ? -32768 : u;
        u += 32768;
        const int32_t *node = net->logistic + (u >> 7);
        sum += m->weight[k] * (node[0] + (((node[1] - node[0]) * (u & 127)) >> 7));
    }
    return sum >> 2;
}

/* Cumulative frequency below bin `bin`, 0..256. A lossless bin is a value. */
INLINE int32_t below_bin(const Network *net, const Mixture *m, int bin) {
    int bound = m->first + bin * m->width;
    return cumulative(net, m, bound < 0 ? 0 : bound > 256 ? 256 : bound);
}

/* The value that stands for a bin: its middle, inside 0..255. */
INLINE uint8_t bin_value(const Mixture *m, int bin) {
    int value = m->first + bin * m->width + m->width / 2;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* Bins as wide as `width`, one of them around the MED prediction. */
INLINE void set_bins(Mixture *m, int med, int width) {
    int away = width ? (med + 256 * width - width / 2) % width : 0;
    m->first = away ? away - width : 0;
    m->width = width;
}

/* What a decoder assumes where nothing is coded: the mean of the heaviest component. */
INLINE uint8_t likeliest(const Network *net, const Mixture *m) {
    int best = 0;
    for (int k = 1; k < net->mixtures; k++) best = m->weight[k] > m->weight[best] ? k : best;
    int32_t value = (m->mean[best] + 32) >> 6;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* A 16-way symbol: bins base, base + step, ..., with floors step * FLOOR each. */
typedef struct {
    int base, step;
    int32_t below; /* below_bin(base) */
    float scale;
} Symbol;

INLINE Symbol high_nibble(const Mixture *m) {
    Symbol s = {0, 16, 0, 0};
    s.scale = (float)((1 << 24) - 16) / (float)(m->total + 256 * FLOOR);
    return s;
}

INLINE Symbol low_nibble(const Network *net, const Mixture *m, int high) {
    Symbol s = {16 * high, 1, below_bin(net, m, 16 * high), 0};
    int32_t above = below_bin(net, m, 16 * high + 16);
    s.scale = (float)((1 << 24) - 16) / (float)(above - s.below + 16 * FLOOR);
    return s;
}

/* Left edge of symbol 0..16 in 2^-24, as constriction computes it. */
INLINE uint32_t left_edge(const Network *net, const Mixture *m, const Symbol *s, int symbol) {
    if (symbol == 0) return 0;
    if (symbol == 16) return 1u << 24;
    int32_t sum = below_bin(net, m, s->base + s->step * symbol) - s->below +
                  symbol * s->step * FLOOR;
    return (uint32_t)((float)sum * s->scale) + (uint32_t)symbol;
}

/* ---------------------------------------------------------------- range coder */

typedef struct {
    uint64_t lower, range;
    size_t inverted; /* words held back because a carry may still reach them */
    uint32_t first_inverted;
    uint32_t *words;
    size_t count, room;
    int failed;
} RangeEncoder;

static void emit(RangeEncoder *c, uint32_t word) {
    if (c->count == c->room) {
        size_t room = c->room ? 2 * c->room : 4096;
        uint32_t *grown = realloc(c->words, room * sizeof *grown);
        if (!grown) {
            c->failed = 1;
            return;
        }
        c->words = grown, c->room = room;
    }
    c->words[c->count++] = word;
}

static void settle(RangeEncoder *c, int carry) {
    emit(c, c->first_inverted + (carry ? 1 : 0));
    for (size_t i = 1; i < c->inverted; i++) emit(c, carry ? 0 : UINT32_MAX);
    c->inverted = 0;
}

INLINE void put(RangeEncoder *c, uint32_t left, uint32_t right) {
    uint64_t scale = c->range >> 24;
    uint64_t lower = c->lower + scale * left;
    c->range = scale * (right - left);
    if (c->inverted && lower + c->range > lower) settle(c, lower < c->lower);
    c->lower = lower;
    if (c->range >> 32) return;
    uint32_t word = (uint32_t)(lower >> 32);
    c->range <<= 32;
    c->lower <<= 32;
    if (c->inverted)
        c->inverted++;
    else if (c->lower + c->range > c->lower)
        emit(c, word);
    else
        c->inverted = 1, c->first_inverted = word;
}

static void seal(RangeEncoder *c) {
    if (c->range == UINT64_MAX) return;
    uint64_t point = c->lower + (((uint64_t)1 << 32) - 1);
    if (c->inverted) settle(c, point < c->lower);
    uint32_t word = (uint32_t)(point >> 32);
    emit(c, word);
    if ((uint32_t)((c->lower + c->range) >> 32) == word) emit(c, 0);
}

typedef struct {
    const uint8_t *next, *end;
    uint64_t range, ahead; /* ahead: the coded point minus the lower end */
    int overrun;           /* words read after the last one; an encoder's words need one */
} RangeDecoder;

INLINE uint32_t next_word(RangeDecoder *c) {
    if (c->end - c->next < 4) {
        c->overrun++;
        return 0;
    }
    uint32_t word = (uint32_t)c->next[0] | (uint32_t)c->next[1] << 8 |
                    (uint32_t)c->next[2] << 16 | (uint32_t)c->next[3] << 24;
    c->next += 4;
    return word;
}

/* Returns the symbol 0..15, or -1 where no encoder can have written these words. */
INLINE int take(const Network *net, RangeDecoder *c, const Mixture *m, const Symbol *s) {
    uint64_t scale = c->range >> 24;
    uint64_t quantile = c->ahead / scale;
    if (quantile >> 24) return -1;
    int low = 0, high = 16;
    uint32_t left = 0, right = 1u << 24;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        uint32_t edge = left_edge(net, m, s, middle);
        if (edge <= quantile)
            low = middle, left = edge;
        else
            high = middle, right = edge;
    }
    c->ahead -= scale * left;
    c->range = scale * (right - left);
    if (!(c->range >> 32)) {
        c->range <<= 32;
        c->ahead = c->ahead << 32 | next_word(c);
    }
    return low;
}

/* ---------------------------------------------------------------- one tile group */

typedef struct {
    const Network *net;
    uint8_t *canvas; /* [tiles][edge + 3][edge + 6][3] */
    const int32_t *size; /* [tiles][2]: height, width */
    const uint8_t *labels; /* [tiles][label_edge][label_edge] */
    const uint8_t *widths; /* the same shape: how wide the bins of a block are */
    const int16_t *side;   /* [tiles][edge][edge][features] */
    int tiles, edge, label_edge, block_shift, channels;
} Group;

typedef struct {
    Place *place;
    uint8_t *label, *width;
    Context *context;
    int16_t *params; /* [pixels][12 K] */
    Mixture *mixture;
    uint8_t *high;
    uint32_t *order;
    Place *sorted;
    Context *scattered;
    Scratch *scratch;
} Step;

static void free_step(Step *s) {
    free(s->place), free(s->label), free(s->width), free(s->context), free(s->params);
    free(s->mixture), free(s->high), free(s->order), free(s->sorted), free(s->scattered), free(s->scratch);
}

static int make_step(Step *s, const Group *g) {
    memset(s, 0, sizeof *s);
    size_t n = (size_t)g->tiles * g->edge;
    s->place = malloc(n * sizeof *s->place);
    s->label = malloc(n);
    s->width = malloc(n);
    s->context = malloc(n * sizeof *s->context);
    s->params = malloc(n * 12 * g->net->mixtures * sizeof *s->params);
    s->mixture = malloc(n * sizeof *s->mixture);
    s->high = malloc(n);
    s->order = malloc(n * sizeof *s->order);
    s->sorted = malloc(n * sizeof *s->sorted);
    s->scattered = malloc(n * sizeof *s->scattered);
    s->scratch = calloc(1, sizeof *s->scratch);
    if (s->place && s->label && s->width && s->context && s->params && s->mixture && s->high &&
        s->order && s->sorted && s->scattered && s->scratch)
        return 1;
    free_step(s);
    return 0;
}

INLINE ptrdiff_t row_stride(const Group *g) { return 3 * (ptrdiff_t)(g->edge + 2 * MARGIN); }

INLINE uint32_t offset_of(const Group *g, int tile, int y, int x) {
    size_t rows = (size_t)tile * (g->edge + MARGIN) + MARGIN + y;
    return (uint32_t)(rows * row_stride(g) + 3 * (MARGIN + x));
}

INLINE Place place_of(const Group *g, int tile, int y, int x) {
    return (Place){offset_of(g, tile, y, x), (uint32_t)((tile * g->edge + y) * g->edge + x)};
}

/* The pixels of wavefront step t: tile by tile, row by row, where 2 y + x = t. */
static int list_step(const Group *g, int t, Step *s) {
    int n = 0;
    for (int tile = 0; tile < g->tiles; tile++) {
        int height = g->size[2 * tile], width = g->size[2 * tile + 1];
        int first = t < width ? 0 : (t - width + 2) / 2;
        int last = t / 2 < height - 1 ? t / 2 : height - 1;
        const size_t tile_blocks = (size_t)tile * g->label_edge * g->label_edge;
        for (int y = first; y <= last; y++) {
            int x = t - 2 * y;
            size_t block = tile_blocks + (size_t)(y >> g->block_shift) * g->label_edge +
                           (x >> g->block_shift);
            s->place[n] = place_of(g, tile, y, x);
            s->width[n] = g->widths[block];
            s->label[n++] = g->labels[block];
        }
    }
    return n;
}

static int step_count(const Group *g) {
    int most = 0;
    for (int tile = 0; tile < g->tiles; tile++) {
        int steps = 2 * (g->size[2 * tile] - 1) + g->size[2 * tile + 1];
        most = steps > most ? steps : most;
    }
    return most;
}

/* Mixture parameters of the n pixels of a step, sorted by label so that experts run in bulk. */
static void predict_step(const Group *g, Step *s, int n) {
    const Network *net = g->net;
    const int outputs = 12 * net->mixtures;
    int start[17] = {0};
    for (int i = 0; i < n; i++) start[s->label[i] + 1]++;
    for (int e = 1; e <= 16; e++) start[e] += start[e - 1];
    int end[16];
    memcpy(end, start + 1, sizeof end);
    for (int i = 0; i < n; i++) s->order[start[s->label[i]]++] = (uint32_t)i;
    for (int i = 0; i < n; i++) s->sorted[i] = s->place[s->order[i]];
    for (int first = 0; first < n; first += CHUNK) {
        int count = n - first < CHUNK ? n - first : CHUNK;
        fuse(net, g->canvas, g->side, s->sorted + first, row_stride(g), count, s->scratch,
             s->scattered);
        for (int i = 0; i < count; i++) s->context[s->order[first + i]] = s->scattered[i];
        for (int done = 0; done < count;) {
            int e = s->label[s->order[first + done]];
            int stop = end[e] - first < count ? end[e] - first : count;
            const int stride = net->output[e].panels * LANES;
            speak(net, e, s->scratch->feature[1] + (size_t)done * net->fusion.out, stop - done,
                  s->scratch);
            for (int i = done; i < stop; i++) {
                int16_t *to = s->params + (size_t)s->order[first + i] * outputs;
                const int32_t *from = s->scratch->sum + (size_t)(i - done) * stride;
                for (int o = 0; o < outputs; o++) to[o] = (int16_t)from[o];
            }
            done = stop;
        }
    }
}

/* After a step is decoded: repeat edge pixels into the margins that later steps look at. */
static void extend_margins(const Group *g, int t) {
    const ptrdiff_t stride = row_stride(g);
    for (int tile = 0; tile < g->tiles; tile++) {
        int height = g->size[2 * tile], width = g->size[2 * tile + 1];
        int y = t / 2;
        if (t % 2 == 0 && y + 1 < height) {
            uint8_t *at = g->canvas + offset_of(g, tile, y, 0);
            for (int i = 0; i < 3 * MARGIN; i++) at[stride - 3 * MARGIN + i] = at[i % 3];
        }
        y = (t - width + 1) / 2;
        if (t >= width - 1 && (t - width + 1) % 2 == 0 && y < height) {
            uint8_t *at = g->canvas + offset_of(g, tile, y, width - 1);
            for (int i = 0; i < 3 * MARGIN; i++) at[3 + i] = at[i % 3];
        }
    }
}

/* The mixture of channel c of pixel i of a step. */
INLINE Mixture *prepare(const Group *g, Step *s, int i, int c) {
    Mixture *m = s->mixture + i;
    make_mixture(g->net, s->params + (size_t)i * 12 * g->net->mixtures, s->context + i,
                 g->canvas + s->place[i].at, c, m);
    set_bins(m, s->context[i].med[c], s->width[i]);
    return m;
}

/* What comes after a step: gray fills all channels, edge pixels the margins. */
static void end_step(const Group *g, const Step *s, int t, int n) {
    if (g->channels == 1)
        for (int i = 0; i < n; i++) {
            uint8_t *pixel = g->canvas + s->place[i].at;
            pixel[1] = pixel[2] = pixel[0];
        }
    extend_margins(g, t);
}

/* Returns 0, or -1 for words that no encoder wrote, or -2 out of memory. */
static int decode_group(const Group *g, const uint8_t *words, size_t size) {
    Step s;
    if (!make_step(&s, g)) return -2;
    /* Where everything is skipped there are no words, and both of the first two are missing. */
    RangeDecoder coder = {words, words + size, UINT64_MAX, 0, size ? 0 : -1};
    coder.ahead = (uint64_t)next_word(&coder) << 32;
    coder.ahead |= next_word(&coder);
    const int steps = step_count(g);
    int failed = 0;
    for (int t = 0; t < steps && !failed; t++) {
        int n = list_step(g, t, &s);
        predict_step(g, &s, n);
        for (int c = 0; c < g->channels; c++) {
            for (int i = 0; i < n; i++) {
                Mixture *m = prepare(g, &s, i, c);
                if (!m->width) continue;
                Symbol symbol = high_nibble(m);
                int high = take(g->net, &coder, m, &symbol);
                failed |= high < 0;
                s.high[i] = high < 0 ? 0 : (uint8_t)high;
            }
            for (int i = 0; i < n; i++) {
                Mixture *m = s.mixture + i;
                uint8_t *value = g->canvas + s.place[i].at + c;
                if (!m->width) {
                    *value = likeliest(g->net, m);
                    continue;
                }
                Symbol symbol = low_nibble(g->net, m, s.high[i]);
                int low = take(g->net, &coder, m, &symbol);
                failed |= low < 0;
                *value = bin_value(m, 16 * s.high[i] + (low < 0 ? 0 : low));
            }
        }
        end_step(g, &s, t, n);
        failed |= coder.overrun > 1;
    }
    free_step(&s);
    return failed || coder.next != coder.end ? -1 : 0;
}

/* The canvas holds the whole group with its margins; where bins are wider than a value, it ends
 * with what a decoder will see. Returns 0 or -2. */
static int encode_group(const Group *g, RangeEncoder *coder) {
    Step s;
    if (!make_step(&s, g)) return -2;
    const int steps = step_count(g);
    for (int t = 0; t < steps && !coder->failed; t++) {
        int n = list_step(g, t, &s);
        predict_step(g, &s, n);
        for (int c = 0; c < g->channels; c++) {
            for (int i = 0; i < n; i++) {
                Mixture *m = prepare(g, &s, i, c);
                if (!m->width) continue;
                Symbol symbol = high_nibble(m);
                int high = ((g->canvas[s.place[i].at + c] - m->first) / m->width) >> 4;
                put(coder, left_edge(g->net, m, &symbol, high),
                    left_edge(g->net, m, &symbol, high + 1));
            }
            for (int i = 0; i < n; i++) {
                Mixture *m = s.mixture + i;
                uint8_t *value = g->canvas + s.place[i].at + c;
                if (!m->width) {
                    *value = likeliest(g->net, m);
                    continue;
                }
                int bin = (*value - m->first) / m->width;
                Symbol symbol = low_nibble(g->net, m, bin >> 4);
                put(coder, left_edge(g->net, m, &symbol, bin & 15),
                    left_edge(g->net, m, &symbol, (bin & 15) + 1));
                *value = bin_value(m, bin);
            }
        }
        end_step(g, &s, t, n);
    }
    seal(coder);
    free_step(&s);
    return coder->failed ? -2 : 0;
}

/* log2(v) in 1/256 bit, 1 <= v < 2^31. */
INLINE int32_t log2_q8(const int32_t *table, int32_t v) {
    int exponent = 31 - __builtin_clz((unsigned)v);
    int32_t mantissa = exponent > 10 ? v >> (exponent - 10) : v << (10 - exponent);
    return (exponent << 8) + table[mantissa - 1024];
}

/* Code length in 1/256 bit of the even rows of each block of each tile under each expert. */
static int measure_group(const Group *g, const int32_t *log2_table, int64_t *costs) {
    const Network *net = g->net;
    const int outputs = 12 * net->mixtures;
    Step s;
    if (!make_step(&s, g)) return -2;
    for (int tile = 0; tile < g->tiles; tile++) {
        int height = g->size[2 * tile], width = g->size[2 * tile + 1];
        for (int y = 0; y < height; y += 2) /* half the rows tell enough to choose */
            for (int first = 0; first < width; first += CHUNK) {
                int n = width - first < CHUNK ? width - first : CHUNK;
                for (int i = 0; i < n; i++) s.place[i] = place_of(g, tile, y, first + i);
                fuse(net, g->canvas, g->side, s.place, row_stride(g), n, s.scratch, s.context);
                for (int e = 0; e < net->experts; e++) {
                    const int stride = net->output[e].panels * LANES;
                    speak(net, e, s.scratch->feature[1], n, s.scratch);
                    for (int i = 0; i < n; i++) {
                        int16_t params[12 * MAX_MIXTURES];
                        const uint8_t *pixel = g->canvas + s.place[i].at;
                        for (int o = 0; o < outputs; o++)
                            params[o] = (int16_t)s.scratch->sum[(size_t)i * stride + o];
                        int64_t bits = 0;
                        for (int c = 0; c < g->channels; c++) {
                            Mixture m;
                            make_mixture(net, params, s.context + i, pixel, c, &m);
                            int32_t mass = cumulative(net, &m, pixel[c] + 1) -
                                           cumulative(net, &m, pixel[c]) + FLOOR;
                            bits += log2_q8(log2_table, m.total + 256 * FLOOR) -
                                    log2_q8(log2_table, mass);
                        }
                        size_t block = ((size_t)tile * g->label_edge + (y >> g->block_shift)) *
                                           g->label_edge +
                                       ((first + i) >> g->block_shift);
                        costs[block * net->experts + e] += bits;
                    }
                }
            }
    }
    free_step(&s);
    return 0;
}

/* ---------------------------------------------------------------- Python */

static const char *const CAPSULE = "pipeline.codec.network";

static void free_layer(Layer *l) { free(l->weight), free(l->start), free(l->shift); }

static void free_network(Network *net) {
    free_layer(&net->context);
    free_layer(&net->fusion);
    for (int e = 0; e < net->experts; e++) {
        if (net->hidden) free_layer(net->hidden + e);
        if (net->output) free_layer(net->output + e);
    }
    free(net->hidden), free(net->output), free(net);
}

static void destroy(PyObject *capsule) { free_network(PyCapsule_GetPointer(capsule, CAPSULE)); }

/* weight int8 [out][in], bias and shift int32 [out]. interleave: the inputs are those of
 * `gather`, tap by tap, where the model has them channel by channel. */
static int pack(Layer *layer, const int8_t *weight, const int32_t *bias, const int32_t *shift,
                int in, int out, int interleave) {
    layer->in = in, layer->out = out, layer->panels = (out + LANES - 1) / LANES;
    size_t padded = (size_t)layer->panels * LANES;
    layer->weight = calloc(padded * in, sizeof(float));
    layer->start = calloc(padded, sizeof(float));
    layer->shift = calloc(padded, sizeof(int32_t));
    if (!layer->weight || !layer->start || !layer->shift) return 0;
    for (int o = 0; o < out; o++) {
        layer->start[o] = (float)(bias[o] + (1 << (shift[o] - 1)));
        layer->shift[o] = shift[o];
        for (int i = 0; i < in; i++) {
            int from = interleave && i < TAP_VALUES ? i % 3 * TAPS + i / 3 : i;
            layer->weight[((size_t)(o / LANES) * in + i) * LANES + o % LANES] =
                weight[(size_t)o * in + from];
        }
    }
    return 1;
}

static int pack_all(Network *net, const int *sizes, Py_buffer *b) {
    const int width = sizes[0], fused = sizes[1], hidden = sizes[2], experts = sizes[3];
    const int outputs = 12 * sizes[4], joined = width + net->features;
    net->hidden = calloc((size_t)experts, sizeof(Layer));
    net->output = calloc((size_t)experts, sizeof(Layer));
    if (!net->hidden || !net->output) return 0;
    int ok = pack(&net->context, b[0].buf, b[1].buf, b[2].buf, INPUTS, width, 1) &&
             pack(&net->fusion, b[3].buf, b[4].buf, b[5].buf, joined, fused, 0);
    for (int e = 0; ok && e < experts; e++) {
        ok = pack(net->hidden + e, (int8_t *)b[6].buf + (size_t)e * hidden * fused,
                  (int32_t *)b[7].buf + e * hidden, (int32_t *)b[8].buf + e * hidden, fused,
                  hidden, 0) &&
             pack(net->output + e, (int8_t *)b[9].buf + (size_t)e * outputs * hidden,
                  (int32_t *)b[10].buf + e * outputs, (int32_t *)b[11].buf + e * outputs, hidden,
                  outputs, 0);
    }
    return ok;
}

enum { LAYER_BUFFERS = 12, TABLE_BUFFERS = 6, BUFFERS = LAYER_BUFFERS + TABLE_BUFFERS };

/* make_network(width, fused, hidden, experts, mixtures, features, buffers): weights.py has
 * checked all. */
static PyObject *make_network(PyObject *self, PyObject *args) {
    int sizes[6];
    PyObject *list, *result = NULL;
    if (!PyArg_ParseTuple(args, "iiiiiiO", sizes, sizes + 1, sizes + 2, sizes + 3, sizes + 4,
                          sizes + 5, &list))
        return NULL;
    for (int i = 0; i < 3; i++)
        if (sizes[i] < LANES || sizes[i] > WIDEST || sizes[i] % LANES)
            return PyErr_Format(PyExc_ValueError, "layer width %d is not supported", sizes[i]);
    if (sizes[3] < 1 || sizes[3] > 16 || sizes[4] < 1 || sizes[4] > MAX_MIXTURES ||
        sizes[5] < 0 || sizes[0] + sizes[5] > WIDEST || PySequence_Size(list) != BUFFERS)
        return PyErr_Format(PyExc_ValueError, "experts, mixtures, features or buffers out of range");
    const int width = sizes[0], fused = sizes[1], hidden = sizes[2], experts = sizes[3];
    const int outputs = 12 * sizes[4];
    const Py_ssize_t want[BUFFERS] = {
        (Py_ssize_t)width * INPUTS, 4 * width, 4 * width,
        (Py_ssize_t)fused * (width + sizes[5]), 4 * fused, 4 * fused,
        (Py_ssize_t)experts * hidden * fused, 4 * experts * hidden, 4 * experts * hidden,
        (Py_ssize_t)experts * outputs * hidden, 4 * experts * outputs, 4 * experts * outputs,
        4 * 4591, 4 * 1531, 4 * 512, 4 * 513, 4 * SCALES, 4 * SCALES};
    Py_buffer buffers[BUFFERS];
    int held = 0;
    Network *net = calloc(1, sizeof *net);
    for (; net && held < BUFFERS; held++) {
        PyObject *item = PySequence_GetItem(list, held);
        int bad = !item || PyObject_GetBuffer(item, buffers + held, PyBUF_SIMPLE) < 0;
        Py_XDECREF(item);
        if (bad) break;
        if (buffers[held].len != want[held]) {
            PyErr_Format(PyExc_ValueError, "buffer %d has %zd bytes instead of %zd", held,
                         buffers[held].len, want[held]);
            PyBuffer_Release(buffers + held);
            break;
        }
    }
    if (held == BUFFERS) {
        net->experts = experts, net->mixtures = sizes[4], net->features = sizes[5];
        int32_t *const tables[TABLE_BUFFERS] = {net->reciprocal, net->log_activity, net->exp,
                                                net->logistic, net->inverse_scale, net->reach};
        for (int i = 0; i < TABLE_BUFFERS; i++)
            memcpy(tables[i], buffers[LAYER_BUFFERS + i].buf, (size_t)want[LAYER_BUFFERS + i]);
        if (pack_all(net, sizes, buffers))
            result = PyCapsule_New(net, CAPSULE, destroy);
    }
    for (int i = 0; i < held; i++) PyBuffer_Release(buffers + i);
    if (!result && net) free_network(net);
    if (!result && !PyErr_Occurred()) PyErr_NoMemory();
    return result;
}

typedef struct {
    Group group;
    Py_buffer canvas, size, labels, widths, side, extra;
} Call;

static void release(Call *c) {
    PyBuffer_Release(&c->canvas), PyBuffer_Release(&c->size);
    PyBuffer_Release(&c->labels), PyBuffer_Release(&c->widths);
    PyBuffer_Release(&c->side), PyBuffer_Release(&c->extra);
}

/* (network, canvas, size, labels, widths, side, edge, label_edge, block_shift, channels, extra) */
static int parse_call(PyObject *args, Call *c) {
    PyObject *capsule;
    Group *g = &c->group;
    memset(c, 0, sizeof *c);
    if (!PyArg_ParseTuple(args, "Ow*y*y*y*y*iiiiy*", &capsule, &c->canvas, &c->size, &c->labels,
                          &c->widths, &c->side, &g->edge, &g->label_edge, &g->block_shift,
                          &g->channels, &c->extra))
        return 0;
    g->net = PyCapsule_GetPointer(capsule, CAPSULE);
    g->canvas = c->canvas.buf, g->size = c->size.buf, g->labels = c->labels.buf;
    g->widths = c->widths.buf, g->side = c->side.buf;
    g->tiles = (int)(c->size.len / 8);
    int ok = g->net && g->edge > 0 && g->edge <= 8192 && (g->channels == 1 || g->channels == 3) &&
             g->block_shift >= 0 && g->block_shift <= 12 && c->size.len % 8 == 0 &&
             ((g->edge - 1) >> g->block_shift) < g->label_edge && g->label_edge <= 8192 &&
             c->canvas.len == (Py_ssize_t)g->tiles * (g->edge + MARGIN) * row_stride(g) &&
             c->canvas.len < UINT32_MAX &&
             c->labels.len == (Py_ssize_t)g->tiles * g->label_edge * g->label_edge &&
             c->widths.len == c->labels.len &&
             c->side.len == 2 * (Py_ssize_t)g->tiles * g->edge * g->edge * g->net->features;
    for (int i = 0; ok && i < 2 * g->tiles; i++) ok = g->size[i] >= 1 && g->size[i] <= g->edge;
    for (Py_ssize_t i = 0; ok && i < c->labels.len; i++) ok = g->labels[i] < g->net->experts;
    if (!ok) {
        release(c);
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "inconsistent tile group");
    }
    return ok;
}

static PyObject *py_decode(PyObject *self, PyObject *args) {
    Call c;
    int status;
    if (!parse_call(args, &c)) return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = decode_group(&c.group, c.extra.buf, (size_t)c.extra.len);
    Py_END_ALLOW_THREADS
    release(&c);
    return status == -2 ? PyErr_NoMemory() : PyBool_FromLong(status == 0);
}

static PyObject *py_encode(PyObject *self, PyObject *args) {
    Call c;
    int status;
    RangeEncoder coder = {0, UINT64_MAX, 0, 0, NULL, 0, 0, 0};
    PyObject *result = NULL;
    if (!parse_call(args, &c)) return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = encode_group(&c.group, &coder);
    for (size_t i = 0; i < coder.count; i++) { /* words are little-endian in the file */
        uint32_t w = coder.words[i];
        uint8_t bytes[4] = {(uint8_t)w, (uint8_t)(w >> 8), (uint8_t)(w >> 16), (uint8_t)(w >> 24)};
        memcpy(coder.words + i, bytes, 4);
    }
    Py_END_ALLOW_THREADS
    release(&c);
    if (status == 0)
        result = PyBytes_FromStringAndSize((char *)coder.words, (Py_ssize_t)(4 * coder.count));
    free(coder.words);
    return status == 0 ? result : PyErr_NoMemory();
}

/* extra: the table of 1024 int32; returns int64 costs [tiles][label_edge][label_edge][experts]. */
static PyObject *py_measure(PyObject *self, PyObject *args) {
    Call c;
    int status = -2;
    PyObject *result = NULL;
    if (!parse_call(args, &c)) return NULL;
    size_t count = (size_t)c.labels.len * c.group.net->experts;
    int64_t *costs = calloc(count ? count : 1, sizeof *costs);
    if (c.extra.len != 4096) {
        free(costs);
        release(&c);
        return PyErr_Format(PyExc_ValueError, "the log2 table has 1024 entries");
    }
    Py_BEGIN_ALLOW_THREADS
    if (costs) status = measure_group(&c.group, c.extra.buf, costs);
    Py_END_ALLOW_THREADS
    release(&c);
    if (status == 0)
        result = PyBytes_FromStringAndSize((char *)costs, (Py_ssize_t)(count * sizeof *costs));
    free(costs);
    return status == 0 ? result : PyErr_NoMemory();
}

static PyMethodDef METHODS[] = {
    {"make_network", make_network, METH_VARARGS, "Pack checked weights for the other functions."},
    {"decode", py_decode, METH_VARARGS, "Decode one tile group into its canvas; False if corrupt."},
    {"encode", py_encode, METH_VARARGS, "Encode one tile group; returns its words."},
    {"measure", py_measure, METH_VARARGS, "Code length of each block under each expert."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "_kernels", "SEEC's integer kernels.", -1, METHODS, NULL, NULL, NULL,
    NULL,
};

PyMODINIT_FUNC PyInit__kernels(void) { return PyModule_Create(&MODULE); }
