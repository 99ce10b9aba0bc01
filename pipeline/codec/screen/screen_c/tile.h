/* The pixels of a tile, row by row: is it the colour of a neighbour, and if not, which is it? */
#pragma once

#include "predictor.h"

enum {
    MARGIN = 3,
    KINDS = 5,          /* W, N, match, NE, NW: the colours that are guessed, in this order */
    MISSED = KINDS + 1, /* outcome of a pixel: 1 + kind of the right guess, or this; 0 outside */
    MATCH = 2,
    SHORTEST_MATCH = 3,
    LONGEST_CHECK = 32,
    MEMORY_BITS = 18, /* tables have at most so many bits */
    GUESS_LINES = 7,
    SAMPLE_LINES = 6,
    PREDICTORS = 2,
    PREDICTOR_CONTEXTS = 192,
};

/* How a prediction has erred so far in one context. */
typedef struct {
    int32_t bias;  /* 1/4096 of a level */
    int32_t error; /* mean size, 1/1024 of a level */
    uint32_t seen;
} Unit;

/* A colour that followed a context: 24 bits, and above them how sure it is, 0 to 3. */
typedef uint32_t Follower;

typedef struct {
    Store store;
    Mixer guess, sample;
    uint32_t by_match[12 * 3 * KINDS], by_follower[12 * 12 * KINDS];
    uint32_t *places; /* 1 + where a neighbourhood was last seen in this tile */
    Follower *wide, *narrow;
    Unit units[PREDICTORS][PREDICTOR_CONTEXTS];
    int channels;
} Screen;

/* Rows of pixels and outcomes around the current one; each pointer is at column 0. */
typedef struct {
    uint32_t *row[4]; /* this row, the one above, ... */
    uint8_t *outcome[3];
    uint32_t *memory;
    uint8_t *outcome_memory;
    int width;
} Window;

typedef struct {
    uint32_t w, n, nw, ne, ww, nn; /* colours: red + 256 green + 65536 blue, or the gray level */
    uint32_t close, around, far, farther; /* hashes of 2, 6, 11 and 18 neighbours */
    uint32_t four;                        /* of W, N, NW, NE */
    uint32_t equal;                       /* which neighbours agree, 19 bits */
    uint32_t outcomes;                    /* of W, N, NW, NE, 3 bits each */
    uint32_t more_outcomes;               /* of WW, NN, NEE */
} Neighbours;

INLINE int bit_length(uint32_t v) {
    int n = 0;
    for (; v; v >>= 1) n++;
    return n;
}
INLINE int32_t channel(uint32_t colour, int c) { return colour >> 8 * c & 255; }

static Neighbours neighbours_of(const Window *window, int x) {
    const uint32_t *r0 = window->row[0] + x, *r1 = window->row[1] + x, *r2 = window->row[2] + x,
                   *r3 = window->row[3] + x;
    const uint8_t *o0 = window->outcome[0] + x, *o1 = window->outcome[1] + x;
    const uint32_t w = r0[-1], ww = r0[-2], www = r0[-3], n = r1[0], nw = r1[-1], ne = r1[1];
    const uint32_t nww = r1[-2], nee = r1[2], nn = r2[0], nnw = r2[-1], nne = r2[1], nnn = r3[0];
    Neighbours a = {.w = w, .n = n, .nw = nw, .ne = ne, .ww = ww, .nn = nn};
    a.close = chain(chain(1, w), n);
    a.four = chain(chain(a.close, nw), ne);
    a.around = chain(chain(a.four, ww), nn);
    a.far = chain(chain(chain(chain(chain(a.around, nne), nee), nww), nnw), www);
    a.farther = chain(chain(chain(chain(a.far, r2[2]), r2[-2]), r1[3]), r1[-3]);
    a.farther = chain(chain(chain(a.farther, nnn), r3[1]), r3[-1]);
    const int equal[19] = {w == n,    w == nw,    n == nw,    n == ne,   w == ww,   n == nn,  w == ne,
                           nw == nww, ne == nee,  nn == nne,  nn == nnw, ww == www, ww == nww,
                           nnn == nn, nw == nnw,  ne == nne,  ww == nw,  nw == nn,  ne == nn};
    for (int i = 0; i < 19; i++) a.equal |= (uint32_t)equal[i] << i;
    a.outcomes = (uint32_t)(o0[-1] | o1[0] << 3 | o1[-1] << 6 | o1[1] << 9);
    a.more_outcomes = (uint32_t)(o0[-2] | window->outcome[2][x] << 3 | o1[2] << 6);
    return a;
}

/* A run of earlier pixels that agrees with the latest ones. */
typedef struct {
    uint32_t next, length; /* raster index of the pixel expected now; 0 if there is no match */
} Match;

static void find_match(Match *m, uint32_t *place, const uint32_t *pixels, uint32_t at, uint32_t w) {
    if (!m->length && *place) {
        const uint32_t from = *place - 1;
        uint32_t length = 0;
        while (length < LONGEST_CHECK && length < from &&
               pixels[from - 1 - length] == pixels[at - 1 - length])
            length++;
        if (length >= SHORTEST_MATCH) {
            const int above = from >= w && at >= w && pixels[from - w] == pixels[at - w];
            m->next = from, m->length = above || length < 4 ? length : 4;
        }
    }
    *place = at + 1;
}

INLINE void follow(Follower *f, uint32_t colour) {
    const uint32_t sure = *f >> 24;
    if (sure && (*f & 0xFFFFFF) == colour)
        *f += sure < 3 ? 1 << 24 : 0;
    else if (sure > 1)
        *f -= 1 << 24;
    else
        *f = 1 << 24 | colour;
}
INLINE uint32_t agrees(Follower f, uint32_t colour) {
    return f >> 24 ? 1 + ((f & 0xFFFFFF) == colour) : 0;
}

/* What a tile's decisions know of the current pixel. */
typedef struct {
    Neighbours near;
    uint32_t matched;    /* the colour that the match expects */
    uint32_t match_size; /* bit length of the match's length, at most 11; 0 without a match */
    Follower *wide, *narrow;
} Place;

/* Tries the colours around; returns the outcome, and the colour if one was right. */
static int guess(Screen *s, const Place *p, uint32_t *colour) {
    const Neighbours *a = &p->near;
    const uint32_t kinds[KINDS] = {a->w, a->n, p->matched, a->ne, a->nw};
    uint32_t *const lines[GUESS_LINES] = {
        find_line(&s->store, a->four),
        find_line(&s->store, a->far),
        find_line(&s->store, a->close),
        find_line(&s->store, chain(2, a->equal)),
        find_line(&s->store, chain(chain(chain(3, a->outcomes), a->more_outcomes), a->equal & 15)),
        find_line(&s->store, chain(chain(4, a->equal & 2047), a->outcomes << 4 | p->match_size)),
        find_line(&s->store, a->farther),
    };
    Decision d = {.slots = GUESS_LINES + 2};
    uint32_t tried[KINDS];
    int count = 0;
    for (int kind = 0; kind < KINDS; kind++) {
        const uint32_t c = kinds[kind];
        int again = kind == MATCH && !p->match_size;
        for (int i = 0; i < count; i++) again |= tried[i] == c;
        if (again) continue;
        const uint32_t match = p->match_size ? 1 + (p->matched == c) : 0;
        const uint32_t wide = agrees(*p->wide, c), narrow = agrees(*p->narrow, c);
        const uint32_t both = (wide * 4 + (*p->wide >> 24)) * 12 + narrow * 4 + (*p->narrow >> 24);
        for (int i = 0; i < GUESS_LINES; i++) d.slot[i] = lines[i] + 1 + kind;
        d.slot[GUESS_LINES] = &s->by_match[(p->match_size * 3 + match) * KINDS + kind];
        d.slot[GUESS_LINES + 1] = &s->by_follower[both * KINDS + kind];
        d.first = kind * 16 + (int)p->match_size;
        d.second = (int)((match * 3 + wide) * 3 + narrow) * 8 + count;
        d.correction = d.first * 8 + (int)(a->equal & 7);
        if (decide(&s->store, &s->guess, &d, c == *colour)) {
            *colour = c;
            return 1 + kind;
        }
        tried[count++] = c;
    }
    return MISSED;
}

/* A prediction as the distribution of a level: logistic, around `mean` / 16. */
typedef struct {
    Unit *unit;
    int32_t mean, steepness, class;
} Expected;

static void expect(Expected *e, Unit *unit, int32_t prediction) {
    const int32_t error = unit->error >> 6;
    e->unit = unit;
    e->mean = 16 * prediction + (unit->bias >> 8);
    e->steepness = (237 << 8) / (error + 2);
    e->class = clamp_to(bit_length((uint32_t)error) - 2, 0, 7);
}
/* The share, of 65536, of levels below `level`. */
INLINE int32_t share_below(const Expected *e, int32_t level) {
    if (level == 0 || level == 256) return level << 8;
    return squash(((16 * level - 8 - e->mean) * e->steepness) >> 8);
}
/* The logit of the upper half of the levels from `low` to `low + size - 1`. */
INLINE int32_t upper_half(const Expected *e, int32_t low, int32_t size) {
    const int64_t begin = share_below(e, low), end = share_below(e, low + size);
    const int64_t middle = share_below(e, low + size / 2);
    const int64_t p = ((end - middle + 1) << 16) / (end - begin + 2);
    return stretch_table[p < 1 ? 1 : p > 65535 ? 65535 : p];
}
static void learn(Expected *e, int32_t level) {
    Unit *u = e->unit;
    const int32_t distance = 16 * level - e->mean;
    u->bias += step_of((int64_t)distance * 256, u->seen + 4);
    u->error += step_of((int64_t)abs(distance) * 64 - u->error, u->seen);
    u->seen += u->seen < MOST_SEEN;
}

/* One channel of a missed pixel. */
typedef struct {
    int number; /* in coding order */
    int activity, misses;
    int32_t difference; /* channel 0 minus its median prediction; 0 in channel 0 */
    uint32_t hashes[SAMPLE_LINES];
    Expected expected[PREDICTORS];
} Sample;

static int32_t code_sample(Screen *s, Sample *sample, int32_t level) {
    uint32_t *lines[SAMPLE_LINES];
    int32_t low = 0, node = 1;
    Decision d = {.slots = SAMPLE_LINES, .extras = PREDICTORS};
    for (int b = 7; b >= 0; b--) {
        if (b == 7 || b == 3) {
            node = 1;
            for (int i = 0; i < SAMPLE_LINES; i++) {
                const uint32_t h = sample->hashes[i];
                lines[i] = find_line(&s->store, b == 7 ? h : chain(h, (uint32_t)low + 1));
            }
        }
        for (int i = 0; i < SAMPLE_LINES; i++) d.slot[i] = lines[i] + node;
        for (int i = 0; i < PREDICTORS; i++) {
            d.extra[i] = upper_half(&sample->expected[i], low, 2 << b);
            d.extra_class[i] = sample->expected[i].class;
        }
        const int place = sample->number * 8 + b;
        d.first = place * 8 + sample->activity;
        d.second = place * 5 + sample->misses;
        d.correction = d.first * 8 + sample->expected[0].class;
        const int bit = decide(&s->store, &s->sample, &d, level >> b & 1);
        node = 2 * node + bit;
        low += bit << b;
    }
    for (int i = 0; i < PREDICTORS; i++) learn(&sample->expected[i], low);
    return low;
}

INLINE int32_t median(int32_t w, int32_t n, int32_t nw) {
    const int32_t high = w > n ? w : n, low = w < n ? w : n;
    return nw >= high ? low : nw <= low ? high : w + n - nw;
}

static void prepare(Screen *s, Sample *sample, const Neighbours *a, int c, int g,
                    uint32_t colour, uint32_t known) {
    const int q = sample->number;
    const int32_t w = channel(a->w, c), n = channel(a->n, c), nw = channel(a->nw, c);
    const int32_t ne = channel(a->ne, c), level = median(w, n, nw) + sample->difference;
    const int32_t first = clamp_to(level, 0, 255);
    int32_t second = (2 * w + 2 * n + ne - nw) >> 2;
    if (q) {
        const int32_t green = 2 * channel(colour, g) - channel(a->w, g) - channel(a->n, g);
        second = (2 * level + w + n + green) >> 2;
    }
    const int spread = q ? clamp_to(abs(sample->difference), 0, 15) : sample->activity;
    expect(&sample->expected[0], &s->units[0][q * 64 + sample->activity * 8 + sample->misses], first);
    expect(&sample->expected[1], &s->units[1][q * 64 + spread * 4 + (sample->activity >> 1)],
           clamp_to(second, 0, 255));
    const uint32_t seed = 16 + 8 * (uint32_t)q;
    uint32_t *h = sample->hashes;
    h[0] = chain(seed, known);
    h[1] = chain(chain(seed + 1, known), a->w);
    h[2] = chain(chain(seed + 2, known), a->n);
    h[3] = chain(chain(chain(seed + 3, known), a->w), a->n);
    h[4] = chain(chain(seed + 4, known), a->four);
    h[5] = chain(chain(chain(seed + 5, (uint32_t)first), (uint32_t)(w - n + 256)),
                 (uint32_t)((q ? sample->difference : ne - nw) + 512));
}

/* Codes the colour of a missed pixel, channel by channel: green, blue, red. */
static uint32_t code_colour(Screen *s, const Neighbours *a, uint32_t colour) {
    static const int order[3] = {1, 2, 0};
    const int gray = s->channels == 1;
    int32_t activity = 0;
    for (int c = 0; c < s->channels; c++) {
        const int32_t w = channel(a->w, c), n = channel(a->n, c), nw = channel(a->nw, c);
        activity += abs(w - nw) + abs(n - nw) + abs(n - channel(a->ne, c)) + abs(w - channel(a->ww, c));
    }
    activity /= s->channels;
    Sample sample = {.activity = clamp_to(bit_length((uint32_t)activity), 0, 7)};
    for (int i = 0; i < 4; i++) sample.misses += (a->outcomes >> 3 * i & 7) == MISSED;
    uint32_t decoded = 0, known = 0;
    for (int q = 0; q < s->channels; q++) {
        const int c = gray ? 0 : order[q];
        sample.number = q;
        prepare(s, &sample, a, c, order[0], decoded, known);
        const int32_t level = code_sample(s, &sample, channel(colour, c));
        if (!q) sample.difference = level - median(channel(a->w, c), channel(a->n, c), channel(a->nw, c));
        decoded |= (uint32_t)level << 8 * c;
        known = known << 8 | (uint32_t)level;
    }
    return decoded;
}

static int open_window(Window *v, int width) {
    const size_t stride = (size_t)width + 2 * MARGIN;
    v->width = width;
    v->memory = calloc(4 * stride, sizeof *v->memory);
    v->outcome_memory = calloc(3 * stride, 1);
    for (int i = 0; i < 4 && v->memory; i++) v->row[i] = v->memory + i * stride + MARGIN;
    for (int i = 0; i < 3 && v->outcome_memory; i++)
        v->outcome[i] = v->outcome_memory + i * stride + MARGIN;
    return v->memory && v->outcome_memory;
}

/* Makes the oldest row the current one; what is left of it is the first pixel above. */
static void next_row(Window *v) {
    uint32_t *row = v->row[3];
    uint8_t *outcome = v->outcome[2];
    memmove(v->row + 1, v->row, 3 * sizeof *v->row);
    memmove(v->outcome + 1, v->outcome, 2 * sizeof *v->outcome);
    v->row[0] = row, v->outcome[0] = outcome;
    for (int i = 1; i <= MARGIN; i++) row[-i] = v->row[1][0];
}

static void end_row(Window *v) {
    uint32_t *row = v->row[0];
    for (int i = 0; i < MARGIN; i++) row[v->width + i] = row[v->width - 1];
}

/* Codes or decodes `pixels` [height x width]; false if memory runs out or words are missing. */
static int code_tile(Screen *s, uint32_t *pixels, int height, int width) {
    Window window = {0};
    Match match = {0, 0};
    const int shift = 32 - s->store.bits;
    int sound = open_window(&window, width);
    memset(s->places, 0, sizeof *s->places << s->store.bits);
    for (int y = 0; y < height && sound; y++) {
        if (y) next_row(&window);
        for (int x = 0; x < width; x++) {
            const uint32_t at = (uint32_t)y * (uint32_t)width + (uint32_t)x;
            Place p = {.near = neighbours_of(&window, x)};
            find_match(&match, &s->places[p.near.far * 0x9E3779B1u >> shift], pixels, at,
                       (uint32_t)width);
            p.matched = match.length ? pixels[match.next] : 0;
            p.match_size = (uint32_t)clamp_to(bit_length(match.length), 0, 11);
            p.wide = &s->wide[p.near.around * 0x9E3779B1u >> shift];
            p.narrow = &s->narrow[p.near.close * 0x9E3779B1u >> shift];
            uint32_t colour = s->store.encoder ? pixels[at] : UINT32_MAX;
            const int outcome = guess(s, &p, &colour);
            if (outcome == MISSED) colour = code_colour(s, &p.near, colour);
            pixels[at] = window.row[0][x] = colour;
            window.outcome[0][x] = (uint8_t)outcome;
            if (match.length && p.matched == colour)
                match.next++, match.length += match.length < UINT32_MAX;
            else
                match.length = 0;
            follow(p.wide, colour);
            follow(p.narrow, colour);
        }
        end_row(&window);
        sound = s->store.encoder ? !s->store.encoder->failed : s->store.decoder->overrun <= 1;
    }
    free(window.memory);
    free(window.outcome_memory);
    return sound;
}

static void close_screen(Screen *s) {
    if (!s) return;
    free(s->store.lines);
    free(s->places);
    free(s->wide);
    free(s->narrow);
    free(s);
}

/* A coder for groups of so many pixels, or NULL if there is no memory. */
static Screen *open_screen(size_t pixels, int channels, RangeEncoder *encoder, RangeDecoder *decoder) {
    Screen *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    int bits = 8;
    while (bits < MEMORY_BITS && (size_t)1 << bits < pixels) bits++;
    s->store = (Store){encoder, decoder, calloc((size_t)LINE << bits, sizeof(uint32_t)), bits};
    s->places = calloc((size_t)1 << bits, sizeof *s->places);
    s->wide = calloc((size_t)1 << bits, sizeof *s->wide);
    s->narrow = calloc((size_t)1 << bits, sizeof *s->narrow);
    s->channels = channels;
    if (!s->store.lines || !s->places || !s->wide || !s->narrow) {
        close_screen(s);
        return NULL;
    }
    begin_mixer(&s->guess);
    begin_mixer(&s->sample);
    for (size_t i = 0; i < sizeof s->by_match / sizeof *s->by_match; i++) s->by_match[i] = 1u << 31;
    for (size_t i = 0; i < sizeof s->by_follower / sizeof *s->by_follower; i++)
        s->by_follower[i] = 1u << 31;
    for (int u = 0; u < PREDICTORS; u++)
        for (int c = 0; c < PREDICTOR_CONTEXTS; c++) s->units[u][c] = (Unit){0, 1024, 0};
    return s;
}
