/* One sample: what is expected of it, whether it repeats another one, and its value. */
#pragma once

#include "band.h"

enum {
    KINDS = 6, /* of repeats: W, N, NE, NW, the least value, the largest */
    MAGNITUDES = 64,
    ERROR_MAX = 1 << 30,
    SPREAD_SEEN = 250,
    BIAS_SEEN = 60,
};

/* Planes of one size around a sample: `value` at it, `error` and `outcome` beside it. */
typedef struct {
    const uint32_t *value;
    const int32_t *error;
    const uint8_t *outcome;
} Near;

typedef struct {
    const DeepTables *tables;
    Arithmetic *arithmetic;
    ptrdiff_t stride;
    int64_t top; /* the largest value */
    int references;
    int holes; /* whether the least and the largest value say that there is none */
} Coder;

/* A logistic distribution. A distance d, in 1/16, is (d >> down) * inverse >> 16 of 1/128 scales. */
typedef struct {
    int64_t mean; /* in 1/16 */
    int64_t inverse;
    int down;
} Spread;

typedef struct {
    int64_t w, n, nw, ne, ww, nn;
    int64_t base; /* what regressors are differences from: W, unless that is a hole */
    int32_t difference[TAPS]; /* of values below 2^31; zeros behind the last one */
    int64_t gradient; /* a sum of 5 differences */
    uint64_t energy;  /* a sum of 8 errors */
    int64_t mean, centre;
    int energy_class, gradient_class, wide_class;
    int unit; /* magnitudes are coded in units of 2^unit */
    uint32_t two, four, six; /* hashes of W and N, of NW and NE too, of WW and NN too */
    uint32_t context[CONTEXTS];
    Spread spread[SPREADS];
    Mean *spread_mean[SPREADS], *bias;
} Expected;

INLINE int64_t along(const Spread *s, int64_t distance) {
    return ((distance >> s->down) * s->inverse) >> 16;
}

INLINE Spread spread_of(int64_t mean, const Mean *size) {
    const int64_t fine = size->mean < 0 ? 0 : size->mean >> 12; /* 1/256 */
    const int length = bit_length((uint64_t)fine), down = length > 20 ? length - 20 : 0;
    return (Spread){mean, (177u << 20) / ((uint32_t)(fine >> down) + 8), down};
}

INLINE int is_hole(const Coder *k, int64_t value) {
    return k->holes && (value == 0 || value == k->top);
}

/* A value, or the base in place of a hole. */
INLINE int64_t filled(const Coder *k, const Expected *e, int64_t value) {
    return is_hole(k, value) ? e->base : value;
}

INLINE int64_t choose_base(const Coder *k, const Expected *e) {
    const int64_t values[] = {e->w, e->n, e->ne, e->nw};
    for (int i = 0; i < 4; i++)
        if (!is_hole(k, values[i])) return values[i];
    return e->w;
}

/* What the samples around say, before the errors are asked. */
INLINE void look_around(const Coder *k, Expected *e, Near own, const Near *references) {
    const uint32_t *v = own.value, *above = v - k->stride, *higher = above - k->stride;
    e->w = v[-1], e->n = above[0], e->nw = above[-1], e->ne = above[1];
    e->ww = v[-2], e->nn = higher[0];
    e->two = hashed((uint32_t)e->w, (uint32_t)e->n);
    e->four = hashed(hashed(e->two, (uint32_t)e->nw), (uint32_t)e->ne);
    e->six = hashed(hashed(e->four, (uint32_t)e->ww), (uint32_t)e->nn);
    e->base = choose_base(k, e);
    const uint32_t taps[OWN_TAPS] = {above[0],  above[-1], above[1],  v[-2],      higher[0],
                                     above[2],  above[-2], higher[1], higher[-1], v[-3]};
    int32_t *d = e->difference;
    for (int i = 0; i < OWN_TAPS; i++) *d++ = (int32_t)(filled(k, e, taps[i]) - e->base);
    for (int r = 0; r < k->references; r++) {
        const uint32_t *q = references[r].value, from = q[-1];
        *d++ = (int32_t)(q[0] - from), *d++ = (int32_t)(q[-k->stride] - from);
        *d++ = (int32_t)(q[1] - from), *d++ = (int32_t)(q[k->stride] - from);
        *d++ = (int32_t)(q[-k->stride - 1] - from);
    }
    const int64_t w = filled(k, e, e->w) - e->base, n = e->difference[0], nw = e->difference[1],
                  ne = e->difference[2], ww = e->difference[3], nn = e->difference[4];
    e->gradient = size64(w - nw) + size64(n - nw) + size64(n - ne) + size64(w - ww) + size64(n - nn);
}

/* The median of W, N and W + N - NW; with a reference, of what differs from it. */
INLINE int64_t median(const Coder *k, const Expected *e, const Near *references) {
    int64_t w = filled(k, e, e->w), n = filled(k, e, e->n), nw = filled(k, e, e->nw), base = 0;
    if (k->references) {
        const uint32_t *q = references[0].value;
        base = q[0], w -= q[-1], n -= q[-k->stride], nw -= q[-k->stride - 1];
    }
    return base + between(w + n - nw, w < n ? w : n, w < n ? n : w);
}

/* How far samples around were from what was expected. */
INLINE void measure_errors(const Coder *k, Expected *e, const int32_t *error,
                           const Near *references) {
    const ptrdiff_t s = k->stride;
    const uint64_t energy =
        (uint64_t)(2 * size64(error[-1]) + 2 * size64(error[-s]) + size64(error[-s - 1]) +
                   size64(error[-s + 1]) + size64(error[-2]) + size64(error[-2 * s]));
    uint64_t wide = energy;
    if (k->references) {
        const int32_t *r = references[0].error;
        wide = energy / 2 + (uint64_t)(2 * size64(r[0]) + size64(r[-1]) + size64(r[1]) +
                                       size64(r[-s]) + size64(r[s]));
    } else {
        wide += (uint64_t)(size64(error[-3]) + size64(error[-s - 2]) + size64(error[-s + 2]) +
                           size64(error[-2 * s + 1]) + size64(error[-2 * s - 1]) +
                           size64(error[-3 * s]));
    }
    e->energy = energy;
    e->energy_class = least(quarter_octave(energy), SPREAD_CLASSES - 1);
    e->gradient_class = least(quarter_octave((uint64_t)e->gradient), SPREAD_CLASSES - 1);
    e->wide_class = least(quarter_octave(wide), SPREAD_CLASSES - 1);
}

INLINE void choose_contexts(const Coder *k, Expected *e, int64_t second, int pattern,
                            const int32_t *error, const Near *references) {
    const ptrdiff_t s = k->stride;
    const int unit = e->unit;
    const int64_t p = e->centre;
    int64_t beside = error[-s + 1], farther = error[-2];
    int wider = unit;
    if (k->references) {
        const int32_t *r = references[0].error;
        beside = r[0], farther = (int64_t)r[1] + r[s], wider = unit + 1;
    }
    uint32_t *c = e->context;
    c[0] = (uint32_t)e->energy_class;
    c[1] = (uint32_t)(least(e->wide_class / 2, 63) + 64 * least(e->gradient_class / 4, 15));
    c[2] = (uint32_t)(level7(error[-1], unit) + 7 * level7(error[-s], unit) +
                      49 * level7((int64_t)error[-s - 1] + error[-s + 1], unit + 1));
    c[3] = (uint32_t)pattern;
    c[4] = (uint32_t)(level7(second - p, unit) + 7 * level7(beside, unit) +
                      49 * level7(farther, wider));
    c[5] = hashed((uint32_t)(p >> unit), (uint32_t)unit + 1) >> 20;
    c[6] = (unit ? hashed((uint32_t)(e->w >> unit), (uint32_t)(e->n >> unit)) : e->two) >> 18;
    c[7] = (uint32_t)(level5(e->w - p, unit) + 5 * level5(e->n - p, unit) +
                      25 * level5(e->nw - p, unit) + 125 * level5(e->ne - p, unit));
}

/* Fetches the slots of contexts that many others lie between, while the rest is computed. */
INLINE void fetch_slots(const Band *b, const Expected *e, const int repeats) {
    const uint32_t *slots = b->values.slots[6] + (size_t)(e->two >> 18) * NODES;
    __builtin_prefetch(slots, 1), __builtin_prefetch(slots + NODES / 2, 1);
    if (!repeats) return;
    __builtin_prefetch(b->repeats.slots[2] + (size_t)(e->two >> 18) * WANT_NODES, 1);
    __builtin_prefetch(b->repeats.slots[3] + (size_t)(e->four >> 16) * WANT_NODES, 1);
    __builtin_prefetch(b->repeats.slots[6] + (size_t)(e->six >> 16) * WANT_NODES, 1);
}

INLINE void expect(const Coder *k, Band *b, Expected *e, Near own, const Near *references,
                   const int repeats) {
    look_around(k, e, own, references);
    fetch_slots(b, e, repeats);
    measure_errors(k, e, own.error, references);
    const int64_t second = median(k, e, references), top = 16 * k->top;
    int64_t mean = between(16 * e->base + predicted(&b->squares, e->difference), 0, top);
    const int64_t p = (mean + 8) >> 4;
    const int pattern = (e->n > p) | (e->w > p) << 1 | (e->nw > p) << 2 | (e->ne > p) << 3 |
                        (e->nn > p) << 4 | (e->ww > p) << 5 | (2 * e->n - e->nn > p) << 6 |
                        (2 * e->w - e->ww > p) << 7;
    e->bias = &b->bias[pattern + 256 * least(e->energy_class / 4, 15)];
    mean = between(mean + (e->bias->mean >> 16), 0, top);
    e->mean = mean, e->centre = (mean + 8) >> 4;
    const int class[SPREADS] = {e->energy_class, e->gradient_class, e->wide_class, e->energy_class};
    int length = 1;
    for (int i = 0; i < SPREADS; i++) {
        e->spread_mean[i] = &b->spread[i][class[i]];
        e->spread[i] = spread_of(i < 3 ? mean : 16 * second, e->spread_mean[i]);
        if (i < 3 && e->spread_mean[i]->mean > 0)
            length += bit_length((uint64_t)e->spread_mean[i]->mean >> 12);
    }
    e->unit = length / 3 > 9 ? length / 3 - 9 : 0;
    choose_contexts(k, e, second, pattern, own.error, references);
}

INLINE void begin_decision(Decision *d, const Mixture *m, const uint32_t *context, int nodes) {
    for (int i = 0; i < CONTEXTS; i++) {
        d->slot[i] = m->slots[i] + (size_t)context[i] * (size_t)nodes;
        __builtin_prefetch(d->slot[i], 1);
        if (nodes > 16) __builtin_prefetch(d->slot[i] + 16, 1);
    }
}

/* Codes a value by its sign and its magnitude against what is expected. */
INLINE int64_t code_value(const Coder *k, Band *b, const Expected *e, int64_t value,
                          const int decoding) {
    const DeepTables *t = k->tables;
    const Mixture *m = &b->values;
    const int wide = e->wide_class / 2, third = (int)e->context[4], unit = e->unit;
    const int64_t p = e->centre, edge = 16 * p - 8;
    Decision d;
    begin_decision(&d, m, e->context, NODES);
    d.a = m->a[0], d.b = m->b[wide], d.c = m->c[third];
    for (int i = 0; i < SPREADS; i++)
        d.logit[i] = (int)clip64(2 * along(e->spread + i, edge - e->spread[i].mean), STRETCH_MAX);
    const int negative = decide(t, k->arithmetic, &d, 0, value < p, decoding);
    const int64_t magnitude = negative ? p - 1 - value : value - p, room = negative ? p - 1 : k->top - p;
    int64_t start[SPREADS], gone[SPREADS];
    for (int i = 0; i < SPREADS; i++) {
        start[i] = negative ? e->spread[i].mean - edge : edge - e->spread[i].mean;
        gone[i] = softplus(t, along(e->spread + i, start[i]));
    }
    d.b = m->b[SPREAD_CLASSES / 2 + wide], d.c = m->c[343 + third];
    int j = 0;
    for (; j < MAGNITUDES; j++) {
        const int64_t limit = least_of(j + 1) << unit;
        if (limit > room) break;
        for (int i = 0; i < SPREADS; i++) {
            const int64_t after = softplus(t, along(e->spread + i, 16 * limit + start[i]));
            d.logit[i] = remaining(t, after - gone[i]);
            gone[i] = after;
        }
        const int node = 1 + least(j, 19);
        d.a = m->a[node];
        if (!decide(t, k->arithmetic, &d, node, magnitude >= limit, decoding)) break;
    }
    const int64_t rest = magnitude - (least_of(j) << unit);
    int64_t got = 0;
    int bits = unit + bits_of(j);
    if (bits) {
        for (int i = 0; i < SPREADS; i++) d.logit[i] = 0;
        const int node = 21 + least(j, 10);
        d.a = m->a[node], d.b = m->b[SPREAD_CLASSES + wide], d.c = m->c[686 + third];
        got = decide(t, k->arithmetic, &d, node, (int)(rest >> --bits & 1), decoding);
        while (bits) {
            bits--;
            got = 2 * got + code_bit(k->arithmetic, (int)(rest >> bits & 1), 32768, decoding);
        }
    }
    /* Only damage leaves the range. */
    const int64_t size = (least_of(j) << unit) + got;
    return between(negative ? p - 1 - size : p + size, 0, k->top);
}

INLINE int among(const uint32_t *kinds, int count, uint32_t value) {
    int found = 0;
    for (int i = 0; i < count; i++) found |= kinds[i] == value;
    return found;
}

/* Codes whether a sample repeats another one, and which; returns 0, or 1 + the kind. */
INLINE int code_repeat(const Coder *k, Band *b, const Expected *e, Near own, const Near *references,
                       uint32_t value, uint32_t *kinds, const int decoding) {
    const ptrdiff_t s = k->stride;
    const uint32_t w = (uint32_t)e->w, n = (uint32_t)e->n, nw = (uint32_t)e->nw,
                   ne = (uint32_t)e->ne, ww = (uint32_t)e->ww, nn = (uint32_t)e->nn;
    kinds[0] = w, kinds[1] = n, kinds[2] = ne, kinds[3] = nw, kinds[4] = 0;
    kinds[5] = (uint32_t)k->top;
    const uint8_t *o = own.outcome;
    const uint32_t equal = (uint32_t)((w == n) | (w == nw) << 1 | (n == ne) << 2 | (n == nw) << 3 |
                                      (w == ww) << 4 | (n == nn) << 5 |
                                      (ne == own.value[2 - s]) << 6 | (w == ne) << 7);
    const uint32_t past =
        (uint32_t)(o[-1] | o[-s] << 3 | o[-s + 1] << 6 | o[-s - 1] << 9);
    const int64_t low = along(e->spread, e->mean - 8), high = along(e->spread, 16 * k->top - 8 - e->mean);
    uint32_t other = hashed(e->two, ww) >> 20;
    if (k->references) {
        const uint32_t *q = references[0].value;
        other = (uint32_t)((q[0] == q[-1]) | (q[0] == q[-s]) << 1 | (q[0] == q[1 - s]) << 2 |
                           (q[0] == q[-1 - s]) << 3 | (w == n) << 4 | (n == ne) << 5 |
                           (n == nw) << 6 | (w == nw) << 7 | references[0].outcome[0] << 8);
    }
    const uint32_t context[CONTEXTS] = {
        equal,
        past,
        e->two >> 18,
        e->four >> 16,
        (uint32_t)e->energy_class,
        (uint32_t)(16 + clip64(low >> 5, 15) + 32 * (16 + clip64(high >> 5, 15))),
        e->six >> 16,
        other,
    };
    const Mixture *m = &b->repeats;
    Decision d = {.logit = {0}};
    begin_decision(&d, m, context, WANT_NODES);
    d.a = m->a[0], d.b = m->b[past & 63], d.c = m->c[equal];
    if (!decide(k->tables, k->arithmetic, &d, 0, among(kinds, KINDS, value), decoding)) return 0;
    for (int kind = 0;; kind++) {
        if (among(kinds, kind, kinds[kind])) continue;
        int others = 0;
        for (int i = kind + 1; i < KINDS; i++) others |= !among(kinds, kind + 1, kinds[i]);
        d.a = m->a[1 + kind];
        if (!others ||
            decide(k->tables, k->arithmetic, &d, 1 + kind, kinds[kind] == value, decoding))
            return 1 + kind;
    }
}

/* Learns what the sample was, nothing from holes; returns its error. */
INLINE int32_t learn_sample(const Coder *k, Band *b, const Expected *e, int column, int64_t value) {
    if (is_hole(k, value)) {
        memset(b->squares.seen[column], 0, sizeof *b->squares.seen);
        return 0;
    }
    learn_mean(k->tables, e->bias, clip64(16 * value - e->mean, ERROR_MAX), BIAS_SEEN);
    for (int i = 0; i < SPREADS; i++) {
        Mean *size = e->spread_mean[i];
        const int64_t most = (size->mean >> 13) + 64, error = size64(16 * value - e->spread[i].mean);
        learn_mean(k->tables, size, error < most ? error : most, SPREAD_SEEN);
    }
    const int down = bit_length(e->energy / 8 + (uint64_t)e->gradient / 5) - 8;
    see(&b->squares, column, e->difference, value - e->base, down);
    return (int32_t)clip64(value - e->centre, ERROR_MAX);
}
