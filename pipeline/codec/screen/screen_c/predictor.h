/* Adaptive probabilities of binary decisions, mixed in the logistic domain, and the coder that
 * they drive. Integers only; schemas/FORMAT.md states every rule, and screen/ repeats it.
 */
#pragma once

#include "../../native/kernels_c/range_coder.h"

enum {
    LOGIT_LIMIT = 2047,   /* logits lie in +-2047 */
    HALF = 1 << 15,       /* probabilities have 16 bits */
    MOST_SEEN = 127,      /* how often a slot counts what it saw */
    LINE = 16,            /* a line: a check, and a slot for each node of a tree of 4 levels */
    SEEN_CLASSES = 8,
    MOST_INPUTS = 9,
    SETS = 256,           /* sets of weights of one mixer */
    MOST_WEIGHT = 1 << 20,
    FIRST_WEIGHT = 1 << 13,
    CORRECTIONS = 2048,   /* contexts of a mixer's correction */
    KNOTS = 25,
    KNOT_STEPS = 24,
};

static int32_t squash_table[4096];
static int16_t stretch_table[1 << 16];
static uint32_t rate_table[2 * MOST_SEEN];
static uint8_t seen_class[MOST_SEEN + 1];

/* Called once, when the module is loaded. */
static void make_tables(void) {
    uint64_t e = 1 << 20;
    for (int t = 0; t <= LOGIT_LIMIT; t++, e += (e * 98591) >> 24) {
        const int32_t p = (int32_t)((e << 16) / (e + (1 << 20)));
        squash_table[2048 + t] = p, squash_table[2048 - t] = (1 << 16) - p;
    }
    for (int p = 0, t = -LOGIT_LIMIT; p < 1 << 16; p++) {
        while (t < LOGIT_LIMIT && squash_table[2048 + t] < p) t++;
        stretch_table[p] = (int16_t)t;
    }
    for (uint32_t n = 0; n < 2 * MOST_SEEN; n++) rate_table[n] = 131072 / (2 * n + 3);
    for (int n = 0; n <= MOST_SEEN; n++)
        seen_class[n] = (uint8_t)(n < 4 ? n : n < 6 ? 4 : n < 12 ? 5 : n < 32 ? 6 : 7);
}

INLINE int32_t clamp_to(int32_t v, int32_t low, int32_t high) {
    return v < low ? low : v > high ? high : v;
}
INLINE int32_t squash(int32_t t) {
    return squash_table[2048 + clamp_to(t, -LOGIT_LIMIT, LOGIT_LIMIT)];
}
/* t moved towards `target` by the rate of a value that was adapted n times. */
INLINE int32_t step_of(int64_t distance, uint32_t n) {
    return (int32_t)((distance * rate_table[n]) >> 16);
}

typedef int32_t Weights[MOST_INPUTS][SEEN_CLASSES];
typedef struct {
    Weights first[SETS], second[SETS];
    uint16_t correction[CORRECTIONS][KNOTS];
} Mixer;

typedef struct {
    RangeEncoder *encoder; /* either this one */
    RangeDecoder *decoder; /* or that one */
    uint32_t *lines;       /* 2^bits lines */
    int bits;
} Store;

/* A decision about to be coded: the slots and logits that predict it, and which weights and correction apply. */
typedef struct {
    int slots, extras;
    uint32_t *slot[MOST_INPUTS];   /* 22 bits of probability, 10 of how often seen */
    int32_t extra[2], extra_class[2]; /* logits from elsewhere, and their classes */
    int first, second, correction;
} Decision;

static void begin_mixer(Mixer *m) {
    for (int set = 0; set < SETS; set++)
        for (int i = 0; i < MOST_INPUTS; i++)
            for (int class = 0; class < SEEN_CLASSES; class ++)
                m->first[set][i][class] = m->second[set][i][class] = FIRST_WEIGHT;
    for (int c = 0; c < CORRECTIONS; c++)
        for (int k = 0; k < KNOTS; k++)
            m->correction[c][k] = (uint16_t)squash(k * 4096 / KNOT_STEPS - 2048);
}

INLINE uint32_t chain(uint32_t hash, uint32_t value) {
    hash = (hash ^ value) * 0x2C1B3C6Du;
    return hash ^ hash >> 15;
}

/* The line of a context: found, or begun where one of two places was used less. */
static uint32_t *find_line(const Store *s, uint32_t hash) {
    hash *= 0x9E3779B1u;
    const uint32_t place = hash >> (32 - s->bits), check = hash & 0xFFFF;
    uint32_t *both[2] = {s->lines + (size_t)LINE * place, s->lines + (size_t)LINE * (place ^ 1)};
    for (int i = 0; i < 2; i++) {
        const uint32_t uses = both[i][0] & 0xFFFF;
        if (uses && both[i][0] >> 16 == check) {
            both[i][0] += uses < 255;
            return both[i];
        }
    }
    const int out = (both[1][0] & 0xFFFF) < (both[0][0] & 0xFFFF);
    both[1 - out][0] -= (both[1 - out][0] & 0xFFFF) >> 2;
    uint32_t *line = both[out];
    line[0] = check << 16 | 1;
    for (int node = 1; node < LINE; node++) line[node] = 1u << 31;
    return line;
}

/* Codes `bit` with probability p / 65536 of a 1, or returns the decoded one. */
INLINE int code_bit(const Store *s, int bit, int32_t p) {
    const uint32_t edge = (uint32_t)(65536 - p) << 8;
    if (s->encoder) {
        put(s->encoder, bit ? edge : 0, bit ? 1u << 24 : edge);
        return bit;
    }
    RangeDecoder *d = s->decoder;
    bit = d->ahead >= (d->range >> 24) * edge;
    consume(d, bit ? edge : 0, bit ? 1u << 24 : edge);
    return bit;
}

/* Codes or decodes a decision and adapts every slot and weight that took part. */
INLINE int decide(const Store *s, Mixer *m, const Decision *d, int bit) {
    int32_t input[MOST_INPUTS], *first[MOST_INPUTS], *second[MOST_INPUTS];
    const int inputs = d->slots + d->extras;
    int64_t sum = 0;
    for (int i = 0; i < inputs; i++) {
        int class;
        if (i < d->slots) {
            const uint32_t slot = *d->slot[i], seen = slot & 1023;
            input[i] = seen ? stretch_table[slot >> 16] : 0, class = seen_class[seen];
        } else {
            input[i] = d->extra[i - d->slots], class = d->extra_class[i - d->slots];
        }
        first[i] = &m->first[d->first][i][class], second[i] = &m->second[d->second][i][class];
        sum += (int64_t)input[i] * (*first[i] + *second[i]);
    }
    sum >>= 16;
    const int32_t t = (int32_t)(sum < -LOGIT_LIMIT ? -LOGIT_LIMIT : sum > LOGIT_LIMIT ? LOGIT_LIMIT : sum);
    const int32_t mixed = squash(t), at = (t + 2048) * KNOT_STEPS, part = at & 4095;
    uint16_t *knot = m->correction[d->correction] + (at >> 12);
    const int32_t corrected = (knot[0] * (4096 - part) + knot[1] * part) >> 12;
    bit = code_bit(s, bit, clamp_to((mixed + 3 * corrected + 2) >> 2, 1, 65535));

    const int32_t error = (bit << 16) - mixed;
    for (int i = 0; i < inputs; i++) {
        const int32_t step = (input[i] * error + HALF) >> 16;
        *first[i] = clamp_to(*first[i] + step, -MOST_WEIGHT, MOST_WEIGHT);
        *second[i] = clamp_to(*second[i] + step, -MOST_WEIGHT, MOST_WEIGHT);
    }
    for (int i = 0; i < d->slots; i++) {
        const uint32_t slot = *d->slot[i], seen = slot & 1023;
        const int32_t p = (int32_t)(slot >> 10);
        const uint32_t moved = (uint32_t)(p + step_of((bit << 22) - bit - p, seen));
        *d->slot[i] = moved << 10 | (seen < MOST_SEEN ? seen + 1 : seen);
    }
    uint16_t *nearer = knot + (part >= 2048);
    *nearer = (uint16_t)(*nearer + (((bit << 16) - bit - *nearer) >> 5));
    return bit;
}
