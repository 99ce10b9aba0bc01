/* Which token an encoder with a hash chain takes next: zlib's rules, with numbers for the rest. */
#pragma once
#include "tables.h"
#include <stdlib.h>
#include <string.h>

enum { LITERALS_ONLY, RUNS, GREEDY, LAZY, METHOD_COUNT };
/* What stands in one chain: strings of 3 bytes with the same hash of zlib, of the same 3, the same 4. */
enum { ZLIB_HASH, THREE, FOUR, KEY_COUNT };

typedef struct {
    uint32_t method, keys, hash_bits, good, lazy, nice, chain, least, too_far, far, first, buffer, fresh;
} Settings;

enum { SETTINGS = sizeof(Settings) / sizeof(uint32_t), MOST_WALKED = 4096 };

typedef struct {
    const uint8_t *data;
    uint32_t size;
    Settings s;
    uint32_t next;            /* position that is to be put into its chain next */
    uint32_t found_for;       /* position of `found`; UINT32_MAX: none */
    Token found;              /* longest match there */
    uint32_t found_head;      /* its chain: position + 1, or 0 */
    uint32_t head_here;       /* chain of the position that was predicted last */
    Token best_here;          /* longest match there, whatever was predicted */
    int64_t work;             /* left */
    uint32_t head[1 << 16], previous[WINDOW];
} Matcher;

static int good_settings(const Settings *s) {
    return s->method < METHOD_COUNT && s->keys < KEY_COUNT && s->hash_bits >= 8 && s->hash_bits <= 16 &&
           s->good <= 512 && s->lazy <= 512 && s->nice >= 3 && s->nice <= 512 && s->chain >= 1 &&
           s->chain <= WINDOW && s->least >= 3 && s->least <= 258 && s->too_far <= WINDOW &&
           s->far >= 1 && s->far <= WINDOW && s->first <= 1 && s->buffer >= 2 &&
           s->buffer <= 1u << 31 && s->fresh <= 1;
}

static void start_matcher(Matcher *m, const uint8_t *data, uint32_t size, const Settings *s) {
    m->data = data;
    m->size = size;
    m->s = *s;
    m->next = 0;
    m->found_for = UINT32_MAX;
    memset(m->head, 0, sizeof m->head);
    memset(m->previous, 0, sizeof m->previous);
}

static inline uint32_t key_bytes(const Matcher *m) { return m->s.keys == FOUR ? 4 : 3; }

static inline uint32_t key(const Matcher *m, uint32_t p) {
    const uint8_t *d = m->data + p;
    if (m->s.keys == ZLIB_HASH) {
        const uint32_t shift = (m->s.hash_bits + 2) / 3;
        return ((uint32_t)d[0] << 2 * shift ^ (uint32_t)d[1] << shift ^ d[2]) &
               ((1u << m->s.hash_bits) - 1);
    }
    uint32_t v = (uint32_t)d[0] | (uint32_t)d[1] << 8 | (uint32_t)d[2] << 16;
    if (m->s.keys == FOUR) v |= (uint32_t)d[3] << 24;
    return v * 2654435761u >> 16;
}

/* Puts positions up to before `end` into their chains. */
static inline void insert_to(Matcher *m, uint32_t end) {
    const uint32_t bytes = key_bytes(m);
    if (m->s.method < GREEDY) return;
    for (; m->next < end && m->size - m->next >= bytes; m->next++) {
        uint32_t *head = &m->head[key(m, m->next)];
        m->previous[m->next & (WINDOW - 1)] = *head;
        *head = m->next + 1;
    }
    if (m->next < end) m->next = end;
}

static inline uint32_t common(const uint8_t *a, const uint8_t *b, uint32_t most) {
    uint32_t n = 0;
    for (; n + 8 <= most; n += 8) {
        uint64_t x, y;
        memcpy(&x, a + n, 8);
        memcpy(&y, b + n, 8);
        if (x != y) break;
    }
    while (n < most && a[n] == b[n]) n++;
    return n;
}

/* The position that follows in a chain, + 1; 0: none. */
static inline uint32_t follow(const Matcher *m, uint32_t c) {
    const uint32_t link = m->previous[(c - 1) & (WINDOW - 1)];
    return link < c ? link : 0;
}

/* Whether two strings are in one chain; strings of another hash of ours may lie in between. */
static inline int same_chain(const Matcher *m, uint32_t p, uint32_t q) {
    return m->s.keys == ZLIB_HASH || !memcmp(m->data + p, m->data + q, key_bytes(m));
}

/* The nearest position before p in its chain, + 1; 0: none. */
static inline uint32_t chain_at(Matcher *m, uint32_t p) {
    if (m->size - p < key_bytes(m)) return 0;
    uint32_t c = m->head[key(m, p)];
    for (; c && p - (c - 1) <= WINDOW; c = follow(m, c)) {
        m->work--;
        if (same_chain(m, p, c - 1)) return c;
    }
    return 0;
}

/* The first longest match that is longer than `length`; without one, `length` and no distance.
 * bytes: that strings of a chain have in common; 0: their hash alone. */
static inline __attribute__((always_inline)) Token longest_of(Matcher *m, uint32_t p, uint32_t head,
                                                              uint32_t length, const size_t bytes) {
    const Settings *s = &m->s;
    const uint32_t ahead = m->size - p, most = ahead < LONGEST ? ahead : LONGEST;
    const uint32_t nice = s->nice < most ? s->nice : most, far = s->far, first = s->first;
    uint32_t best = length, distance = 0, chain = length >= s->good ? s->chain >> 2 : s->chain;
    uint32_t c = head;
    if (!chain) chain = 1;
    if (!c || c - 1 < first || p - (c - 1) > far || best >= most) return token(length, 0);
    const uint8_t *here = m->data + p;
    uint16_t end, there_end;
    memcpy(&end, here + best - 1, 2);
    int64_t work = 0;
    for (;;) {
        const uint8_t *there = m->data + (c - 1);
        const int counts = !bytes || !memcmp(there, here, bytes);
        work++;
        memcpy(&there_end, there + best - 1, 2);
        if (there_end == end && counts) {
            const uint32_t n = common(there, here, most);
            work += n >> 4;
            if (n > best) {
                best = n;
                distance = p - (c - 1);
                if (n >= nice) break;
                memcpy(&end, here + best - 1, 2);
            }
        }
        if (counts && !--chain) break;
        c = follow(m, c);
        if (!c || c - 1 < first || p - (c - 1) >= far) break;
    }
    m->work -= work;
    return token(best, distance);
}

static Token longest(Matcher *m, uint32_t p, uint32_t head, uint32_t length) {
    if (m->s.keys == ZLIB_HASH) return longest_of(m, p, head, length, 0);
    if (m->s.keys == THREE) return longest_of(m, p, head, length, 3);
    return longest_of(m, p, head, length, 4);
}

static inline Token search(Matcher *m, uint32_t p, uint32_t head, uint32_t length) {
    const Token t = longest(m, p, head, length);
    if (!distance_of(t)) return 0;
    if (length_of(t) < m->s.least || (length_of(t) == 3 && distance_of(t) > m->s.too_far)) return 0;
    return t;
}

/* Runs of the byte before. */
static Token run_at(const Matcher *m, uint32_t p) {
    if (!p) return 0;
    const uint32_t ahead = m->size - p, most = ahead < LONGEST ? ahead : LONGEST;
    uint32_t n = 0;
    while (n < most && m->data[p + n] == m->data[p - 1]) n++;
    return n < SHORTEST ? 0 : token(n, 1);
}

/* What the encoder writes at p. Afterwards `advance` says what really stands there. */
static Token predict(Matcher *m, uint32_t p) {
    const Settings *s = &m->s;
    m->head_here = 0;
    m->best_here = 0;
    m->work -= 2;
    if (m->size - p < SHORTEST || s->method == LITERALS_ONLY) return 0;
    if (s->method == RUNS) return m->best_here = run_at(m, p);
    if (m->found_for == p) {
        m->head_here = m->found_head;
        m->best_here = m->found;
    } else {
        insert_to(m, p);
        m->head_here = chain_at(m, p);
        m->best_here = search(m, p, m->head_here, SHORTEST - 1);
    }
    m->found_for = UINT32_MAX;
    const Token here = m->best_here;
    if (s->method == GREEDY) return here;
    insert_to(m, p + 1);
    if (!here) return 0;
    if (length_of(here) >= s->lazy || m->size - p - 1 < SHORTEST) return here;
    const uint32_t head = chain_at(m, p + 1);
    const Token later = search(m, p + 1, head, length_of(here));
    if (!later) return here;
    m->found_for = p + 1;
    m->found = later;
    m->found_head = head;
    return 0;
}

/* A token of `length` bytes (1: a literal) stands at p. */
static void advance(Matcher *m, uint32_t p, uint32_t length) {
    if (m->found_for != p + length) m->found_for = UINT32_MAX;
    if (m->s.method == GREEDY && length > 1 && length > m->s.lazy) {
        insert_to(m, p + 1);
        m->next = p + length;
    } else {
        insert_to(m, p + length);
    }
}

/* A walk along the chain of the position that was predicted last. */
typedef struct {
    uint32_t p, c, steps, length;
} Walk;

static Walk start_walk(const Matcher *m, uint32_t p, uint32_t length) {
    return (Walk){p, m->head_here, 0, length};
}

/* The distance of the next match of that length; 0: none, or it is too far to walk. */
static uint32_t next_match(Matcher *m, Walk *w) {
    while (w->c && w->steps < MOST_WALKED && w->p - (w->c - 1) <= WINDOW) {
        const uint32_t at = w->c - 1;
        w->c = follow(m, w->c);
        m->work--;
        if (!same_chain(m, w->p, at)) continue;
        w->steps++;
        const uint32_t n = common(m->data + at, m->data + w->p, w->length);
        m->work -= n >> 4;
        if (n == w->length) return w->p - at;
    }
    return 0;
}
