/* The numbers of RFC 1951. */
#pragma once
#include <stdint.h>

enum {
    LITERALS = 286,  /* literals, the end of a block, lengths */
    DISTANCES = 30,
    LENGTH_CODES = 19,
    END = 256,
    LONGEST = 258,
    SHORTEST = 3,
    WINDOW = 32768,
    MOST_BITS = 15,
};

static const uint16_t LENGTH_BASE[29] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                         31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
static const uint8_t LENGTH_EXTRA[29] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                         2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
static const uint16_t DISTANCE_BASE[30] = {1,   2,   3,   4,   5,   7,    9,    13,   17,   25,
                                           33,  49,  65,  97,  129, 193,  257,  385,  513,  769,
                                           1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
static const uint8_t DISTANCE_EXTRA[30] = {0, 0, 0, 0, 1, 1, 2, 2,  3,  3,  4,  4,  5,  5,  6,
                                           6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};
static const uint8_t ORDER[LENGTH_CODES] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                            11, 4,  12, 3, 13, 2, 14, 1, 15};

/* A token: a distance from bit 9 and a length; 0 is the literal that stands there. */
typedef uint32_t Token;

static inline uint32_t length_of(Token t) { return t & 511; }
static inline uint32_t distance_of(Token t) { return t >> 9; }
static inline Token token(uint32_t length, uint32_t distance) { return distance << 9 | length; }

static inline int length_symbol(uint32_t length) {
    if (length == LONGEST) return 28;
    int s = 0;
    if (length >= 11) {
        const int log = 31 - __builtin_clz(length - 3);
        return 4 * (log - 1) + (int)((length - 3) >> (log - 2) & 3);
    }
    s = (int)length - 3;
    return s;
}

static inline int distance_symbol(uint32_t distance) {
    if (distance < 5) return (int)distance - 1;
    const int log = 31 - __builtin_clz(distance - 1);
    return 2 * log + (int)((distance - 1) >> (log - 1) & 1);
}

/* Code lengths of a fixed block, 288 and 32 (30 of them may stand in a block). */
static inline int fixed_length(int symbol) {
    return symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8;
}

typedef struct {
    int literals, distances, codes;   /* as HLIT + 257, HDIST + 1, HCLEN + 4 */
    uint8_t code_length[LENGTH_CODES]; /* by symbol */
    uint8_t length[LITERALS + DISTANCES + 4]; /* of literals, then of distances from 286 on */
    int steps;
    uint16_t step[LITERALS + DISTANCES]; /* symbol, and from bit 5 how often it stands for */
} Trees;
