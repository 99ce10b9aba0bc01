/* Huffman tables as JPEG files carry them (ISO/IEC 10918-1, annexes C, F and K). */
#pragma once
#include <stdint.h>
#include <string.h>

enum { FAST_BITS = 10, TABLE_BYTES = 16 + 256, TABLES = 8 };

/* A table as in a DHT segment: number of codes of each length, then their symbols. */
typedef struct {
    uint16_t code[256];
    uint8_t size[256];                /* 0: the symbol has no code */
    uint16_t fast[1 << FAST_BITS];    /* size << 8 | symbol; 0: a longer code, or none */
    int32_t end[18];                  /* first code of each length that is none, from 16 bits */
    int32_t offset[17];               /* of a code's symbol, less the code */
    uint8_t symbols[256], second[256]; /* second: the symbol has a shorter or lower code too */
} Table;

/* No symbol has a code where the lengths are impossible. */
static void make_table(Table *t, const uint8_t *wire) {
    memset(t, 0, sizeof *t);
    const uint8_t *symbols = wire + 16;
    int32_t code = 0;
    int n = 0;
    for (int size = 1; size <= 16; size++) {
        const int count = wire[size - 1];
        if (n + count > 256 || code + count > 1 << size) {
            memset(t, 0, sizeof *t);
            return;
        }
        t->offset[size] = n - code;
        for (int i = 0; i < count; i++, n++, code++) {
            const uint8_t symbol = symbols[n];
            t->symbols[n] = symbol;
            t->second[n] = t->size[symbol] != 0;
            if (t->second[n]) continue;
            t->code[symbol] = (uint16_t)code;
            t->size[symbol] = (uint8_t)size;
            if (size > FAST_BITS) continue;
            const int from = code << (FAST_BITS - size);
            for (int j = 0; j < 1 << (FAST_BITS - size); j++)
                t->fast[from + j] = (uint16_t)(size << 8 | symbol);
        }
        t->end[size] = code << (16 - size);
        code <<= 1;
    }
}

/* Code lengths that waste the least for these counts, as libjpeg chooses them (annex K.2, ties to
 * the higher symbol; no code of only ones). Writes a table as in a DHT segment, returns its bytes.
 */
static int best_table(const uint32_t *counts, uint8_t *wire) {
    int64_t freq[257];
    int size[257] = {0}, next[257], bits[257 + 1] = {0}, symbol[257], n = 0;
    for (int i = 0; i < 257; i++) {
        freq[i] = i < 256 ? counts[i] : 1;
        next[i] = -1;
        if (freq[i]) symbol[n++] = i;
    }
    while (n > 1) {
        /* The two rarest, the later one first; they stand in order. */
        int a = -1, b = -1;
        for (int i = 0; i < n; i++)
            if (a < 0 || freq[symbol[i]] <= freq[symbol[a]]) {
                b = a;
                a = i;
            } else if (b < 0 || freq[symbol[i]] <= freq[symbol[b]])
                b = i;
        int first = symbol[a], second = symbol[b];
        freq[first] += freq[second];
        for (n--; b < n; b++) symbol[b] = symbol[b + 1];
        for (size[first]++; next[first] >= 0; size[first]++) first = next[first];
        next[first] = second;
        for (size[second]++; next[second] >= 0; size[second]++) second = next[second];
    }
    for (int i = 0; i < 257; i++) bits[size[i]] += size[i] > 0;
    for (int i = 256; i > 16; i--)
        while (bits[i] > 0) {
            int j = i - 2;
            while (bits[j] == 0) j--;
            bits[i] -= 2;
            bits[i - 1]++;
            bits[j + 1] += 2;
            bits[j]--;
        }
    int longest = 16;
    while (longest > 0 && bits[longest] == 0) longest--;
    bits[longest]--;
    n = 16;
    for (int i = 1; i <= 16; i++) wire[i - 1] = (uint8_t)bits[i];
    for (int s = 1; s <= 256; s++)
        for (int i = 0; i < 256; i++)
            if (size[i] == s) wire[n++] = (uint8_t)i;
    return n;
}
