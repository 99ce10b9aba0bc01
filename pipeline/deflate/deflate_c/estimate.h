/* Which settings of an encoder fit a stream best: tried on parts of it. */
#pragma once
#include "inflate.h"
#include "predict.h"

enum { MOST_CANDIDATES = 80, PARTS = 3, MOST_PERFECT = 16 };

typedef struct {
    Settings s;
    uint32_t wrong;
} Candidate;

typedef struct {
    Candidate at[MOST_CANDIDATES];
    int count;
} Candidates;

/* zlib's configuration: good, lazy, nice, chain; 1 to 3 are greedy. */
static const uint32_t LEVEL[9][4] = {{4, 4, 8, 4},       {4, 5, 16, 8},       {4, 6, 32, 32},
                                     {4, 4, 16, 16},     {8, 16, 32, 32},     {8, 16, 128, 128},
                                     {8, 32, 128, 256},  {32, 128, 258, 1024}, {32, 258, 258, 4096}};

typedef struct {
    uint32_t matches, far, least, longest_block, buffer, fresh;
    int runs_only;
} Traits;

static Traits traits_of(const Content *c) {
    Traits t = {.least = LONGEST, .runs_only = 1};
    const Token *token = c->token;
    size_t position = 0, flushed = 0;
    uint32_t fresh = 1;
    for (size_t i = 0; i < c->blocks; i++) {
        const Block *b = &c->block[i];
        for (uint32_t left = b->kind == STORED ? 0 : b->tokens; left; left--, token++) {
            const uint32_t n = *token ? length_of(*token) : 1, d = distance_of(*token);
            if (d) {
                t.matches++;
                if (d > t.far) t.far = d;
                if (n < t.least) t.least = n;
                t.runs_only &= d == 1;
                fresh &= position - d >= flushed;
            }
            position += n;
        }
        position = b->end;
        if (b->kind == STORED && !b->tokens) flushed = position;
    }
    t.fresh = fresh && flushed;
    /* The size that most blocks have, if it is one of zlib's. */
    size_t fitting = 0, others = 0;
    for (size_t i = 0; i < c->blocks; i++) {
        const Block *b = &c->block[i];
        if (b->kind == STORED) continue;
        if (b->tokens > t.longest_block) t.longest_block = b->tokens;
    }
    for (size_t i = 0; i + 1 < c->blocks; i++) {
        if (c->block[i].kind == STORED) continue;
        if (c->block[i].tokens == t.longest_block) fitting++;
        else others++;
    }
    if (fitting > others && t.longest_block) t.buffer = t.longest_block + 1;
    return t;
}

/* The longest row of tokens between stored blocks, and the position of its first one. */
typedef struct {
    size_t begin, end, position;
} Span;

static Span longest_span(const Content *c) {
    Span best = {0, 0, 0}, now = {0, 0, 0};
    for (size_t i = 0; i < c->blocks; i++) {
        if (c->block[i].kind == STORED) {
            now.begin = now.end;
            now.position = c->block[i].end;
            continue;
        }
        now.end += c->block[i].tokens;
        if (now.end - now.begin > best.end - best.begin) best = now;
    }
    return best;
}

static void add(Candidates *k, Settings s) {
    if (k->count < MOST_CANDIDATES) k->at[k->count++] = (Candidate){s, 0};
}

static int is_power(uint32_t n) { return n && !(n & (n - 1)); }

static void add_level(Candidates *k, const Traits *t, Settings s) {
    add(k, s);
    if (s.method == LAZY && t->least >= 6) {
        s.least = 6; /* as zlib's strategy for filtered rows */
        add(k, s);
    }
}

static void list_zlib(Candidates *k, const Traits *t, uint32_t bits, uint32_t far) {
    /* Those in use first: of equal ones the first is taken. */
    static const int COMMON[9] = {6, 9, 1, 5, 4, 3, 2, 8, 7};
    for (int i = 0; i < 9; i++) {
        const int level = COMMON[i] - 1;
        const uint32_t *n = LEVEL[level];
        const uint32_t buffer = t->buffer ? t->buffer : 1u << (bits - 1);
        const Settings s = {level < 3 ? GREEDY : LAZY, ZLIB_HASH, bits,
                            n[0], n[1], n[2], n[3], 3,
                            level < 3 ? WINDOW : 4096, far, 1, buffer, t->fresh};
        add_level(k, t, s);
    }
}

/* What zlib and its kin may have written. */
static void list_usual(Candidates *k, const Traits *t) {
    k->count = 0;
    const uint32_t buffer = t->buffer ? t->buffer : 1 << 14;
    const Settings plain = {LITERALS_ONLY, THREE,  15, 4,      4,       8, 4, 3,
                            WINDOW,        WINDOW, 1,  buffer, t->fresh};
    if (!t->matches) {
        add(k, plain);
        return;
    }
    if (t->runs_only) {
        Settings runs = plain;
        runs.method = RUNS;
        add(k, runs);
    }
    uint32_t window = WINDOW;
    while (window > 512 && t->far + 262 <= window / 2) window /= 2;
    uint32_t bits[2] = {15, 16};
    int kinds = 2;
    if (is_power(t->buffer) && t->buffer >= 128 && t->buffer <= 32768) {
        bits[0] = 32 - (uint32_t)__builtin_clz(t->buffer);
        kinds = 1;
    }
    for (int i = 0; i < kinds && t->far <= WINDOW - 262; i++) {
        list_zlib(k, t, bits[i], WINDOW - 262);
        if (window < WINDOW && window > 262) list_zlib(k, t, bits[i], window - 262);
    }
}

/* Method, good, lazy, nice, chain, too_far of programs whose chains hold equal strings: zlib-ng 2 to 9,
 * libdeflate and igzip, 7-Zip and others. */
static const uint32_t OTHER[][6] = {
    {GREEDY, 4, 4, 8, 4, WINDOW},          {LAZY, 4, 6, 16, 6, WINDOW},
    {LAZY, 4, 12, 32, 24, WINDOW},         {LAZY, 8, 16, 128, 128, WINDOW},
    {LAZY, 8, 32, 128, 256, 4096},         {LAZY, 32, 128, 258, 1024, 4096},
    {GREEDY, 512, 0, 258, 1, WINDOW},      {GREEDY, 512, 258, 258, 1, WINDOW},
    {GREEDY, 512, 258, 258, 2, WINDOW},    {GREEDY, 512, 258, 258, 4, WINDOW},
    {GREEDY, 512, 258, 32, 32, WINDOW},    {GREEDY, 512, 258, 258, 128, WINDOW},
    {LAZY, 512, 258, 258, 1, WINDOW},      {LAZY, 512, 16, 32, 16, 4096},
    {LAZY, 512, 65, 65, 35, 4096},         {LAZY, 512, 130, 130, 100, 4096},
    {LAZY, 512, 258, 258, 1024, 4096},     {LAZY, 512, 258, 258, 4096, WINDOW},
};

static void list_others(Candidates *k, const Traits *t) {
    const uint32_t buffer = t->buffer ? t->buffer : 1u << 31;
    for (uint32_t keys = THREE; keys <= FOUR; keys++) {
        if (keys == FOUR && t->least < 4) break;
        for (size_t i = 0; i < sizeof OTHER / sizeof OTHER[0]; i++) {
            const uint32_t *n = OTHER[i];
            const Settings s = {n[0], keys, 16, n[1], n[2],   n[3],   n[4], keys == FOUR ? 4 : 3,
                                n[5], WINDOW, 0, buffer, t->fresh};
            add(k, s);
        }
    }
}

/* Counts wrong predictions of `tokens` tokens from token `first` on, at position `at`; stops behind
 * `bound`. The strings before are put into their chains as the tokens before tell. */
static void try_part(Matcher *m, const Content *c, const Span *span, Candidate *k, size_t first,
                     size_t at, size_t tokens, uint32_t bound) {
    size_t i = first, p = at;
    while (i > span->begin && at - p < WINDOW) {
        const Token t = c->token[--i];
        p -= t ? length_of(t) : 1;
    }
    start_matcher(m, c->data, (uint32_t)c->size, &k->s);
    if (k->s.fresh && span->position) m->s.first = (uint32_t)span->position;
    m->next = (uint32_t)(p < WINDOW ? 0 : p - WINDOW);
    insert_to(m, (uint32_t)p);
    for (; i < first; i++) {
        const uint32_t n = c->token[i] ? length_of(c->token[i]) : 1;
        advance(m, (uint32_t)p, n);
        p += n;
    }
    for (; i < span->end && i < first + tokens && k->wrong <= bound && m->work > 0; i++) {
        const Token actual = c->token[i];
        k->wrong += predict(m, (uint32_t)p) != actual;
        const uint32_t n = actual ? length_of(actual) : 1;
        advance(m, (uint32_t)p, n);
        p += n;
    }
}

/* Tokens with which the parts begin, and their positions. */
static int find_parts(const Content *c, const Span *span, size_t tokens, size_t *first, size_t *at) {
    const size_t all = span->end - span->begin;
    const int parts = all <= PARTS * tokens ? 1 : PARTS;
    size_t p = span->position, i = span->begin;
    for (int part = 0; part < parts; part++) {
        const size_t start = span->begin + (size_t)part * (all - tokens) / (PARTS - 1);
        for (; part && i < start; i++) p += c->token[i] ? length_of(c->token[i]) : 1;
        first[part] = i;
        at[part] = p;
    }
    return parts;
}

static void sort(Candidates *k) {
    for (int i = 1; i < k->count; i++) {
        const Candidate c = k->at[i];
        int j = i;
        for (; j && k->at[j - 1].wrong > c.wrong; j--) k->at[j] = k->at[j - 1];
        k->at[j] = c;
    }
}

/* Sorts candidates by wrong predictions of so many tokens a part, and keeps the best. */
static void narrow(Matcher *m, const Content *c, Candidates *k, size_t tokens, int keep, int64_t work) {
    size_t first[PARTS], at[PARTS];
    const Span span = longest_span(c);
    const int parts = find_parts(c, &span, tokens, first, at);
    uint32_t bound[MOST_CANDIDATES];
    for (int i = 0; i < k->count; i++) {
        k->at[i].wrong = 0;
        m->work = work;
        uint32_t limit = i ? 4 * bound[0] + 16 : UINT32_MAX / 8;
        if (i >= keep && bound[keep - 1] < limit) limit = bound[keep - 1];
        for (int part = 0; part < parts && m->work > 0; part++)
            try_part(m, c, &span, &k->at[i], first[part], at[part],
                     parts == 1 ? c->tokens : tokens, limit);
        if (m->work <= 0) k->at[i].wrong = UINT32_MAX / 8;
        /* The bounds so far, sorted. */
        int j = i;
        for (; j && bound[j - 1] > k->at[i].wrong; j--) bound[j] = bound[j - 1];
        bound[j] = k->at[i].wrong;
    }
    sort(k);
    while (k->count > keep && (k->at[k->count - 1].wrong || k->count > MOST_PERFECT)) k->count--;
}

enum { ROUNDS = 3, BEST = 4 };
static const int ROUND_TOKENS[ROUNDS] = {300, 2000, 12000}, ROUND_KEEPS[ROUNDS] = {12, 6, BEST};

static void narrow_by_rounds(Matcher *m, const Content *c, Candidates *k, int rounds) {
    for (int i = 0; i < rounds && k->count > 1; i++) {
        narrow(m, c, k, (size_t)ROUND_TOKENS[i], ROUND_KEEPS[i], (1 << 24) + (int64_t)c->size);
        const int whole = c->tokens <= (size_t)(PARTS * ROUND_TOKENS[i]);
        /* Those that were never wrong are told apart by predicting all tokens. */
        if (whole || (i && !k->at[0].wrong)) break;
    }
}

/* The best candidates, the best first. */
static void estimate(Matcher *m, const Content *c, Candidates *k) {
    const Traits t = traits_of(c);
    list_usual(k, &t);
    if (!t.matches) return;
    narrow_by_rounds(m, c, k, ROUNDS - 1);
    if (k->count && !k->at[0].wrong) return;
    if (k->count > 2) k->count = 2;
    list_others(k, &t);
    narrow_by_rounds(m, c, k, ROUNDS);
}
