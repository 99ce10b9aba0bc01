/* What a network of a block, the trunk, sees of the block's surroundings, and what the network of
 * a coefficient sees beside its FEATURES bytes. Integers alone, the same at every instruction set.
 *
 * Signed bytes are around 128, 12 log2(1 + size); magnitude bytes 24 log2(1 + size).
 */
#pragma once

#include "features.h"

enum {
    FURTHER_BLOCKS = 4,
    RING_LINES = 3, /* of pixels above a block, and to the left of it */
    RING = RING_LINES * 24,
    BLOCK_BYTES = 16,
    TRUNK = (4 + 6 + 1 + 4) * POSITIONS + BLOCK_BYTES + 2 * RING,
    EXTRAS = 24,
    HEAD = FEATURES + EXTRAS,
    SHARED = 16,  /* numbers that a trunk hands to each position */
    WIDEST = 256, /* outputs of hidden layers at most, but those of all positions */
};

/* What a block leaves beside its trace: of AC coefficients as far as the last one what was wrong
 * with their predictions, and their expected magnitudes; in 1/16 steps. */
typedef struct {
    int16_t error[POSITIONS], expected[POSITIONS];
} Past;

struct Gathered;

/* The wider surroundings of a block. */
typedef struct Wide {
    const int16_t *further[FURTHER_BLOCKS]; /* NWW, NEE, NNW, NNE; zeros where there is none */
    const Past *near[4];                    /* of N, W, NW, NE; zeros where there is none */
    Past *past;                             /* of the block itself */
    int16_t error[PADDED];                  /* as that of Past, with zeros around */
    int recent, recent_expected; /* magnitudes just known, and as expected; in 1/16 steps */
    uint8_t shared[POSITIONS * SHARED]; /* what the trunk hands to positions up to the last one */
    int32_t own[WIDEST];       /* what is known of the block says to the head's first layer */
    struct Gathered *gathered; /* or NULL */
} Wide;

INLINE void start_wide(Wide *w) {
    memset(w->error, 0, sizeof w->error), memset(w->past, 0, sizeof *w->past);
    w->recent = w->recent_expected = 0;
}

INLINE void add_to_wide(Wide *w, int z, int value, int prediction, int expected) {
    const int error = clip(16 * value - prediction, PREDICTION_MAX);
    const int hoped = expected > 0 ? least(expected, PREDICTION_MAX) : 0;
    w->error[padded(z >> 3, z & 7)] = w->past->error[z] = (int16_t)error;
    w->past->expected[z] = (int16_t)hoped;
    w->recent = w->recent * 3 / 4 + 16 * size_of(value);
    w->recent_expected = w->recent_expected * 3 / 4 + hoped;
}

/* The inverse DCT in 1/8192: [frequency][place]. The sizes of one place's sum to less than 2.9. */
static const int16_t INVERSE[8][8] = {
    {2896, 2896, 2896, 2896, 2896, 2896, 2896, 2896},
    {4017, 3406, 2276, 799, -799, -2276, -3406, -4017},
    {3784, 1567, -1567, -3784, -3784, -1567, 1567, 3784},
    {3406, -799, -4017, -2276, 2276, 4017, 799, -3406},
    {2896, -2896, -2896, 2896, 2896, -2896, -2896, 2896},
    {2276, -4017, 799, 3406, -3406, -799, 4017, -2276},
    {1567, -3784, 3784, -1567, -1567, 3784, -3784, 1567},
    {799, -2276, 3406, -4017, 4017, -3406, 2276, -799}};

/* The last lines of a block's pixels in 1/8, the last one first: rows where frequencies across
 * them are 8 numbers apart and those along them 1, else columns. Coefficients are at most 4095, so
 * that sums stay below 4095 * 2.9 * 8192 < 2^27, and then 4 * 4095 * 2.9 * 2.9 * 8192 < 2^31. */
static void last_lines(const int16_t *block, const Steps *s, int across, int along,
                       int32_t out[RING_LINES][8]) {
    int32_t half[RING_LINES][8] = {{0}};
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 8; j++) {
            const int z = i * across + j * along;
            if (!block[z]) continue;
            const int value = dequantised(block[z], s->step[z]);
            for (int line = 0; line < RING_LINES; line++)
                half[line][j] += value * INVERSE[i][7 - line];
        }
    for (int line = 0; line < RING_LINES; line++) {
        int32_t sum[8] = {0};
        for (int j = 0; j < 8; j++) {
            const int32_t wave = (half[line][j] + 1024) >> 11;
            for (int at = 0; at < 8; at++) sum[at] += wave * INVERSE[j][at];
        }
        for (int at = 0; at < 8; at++) out[line][at] = (sum[at] + 2048) >> 12;
    }
}

/* Pixels around a block, less the mean of those beside it; 0 where there are none. In 1/8. Of each
 * row above the block four pixels before it, eight above it, four behind it; then columns. */
static void find_ring(const Place *p, int32_t *ring) {
    int32_t lines[RING_LINES][8];
    int seen[RING] = {0};
    memset(ring, 0, RING * sizeof *ring);
    const struct {
        const int16_t *block;
        int here, first, count, to;
    } rows[3] = {{p->northwest, p->has_north && p->has_west, 4, 4, 0},
                 {p->north, p->has_north, 0, 8, 4},
                 {p->northeast, p->has_north, 0, 4, 12}};
    for (int i = 0; i < 3; i++) {
        if (!rows[i].here) continue;
        last_lines(rows[i].block, p->steps, 8, 1, lines);
        for (int line = 0; line < RING_LINES; line++)
            for (int j = 0; j < rows[i].count; j++) {
                const int at = 16 * line + rows[i].to + j;
                ring[at] = lines[line][rows[i].first + j], seen[at] = 1;
            }
    }
    if (p->has_west) {
        last_lines(p->west, p->steps, 1, 8, lines);
        for (int at = 0; at < 8 * RING_LINES; at++)
            ring[16 * RING_LINES + at] = lines[at >> 3][at & 7], seen[16 * RING_LINES + at] = 1;
    }
    const int beside = 8 * (p->has_north + p->has_west);
    int sum = 0;
    for (int i = 0; i < 8; i++) sum += ring[4 + i] + ring[16 * RING_LINES + i];
    const int mean = beside ? sum / beside : 0;
    for (int i = 0; i < RING; i++) ring[i] = seen[i] ? ring[i] - mean : 0;
}

/* TRUNK bytes: signed bytes of four neighbours; magnitude bytes of six, and the mean of those of
 * four further ones; what linear predictions say; steps; means; BLOCK_BYTES; the ring in shares of
 * its own size, around 128, and in steps of the first AC coefficient, as signed bytes. */
static void trunk_bytes(uint8_t *f, const Place *p, const Near *n, int last) {
    const Steps *s = p->steps;
    const int16_t *const blocks[6] = {p->north,     p->west,        p->northwest,
                                      p->northeast, p->north_north, p->west_west};
    for (int i = 0; i < 4; i++)
        for (int z = 0; z < POSITIONS; z++) *f++ = signed_byte(blocks[i][z]);
    for (int i = 0; i < 6; i++)
        for (int z = 0; z < POSITIONS; z++) *f++ = magnitude_byte(abs(blocks[i][z]));
    for (int z = 0; z < POSITIONS; z++) {
        int sum = FURTHER_BLOCKS / 2;
        for (int i = 0; i < FURTHER_BLOCKS; i++)
            sum += magnitude_byte(abs(p->wide->further[i][z]));
        *f++ = (uint8_t)(sum / FURTHER_BLOCKS);
    }
    for (int z = 0; z < POSITIONS; z++)
        *f++ = signed_byte(n->linear ? in_steps(n->direct[z], s->per_step[z]) : 0);
    for (int z = 0; z < POSITIONS; z++) {
        const int size = expected(n, s, z);
        *f++ = magnitude_byte(size > 0 ? size : 0);
    }
    for (int z = 0; z < POSITIONS; z++) *f++ = magnitude_byte(s->step[z]);
    for (int z = 0; z < POSITIONS; z++) *f++ = magnitude_byte(p->means->size[z] >> 8);
    int32_t ring[RING];
    find_ring(p, ring);
    int size = 0;
    for (int i = 0; i < RING; i++) size += size_of(ring[i]);
    size /= RING;
    const Trace *near[4] = {p->above, p->left, p->above_left, p->above_right};
    *f++ = (uint8_t)(4 * last);
    *f++ = (uint8_t)(4 * n->last_near);
    for (int i = 0; i < 4; i++) *f++ = (uint8_t)(4 * near[i]->last);
    for (int i = 0; i < 4; i++) *f++ = magnitude_byte(near[i]->activity);
    *f++ = (uint8_t)(p->has_north * 128 + p->has_west * 64);
    *f++ = (uint8_t)(p->means->last >> 6);
    *f++ = (uint8_t)(4 * p->above->count);
    *f++ = (uint8_t)(4 * p->left->count);
    *f++ = magnitude_byte(size);
    *f++ = magnitude_byte(4 * size / s->step[1]);
    /* 1.25 times the mean size, which is near the root of the mean square, and two pixels. */
    const int scale = size + size / 4 + 16;
    for (int i = 0; i < RING; i++) *f++ = (uint8_t)(128 + clip(32 * ring[i] / scale, 127));
    for (int i = 0; i < RING; i++) *f++ = signed_byte(4 * ring[i] / s->step[1]);
}

/* The sum of a neighbour's magnitudes beside a position. */
INLINE int beside(const int16_t *block, int u, int v) {
    const int16_t *at = block + u * 8 + v;
    return (u ? abs(at[-8]) : 0) + (u < 7 ? abs(at[8]) : 0) + (v ? abs(at[-1]) : 0) +
           (v < 7 ? abs(at[1]) : 0);
}

/* EXTRAS bytes behind an AC coefficient's FEATURES: what further blocks have at its position, and
 * what was wrong with predictions there and close by. */
INLINE void extra_bytes(uint8_t *f, const Place *p, int z) {
    const Wide *w = p->wide;
    const int u = z >> 3, v = z & 7, at = padded(u, v);
    int further = 2 * (abs(p->north_north[z]) + abs(p->west_west[z])), errors = 0;
    for (int i = 0; i < FURTHER_BLOCKS; i++) {
        *f++ = magnitude_byte(abs(w->further[i][z]));
        further += abs(w->further[i][z]);
    }
    *f++ = magnitude_byte(beside(p->north_north, u, v));
    *f++ = magnitude_byte(beside(p->west_west, u, v));
    *f++ = magnitude_byte(further);
    for (int i = 0; i < 4; i++) {
        *f++ = signed_byte(w->near[i]->error[z]);
        errors += abs(w->near[i]->error[z]);
    }
    *f++ = magnitude_byte(errors);
    *f++ = magnitude_byte(w->near[0]->expected[z]);
    *f++ = magnitude_byte(w->near[1]->expected[z]);
    *f++ = signed_byte(p->north_north[z]);
    *f++ = signed_byte(p->west_west[z]);
    *f++ = magnitude_byte(w->recent);
    *f++ = magnitude_byte(w->recent_expected);
    static const int8_t CLOSE[5] = {1, PITCH, 2, 2 * PITCH, PITCH + 1};
    for (int i = 0; i < 5; i++) *f++ = signed_byte(w->error[at + CLOSE[i]]);
    *f++ = 0;
}

/* Blocks that were met, for training, and all AC coefficients of each as far as its last one, in
 * the order of coding. A block's sample: TRUNK bytes; its AC coefficients by zigzag positions as
 * signed bytes, then as magnitude bytes; its last position. A coefficient's: FEATURES and EXTRAS
 * bytes; position; whether zero was ruled out; its value as an int16. */
enum {
    BLOCK_SAMPLE = TRUNK + 2 * POSITIONS + 1,
    COEFFICIENT_SAMPLE = FEATURES + EXTRAS + 4,
};

typedef struct Gathered {
    uint8_t *blocks, *coefficients;
    size_t block_count, block_room, coefficient_count, coefficient_room;
    uint32_t random, share; /* of 2^16 blocks are taken */
    int taking;             /* whether this block is */
} Gathered;

static __attribute__((noinline, unused)) void
gather_block(Gathered *g, const Place *p, const Near *n, int last,
                         const int16_t *block) {
    g->random = g->random * 1664525 + 1013904223;
    g->taking = g->random >> 16 < g->share && g->block_count < g->block_room &&
                g->coefficient_room - g->coefficient_count >= (size_t)last;
    if (!g->taking) return;
    uint8_t *f = g->blocks + BLOCK_SAMPLE * g->block_count++;
    trunk_bytes(f, p, n, last);
    f += TRUNK;
    for (int k = 0; k < POSITIONS; k++) {
        const int value = k ? block[ZIGZAG[k]] : 0;
        f[k] = signed_byte(value), f[POSITIONS + k] = magnitude_byte(size_of(value));
    }
    f[2 * POSITIONS] = (uint8_t)last;
}

static __attribute__((noinline, unused)) void
gather_coefficient(Gathered *g, const Place *p, const uint8_t *features, int k,
                               int known, int value) {
    if (!g->taking) return;
    uint8_t *f = g->coefficients + COEFFICIENT_SAMPLE * g->coefficient_count++;
    memcpy(f, features, FEATURES);
    extra_bytes(f + FEATURES, p, ZIGZAG[k]);
    f += FEATURES + EXTRAS;
    const int16_t narrow = (int16_t)value;
    f[0] = (uint8_t)k, f[1] = (uint8_t)known, memcpy(f + 2, &narrow, 2);
}
