/* Logistic mixtures as integer cumulative frequencies of the 256 values, 16 pixels at once. */
#pragma once

#include "network.h"

enum {
    BETA_LIMIT = 96,
    FLOOR = 4, /* added to the frequency of each of the 256 values */
    LOGISTIC_ONE_SHIFTED = 8192,
};

/* The mixtures of one channel of LANES pixels. Means are in 1/64 of a value. Bin j of a pixel
 * holds the values first + j width ...; where width is 0 nothing is coded. */
typedef struct {
    int32_t mean[MAX_MIXTURES][LANES], weight[MAX_MIXTURES][LANES];
    int32_t inverse[MAX_MIXTURES][LANES], reach[MAX_MIXTURES][LANES];
    int32_t total[LANES]; /* cumulative frequency of all 256 values, without floors */
    int32_t first[LANES], width[LANES];
} Mixtures;

/* Parameters base, base + 1, ... of VECTOR pixels, `count` of them. rows: where in params the
 * pixels' begin, in pairs. */
INLINE void read_params(const int16_t *params, vec rows, int base, int count,
                        vec values[MAX_MIXTURES]) {
    for (int k = 0; k < count; k += 2) {
        vec pair = look_up(params + base + k, rows);
        values[k] = (pair << 16) >> 16;
        values[k + 1] = pair >> 16;
    }
}

/* base: where pi stands among the parameters of a pixel. */
INLINE void mix_weights(const Network *net, const int16_t *params, vec rows, int base, int at,
                        Mixtures *m) {
    const int count = net->sizes.mixtures;
    vec pi[MAX_MIXTURES], sum = {0};
    read_params(params, rows, base, count, pi);
    vec best = pi[0];
    for (int k = 1; k < count; k++) best = greater(best, pi[k]);
    for (int k = 0; k < count; k++) {
        vec weight = look_up(net->tables.exp, lesser(best - pi[k], fill(511)));
        store(m->weight[k] + at, weight);
        sum += weight;
    }
    store(m->total + at, sum * LOGISTIC_ONE_SHIFTED);
}

INLINE void mix_scales(const Network *net, const int16_t *params, vec rows, int base, int at,
                       vec level, Mixtures *m) {
    const int count = net->sizes.mixtures;
    vec scale[MAX_MIXTURES];
    read_params(params, rows, base, count, scale);
    for (int k = 0; k < count; k++) {
        vec index = between((scale[k] >> 2) + level, 0, SCALES - 1);
        store(m->inverse[k] + at, look_up(net->tables.inverse_scale, index));
        store(m->reach[k] + at, look_up(net->tables.reach, index));
    }
}

INLINE vec clamp_beta(vec b) { return between(b, -BETA_LIMIT, BETA_LIMIT); }

/* residual: of the decoded channels against their predictions. */
INLINE void mix_means(const Network *net, const int16_t *params, vec rows, int channel, int at,
                      vec med, vec gain, const vec residual[2], Mixtures *m) {
    const int count = net->sizes.mixtures;
    vec mean[MAX_MIXTURES], beta[MAX_MIXTURES];
    read_params(params, rows, (3 + channel) * count, count, mean);
    for (int k = 0; k < count; k++) mean[k] = 64 * med + ((mean[k] * gain) >> 2);
    for (int known = 0; known < channel; known++) {
        const int which = channel == 1 ? 0 : 1 + known;
        read_params(params, rows, (9 + which) * count, count, beta);
        for (int k = 0; k < count; k++) mean[k] += clamp_beta(beta[k]) * residual[known];
    }
    for (int k = 0; k < count; k++) store(m->mean[k] + at, mean[k]);
}

/* What one component adds below a position in 1/64 of a value, before the shift by two. */
INLINE vec component(const Tables *tables, vec position, vec mean, vec weight, vec inverse,
                     vec reach) {
    vec d = lesser(greater(position - mean, -reach), reach);
    vec u = between((d * inverse) >> 10, -32768, 32767) + 32768;
    vec piece = look_up(tables->logistic, u >> 7);
    vec rise = (vec)((unsigned_vec)piece >> 16);
    return weight * ((piece & 0xffff) + ((rise * (u & 127)) >> 7));
}

/* The middle of what lies between two values; a bound counts the values below it. */
INLINE vec position_of(vec bound) { return 64 * bound - 32; }

/* Nothing lies below 0 and all below 256, wherever the components end. */
INLINE vec close_ends(vec sum, vec bound, vec total) {
    return choose(bound == 256, total, (sum >> 2) & (bound > 0));
}

/* Bins base, base + step, ... of one pixel: cumulative frequency below each of LANES. */
INLINE void below_bins(const Network *net, const Mixtures *m, int lane, int base, int step,
                       vec below[PARTS]) {
    const int32_t first = m->first[lane] + base * m->width[lane], each = step * m->width[lane];
    vec bound[PARTS], sum[PARTS] = {0};
    for (int p = 0; p < PARTS; p++)
        bound[p] = between(first + count_from(p * VECTOR) * each, 0, 256);
    for (int k = 0; k < net->sizes.mixtures; k++) {
        const vec mean = fill(m->mean[k][lane]), weight = fill(m->weight[k][lane]);
        const vec inverse = fill(m->inverse[k][lane]), reach = fill(m->reach[k][lane]);
        for (int p = 0; p < PARTS; p++)
            sum[p] += component(&net->tables, position_of(bound[p]), mean, weight, inverse, reach);
    }
    for (int p = 0; p < PARTS; p++) below[p] = close_ends(sum[p], bound[p], fill(m->total[lane]));
}

/* Cumulative frequency below one bin, 0..256, of each of VECTOR pixels. */
INLINE vec below_bin(const Network *net, const Mixtures *m, int at, vec bin) {
    const vec bound = between(load(m->first + at) + bin * load(m->width + at), 0, 256);
    vec sum = {0};
    for (int k = 0; k < net->sizes.mixtures; k++)
        sum += component(&net->tables, position_of(bound), load(m->mean[k] + at),
                         load(m->weight[k] + at), load(m->inverse[k] + at),
                         load(m->reach[k] + at));
    return close_ends(sum, bound, load(m->total + at));
}

/* The value that stands for a bin: its middle, inside 0..255. */
INLINE int32_t bin_value(const Mixtures *m, int lane, int bin) {
    int32_t value = m->first[lane] + bin * m->width[lane] + m->width[lane] / 2;
    return value < 0 ? 0 : value > 255 ? 255 : value;
}

/* Where bins as wide as `width` start, so that one of them lies around the MED prediction. */
INLINE int32_t first_bin(int32_t med, int32_t width) {
    int32_t away = width ? (med + 256 * width - width / 2) % width : 0;
    return away ? away - width : 0;
}

/* What a decoder assumes where nothing is coded: the mean of the heaviest component. */
INLINE int32_t likeliest(const Network *net, const Mixtures *m, int lane) {
    int best = 0;
    for (int k = 1; k < net->sizes.mixtures; k++)
        best = m->weight[k][lane] > m->weight[best][lane] ? k : best;
    int32_t value = (m->mean[best][lane] + 32) >> 6;
    return value < 0 ? 0 : value > 255 ? 255 : value;
}
