/* A group of block rows: component after component, row after row. */
#pragma once

#include "blocks.h"
#include "levels.h"

static const int16_t NO_BLOCK[POSITIONS];

/* The block of another component at the same place; zeros where that has no blocks. */
INLINE const int16_t *co_located(const Component *other, const Component *c, int y, int x) {
    if (!other->rows || !other->columns) return NO_BLOCK;
    const int row = least(y * other->vertical / c->vertical, other->rows - 1);
    const int column = least(x * other->horizontal / c->horizontal, other->columns - 1);
    return other->coefficients +
           ((size_t)row * (size_t)other->columns + (size_t)column) * POSITIONS;
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
    Weights *weights = state->weights + chroma * SETS;
    Place p = {.mixer = {&m->tables, weights, weights + SETS_A, weights + SETS_A + SETS_B,
                         arithmetic, m->learning},
               .layout = &m->layout,
               .linear = m->linear + chroma,
               .counters = state->counters + (size_t)chroma * (size_t)m->layout.lines,
               .steps = &steps,
               .chroma = chroma,
               .networks = m->networks ? m->networks + chroma * KINDS : NULL,
               .samples = samples,
               .means = &means,
               .luma = NO_BLOCK,
               .chroma_before = NO_BLOCK,
               .luma_north = NO_BLOCK,
               .luma_west = NO_BLOCK,
               .before_north = NO_BLOCK,
               .before_west = NO_BLOCK};
    const size_t row = (size_t)columns * POSITIONS;
    for (int y = 0; y < c->rows; y++) {
        Trace *above = traces + 1 + (y & 1 ? 0 : columns + 2),
              *now = traces + 1 + (y & 1 ? columns + 2 : 0);
        for (int x = 0; x < columns; x++) {
            int16_t *block = c->coefficients + (size_t)y * row + (size_t)x * POSITIONS;
            const int north = y > 0, west = x > 0;
            p.has_north = north, p.has_west = west;
            p.north = north ? block - row : west ? block - POSITIONS : NO_BLOCK;
            p.west = west ? block - POSITIONS : p.north;
            p.northwest = north && west ? block - row - POSITIONS : NO_BLOCK;
            p.north_north = y > 1 ? block - 2 * row : p.north;
            p.west_west = x > 1 ? block - 2 * POSITIONS : p.west;
            p.northeast = !north ? NO_BLOCK : x + 1 < columns ? block - row + POSITIONS : p.north;
            if (chroma) {
                p.luma = co_located(all, c, y, x);
                p.luma_north = co_located(all, c, y - north, x);
                p.luma_west = co_located(all, c, y, x - west);
                if (number == 2) {
                    p.chroma_before = co_located(all + 1, c, y, x);
                    p.before_north = co_located(all + 1, c, y - north, x);
                    p.before_west = co_located(all + 1, c, y, x - west);
                }
            }
            p.above = above + x, p.left = now + x - 1, p.above_left = above + x - 1,
            p.above_right = above + x + 1;
            code_block(&p, block, now + x, decoding);
            if (arithmetic->failed || arithmetic->overrun > 4) {
                free(traces);
                return arithmetic->failed ? NO_MEMORY : CORRUPT;
            }
        }
    }
    free(traces);
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
