/* A group of block rows: component after component, row after row. */
#pragma once

#include "blocks.h"
#include "levels.h"

/* N, W, NW, NE of a block, or what stands for them; above: the block above it. */
INLINE void find_near(const int16_t *near[4], const int16_t *block, const int16_t *above,
                      int columns, int y, int x) {
    const int north = y > 0, west = x > 0;
    near[0] = north ? above : west ? block - POSITIONS : NO_BLOCK;
    near[1] = west ? block - POSITIONS : near[0];
    near[2] = north && west ? above - POSITIONS : NO_BLOCK;
    near[3] = !north ? NO_BLOCK : x + 1 < columns ? above + POSITIONS : near[0];
}

/* The first reference in half steps of this component. */
INLINE void take_luma(Place *p, int16_t *luma) {
    const Reference *r = p->reference;
    for (int z = 0; z < POSITIONS; z++)
        luma[z] = (int16_t)in_half_steps(r->here[z], p->steps->per_step[z]);
    const int64_t per_step = p->steps->per_step[0];
    p->luma_north = p->has_north ? in_half_steps(r->near[0][0], per_step) : luma[0];
    p->luma_west = p->has_west ? in_half_steps(r->near[1][0], per_step) : luma[0];
}

INLINE void take_further(Wide *w, const int16_t *block, size_t row, int columns, int y, int x) {
    w->further[0] = y > 0 && x > 1 ? block - row - 2 * POSITIONS : NO_BLOCK;
    w->further[1] = y > 0 && x + 2 < columns ? block - row + 2 * POSITIONS : NO_BLOCK;
    w->further[2] = y > 1 && x > 0 ? block - 2 * row - POSITIONS : NO_BLOCK;
    w->further[3] = y > 1 && x + 1 < columns ? block - 2 * row + POSITIONS : NO_BLOCK;
}

INLINE int code_component(const Model *m, State *state, Arithmetic *arithmetic,
                          const Component *all, int number, Samples *samples, const int decoding) {
    const Component *c = all + number;
    const int chroma = number == 1 || number == 2, columns = c->columns;
    /* A row of traces behind the row above, with a border on both sides. */
    Trace *traces = calloc(2 * ((size_t)columns + 2), sizeof *traces);
    if (!traces) return NO_MEMORY;
    Steps steps;
    Means means = {0};
    take_steps(&steps, c->step);
    const int references = chroma ? number : 0;
    const size_t row = (size_t)columns * POSITIONS;
    /* Of each reference two rows of blocks; one number more, so that there is memory of no row. */
    int16_t *referred = calloc(2 * (size_t)references * row + 1, sizeof *referred),
            luma[POSITIONS] = {0};
    if (!referred) {
        free(traces);
        return NO_MEMORY;
    }
    Gathered *gathered = samples && !chroma ? samples->gathered : NULL;
    const Network *networks = m->networks ? m->networks + chroma * KINDS : NULL;
    Wide wide = {.gathered = gathered};
    const int widely = gathered || (networks && networks[2].trunk);
    Past *pasts = widely ? calloc(2 * ((size_t)columns + 2), sizeof *pasts) : NULL;
    if (widely && !pasts) {
        free(traces), free(referred);
        return NO_MEMORY;
    }
    Weights *weights = state->weights + chroma * SETS;
    Place p = {.mixer = {&m->tables, weights, weights + SETS_A, weights + SETS_A + SETS_B,
                         arithmetic, m->learning},
               .layout = &m->layout,
               .linear = m->linear + chroma,
               .slots = state->slots + (size_t)chroma * (size_t)m->layout.lines * NODES,
               .steps = &steps,
               .chroma = chroma,
               .networks = networks,
               .samples = samples,
               .wide = widely ? &wide : NULL,
               .means = &means,
               .references = references,
               .luma = luma,
               .chroma_before = NO_BLOCK,
               .before_north = NO_BLOCK,
               .before_west = NO_BLOCK};
    for (int y = 0; y < c->rows; y++) {
        Trace *above = traces + 1 + (y & 1 ? 0 : columns + 2),
              *now = traces + 1 + (y & 1 ? columns + 2 : 0);
        for (int r = 0; r < references; r++)
            for (int x = 0; x < columns; x++)
                refer(all + r, c, y, x,
                      referred + (size_t)(2 * r + (y & 1)) * row + (size_t)x * POSITIONS);
        for (int x = 0; x < columns; x++) {
            int16_t *block = c->coefficients + (size_t)y * row + (size_t)x * POSITIONS;
            const int north = y > 0, west = x > 0;
            const int16_t *near[4];
            p.has_north = north, p.has_west = west;
            find_near(near, block, north ? block - row : NULL, columns, y, x);
            p.north = near[0], p.west = near[1], p.northwest = near[2], p.northeast = near[3];
            p.north_north = y > 1 ? block - 2 * row : p.north;
            p.west_west = x > 1 ? block - 2 * POSITIONS : p.west;
            for (int r = 0; r < references; r++) {
                const int16_t *rows = referred + 2 * (size_t)r * row + (size_t)x * POSITIONS;
                p.reference[r].here = rows + (y & 1 ? row : 0);
                find_near(p.reference[r].near, p.reference[r].here, rows + (y & 1 ? 0 : row),
                          columns, y, x);
            }
            if (widely) {
                Past *over = pasts + 1 + (y & 1 ? 0 : columns + 2) + x,
                     *here = pasts + 1 + (y & 1 ? columns + 2 : 0) + x;
                take_further(&wide, block, row, columns, y, x);
                wide.past = here, wide.near[0] = over, wide.near[1] = here - 1,
                wide.near[2] = over - 1, wide.near[3] = over + 1;
            }
            if (chroma) take_luma(&p, luma);
            if (number == 2) {
                p.chroma_before = co_located(all + 1, c, y, x, 0, 0);
                p.before_north = co_located(all + 1, c, y - north, x, 0, 0);
                p.before_west = co_located(all + 1, c, y, x - west, 0, 0);
            }
            p.above = above + x, p.left = now + x - 1, p.above_left = above + x - 1,
            p.above_right = above + x + 1;
            code_block(&p, block, now + x, decoding);
            if (arithmetic->failed || arithmetic->overrun > 4) {
                free(traces), free(referred), free(pasts);
                return arithmetic->failed ? NO_MEMORY : CORRUPT;
            }
        }
    }
    free(traces), free(referred), free(pasts);
    return CODED;
}

/* Codes a group's components, or decodes into them. */
static int code_group(const Model *m, State *state, Arithmetic *arithmetic,
                      const Component *components, int count, Samples *samples) {
    int status = CODED;
    for (int i = 0; i < count && status == CODED; i++)
        status = arithmetic->next ? code_component(m, state, arithmetic, components, i, NULL, 1)
                                  : code_component(m, state, arithmetic, components, i, samples, 0);
    return status;
}
