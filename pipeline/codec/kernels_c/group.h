/* A tile group and the wavefront through it: what encoding, decoding and measuring share. */
#pragma once

#include <time.h>

#include "nibble.h"

/* The pixels that are worked on together, of a wavefront step or of part of a row, in coding
 * order; all arrays have one number for each. Those of a network's features and parameters are
 * sorted by label, so that experts run in bulk. */
typedef struct {
    Place *place, *sorted;
    uint8_t *label;
    int32_t *width;  /* of their bins */
    uint32_t *order; /* of each sorted pixel: its number in coding order */
    int32_t *row;    /* where its parameters begin, in pairs */
    Contexts contexts;
    int32_t *residual[2]; /* R and G against their predictions, once they are known */
    int32_t *bin, *nibble;
    int16_t *fused;  /* [pixels][fused_stride] */
    int16_t *params; /* [pixels][params_stride] */
    Mixtures *mixtures; /* [pixels / LANES] */
    Intervals *intervals; /* an encoder's, [pixels / LANES] */
    Symbols *symbols;     /* a decoder's */
    Scratch *scratch;
    void *room;
    int64_t since;
} Step;

/* Cuts `count` parts of `size` bytes from *next, or from nothing to learn how far it goes. */
static void *cut(char **next, size_t count, size_t size) {
    char *part = *next;
    *next += (count * size + 63) & ~(size_t)63;
    return part;
}

/* Lays out a step of up to n pixels from `room` on; returns the end. */
static char *lay_out(Step *s, const Network *net, size_t n, char *room) {
    const size_t spare = n + ROWS, blocks = (n + LANES - 1) / LANES, all = blocks * LANES;
    char *next = room;
    s->place = cut(&next, n, sizeof *s->place);
    s->sorted = cut(&next, n, sizeof *s->sorted);
    s->label = cut(&next, n, 1);
    s->order = cut(&next, n, sizeof *s->order);
    int32_t **const lanes[] = {
        &s->width, &s->row, &s->residual[0], &s->residual[1], &s->bin, &s->nibble};
    for (size_t i = 0; i < sizeof lanes / sizeof *lanes; i++)
        *lanes[i] = cut(&next, all, sizeof(int32_t));
    for (int c = 0; c < 3; c++) {
        s->contexts.med[c] = cut(&next, all, sizeof(int32_t));
        s->contexts.gain[c] = cut(&next, all, sizeof(int32_t));
        s->contexts.level[c] = cut(&next, all, sizeof(int32_t));
    }
    s->fused = cut(&next, spare * fused_stride(net), sizeof *s->fused);
    s->params = cut(&next, spare * params_stride(net), sizeof *s->params);
    s->mixtures = cut(&next, blocks, sizeof *s->mixtures);
    s->intervals = cut(&next, blocks, sizeof *s->intervals);
    s->symbols = cut(&next, n, sizeof *s->symbols);
    s->scratch = cut(&next, 1, sizeof *s->scratch);
    return next;
}

/* Of the calling thread's own time, whatever else the machine does. */
static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Returns 0 out of memory. */
static int make_step(Step *s, const Group *g) {
    const size_t pixels = (size_t)g->tiles * g->edge;
    memset(s, 0, sizeof *s);
    s->room = aligned_room((size_t)(lay_out(s, g->net, pixels, NULL) - (char *)NULL));
    if (!s->room) return 0;
    lay_out(s, g->net, pixels, s->room);
    if (g->spent) s->since = nanoseconds();
    return 1;
}

static void free_step(Step *s) { free(s->room); }

/* Books the time since the last booking. */
INLINE void spend(const Group *g, Step *s, int part) {
    if (!g->spent) return;
    const int64_t now = nanoseconds();
    g->spent[part] += now - s->since;
    s->since = now;
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

/* The pixels of a row of a tile, all known, in the order in which they lie. */
static int list_row(const Group *g, int tile, int y, Step *s) {
    const int n = g->size[2 * tile + 1];
    for (int x = 0; x < n; x++) {
        s->place[x] = s->sorted[x] = place_of(g, tile, y, x);
        s->order[x] = (uint32_t)x;
        s->row[x] = x * (params_stride(g->net) / 2);
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

/* Sorts the n pixels of a step by label; end[e] is where those of expert e stop. */
static void sort_step(const Network *net, Step *s, int n, int end[MAX_EXPERTS]) {
    int next[MAX_EXPERTS + 1] = {0};
    for (int i = 0; i < n; i++) next[s->label[i] + 1]++;
    for (int e = 0; e < MAX_EXPERTS; e++) end[e] = next[e + 1] += next[e];
    for (int i = 0; i < n; i++) {
        const int at = next[s->label[i]]++;
        s->order[at] = (uint32_t)i;
        s->sorted[at] = s->place[i];
        s->row[i] = at * (params_stride(net) / 2);
    }
}

/* Contexts and fused features of n pixels. */
static void fuse_step(const Group *g, Step *s, int n) {
    const Network *net = g->net;
    for (int first = 0; first < n; first += CHUNK) {
        const int count = n - first < CHUNK ? n - first : CHUNK;
        gather_all(net, g->canvas, s->sorted + first, s->order + first, row_stride(g), count,
                   s->scratch, &s->contexts);
        spend(g, s, INPUTS_PART);
        fuse(net, g->side, s->sorted + first, count, s->scratch,
             s->fused + (size_t)first * fused_stride(net));
        spend(g, s, LAYERS_PART);
    }
}

/* Mixture parameters of the n pixels of a step. */
static void predict_step(const Group *g, Step *s, int n) {
    const Network *net = g->net;
    int end[MAX_EXPERTS];
    sort_step(net, s, n, end);
    fuse_step(g, s, n);
    for (int e = 0, first = 0; first < n; first = end[e++])
        if (end[e] > first)
            speak(net, e, s->fused + (size_t)first * fused_stride(net), end[e] - first,
                  s->scratch, s->params + (size_t)first * params_stride(net));
    spend(g, s, LAYERS_PART);
}

/* The mixtures of one channel of the LANES pixels from `first` on, but for their bins. */
INLINE void mix(const Group *g, const Step *s, int first, int channel, Mixtures *m) {
    for (int at = 0; at < LANES; at += VECTOR) {
        const int i = first + at;
        const vec rows = load(s->row + i);
        const vec residual[2] = {load(s->residual[0] + i), load(s->residual[1] + i)};
        mix_weights(g->net, s->params, rows, channel, at, m);
        mix_scales(g->net, s->params, rows, channel, at, load(s->contexts.level[channel] + i), m);
        mix_means(g->net, s->params, rows, channel, at, load(s->contexts.med[channel] + i),
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
    if (channel < 2) s->residual[channel][i] = value - s->contexts.med[channel][i];
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

/* What comes after a step: gray fills all channels, edge pixels the margins. */
static void end_step(const Group *g, const Step *s, int t, int n) {
    if (g->channels == 1)
        for (int i = 0; i < n; i++) {
            uint8_t *pixel = g->canvas + s->place[i].at;
            pixel[1] = pixel[2] = pixel[0];
        }
    extend_margins(g, t);
}
