/* What is known around a block and inside the block while it is coded. */
#pragma once

#include "values.h"

/* A component's blocks in a group. */
typedef struct Component {
    int rows, columns, horizontal, vertical;
    const uint16_t *step;  /* [64] */
    int16_t *coefficients; /* [rows][columns][64], natural order */
} Component;

enum { REFERENCES = 2 };

/* Sums over AC coefficients of products with what components before have at the place, and of these
 * among themselves, each over step^2. */
typedef struct {
    int64_t with[REFERENCES], own[REFERENCES], mixed;
} Products;

/* What a block left for the blocks below and to the right of it. */
typedef struct {
    int last, activity; /* last position; sum of AC magnitudes, at most 63 * 32768 */
    int count, high; /* AC coefficients that are not 0; magnitudes at k of HIGH and more */
    int rest;        /* DC behind its prediction */
    int lower[8], right[8];
    Products products; /* of chroma */
} Trace;

/* Means over the blocks of a component so far, later ones weighing more: of magnitudes, in 1/4096
 * (of DC's rest at 0), and of last positions, in 1/256. */
typedef struct {
    int size[POSITIONS], last;
} Means;

enum { HIGH = 21, MEAN_SHIFT = 6 };

INLINE void add_to_means(Means *m, const int16_t *block, int last, int rest) {
    m->last += ((last << 8) - m->last) >> MEAN_SHIFT;
    m->size[0] += ((size_of(rest) << 12) - m->size[0]) >> MEAN_SHIFT;
    for (int z = 1; z < POSITIONS; z++)
        m->size[z] += ((size_of(block[z]) << 12) - m->size[z]) >> MEAN_SHIFT;
}

/* Dequantised coefficients of a component before, at the resolution of this one: at this place,
 * and where north, west, northwest and northeast of Place are. */
typedef struct {
    const int16_t *here, *near[4];
} Reference;

struct Network;
struct Samples;
struct Wide;

/* Where a block is coded. */
typedef struct {
    Mixer mixer;
    const Layout *layout;
    const Linear *linear;
    Slot *slots; /* of the class */
    const Steps *steps;
    int chroma;
    const int16_t *north, *west, *northwest, *northeast, *north_north,
        *west_west;                      /* zeros where there is none */
    const int16_t *chroma_before, *before_north, *before_west; /* at the same place; zeros */
    Reference reference[REFERENCES]; /* luma, and of component 2 component 1 */
    int references;                  /* how many: 0 of the class luma */
    const int16_t *luma;             /* the first reference in half steps; zeros */
    int luma_north, luma_west;       /* its DC beside this place; or here */
    Means *means;
    const Trace *above, *left, *above_left, *above_right;
    int has_north, has_west;
    const struct Network *networks; /* of the class: last position, DC, AC; or NULL */
    struct Samples *samples;        /* or NULL */
    struct Wide *wide;              /* or NULL: see trunk.h */
} Place;

/* Bytes that a network sees of a block, the same for all its coefficients. */
enum { BLOCK_FEATURES = 13 };

/* Prepared for a block. */
typedef struct {
    int near[POSITIONS];   /* magnitudes N + W */
    int around[POSITIONS]; /* 13 (N + W) + 6 (NW + NE) */
    int direct[POSITIONS], size[POSITIONS];
    int linear;    /* whether there are linear predictions: away from the group's edges */
    int last_near; /* mean of the neighbours' last positions */
    int activity;  /* class of the neighbours' activity */
    uint8_t features[BLOCK_FEATURES];
} Near;

INLINE void prepare(Near *n, const Place *p) {
    for (int z = 0; z < POSITIONS; z++) {
        const int near = abs(p->north[z]) + abs(p->west[z]);
        n->near[z] = near;
        n->around[z] = 13 * near + 6 * (abs(p->northwest[z]) + abs(p->northeast[z]));
    }
    n->linear = p->has_north && p->has_west;
    if (n->linear) {
        const int16_t *const neighbours[4] = {p->north, p->west, p->northwest, p->northeast};
        predict_from(n->direct, n->size, p->linear, p->steps, neighbours);
    }
    const Trace *north = p->has_north ? p->above : p->left,
                *west = p->has_west ? p->left : p->above;
    n->last_near =
        (3 * (north->last + west->last) + p->above_left->last + p->above_right->last + 4) >> 3;
    n->activity = class12((p->above->activity + p->left->activity) >> 2);
}

/* The expected magnitude in 1/16 steps. */
INLINE int expected(const Near *n, const Steps *s, int z) {
    return n->linear ? in_steps(n->size[z], s->per_step[z])
                     : least(n->around[z] * 16 / 38, PREDICTION_MAX);
}

static int last_of(const int16_t *block) {
    for (int k = POSITIONS - 1; k > 0; k--)
        if (block[ZIGZAG[k]]) return k;
    return 0;
}

/* Rows of values and magnitudes with zeros around, so that no neighbour lies outside. */
enum { PITCH = 12, PADDED = 13 * PITCH };

INLINE int padded(int u, int v) { return (u + 1) * PITCH + v; }

/* What is known of a block while it is coded. */
typedef struct {
    int value[PADDED], size[PADDED];
    int upper[8], left[8]; /* its own upper and left edge, as far as it is known */
    int count, sum, before, before_that;
    int high;     /* of the sum, at k of HIGH and more */
    int expected; /* sum over known AC of what was expected of each, in 1/16 steps */
} Inside;
