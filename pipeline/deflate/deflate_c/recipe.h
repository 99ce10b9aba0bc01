/* What a recipe says beside settings: the same calls write it and read it. */
#pragma once
#include "coder.h"
#include "inflate.h"
#include "predict.h"
#include "trees.h"
#include "write.h"

enum { GUESSES = 12, NEARNESS = 4, LENGTH_GUESSES = 16, DISTANCE_BITS = 15, PADDING_BITS = 7 };

/* Slots by what they decide, each after what is known by then. */
typedef struct {
    Slot stored[3], as_predicted[2], as_before[2], fixed[2][3], final[2], whole[2];
    Slot padded, padding[PADDING_BITS];
    Slot right[GUESSES][NEARNESS][8], match[GUESSES][4], same_length[GUESSES], shorter[GUESSES];
    Slot near[2][2], distance[DISTANCE_BITS];
    Slot lengths_right[3], length_right[2][LENGTH_GUESSES][2], longer[2][LENGTH_GUESSES];
    Slot steps_right, step_right[2], run, zeros, least[3];
    Number stored_size, tokens, length_free, length_above, length_below, hops[3], length_off[2];
    Number repeat, more;
} Model;

typedef struct {
    Coder coder;
    Model model;
    Matcher matcher;
    Builder builder;
    const uint8_t *data;
    uint32_t size, position, stop; /* stop: where a trial ends */
    const Content *content; /* when analysing */
    const uint8_t *stream;
    size_t stream_size;
    Out out;                /* when rebuilding */
    Token *token;           /* of one block */
    size_t tokens, token_room;
    uint32_t last_stored, history, tries;
    size_t blocks;
    int last_kind, last_whole, perfect, failed;
    Trees trees, predicted;
    Codes codes[3];
    Code scratch;
    uint32_t saved_head[1 << 16], saved_previous[WINDOW];
} Recipe;

static int broken(Recipe *r) {
    r->failed = 1;
    return 0;
}

/* ---- Tokens ---- */

static int guess_class(Token guess, Token best) {
    const uint32_t n = length_of(guess);
    if (!n) return length_of(best) ? length_of(best) > 5 : 2;
    return n < 6 ? (int)n : n < 8 ? 6 : n < 12 ? 7 : n < 24 ? 8 : n < 64 ? 9 : n < LONGEST ? 10 : 11;
}

static uint32_t code_match_length(Recipe *r, int c, uint32_t best, uint32_t length) {
    Coder *k = &r->coder;
    if (!best) {
        const uint32_t more = code_number(k, &r->model.length_free, length - SHORTEST);
        return more < LONGEST ? SHORTEST + more : 0;
    }
    if (code_bit(k, &r->model.same_length[c], length == best)) return best;
    const int shorter = best == SHORTEST ? 0 : best == LONGEST ? 1 : -1;
    if (shorter < 0 ? code_bit(k, &r->model.shorter[c], length < best) : shorter) {
        const uint32_t less = code_number(k, &r->model.length_below, best - 1 - length);
        return less < best ? best - 1 - less : 0;
    }
    const uint32_t more = code_number(k, &r->model.length_above, length - best - 1);
    return more < LONGEST ? best + 1 + more : 0;
}

/* How many matches of that length lie nearer, or the distance itself. */
static uint32_t code_distance(Recipe *r, uint32_t p, uint32_t length, uint32_t distance) {
    Coder *k = &r->coder;
    Walk walk = start_walk(&r->matcher, p, length);
    const int c = length < 4 ? 0 : length < 7 ? 1 : 2;
    uint32_t hops = 0, found = 0;
    if (!k->decoding) {
        while ((found = next_match(&r->matcher, &walk)) && found != distance) hops++;
    }
    if (!code_bit(k, &r->model.near[c > 0][r->matcher.head_here != 0], found != 0))
        return 1 + code_bits(k, r->model.distance, DISTANCE_BITS, distance - 1);
    hops = code_number(k, &r->model.hops[c], hops);
    if (!k->decoding) return distance;
    for (uint32_t i = 0; i <= hops; i++)
        if (!(found = next_match(&r->matcher, &walk))) break;
    return found;
}

static Token code_token(Recipe *r, Token actual) {
    Coder *k = &r->coder;
    Model *m = &r->model;
    const uint32_t p = r->position, ahead = r->size - p;
    const Token guess = predict(&r->matcher, p), best = r->matcher.best_here;
    if (ahead < SHORTEST) return 0;
    if (r->perfect) {
        if (!k->decoding && actual != guess) broken(r);
        return guess;
    }
    const int c = guess_class(guess, best);
    const uint32_t far = distance_of(best);
    const int near = far <= 64 ? 0 : far <= 1024 ? 1 : far <= 8192 ? 2 : 3;
    const int right = code_bit(k, &m->right[c][near][r->history & 7], actual == guess);
    r->history = r->history << 1 | (uint32_t)right;
    if (right) return guess;
    if (guess && !code_bit(k, &m->match[c][r->history >> 1 & 3], actual != 0)) return 0;
    const uint32_t length = code_match_length(r, c, length_of(best), length_of(actual));
    if (length < SHORTEST || length > LONGEST || length > ahead) return (Token)broken(r);
    const uint32_t distance = code_distance(r, p, length, distance_of(actual));
    if (!distance || distance > p) return (Token)broken(r);
    return token(length, distance);
}

static int keep_token(Recipe *r, Token t) {
    if (r->tokens == r->token_room &&
        !enlarge((void **)&r->token, &r->token_room, sizeof(Token), (size_t)r->size + 1))
        return broken(r);
    r->token[r->tokens++] = t;
    return 1;
}

static void step_over(Recipe *r, Token t) {
    const uint32_t length = t ? length_of(t) : 1;
    advance(&r->matcher, r->position, length);
    r->position += length;
}


/* ---- Code lengths ---- */

/* kind 0: of literals and lengths; 1: of distances; 2: of code lengths. */
static void code_lengths(Recipe *r, int kind, uint8_t *length, const uint8_t *predicted, int symbols) {
    Coder *k = &r->coder;
    Model *m = &r->model;
    const int c = kind > 1, most = kind > 1 ? 7 : MOST_BITS;
    if (code_bit(k, &m->lengths_right[kind], !memcmp(length, predicted, (size_t)symbols))) {
        memcpy(length, predicted, (size_t)symbols);
        return;
    }
    int before = 1;
    for (int i = 0; i < symbols; i++) {
        const int guess = predicted[i];
        int actual = length[i];
        if (code_bit(k, &m->length_right[c][guess][before], actual == guess)) {
            before = 1;
            length[i] = (uint8_t)guess;
            continue;
        }
        before = 0;
        const int longer = guess == 0      ? 1
                           : guess == most ? 0
                                           : code_bit(k, &m->longer[c][guess], actual > guess);
        const uint32_t off = code_number(k, &m->length_off[guess > 0],
                                         (uint32_t)(longer ? actual - guess : guess - actual) - 1);
        if (off >= (uint32_t)(longer ? most - guess : guess)) {
            broken(r);
            return;
        }
        actual = longer ? guess + 1 + (int)off : guess - 1 - (int)off;
        length[i] = (uint8_t)actual;
    }
}

/* How many of something there are, mostly the least that will do. */
static int code_count(Recipe *r, int which, int count, int least, int most) {
    if (code_bit(&r->coder, &r->model.least[which], count == least)) return least;
    const uint32_t more = code_number(&r->coder, &r->model.more, (uint32_t)(count - least - 1));
    if (more >= (uint32_t)(most - least)) return broken(r);
    return least + 1 + (int)more;
}

/* What stands in a block's header is of literals, then of distances at once. */
static void code_steps(Recipe *r, Trees *t) {
    Coder *k = &r->coder;
    Model *m = &r->model;
    uint8_t length[LITERALS + DISTANCES];
    const int all = t->literals + t->distances;
    memcpy(length, t->length, (size_t)t->literals);
    memcpy(length + t->literals, t->length + LITERALS, (size_t)t->distances);
    int right = 1;
    for (int pass = k->decoding; pass < 2; pass++) {
        if (pass) right = code_bit(k, &m->steps_right, right);
        int n = 0;
        for (int i = 0; i < all; n++) {
            const int end = i < t->literals ? t->literals : all;
            const int previous = i && i != t->literals ? length[i - 1] : -1;
            const uint16_t guess = next_step(length, i, end, previous);
            uint16_t actual = k->decoding ? guess : t->step[n];
            if (!pass) {
                right &= actual == guess;
            } else if (!right && !code_bit(k, &m->step_right[(guess & 16) != 0], actual == guess)) {
                /* A length, a run of the one before, a run of zeros. */
                uint32_t symbol = length[i], more = 0, run = actual & 16;
                if (code_bit(k, &m->run, run != 0)) {
                    const int zeros = code_bit(k, &m->zeros, (actual & 31) > 16);
                    more = code_number(k, &m->repeat, (uint32_t)(actual >> 5) - 3);
                    if (more > 135) {
                        broken(r);
                        return;
                    }
                    more += 2;
                    symbol = !zeros ? 16 : more < 10 ? 17 : 18;
                }
                actual = (uint16_t)((more + 1) << 5 | symbol);
            }
            const int count = actual >> 5, symbol = actual & 31;
            if (count > all - i || (symbol == 16 && (!i || count > 6))) {
                broken(r);
                return;
            }
            for (int j = 0; symbol >= 16 && j < count; j++)
                if (length[i + j] != (symbol == 16 ? length[i - 1] : 0)) {
                    broken(r);
                    return;
                }
            if (pass) t->step[n] = actual;
            i += count;
        }
        t->steps = n;
    }
}

/* The header of a dynamic block, by what zlib would make of its counts. */
static void code_trees(Recipe *r, Trees *t, const Trees *predicted) {
    code_lengths(r, 0, t->length, predicted->length, LITERALS);
    code_lengths(r, 1, t->length + LITERALS, predicted->length + LITERALS, DISTANCES);
    if (r->failed) return;
    t->literals = code_count(r, 0, t->literals, used_symbols(t->length, LITERALS, 257), LITERALS);
    t->distances =
        code_count(r, 1, t->distances, used_symbols(t->length + LITERALS, DISTANCES, 1), DISTANCES);
    if (r->failed) return;
    code_steps(r, t);
    if (r->failed) return;
    uint32_t count[LENGTH_CODES];
    uint8_t guess[LENGTH_CODES];
    count_steps(t, count);
    build(&r->builder, count, LENGTH_CODES, 7, guess);
    code_lengths(r, 2, t->code_length, guess, LENGTH_CODES);
    if (r->failed) return;
    t->codes = code_count(r, 2, t->codes, used_codes(t->code_length), LENGTH_CODES);
}

/* zlib's trees for counts, and whether it would rather write a fixed block. */
static int predict_trees(Recipe *r, Trees *t, const uint32_t *literals, const uint32_t *distances) {
    uint32_t count[LENGTH_CODES];
    uint64_t fixed = 0, dynamic = 0;
    build(&r->builder, literals, LITERALS, MOST_BITS, t->length);
    build(&r->builder, distances, DISTANCES, MOST_BITS, t->length + LITERALS);
    t->literals = used_symbols(t->length, LITERALS, 257);
    t->distances = used_symbols(t->length + LITERALS, DISTANCES, 1);
    t->steps = 0;
    for (int part = 0; part < 2; part++) {
        const uint8_t *length = t->length + part * LITERALS;
        const int end = part ? t->distances : t->literals;
        for (int i = 0; i < end; i += t->step[t->steps++] >> 5)
            t->step[t->steps] = next_step(length, i, end, i ? length[i - 1] : -1);
    }
    count_steps(t, count);
    build(&r->builder, count, LENGTH_CODES, 7, t->code_length);
    t->codes = used_codes(t->code_length);
    for (int i = 0; i < LENGTH_CODES; i++)
        dynamic += (uint64_t)count[i] * (uint64_t)(t->code_length[i] + step_extra(i));
    dynamic += 14 + 3 * (uint64_t)t->codes;
    for (int i = 0; i < LITERALS; i++) {
        const int extra = i > END ? LENGTH_EXTRA[i - 257] : 0;
        dynamic += (uint64_t)literals[i] * (uint64_t)(t->length[i] + extra);
        fixed += (uint64_t)literals[i] * (uint64_t)(fixed_length(i) + extra);
    }
    for (int i = 0; i < DISTANCES; i++) {
        dynamic += (uint64_t)distances[i] * (uint64_t)(t->length[LITERALS + i] + DISTANCE_EXTRA[i]);
        fixed += (uint64_t)distances[i] * (uint64_t)(5 + DISTANCE_EXTRA[i]);
    }
    return (fixed + 10) >> 3 <= (dynamic + 10) >> 3;
}
