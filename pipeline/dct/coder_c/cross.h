/* What components before say about a chroma block: their coefficients at its resolution, and how
 * far its coefficients follow them. */
#pragma once

#include "surroundings.h"

enum {
    PRECISION_BITS = 20,
    SLOPE_BITS = 12,
    SLOPE_MAX = 8 << SLOPE_BITS,
    KNOWN = 4,     /* how often the block itself counts, next to 2 of N and W and 1 of NW and NE */
    SUM_BITS = 22, /* that sums are cut to before they are multiplied */
};

/* Two blocks beside each other as one of half the resolution, in 1/8192: the DCT of the mean of
 * each two samples, of the first block. The second one's have the sign of (-1)^(row + column). */
static const int16_t HALVING[8][8] = {
    {4096, 0, 0, 0, 0, 0, 0, 0},
    {3711, 1670, -283, 78, 0, -52, 117, -332},
    {0, 4017, 0, 0, 0, 0, 0, -799},
    {-1303, 3178, 1942, -332, 0, 222, -805, -632},
    {0, 0, 3784, 0, 0, 0, -1567, 0},
    {871, -1416, 2907, 1670, 0, -1116, -1204, 282},
    {0, 0, 0, 3406, 0, -2276, 0, 0},
    {-738, 1116, -1420, 2948, 0, -1970, 588, -222}};

/* A block and the one below it as one. The sizes of a row of HALVING sum to less than 1.16: of four
 * by four blocks of at most 4095 the last numbers stay below 2^17, and sums below 2^30. */
INLINE void halve(const int32_t *first, const int32_t *second, int32_t *out) {
    int32_t even[POSITIONS], odd[POSITIONS], sums[POSITIONS];
    for (int z = 0; z < POSITIONS; z++) {
        const int32_t other = z & 8 ? -second[z] : second[z];
        even[z] = first[z] + other, odd[z] = first[z] - other, sums[z] = 4096;
    }
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 8; j++)
            for (int v = 0; v < 8; v++)
                sums[8 * i + v] += HALVING[i][j] * (i & 1 ? odd : even)[8 * j + v];
    for (int z = 0; z < POSITIONS; z++) out[z] = sums[z] >> 13;
}

INLINE void transpose(int32_t *block) {
    for (int u = 0; u < 8; u++)
        for (int v = 0; v < u; v++) {
            const int32_t kept = block[8 * u + v];
            block[8 * u + v] = block[8 * v + u], block[8 * v + u] = kept;
        }
}

/* How many blocks of another component lie along one of this component. */
INLINE int blocks_along(int other, int own) {
    return other == 2 * own || other == 4 * own ? other / own : 1;
}

static const int16_t NO_BLOCK[POSITIONS];

/* The block of another component at a place of this one, or so many blocks below and right of it
 * as far as there are such; zeros where it has no blocks. */
INLINE const int16_t *co_located(const Component *other, const Component *c, int y, int x, int down,
                                 int along) {
    if (!other->rows || !other->columns) return NO_BLOCK;
    const int row = least(y * other->vertical / c->vertical + down, other->rows - 1),
              column = least(x * other->horizontal / c->horizontal + along, other->columns - 1);
    return other->coefficients +
           ((size_t)row * (size_t)other->columns + (size_t)column) * POSITIONS;
}

/* The dequantised coefficients of another component at this one's resolution; 0 where they are
 * less than half a step of this one. Of factors other than 1, 2 and 4 those of the block at the
 * place. */
static inline void refer(const Component *other, const Component *c, int y, int x, int16_t *out) {
    int32_t blocks[4][4][POSITIONS];
    int down = blocks_along(other->vertical, c->vertical),
        along = blocks_along(other->horizontal, c->horizontal);
    for (int i = 0; i < down; i++)
        for (int j = 0; j < along; j++) {
            const int16_t *block = co_located(other, c, y, x, i, j);
            for (int z = 0; z < POSITIONS; z++)
                blocks[i][j][z] = dequantised(block[z], other->step[z] ? other->step[z] : 1);
        }
    if (along > 1) {
        for (int i = 0; i < down; i++)
            for (int j = 0; j < along; j++) transpose(blocks[i][j]);
        for (; along > 1; along /= 2)
            for (int i = 0; i < down; i++)
                for (int j = 0; j < along; j += 2)
                    halve(blocks[i][j], blocks[i][j + 1], blocks[i][j / 2]);
        for (int i = 0; i < down; i++) transpose(blocks[i][0]);
    }
    for (; down > 1; down /= 2)
        for (int i = 0; i < down; i += 2)
            halve(blocks[i][0], blocks[i + 1][0], blocks[i / 2][0]);
    for (int z = 0; z < POSITIONS; z++) {
        const int sum = clip(blocks[0][0][z], COEFFICIENT_MAX);
        out[z] = (int16_t)(2 * size_of(sum) < c->step[z] ? 0 : sum);
    }
}

/* A reference's coefficient in half steps. */
INLINE int in_half_steps(int reference, int64_t per_step) {
    return (int)((2 * reference * per_step + (1 << 19)) >> 20);
}

typedef struct {
    Products around, known; /* of the neighbours; of what is known of the block */
    int direct[REFERENCES][POSITIONS]; /* the linear prediction of the reference here */
} Cross;

INLINE void add_products(Products *sums, const Products *more, int times) {
    for (int r = 0; r < REFERENCES; r++)
        sums->with[r] += times * more->with[r], sums->own[r] += times * more->own[r];
    sums->mixed += times * more->mixed;
}

/* How the references and a coefficient go together, that is known now. */
INLINE void add_known(Cross *x, const Place *p, int z, int real) {
    const int64_t precision = p->steps->precision[z];
    const int first = p->reference[0].here[z];
    x->known.with[0] += precision * (real * first);
    x->known.own[0] += precision * (first * first);
    if (p->references == 1) return;
    const int second = p->reference[1].here[z];
    x->known.with[1] += precision * (real * second);
    x->known.own[1] += precision * (second * second);
    x->known.mixed += precision * (second * first);
}

/* An AC coefficient of the block that is known now. */
INLINE void add_to_cross(Cross *x, const Place *p, const Near *n, int z, int value) {
    for (int r = 0; n->linear && r < p->references; r++)
        if (p->reference[r].here[z])
            add_scaled(x->direct[r], p->linear->direct[z], p->reference[r].here[z]);
    add_known(x, p, z, dequantised(value, p->steps->step[z]));
}

/* The neighbours, and what lies behind the last position. */
INLINE void start_cross(Cross *x, const Place *p, const Near *n, int last) {
    memset(&x->around, 0, sizeof x->around), memset(&x->known, 0, sizeof x->known);
    add_products(&x->around, &p->above->products, 2);
    add_products(&x->around, &p->left->products, 2);
    add_products(&x->around, &p->above_left->products, 1);
    add_products(&x->around, &p->above_right->products, 1);
    uint64_t behind = 0;
    for (int k = POSITIONS - 1; k > last; k--) behind |= UINT64_C(1) << ZIGZAG[k];
    uint64_t known = 0;
    for (int r = 0; r < p->references; r++) {
        const Reference *reference = &p->reference[r];
        known |= not_zero(reference->here);
        if (!n->linear) {
            memset(x->direct[r], 0, sizeof x->direct[r]);
            continue;
        }
        Sources sources = {.count = 0};
        take_sources(&sources, reference->here, behind, 0, NULL);
        for (int i = 0; i < 4; i++)
            take_sources(&sources, reference->near[i], UINT64_MAX, POSITIONS * (i + 1), NULL);
        finish_sources(&sources);
        sum_sources(x->direct[r], p->linear->direct, sources.value, sources.source, sources.count);
    }
    for (known &= behind; known; known &= known - 1) add_known(x, p, __builtin_ctzll(known), 0);
}

/* How much a coefficient changes with each reference, in 1/4096: least squares. Sums are of at most
 * 630 products of 2^24 with a precision of at most 2^20, below 2^54; cut to 2^22, products of two
 * and their difference stay below 2^46, and 4096 of these below 2^58. */
INLINE void slopes_of(const Cross *cross, int references, int *slope) {
    Products sums = cross->around;
    add_products(&sums, &cross->known, KNOWN);
    const Products *x = &sums;
    int64_t most = size64(x->with[0]) | x->own[0] | size64(x->with[1]) | x->own[1];
    int shift = 0;
    for (; most >> shift >= 1 << SUM_BITS; shift++) {}
    const int64_t ridge = ((int64_t)1 << PRECISION_BITS >> shift) + 1;
    const int64_t a = (x->own[0] >> shift) + ridge, with = x->with[0] >> shift;
    if (references == 1) {
        slope[0] = (int)clip64(with * (1 << SLOPE_BITS) / a, SLOPE_MAX);
        return;
    }
    const int64_t b = (x->own[1] >> shift) + ridge, both = x->with[1] >> shift,
                  mixed = x->mixed >> shift, determinant = a * b - mixed * mixed;
    slope[0] = slope[1] = 0;
    if (determinant <= 0) return;
    slope[0] = (int)clip64((with * b - both * mixed) * (1 << SLOPE_BITS) / determinant, SLOPE_MAX);
    slope[1] = (int)clip64((both * a - with * mixed) * (1 << SLOPE_BITS) / determinant, SLOPE_MAX);
}

/* A prediction of the surroundings, in 1/16 steps, moved by what the surroundings of the references
 * did not say about these. */
INLINE int cross_prediction(const Cross *x, const Place *p, int z, int prediction) {
    int slope[REFERENCES];
    slopes_of(x, p->references, slope);
    int64_t moved = 0;
    for (int r = 0; r < p->references; r++)
        moved += slope[r] * ((p->reference[r].here[z] * (int64_t)8192 - x->direct[r][z]) >> 9);
    return (int)clip64(prediction + (((moved >> SLOPE_BITS) * p->steps->per_step[z]) >> 20),
                       PREDICTION_MAX);
}
