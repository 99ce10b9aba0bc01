/* The blocks of a stream, one after the other, both ways. */
#pragma once
#include "recipe.h"

static void save(Recipe *r) {
    memcpy(r->saved_head, r->matcher.head, sizeof r->saved_head);
    memcpy(r->saved_previous, r->matcher.previous, sizeof r->saved_previous);
}

static void go_back(Recipe *r, uint32_t next, uint32_t found_for, Token found, uint32_t found_head) {
    Matcher *m = &r->matcher;
    memcpy(m->head, r->saved_head, sizeof r->saved_head);
    memcpy(m->previous, r->saved_previous, sizeof r->saved_previous);
    m->next = next;
    m->found_for = found_for;
    m->found = found;
    m->found_head = found_head;
}

/* Takes predicted tokens, as many as a block has, and returns their bytes. */
static uint32_t predicted_bytes(Recipe *r) {
    uint32_t p = r->position;
    for (uint32_t n = 0; n < r->matcher.s.buffer - 1 && p < r->size && p - r->position < 65536; n++) {
        const Token t = predict(&r->matcher, p);
        const uint32_t length = t ? length_of(t) : 1;
        advance(&r->matcher, p, length);
        p += length;
    }
    return p - r->position;
}

/* Whether a stored block ends where zlib would end it; then the matcher is there. */
static int ends_as_predicted(Recipe *r, uint32_t size) {
    const int last = r->position + size == r->size;
    if (!size || r->tries > 8 || (!last && size < r->matcher.s.buffer - 1)) return 0;
    const Matcher *m = &r->matcher;
    const uint32_t next = m->next, found_for = m->found_for, found_head = m->found_head;
    const Token found = m->found;
    save(r);
    if (predicted_bytes(r) == size) return 1;
    r->tries++;
    go_back(r, next, found_for, found, found_head);
    return 0;
}

static uint32_t code_stored_size(Recipe *r, uint32_t size) {
    Coder *k = &r->coder;
    const uint32_t left = r->size - r->position;
    const int predicted = !k->decoding && ends_as_predicted(r, size);
    const int c = r->last_kind == STORED;
    if (code_bit(k, &r->model.as_predicted[c], predicted))
        return k->decoding ? predicted_bytes(r) : size;
    const uint32_t same = r->last_stored < left ? r->last_stored : left;
    if (code_bit(k, &r->model.as_before[c], size == same)) {
        size = same;
    } else {
        size = code_number(k, &r->model.stored_size, size);
        r->last_stored = size;
    }
    if (size <= left && size < 65536) {
        r->matcher.found_for = UINT32_MAX;
        insert_to(&r->matcher, r->position + size);
    }
    return size;
}


/* Bits between what was written and the next whole byte. */
static uint32_t code_padding(Recipe *r, uint32_t padding) {
    if (!code_bit(&r->coder, &r->model.padded, padding != 0)) return 0;
    return code_bits(&r->coder, r->model.padding, PADDING_BITS, padding);
}

static void pad(Out *o, uint32_t padding) {
    const int bits = -o->count & 7;
    put_bits(o, padding & ((1u << bits) - 1), bits);
}

/* A block is the last one only where the content ends. */
static int code_final(Recipe *r, int final, int full) {
    return r->position == r->size && code_bit(&r->coder, &r->model.final[full], final);
}

static int stored_block(Recipe *r, const Block *b) {
    Out *o = &r->out;
    const uint32_t start = r->position, size = code_stored_size(r, b ? b->tokens : 0);
    if (size > r->size - start || size > 65535) return broken(r);
    r->position += size;
    if (!size && r->matcher.s.fresh) r->matcher.s.first = start;
    const int final = code_final(r, b && b->final, 0);
    const uint32_t padding = code_padding(r, b ? b->padding : 0);
    if (r->coder.decoding) {
        put_bits(o, (uint32_t)final, 3);
        pad(o, padding);
        put_bits(o, size, 16);
        put_bits(o, size ^ 0xffff, 16);
        whole_bytes(o);
        put_bytes(o, r->data + start, size);
    }
    return final;
}

/* Tokens of a block, counted by symbol. */
static void code_tokens(Recipe *r, const Block *b, const Token *actual, uint32_t *literals,
                        uint32_t *distances) {
    Coder *k = &r->coder;
    const uint32_t full = r->matcher.s.buffer - 1, left = r->size - r->position;
    uint32_t count = full < left ? full : left;
    const int whole =
        b && (b->tokens == full || (b->tokens < full && b->end == r->size));
    const int as_predicted = code_bit(k, &r->model.whole[r->last_whole], whole);
    r->last_whole = as_predicted;
    if (!as_predicted) {
        count = code_number(k, &r->model.tokens, b ? b->tokens : 0);
        if (count > left) broken(r);
    }
    r->tokens = 0;
    for (uint32_t i = 0; i < count && !r->failed; i++) {
        if (r->position == r->size) {
            if (!as_predicted) broken(r);
            break;
        }
        if (r->position >= r->stop) break;
        const Token t = code_token(r, actual ? actual[i] : 0);
        if (r->failed || r->matcher.work < 0) {
            broken(r);
            break;
        }
        if (k->decoding && !keep_token(r, t)) break;
        r->tokens += !k->decoding;
        if (t) {
            literals[257 + length_symbol(length_of(t))]++;
            distances[distance_symbol(distance_of(t))]++;
        } else {
            literals[r->data[r->position]]++;
        }
        step_over(r, t);
    }
    literals[END]++;
}

static void write_block(Recipe *r, int final, int fixed, const uint8_t *data) {
    Out *o = &r->out;
    put_bits(o, (uint32_t)(final | (fixed ? FIXED : DYNAMIC) << 1), 3);
    if (fixed) {
        uint8_t length[288];
        for (int i = 0; i < 288; i++) length[i] = (uint8_t)fixed_length(i);
        make_codes(&r->codes[0], length, 288);
        memset(length, 5, DISTANCES);
        make_codes(&r->codes[1], length, DISTANCES);
    } else {
        write_trees(o, &r->trees, &r->codes[2]);
        make_codes(&r->codes[0], r->trees.length, LITERALS);
        make_codes(&r->codes[1], r->trees.length + LITERALS, DISTANCES);
    }
    write_tokens(o, data, r->token, r->tokens, &r->codes[0], &r->codes[1]);
}

static int coded_block(Recipe *r, const Block *b, const Token *actual) {
    const uint32_t start = r->position;
    uint32_t literals[LITERALS] = {0}, distances[DISTANCES] = {0};
    code_tokens(r, b, actual, literals, distances);
    if (r->failed || r->position >= r->stop) return 0;
    const int final = code_final(r, b && b->final, r->tokens == r->matcher.s.buffer - 1);
    const int guess = predict_trees(r, &r->predicted, literals, distances);
    const int fixed =
        code_bit(&r->coder, &r->model.fixed[guess][r->last_kind], b && b->kind == FIXED);
    if (!fixed) {
        if (b) {
            Bits bits = bits_at(r->stream, r->stream_size, b->header);
            read_trees(&bits, &r->trees, &r->scratch);
        }
        code_trees(r, &r->trees, &r->predicted);
    }
    r->last_kind = fixed ? FIXED : DYNAMIC;
    if (r->coder.decoding && !r->failed) write_block(r, final, fixed, r->data + start);
    return final;
}

static void start_recipe(Recipe *r, const uint8_t *data, uint32_t size, const Settings *s, int perfect) {
    r->data = data;
    r->size = size;
    r->position = r->history = r->tries = 0;
    r->stop = UINT32_MAX;
    r->blocks = 0;
    r->failed = r->last_whole = 0;
    r->last_kind = DYNAMIC;
    r->last_stored = 65535;
    r->perfect = perfect;
    start_slots((Slot *)&r->model, sizeof r->model / sizeof(Slot));
    start_matcher(&r->matcher, data, size, s);
}

/* All blocks; `failed` where something is wrong, or takes too much work. */
static void code_stream(Recipe *r) {
    Coder *k = &r->coder;
    const Content *c = r->content;
    const Token *actual = c ? c->token : NULL;
    for (int final = 0; !final && !r->failed && !k->failed && !r->out.failed; r->blocks++) {
        if (r->position >= r->stop) return;
        const Block *b = c ? &c->block[r->blocks] : NULL;
        r->matcher.work -= 512;
        if (r->matcher.work < 0 || r->blocks >= most_blocks(r->size)) {
            broken(r);
            break;
        }
        if (code_bit(k, &r->model.stored[r->last_kind], b && b->kind == STORED)) {
            final = stored_block(r, b);
            r->last_kind = STORED;
        } else {
            final = coded_block(r, b, actual);
            if (b && actual) actual += b->tokens;
        }
    }
    const uint32_t padding = code_padding(r, c ? c->padding : 0);
    if (!k->decoding) return;
    pad(&r->out, padding);
    whole_bytes(&r->out);
}
