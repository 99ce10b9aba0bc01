/* Coefficients in fewer bytes, since most of them are zero.
 *
 * A block is its first coefficient, 2 bytes; a byte of which bit r says whether row r of the block
 * has others that are not 0; for each such row a byte of which bit c says it of column c, and
 * those values: one byte each, or WIDE and 2 bytes. So a block takes 3 bytes, a coefficient of at
 * most two bits of a JPEG file at most 2 more, and one of 9 bits or more at most 4.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { WIDE = 0x80, MOST_PACKED = 2 + 1 + 8 + 3 * 63 };

static size_t pack_block(const int16_t *block, uint8_t *out) {
    uint8_t *to = out + 3;
    uint8_t rows = 0;
    memcpy(out, block, 2);
    for (int r = 0; r < 8; r++) {
        int16_t row[8];
        uint64_t halves[2];
        memcpy(row, block + 8 * r, sizeof row);
        if (r == 0) row[0] = 0;
        memcpy(halves, row, sizeof halves);
        if (!(halves[0] | halves[1])) continue;
        rows |= (uint8_t)(1 << r);
        uint8_t *columns = to++, found = 0;
        for (int c = 0; c < 8; c++) {
            const int16_t v = row[c];
            if (!v) continue;
            found |= (uint8_t)(1 << c);
            if (v > -128 && v < 128)
                *to++ = (uint8_t)v;
            else {
                *to++ = WIDE;
                memcpy(to, &v, 2);
                to += 2;
            }
        }
        *columns = found;
    }
    out[2] = rows;
    return (size_t)(to - out);
}

/* Bytes of `size` that it took, 0 if they are no block. block: all 0. */
static size_t unpack_block(const uint8_t *from, size_t size, int16_t *block) {
    const uint8_t *at = from + 3, *end = from + size;
    if (size < 3) return 0;
    memcpy(block, from, 2);
    for (unsigned rows = from[2]; rows; rows &= rows - 1) {
        int16_t *row = block + 8 * __builtin_ctz(rows);
        if (at == end) return 0;
        for (unsigned columns = *at++; columns; columns &= columns - 1) {
            if (at == end) return 0;
            int16_t v = (int8_t)*at++;
            if (v == -128) {
                if (end - at < 2) return 0;
                memcpy(&v, at, 2);
                at += 2;
            }
            row[__builtin_ctz(columns)] = v;
        }
    }
    return (size_t)(at - from);
}

/* Bytes in `out`, which has room for as many as the blocks have; 0 if they would be no fewer. */
static size_t pack_blocks(const int16_t *blocks, size_t count, uint8_t *out) {
    const size_t room = 128 * count;
    size_t size = 0;
    uint8_t one[MOST_PACKED];
    for (size_t i = 0; i < count; i++) {
        const int near_end = room - size < MOST_PACKED;
        const size_t more = pack_block(blocks + 64 * i, near_end ? one : out + size);
        if (more >= room - size) return 0;
        if (near_end) memcpy(out + size, one, more);
        size += more;
    }
    return size;
}

/* Whether the bytes were blocks, all of them. */
static int unpack_blocks(const uint8_t *from, size_t size, int16_t *blocks, size_t count) {
    memset(blocks, 0, 128 * count);
    for (size_t i = 0; i < count; i++) {
        const size_t taken = unpack_block(from, size, blocks + 64 * i);
        if (!taken) return 0;
        from += taken;
        size -= taken;
    }
    return size == 0;
}
