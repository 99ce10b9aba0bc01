/* A raw deflate stream to bytes, tokens and blocks. */
#pragma once
#include "tables.h"
#include <stdlib.h>
#include <string.h>

enum { STORED, FIXED, DYNAMIC };

typedef struct {
    const uint8_t *at;
    size_t size, position; /* bytes */
    uint64_t bits;
    int count, over; /* bits beyond the end that were asked for */
} Bits;

static inline void fill_bits(Bits *b) {
    while (b->count <= 56) {
        if (b->position < b->size)
            b->bits |= (uint64_t)b->at[b->position++] << b->count;
        else
            b->over += 8;
        b->count += 8;
    }
}

static inline uint32_t get_bits(Bits *b, int count) {
    if (b->count < count) fill_bits(b);
    const uint32_t value = (uint32_t)(b->bits & (((uint64_t)1 << count) - 1));
    b->bits >>= count;
    b->count -= count;
    return value;
}

static inline int past_end(const Bits *b) { return b->over > b->count; }

/* Position in bits; only meaningful before the end. */
static inline uint64_t bit_position(const Bits *b) {
    return 8 * ((uint64_t)b->position) + (uint64_t)b->over - (uint64_t)b->count;
}

static Bits bits_at(const uint8_t *at, size_t size, uint64_t position) {
    Bits b = {at, size, (size_t)(position >> 3), 0, 0, 0};
    get_bits(&b, (int)(position & 7));
    return b;
}

enum { FAST_BITS = 10 };

/* A canonical code: short ones in a table, others by counts. */
typedef struct {
    uint16_t fast[1 << FAST_BITS]; /* symbol << 4 | length; 0: longer or none */
    uint16_t count[MOST_BITS + 1], symbol[288];
} Code;

/* 0 if there are codes for too many symbols, or too few: as zlib's inflate judges. */
static int make_code(Code *c, const uint8_t *length, int symbols, int may_lack) {
    uint16_t start[MOST_BITS + 2] = {0}, next[MOST_BITS + 1];
    memset(c->count, 0, sizeof c->count);
    memset(c->fast, 0, sizeof c->fast);
    for (int i = 0; i < symbols; i++) c->count[length[i]]++;
    const int none = c->count[0] == symbols;
    c->count[0] = 0;
    int left = 1, longest = 0;
    for (int i = 1; i <= MOST_BITS; i++) {
        left = 2 * left - c->count[i];
        if (left < 0) return 0;
        if (c->count[i]) longest = i;
        start[i + 1] = (uint16_t)(start[i] + c->count[i]);
    }
    if (left > 0 && !(may_lack && (none || longest == 1))) return 0;
    uint32_t code = 0;
    for (int i = 1; i <= MOST_BITS; i++) {
        code = (code + c->count[i - 1]) << 1;
        next[i] = (uint16_t)code;
    }
    for (int i = 0; i < symbols; i++) {
        const int n = length[i];
        if (!n) continue;
        c->symbol[start[n]++] = (uint16_t)i;
        uint32_t reversed = 0;
        for (int bit = 0; bit < n; bit++) reversed |= (uint32_t)(next[n] >> bit & 1) << (n - 1 - bit);
        next[n]++;
        for (uint32_t at = reversed; n <= FAST_BITS && at < 1 << FAST_BITS; at += 1u << n)
            c->fast[at] = (uint16_t)(i << 4 | n);
    }
    return 1;
}

/* The next symbol, -1 for bits that no symbol has. */
static inline int get_symbol(Bits *b, const Code *c) {
    if (b->count < MOST_BITS) fill_bits(b);
    const uint32_t entry = c->fast[b->bits & ((1 << FAST_BITS) - 1)];
    if (entry) {
        b->bits >>= entry & 15;
        b->count -= entry & 15;
        return (int)(entry >> 4);
    }
    int code = 0, first = 0, index = 0;
    for (int n = 1; n <= MOST_BITS; n++) {
        code |= (int)(b->bits >> (n - 1) & 1);
        const int count = c->count[n];
        if (code - count < first) {
            b->bits >>= n;
            b->count -= n;
            return c->symbol[index + code - first];
        }
        index += count;
        first = (first + count) << 1;
        code <<= 1;
    }
    return -1;
}

/* The header of a dynamic block. 0 if zlib refuses such a header. */
static int read_trees(Bits *b, Trees *t, Code *scratch) {
    memset(t, 0, sizeof *t);
    t->literals = (int)get_bits(b, 5) + 257;
    t->distances = (int)get_bits(b, 5) + 1;
    t->codes = (int)get_bits(b, 4) + 4;
    if (t->literals > LITERALS || t->distances > DISTANCES) return 0;
    for (int i = 0; i < t->codes; i++) t->code_length[ORDER[i]] = (uint8_t)get_bits(b, 3);
    if (!make_code(scratch, t->code_length, LENGTH_CODES, 0)) return 0;
    uint8_t lengths[LITERALS + DISTANCES];
    const int all = t->literals + t->distances;
    for (int i = 0; i < all;) {
        const int symbol = get_symbol(b, scratch);
        int count = 1;
        if (symbol < 0 || past_end(b) || (symbol == 16 && !i)) return 0;
        if (symbol == 16) count = 3 + (int)get_bits(b, 2);
        if (symbol == 17) count = 3 + (int)get_bits(b, 3);
        if (symbol == 18) count = 11 + (int)get_bits(b, 7);
        if (count > all - i) return 0;
        t->step[t->steps++] = (uint16_t)(count << 5 | symbol);
        memset(lengths + i, symbol < 16 ? symbol : symbol == 16 ? lengths[i - 1] : 0, (size_t)count);
        i += count;
    }
    memcpy(t->length, lengths, (size_t)t->literals);
    memcpy(t->length + LITERALS, lengths + t->literals, (size_t)t->distances);
    return t->length[END] != 0;
}

typedef struct {
    uint64_t header; /* bit position behind the 3 bits with which the block begins */
    size_t end;      /* of its content, from the first block's start */
    uint32_t tokens; /* of a stored block: bytes */
    uint8_t kind, final, padding; /* padding: bits before the sizes of a stored block */
} Block;

typedef enum { READ, BROKEN, TOO_LARGE, NO_MEMORY } Verdict;

typedef struct {
    uint8_t *data;
    Token *token;
    Block *block;
    size_t size, room, tokens, token_room, blocks, block_room;
    size_t limit;   /* of bytes */
    size_t used;    /* bytes of the stream */
    size_t before, reach; /* bytes that were there before, and how many of them matches lead to */
    uint8_t padding; /* bits behind the last block */
} Content;

static void free_content(Content *c) {
    free(c->data);
    free(c->token);
    free(c->block);
}

static int enlarge(void **at, size_t *room, size_t unit, size_t most) {
    const size_t more = *room ? *room + *room / 2 : 4096, now = more > most ? most : more;
    void *moved = now > *room ? realloc(*at, now * unit) : NULL;
    if (!moved) return 0;
    *at = moved;
    *room = now;
    return 1;
}

static size_t most_blocks(size_t content) { return content / 64 + 4096; }

/* Room for one more token and a match. */
static inline Verdict make_room(Content *c) {
    if (c->size + LONGEST > c->room && !enlarge((void **)&c->data, &c->room, 1, c->limit + LONGEST))
        return c->size >= c->limit ? TOO_LARGE : NO_MEMORY;
    if (c->tokens == c->token_room &&
        !enlarge((void **)&c->token, &c->token_room, sizeof(Token), c->limit + 1))
        return c->tokens > c->limit ? TOO_LARGE : NO_MEMORY;
    return READ;
}

static Verdict read_stored(Content *c, Bits *b, Block *k) {
    const int padding = b->count & 7;
    k->padding = (uint8_t)get_bits(b, padding);
    const uint32_t size = get_bits(b, 16), check = get_bits(b, 16);
    if (past_end(b) || (size ^ check) != 0xffff) return BROKEN;
    k->tokens = size;
    const uint64_t start = bit_position(b) / 8;
    if (size > b->size - start) return BROKEN;
    if (size > c->limit - c->size) return TOO_LARGE;
    while (c->room < c->size + size)
        if (!enlarge((void **)&c->data, &c->room, 1, c->limit + LONGEST)) return NO_MEMORY;
    if (size) memcpy(c->data + c->size, b->at + start, size);
    c->size += size;
    *b = bits_at(b->at, b->size, 8 * (start + size));
    return READ;
}

static Verdict read_tokens(Content *c, Bits *b, Block *k, const Code *literals, const Code *distances) {
    const size_t first = c->tokens;
    for (;;) {
        const int symbol = get_symbol(b, literals);
        if (symbol < 0 || past_end(b)) return BROKEN;
        if (symbol == END) break;
        if (c->size + LONGEST > c->room || c->tokens == c->token_room) {
            const Verdict v = make_room(c);
            if (v != READ) return v;
        }
        if (symbol < END) {
            if (c->size >= c->limit) return TOO_LARGE;
            c->data[c->size++] = (uint8_t)symbol;
            c->token[c->tokens++] = 0;
            continue;
        }
        if (symbol > 285) return BROKEN;
        const uint32_t length = LENGTH_BASE[symbol - 257] + get_bits(b, LENGTH_EXTRA[symbol - 257]);
        const int d = get_symbol(b, distances);
        if (d < 0 || d >= DISTANCES) return BROKEN;
        const uint32_t distance = DISTANCE_BASE[d] + get_bits(b, DISTANCE_EXTRA[d]);
        /* 258 has a code of its own; another one for it would not come back. */
        if (past_end(b) || distance > c->size || (length == LONGEST && symbol != 285)) return BROKEN;
        if (length > c->limit - c->size) return TOO_LARGE;
        if (distance > c->size - c->before && distance - (c->size - c->before) > c->reach)
            c->reach = distance - (c->size - c->before);
        uint8_t *to = c->data + c->size;
        const uint8_t *from = to - distance;
        for (uint32_t i = 0; i < length; i++) to[i] = from[i];
        c->size += length;
        c->token[c->tokens++] = token(length, distance);
    }
    const size_t count = c->tokens - first;
    k->tokens = (uint32_t)count;
    return READ;
}

/* One block behind the bits of `b`; code, trees: three codes and trees for its own use. */
static Verdict read_block(Content *c, Bits *b, Block *k, Code *code, Trees *trees) {
    const int final = (int)get_bits(b, 1), kind = (int)get_bits(b, 2);
    *k = (Block){.kind = (uint8_t)kind, .final = (uint8_t)final};
    if (past_end(b)) return BROKEN;
    if (kind == STORED) return read_stored(c, b, k);
    if (kind == FIXED) {
        uint8_t lengths[288];
        for (int i = 0; i < 288; i++) lengths[i] = (uint8_t)fixed_length(i);
        make_code(&code[0], lengths, 288, 0);
        memset(lengths, 5, 32);
        make_code(&code[1], lengths, 32, 0);
        return read_tokens(c, b, k, &code[0], &code[1]);
    }
    if (kind != DYNAMIC) return BROKEN;
    k->header = bit_position(b);
    if (!read_trees(b, trees, &code[2]) || !make_code(&code[0], trees->length, LITERALS, 1) ||
        !make_code(&code[1], trees->length + LITERALS, DISTANCES, 1))
        return BROKEN;
    return read_tokens(c, b, k, &code[0], &code[1]);
}

static Verdict inflate(Content *c, const uint8_t *stream, size_t size) {
    Bits b = bits_at(stream, size, 0);
    Code *code = malloc(3 * sizeof *code);
    Trees *trees = malloc(sizeof *trees);
    Verdict v = code && trees ? make_room(c) : NO_MEMORY;
    for (int final = 0; v == READ && !final;) {
        if (c->blocks == c->block_room &&
            !enlarge((void **)&c->block, &c->block_room, sizeof(Block), most_blocks(c->limit))) {
            v = c->blocks >= most_blocks(c->limit) ? TOO_LARGE : NO_MEMORY;
            break;
        }
        Block *k = &c->block[c->blocks++];
        v = read_block(c, &b, k, code, trees);
        final = k->final;
        k->end = c->size;
    }
    if (v == READ) {
        c->padding = (uint8_t)get_bits(&b, b.count & 7);
        c->used = (size_t)(bit_position(&b) / 8);
        if (c->blocks > most_blocks(c->size)) v = TOO_LARGE;
    }
    free(code);
    free(trees);
    return v;
}

/* Whole blocks from a bit on, as far as they are there, behind c->size bytes before them; where each
 * ends, in bits, in `header`. Content behind the last of them is taken back. */
static Verdict walk(Content *c, const uint8_t *stream, size_t size, uint64_t bit) {
    Bits b = bits_at(stream, size, bit);
    Code *code = malloc(3 * sizeof *code);
    Trees *trees = malloc(sizeof *trees);
    Verdict v = code && trees ? make_room(c) : NO_MEMORY;
    size_t end = c->size;
    for (int final = 0; v == READ && !final;) {
        if (c->blocks == c->block_room &&
            !enlarge((void **)&c->block, &c->block_room, sizeof(Block), most_blocks(c->limit))) {
            v = c->blocks >= most_blocks(c->limit) ? TOO_LARGE : NO_MEMORY;
            break;
        }
        Block *k = &c->block[c->blocks];
        v = read_block(c, &b, k, code, trees);
        if (v != READ) break;
        c->blocks++;
        c->tokens = 0;
        final = k->final;
        k->header = bit_position(&b);
        end = k->end = c->size;
    }
    c->size = end;
    free(code);
    free(trees);
    return v;
}
