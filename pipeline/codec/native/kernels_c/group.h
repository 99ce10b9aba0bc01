/* A tile group and the wavefront through it: what encoding, decoding and measuring share. */
#pragma once

#include <time.h>

#include "adaptive.h"
#include "nibble.h"
#include "tuning.h"

/* The pixels that are worked on together, of a wavefront step or of part of a row, in coding
 * order; all arrays have one number for each. Those of a network's features and parameters are
 * sorted by label, so that each entropy model runs over many pixels at once. */
typedef struct {
    Place *place, *sorted;
    uint8_t *label;
    int32_t *tile, *y;
    int32_t *width;  /* of their bins */
    uint32_t *order; /* of each sorted pixel: its number in coding order */
    int32_t *rank;   /* of each pixel: its number when sorted */
    int end[MAX_ENTROPY_MODELS]; /* where the sorted pixels of each entropy model end */
    int32_t *row;                /* where its parameters begin, in pairs */
    Contexts contexts;
    int32_t *residual[2]; /* R and G against their predictions, once they are known */
    int32_t *bin;
    int32_t *value;       /* of the channel that was coded last */
    Adaptive adaptive;    /* networks with predictors */
    OutputAdapter adapter; /* networks whose output layers learn, while they code */
    int16_t *fused;        /* [pixels][fused_stride] */
    int16_t *params;       /* [pixels][params_stride] */
    Mixtures *mixtures; /* [pixels / LANES] */
    Intervals *intervals; /* an encoder's, [pixels / LANES] */
    int32_t *below; /* a decoder's: cumulative frequencies below high nibbles, [pixels][LANES] */
    Scratch *scratch;
    void *room;
    int64_t since;
} Step;

/* Memory that arrays are cut from; without a start only to learn how much they need. */
typedef struct {
    char *start;
    size_t used;
} Room;

/* Cuts `count` parts of `size` bytes, whole cache lines of them. */
static void *cut(Room *room, size_t count, size_t size) {
    char *part = room->start ? room->start + room->used : NULL;
    room->used += (count * size + 63) & ~(size_t)63;
    return part;
}

static void lay_out_adaptive(Adaptive *a, const Network *net, size_t all, Room *room) {
    a->reciprocal = cut(room, all, sizeof(int32_t));
    a->unit = cut(room, all, sizeof(int32_t));
    for (int c = 0; c < 3; c++) {
        a->known[c] = cut(room, all, sizeof(int32_t));
        a->residual[c] = cut(room, all, sizeof(int32_t));
    }
    for (int p = 0; p < net->sizes.predictors; p++) {
        Predicted *predicted = a->predicted + p;
        predicted->strip = cut(room, all, sizeof(int32_t));
        for (int c = 0; c < 3; c++) {
            predicted->from_taps[c] = cut(room, all, sizeof(int32_t));
            predicted->from_channels[c] = cut(room, all, sizeof(int32_t));
            predicted->base[c] = cut(room, all, sizeof(int32_t));
        }
        predicted->full = cut(room, all, sizeof(int32_t));
        predicted->numbers = cut(room, all, sizeof *predicted->numbers);
    }
}

/* Lays out a step of up to n pixels. */
static void lay_out(Step *s, const Network *net, size_t n, Room *room) {
    const size_t spare = n + ROWS, blocks = (n + LANES - 1) / LANES, all = blocks * LANES;
    s->place = cut(room, n, sizeof *s->place);
    s->sorted = cut(room, n, sizeof *s->sorted);
    s->label = cut(room, n, 1);
    s->order = cut(room, n, sizeof *s->order);
    int32_t **const lanes[] = {&s->width,       &s->tile,        &s->y,   &s->row,  &s->rank,
                               &s->residual[0], &s->residual[1], &s->bin, &s->value};
    for (size_t i = 0; i < sizeof lanes / sizeof *lanes; i++)
        *lanes[i] = cut(room, all, sizeof(int32_t));
    if (net->sizes.predictors) lay_out_adaptive(&s->adaptive, net, all, room);
    for (int c = 0; c < 3; c++) {
        s->contexts.med[c] = cut(room, all, sizeof(int32_t));
        s->contexts.gain[c] = cut(room, all, sizeof(int32_t));
        s->contexts.level[c] = cut(room, all, sizeof(int32_t));
    }
    s->fused = cut(room, spare * fused_stride(net), sizeof *s->fused);
    s->params = cut(room, spare * params_stride(net), sizeof *s->params);
    s->mixtures = cut(room, blocks, sizeof *s->mixtures);
    s->intervals = cut(room, blocks, sizeof *s->intervals);
    s->below = cut(room, n * LANES, sizeof *s->below);
    s->scratch = cut(room, 1, sizeof *s->scratch);
}

/* Of the calling thread's own time, whatever else the machine does. */
static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void free_step(Step *s) {
    free_adaptive(&s->adaptive);
    free_output_adapter(&s->adapter);
    free(s->room);
}

static int highest(const Group *g) {
    int most = 0;
    for (int tile = 0; tile < g->tiles; tile++)
        most = g->size[2 * tile] > most ? g->size[2 * tile] : most;
    return most;
}

INLINE ptrdiff_t row_stride(const Group *g) { return 3 * (ptrdiff_t)(g->edge + 2 * MARGIN); }

/* Samples of the canvas. */
INLINE size_t sample_count(const Group *g) {
    return (size_t)g->tiles * (g->edge + MARGIN) * row_stride(g);
}

/* Returns 0 out of memory; free_step is due all the same. */
static int make_step(Step *s, const Group *g) {
    const size_t pixels = (size_t)g->tiles * g->edge;
    memset(s, 0, sizeof *s);
    Room none = {NULL, 0};
    lay_out(s, g->net, pixels, &none);
    s->room = aligned_room(none.used);
    if (!s->room) return 0;
    lay_out(s, g->net, pixels, &(Room){s->room, 0});
    if (g->spent) s->since = nanoseconds();
    return make_adaptive(&s->adaptive, g->net, g->tiles, highest(g), sample_count(g));
}

/* Books the time since the last booking. */
INLINE void spend(const Group *g, Step *s, int part) {
    if (!g->spent) return;
    const int64_t now = nanoseconds();
    g->spent[part] += now - s->since;
    s->since = now;
}

INLINE uint32_t offset_of(const Group *g, int tile, int y, int x) {
    size_t rows = (size_t)tile * (g->edge + MARGIN) + MARGIN + y;
    return (uint32_t)(rows * row_stride(g) + 3 * (MARGIN + x));
}

INLINE Place place_of(const Group *g, int tile, int y, int x) {
    return (Place){offset_of(g, tile, y, x), (uint32_t)((tile * g->edge + y) * g->edge + x)};
}

/* The rows of a tile that have a pixel in step t. */
INLINE int first_row(int t, int width) { return t < width ? 0 : (t - width + 2) / 2; }

INLINE int last_row(int t, int height) { return t / 2 < height - 1 ? t / 2 : height - 1; }

/* Which of the blocks of all tiles a pixel is in. */
INLINE size_t block_of(const Group *g, int tile, int y, int x) {
    const size_t row = (size_t)tile * g->label_edge + (y >> g->block_shift);
    return row * g->label_edge + (x >> g->block_shift);
}

/* The pixels of wavefront step t: tile by tile, row by row, where 2 y + x = t. */
static int list_step(const Group *g, int t, Step *s) {
    int n = 0;
    for (int tile = 0; tile < g->tiles; tile++) {
        const int height = g->size[2 * tile], width = g->size[2 * tile + 1];
        const int first = first_row(t, width), last = last_row(t, height);
        for (int y = first; y <= last; y++) {
            int x = t - 2 * y;
            const size_t block = block_of(g, tile, y, x);
            s->place[n] = place_of(g, tile, y, x);
            s->tile[n] = tile, s->y[n] = y;
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

/* Sorts the n pixels of a step by label. */
static void sort_step(const Network *net, Step *s, int n) {
    int next[MAX_ENTROPY_MODELS + 1] = {0};
    for (int i = 0; i < n; i++) next[s->label[i] + 1]++;
    for (int e = 0; e < MAX_ENTROPY_MODELS; e++) s->end[e] = next[e + 1] += next[e];
    for (int i = 0; i < n; i++) {
        const int at = next[s->label[i]]++;
        s->order[at] = (uint32_t)i;
        s->sorted[at] = s->place[i];
        s->rank[i] = at;
        s->row[i] = at * (params_stride(net) / 2);
    }
}

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

/* Where the run of sorted pixels of one tile that begins with `first` ends, at `last` at most. */
INLINE int end_of_run(const Step *s, int first, int last) {
    const int tile = s->tile[s->order[first]];
    int end = first + 1;
    while (end < last && s->tile[s->order[end]] == tile) end++;
    return end;
}

/* Where the run of pixels of one tile that begins with `first` ends, in coding order, of n. */
INLINE int end_of_tile(const Step *s, int first, int n) {
    int end = first + 1;
    while (end < n && s->tile[end] == s->tile[first]) end++;
    return end;
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

/* After a step is decoded: repeat edge pixels into the margins that later steps read. */
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
