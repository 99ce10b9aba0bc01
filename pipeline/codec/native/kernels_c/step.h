/* The memory of the pixels that are worked on together, and where its time goes. */
#pragma once

#include <time.h>

#include "adaptive.h"
#include "nibble.h"
#include "output_adaptation.h"

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

INLINE ptrdiff_t row_stride(const Group *g) { return 3 * (ptrdiff_t)(g->columns + 2 * MARGIN); }

/* Samples of the canvas. */
INLINE size_t sample_count(const Group *g) {
    return (size_t)g->tiles * (g->rows + MARGIN) * row_stride(g);
}

/* How many pixels are worked on together at most: a wavefront step has one of each row, and a row
 * may be measured as a whole. */
INLINE size_t most_at_once(const Group *g) {
    const size_t of_step = (size_t)g->tiles * g->rows, of_row = (size_t)g->columns;
    return of_step > of_row ? of_step : of_row;
}

/* Returns 0 out of memory; free_step is due all the same. */
static int make_step(Step *s, const Group *g) {
    const size_t pixels = most_at_once(g);
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
