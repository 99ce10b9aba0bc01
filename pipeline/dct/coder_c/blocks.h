/* Blocks of coefficients: the last position that is not zero, then from high frequencies to low
 * ones, then DC. Contexts read `known`, which holds what is coded, never the block to be coded. */
#pragma once

#include "network.h"

INLINE int code_last(const Place *p, const Near *n, int last, const int decoding) {
    const int north = (p->has_north ? p->above : p->left)->last,
              west = (p->has_west ? p->left : p->above)->last;
    int luma_last = 0, luma_sum = 0, before_last = 0;
    if (p->chroma) {
        luma_last = last_of(p->luma), before_last = last_of(p->chroma_before);
        for (int z = 1; z < POSITIONS; z++) luma_sum += abs(p->luma[z]);
    }
    int expected_last = POSITIONS - 1;
    while (expected_last > 0 && expected(n, p->steps, ZIGZAG[expected_last]) < 6) expected_last--;
    const int contexts[LAST] = {n->last_near,
                                (north >> 2) * 16 + (west >> 2),
                                class12(p->above->activity) * 12 + class12(p->left->activity),
                                n->activity * 16 + (n->last_near >> 2),
                                (luma_last >> 2) * 16 + (n->last_near >> 2),
                                (luma_last >> 2) * 12 + class12(luma_sum),
                                p->chroma
                                    ? (before_last >> 2) * 32 + (n->last_near >> 1)
                                    : (p->above_left->last >> 2) * 16 + (p->above_right->last >> 2),
                                expected_last * 3 + (n->activity >> 2)};
    int16_t network[OUTPUTS_MAX] = {0};
    if (p->networks || p->samples) {
        uint8_t features[FEATURES];
        last_features(features, p, n);
        if (p->samples) take_sample(p->samples, features, 3 * p->chroma, 0, 0, last);
        if (p->networks) run_network(p->networks, features, 0, network);
    }
    int node = 1;
    for (int b = 5; b >= 0; b--) {
        /* Three decisions in one line, the other three in the line that these choose. */
        const int part = b > 2 ? 0 : 1 + ((node >> (2 - b)) & 7);
        const int inside = b > 2 ? node - 1 : (1 << (2 - b)) - 1 + (node & ((1 << (2 - b)) - 1));
        Slot *at[LAST];
        for (int i = 0; i < LAST; i++)
            at[i] = line_of(p->slots, p->layout->last[i] + contexts[i] * LAST_PARTS + part);
        const int bit =
            decide(&p->mixer, at, LAST, inside, network[node - 1], 384 + node, 198 + n->last_near,
                   252 + n->activity * 6 + b, last >> b & 1, decoding);
        node = 2 * node + bit;
    }
    return node - 64;
}

/* A network without a trunk. */
INLINE void run_value_network(const Network *n, const uint8_t *features, int k, int16_t *out) {
    run_network(n, features, k, out);
    memcpy(out + NEGATIVE + 1, out + 1, (NODES - 1) * sizeof *out);
}

INLINE int code_ac(const Place *p, Near *n, const Seen *seen, const Cross *x, Inside *in, int k,
                   int last, int value, const int decoding) {
    const int z = ZIGZAG[k], u = z >> 3, v = z & 7, at = padded(u, v);
    const Steps *s = p->steps;
    const int north = p->north[z], west = p->west[z];
    const int around = class12((n->around[z] + 9) / 12);
    const int beside = in->size[at + 1], under = in->size[at + PITCH];
    const int beyond = in->size[at + PITCH + 1] + in->size[at + 2] + in->size[at + 2 * PITCH];
    const int inside = class12(least(2 * (beside + under) + beyond, 255));
    const int from_north =
        p->has_north ? across(p->above->lower[v] - in->upper[v], s->below[z]) : 0;
    const int from_west = p->has_west ? across(p->left->right[u] - in->left[u], s->right[z]) : 0;
    const int edges = !u   ? from_north
                      : !v ? from_west
                           : (from_north * v + from_west * u) / (2 * (u + v));
    const int prediction = n->linear ? in_steps(n->direct[z], s->per_step[z]) : edges;
    const int cross = p->references ? cross_prediction(x, p, z, prediction) : prediction;
    const int now = expected(n, s, z), size = expected73(now), scale = size >> 3;
    const int luma = p->luma[z], chroma = p->chroma_before[z];
    const int apart = size13(cross), band24 = BAND24[k], band12 = BAND12[k];
    Value c = {.mixer = &p->mixer, .layout = p->layout, .slots = p->slots};
    const int value_contexts[VALUE] = {
        band24 * 73 + size,
        band12 * 196 + (class6(beside) * 6 + class6(under)) * 4 + class4(beyond),
        band24 * 78 + size13(from_north) * 6 + (around >> 1),
        band24 * 78 + size13(from_west) * 6 + (around >> 1),
        band24 * 130 + apart * 10 + scale,
        band12 * 216 + (p->chroma ? class6(abs(luma)) * 36 + class6(abs(chroma)) * 6 + (around >> 1)
                                  : class6(abs(p->northwest[z])) * 36 +
                                        class6(abs(p->northeast[z])) * 6 + class6(n->near[z]))};
    const int beside_signs =
        (sign_of(in->value[at + 1]) + 1) * 3 + sign_of(in->value[at + PITCH]) + 1;
    const int sign_contexts[SIGN] = {
        band24 * 62 + signed62(cross),
        band12 * 225 + signed15(from_north) * 15 + signed15(from_west),
        band12 * 234 + beside_signs * 26 + signed26(edges),
        band12 * 81 +
            (p->chroma ? (sign_of(luma) + 1) * 18 + (sign_of(chroma) + 1) * 6 + class6(abs(chroma))
                       : (sign_of(north) + 1) * 27 + (sign_of(west) + 1) * 9 +
                             (sign_of(in->value[at + 2]) + 1) * 3 +
                             sign_of(in->value[at + 2 * PITCH]) + 1)};
    /* Lines are fetched while the network runs. */
    for (int i = 0; i < VALUE; i++) {
        c.value[i] = line_of(p->slots, p->layout->value[i] + value_contexts[i]);
        __builtin_prefetch(c.value[i], 1);
    }
    for (int i = 0; i < SIGN; i++)
        c.sign[i] = line_of(p->slots, p->layout->sign[i] + sign_contexts[i]);
    if (p->networks || p->samples) {
        uint8_t features[FEATURES];
        ac_features(features, p, n, seen, in, k, last, prediction, cross, from_north, from_west,
                    edges);
        if (p->samples) take_sample(p->samples, features, 2 + 3 * p->chroma, k, k == last, value);
        if (p->wide && p->wide->gathered)
            gather_coefficient(p->wide->gathered, p, features, k, k == last, value);
        if (p->networks && p->networks[2].trunk)
            run_head(p->networks + 2, p, features, k, c.network);
        else if (p->networks)
            run_value_network(p->networks + 2, features, k, c.network);
    }
    c.choice = (Choice){size >> 1, inside + 12 * class4(in->count), apart};
    c.zigzag = k, c.prediction = cross, c.scale = scale;
    in->expected += now > 0 ? now : 0;
    const int coded = decoding ? decode_value(&c, k == last) : encode_value(&c, value, k == last);
    if (p->wide) add_to_wide(p->wide, z, coded, prediction, now);
    return coded;
}

INLINE int code_dc(const Place *p, const Near *n, const Cross *x, const Inside *in, int value,
                   int *rest, const int decoding) {
    const Steps *s = p->steps;
    const int from_north = across(p->above->lower[0] - in->upper[0], s->below[0]);
    const int from_west = across(p->left->right[0] - in->left[0], s->right[0]);
    const int edges = p->has_north && p->has_west ? (from_north + from_west) >> 1
                      : p->has_north              ? from_north
                      : p->has_west               ? from_west
                                                  : 0;
    const int exact = n->linear ? in_steps(n->direct[0], s->per_step[0]) : edges;
    const int cross = p->references ? cross_prediction(x, p, 0, exact) : exact;
    const int base = (cross + 8) >> 4, prediction = cross - 16 * base;
    Value c = {.mixer = &p->mixer, .layout = p->layout, .slots = p->slots};
    if (p->networks || p->samples) {
        uint8_t features[FEATURES];
        dc_features(features, p, n, in,
                    &(Dc){from_north, from_west, edges, exact, base, prediction});
        if (p->samples) take_sample(p->samples, features, 1 + 3 * p->chroma, 0, 0, value - base);
        if (p->networks) run_value_network(p->networks + 1, features, 0, c.network);
    }
    const int north = p->north[0], west = p->west[0], northwest = p->northwest[0];
    const int apart = size13(from_north - from_west), differ = signed26(edges - exact);
    const int sum = class12(least(in->sum, 255)),
              low = class12(least(in->size[padded(0, 1)] + in->size[padded(1, 0)], 255));
    const int gradient = class6(abs(north - northwest)) * 6 + class6(abs(west - northwest));
    const int north_rest = from_north - 16 * base, west_rest = from_west - 16 * base;
    const int value_contexts[VALUE] = {
        size31(from_north - from_west),
        gradient * 4,
        size13(north_rest) * 6 + (sum >> 1),
        size13(west_rest) * 6 + (sum >> 1),
        apart * 10 + least(sum, 9),
        p->chroma ? class6(abs(p->luma[0])) * 36 + class6(abs(p->chroma_before[0])) * 6 + (sum >> 1)
                  : (n->activity >> 1) * 36 + gradient};
    const int planar = clip((west + north - northwest - base) * 8, PREDICTION_MAX);
    const int sign_contexts[SIGN] = {
        signed62(prediction), signed15(north_rest) * 15 + signed15(west_rest),
        least(apart, 8) * 26 + signed26(planar),
        p->chroma ? signed26(p->chroma_before[0] * 8) * 3 + sign_of(edges - exact) + 1
                  : differ * 3 + sign_of(p->northeast[0] - base) + 1};
    for (int i = 0; i < VALUE; i++)
        c.value[i] = line_of(p->slots, p->layout->value[i] + value_contexts[i]);
    for (int i = 0; i < SIGN; i++)
        c.sign[i] = line_of(p->slots, p->layout->sign[i] + sign_contexts[i]);
    c.choice = (Choice){apart, sum + 12 * class4(low), least(size13(edges - exact), 12)};
    c.zigzag = 0, c.prediction = prediction, c.scale = least(sum, 9);
    *rest = decoding ? decode_value(&c, 0) : encode_value(&c, value - base, 0);
    return base + *rest;
}

/* Codes a block and leaves its trace; decoding writes the block. */
INLINE void code_block(const Place *p, int16_t *block, Trace *trace, const int decoding) {
    Near n;
    prepare(&n, p);
    int16_t known[POSITIONS] = {0};
    const int last = code_last(p, &n, decoding ? 0 : last_of(block), decoding);
    Inside in = {0};
    Cross cross;
    if (p->references) start_cross(&cross, p, &n, last);
    Seen seen[SEEN];
    if (p->networks || p->samples) block_features(n.features, p, &n, last), see_blocks(seen, p);
    if (p->wide) start_wide(p->wide);
    if (p->wide && p->wide->gathered) gather_block(p->wide->gathered, p, &n, last, block);
    const Network *head = p->networks && p->networks[2].trunk ? p->networks + 2 : NULL;
    if (head && last) run_trunk(head->trunk, p, &n, last);
    for (int k = last; k > 0; k--) {
        const int z = ZIGZAG[k], u = z >> 3, v = z & 7;
        const int value =
            code_ac(p, &n, seen, &cross, &in, k, last, decoding ? 0 : block[z], decoding);
        const int size = size_of(value);
        in.before_that = in.before, in.before = size;
        if (p->references) add_to_cross(&cross, p, &n, z, value);
        if (!value) continue;
        if (head) add_own(&head->first, p->wide->own, k, value);
        known[z] = (int16_t)value;
        in.size[padded(u, v)] = size, in.value[padded(u, v)] = value;
        in.count++, in.sum += size, in.high += k >= HIGH ? size : 0;
        const int real = dequantised(value, p->steps->step[z]);
        in.upper[v] += share(u) * real, in.left[u] += share(v) * real;
        if (n.linear) add_source(n.direct, n.size, p->linear, z, real);
    }
    known[0] =
        (int16_t)code_dc(p, &n, &cross, &in, decoding ? 0 : block[0], &trace->rest, decoding);
    if (decoding) memcpy(block, known, sizeof known);
    trace->last = last, trace->activity = in.sum, trace->count = in.count, trace->high = in.high;
    if (p->networks || p->samples) add_to_means(p->means, known, last, trace->rest);
    edges_of(known, p->steps, trace->lower, trace->right);
    if (p->references) trace->products = cross.known;
}
