/* A group: slices of bands, each a plane with a frame around it, coded sample after sample. */
#pragma once

#include "bilevel.h"
#include "levels.h"
#include "sample.h"

INLINE Near near_at(const Plane *p, ptrdiff_t at) {
    return (Near){p->value + at, p->error + at, p->outcome + at};
}

/* Before a row: what stands left of it is the sample above its first one. */
static void open_row(const Frame *f, Plane *p, int y) {
    const ptrdiff_t at = (ptrdiff_t)f->first + y * f->stride;
    for (int x = -FRAME; x < 0; x++) {
        p->value[at + x] = y ? p->value[at - f->stride] : 0;
        p->error[at + x] = y ? p->error[at - f->stride] : 0;
    }
}

/* Behind a row: what stands right of it is its last sample; below the last row it is repeated. */
static void close_row(const Frame *f, Plane *p, int y) {
    const ptrdiff_t at = (ptrdiff_t)f->first + y * f->stride, end = at + f->width;
    for (int x = 0; x < FRAME; x++) p->value[end + x] = p->value[end - 1];
    if (y == f->height - 1)
        memcpy(p->value + at + f->stride - FRAME, p->value + at - FRAME,
               (size_t)f->stride * sizeof *p->value);
}

/* Above the first row stands what its last sample was: all that is known. */
static void repeat_above(const Frame *f, Plane *p, ptrdiff_t at) {
    for (int row = 1; row < FRAME; row++)
        for (int x = 1; x <= FRAME; x++) p->value[at + x - row * f->stride] = p->value[at];
}

/* Codes a plane, whose frame holds zeros, or decodes into it. */
INLINE int code_plane(const Coder *k, const Frame *f, Band *b, Plane *own, Plane *const *references,
                      const int repeats, const int decoding) {
    Expected e = {0};
    Near others[REFERENCES];
    for (int y = 0; y < f->height; y++) {
        open_row(f, own, y);
        for (int x = 0; x < f->width; x++) {
            const ptrdiff_t at = (ptrdiff_t)f->first + y * f->stride + x;
            if (x % STRIP == 0) solve(&b->squares, x / STRIP);
            for (int r = 0; r < k->references; r++) others[r] = near_at(references[r], at);
            const Near near = near_at(own, at);
            expect(k, b, &e, near, others, repeats);
            uint32_t kinds[KINDS], value = decoding ? 0 : *near.value;
            int outcome = 0;
            if (repeats) outcome = code_repeat(k, b, &e, near, others, value, kinds, decoding);
            value = outcome ? kinds[outcome - 1] : (uint32_t)code_value(k, b, &e, value, decoding);
            own->value[at] = value, own->outcome[at] = (uint8_t)outcome;
            own->error[at] = learn_sample(k, b, &e, x % STRIP, value);
            if (x % STRIP == STRIP - 1 || x == f->width - 1)
                add_strip(&b->squares, x / STRIP, x % STRIP + 1);
            if (!y) repeat_above(f, own, at);
        }
        close_row(f, own, y);
        if (k->arithmetic->failed) return NO_MEMORY;
        if (k->arithmetic->overrun > 4) return CORRUPT;
    }
    return CODED;
}

static void clear_frame(const Frame *f, Plane *p) {
    memset(p->value, 0, f->first * sizeof *p->value);
    memset(p->error, 0, f->size * sizeof *p->error);
    memset(p->outcome, 0, f->size);
}

static int choose_and_code(const Coder *k, const Frame *f, Band *b, Plane *own,
                           Plane *const *references, int repeats, int decoding) {
    if (is_bilevel(k->top, repeats)) {
        const Plane *beside = k->references ? references[0] : NULL;
        return decoding ? code_bits(k->tables, k->arithmetic, f, &b->repeats, own, beside, 1)
                        : code_bits(k->tables, k->arithmetic, f, &b->repeats, own, beside, 0);
    }
    if (decoding)
        return repeats ? code_plane(k, f, b, own, references, 1, 1)
                       : code_plane(k, f, b, own, references, 0, 1);
    return repeats ? code_plane(k, f, b, own, references, 1, 0)
                   : code_plane(k, f, b, own, references, 0, 0);
}

static void copy_rows(const Frame *f, const Plane *p, uint32_t *samples, int decoding) {
    for (int y = 0; y < f->height; y++) {
        uint32_t *own = p->value + f->first + y * f->stride, *other = samples + (size_t)y * f->width;
        memcpy(decoding ? other : own, decoding ? own : other, (size_t)f->width * sizeof *own);
    }
}

/* Codes [slices][bands][height][width] samples, or decodes into them. */
static int code_group(const struct DeepTables *tables, Arithmetic *arithmetic, const Group *g) {
    const int decoding = arithmetic->next != NULL;
    Frame f = {g->width, g->height, g->width + 2 * FRAME, 0, 0};
    f.size = (size_t)f.stride * ((size_t)g->height + FRAME + 1);
    f.first = (size_t)f.stride * FRAME + FRAME;
    const int planes = 2 * g->bands;
    Plane *plane = calloc((size_t)planes, sizeof *plane);
    Band *band = calloc((size_t)g->bands, sizeof *band); /* of which `end_band` may free nothing */
    int status = plane && band ? CODED : NO_MEMORY;
    for (int i = 0; i < (g->across ? planes : g->bands) && status == CODED; i++) {
        plane[i].value = calloc(f.size, sizeof *plane->value);
        plane[i].error = calloc(f.size, sizeof *plane->error);
        plane[i].outcome = calloc(f.size, 1);
        if (!plane[i].value || !plane[i].error || !plane[i].outcome) status = NO_MEMORY;
    }
    for (int i = 0; i < g->bands && status == CODED; i++)
        if (!(is_bilevel(g->top, g->repeats)
                  ? begin_bits(&band[i].repeats)
                  : begin_band(band + i, g->width, least(i, 2) + g->across, g->repeats)))
            status = NO_MEMORY;
    for (int s = 0; s < g->slices && status == CODED; s++) {
        Plane *now = plane + (g->across && s % 2 ? g->bands : 0),
              *before = plane + (g->across && s % 2 ? 0 : g->bands);
        for (int i = 0; i < g->bands && status == CODED; i++) {
            Plane *references[REFERENCES];
            Coder k = {tables, arithmetic, f.stride, g->top, 0, 0};
            for (int r = 1; r <= least(i, 2); r++) references[k.references++] = now + i - r;
            if (g->across) references[k.references++] = before + i;
            k.holes = g->holes && !k.references;
            uint32_t *samples =
                g->samples + ((size_t)s * g->bands + i) * (size_t)g->width * (size_t)g->height;
            clear_frame(&f, now + i);
            if (!decoding) copy_rows(&f, now + i, samples, 0);
            status = choose_and_code(&k, &f, band + i, now + i, references, g->repeats, decoding);
            if (decoding && status == CODED) copy_rows(&f, now + i, samples, 1);
        }
    }
    for (int i = 0; band && i < g->bands; i++) end_band(band + i);
    for (int i = 0; plane && i < planes; i++)
        free(plane[i].value), free(plane[i].error), free(plane[i].outcome);
    free(band), free(plane);
    return status;
}
