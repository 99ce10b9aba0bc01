/* From coefficients, and what the encoder chose freely, to a scan's entropy-coded bytes. */
#pragma once
#include "scan.h"

typedef struct {
    Scan scan;
    Table table[TABLES];
    uint32_t (*counts)[256]; /* not NULL: count symbols of each table and write nothing */
    uint8_t *out;
    size_t size, room;
    uint64_t window; /* bits that are not yet written, from the bottom */
    int bits;
    int failed;
    int64_t mcu, mcus; /* written, and to be written: if these are not all, whole bytes only */
    Rule rule;
    PairReader runs, zero_runs;
    int64_t block, run_index;
    int32_t run, forced;     /* blocks in the run of EOBs; its length if that is listed */
    int64_t correction_bits;
    uint8_t *corrections;    /* of the run: one bit each */
    const uint8_t *padding;  /* bits of each byte that ends an interval; NULL: filled with fill */
    size_t paddings, paddings_used;
    int fill;
} Writer;

enum { FLUSH_BITS = 32, MAX_CORRECTIONS = 64 * (MAX_RUN + 1) };

static int make_room(Writer *w, size_t more) {
    if (w->size + more <= w->room) return 1;
    const size_t room = 2 * w->room + more + 4096;
    uint8_t *out = w->failed ? NULL : realloc(w->out, room);
    if (!out) {
        w->failed = 1;
        w->size = 0;
        return w->room >= more;
    }
    w->out = out;
    w->room = room;
    return 1;
}

static void write_byte(Writer *w, uint8_t byte) {
    if (!make_room(w, 2)) return;
    w->out[w->size++] = byte;
    if (byte == 0xff) w->out[w->size++] = 0;
}

static void flush_word(Writer *w) {
    const uint32_t word = (uint32_t)(w->window >> (w->bits - 32));
    w->bits -= 32;
    const uint32_t t = ~word;
    if (((t - 0x01010101u) & ~t & 0x80808080u) == 0 && make_room(w, 4)) {
        const uint32_t swapped = __builtin_bswap32(word);
        memcpy(w->out + w->size, &swapped, 4);
        w->size += 4;
        return;
    }
    for (int i = 24; i >= 0; i -= 8) write_byte(w, (uint8_t)(word >> i));
}

/* size: 0 to 32 */
static inline void put(Writer *w, uint32_t bits, int size) {
    if (w->counts) return;
    w->window = w->window << size | (bits & (((uint64_t)1 << size) - 1));
    w->bits += size;
    if (w->bits >= 32) flush_word(w);
}

static inline void put_symbol(Writer *w, int table, int symbol) {
    if (w->counts) {
        w->counts[table][symbol]++;
        return;
    }
    const int size = w->table[table].size[symbol];
    w->failed |= !size;
    put(w, w->table[table].code[symbol], size);
}

static inline void put_number(Writer *w, int32_t v, int size) {
    put(w, (uint32_t)(v < 0 ? v - 1 : v), size);
}

static void put_bits(Writer *w, const uint8_t *bits, int64_t count) {
    for (int64_t i = 0; i < count; i++) put(w, bits[i], 1);
}

static void end_run(Writer *w, int table) {
    if (w->run == 0) return;
    const uint32_t length = (uint32_t)(w->forced ? w->forced : w->run);
    const int size = bit_length(length) - 1;
    put_symbol(w, table, size << 4);
    put(w, length, size);
    put_bits(w, w->corrections, w->correction_bits);
    w->run = 0;
    w->correction_bits = 0;
}

static void join_run(Writer *w, int table, const uint8_t *bits, int count) {
    if (w->run == 0) {
        w->forced = value_at(&w->runs, ++w->run_index);
        if (w->forced < 0 || w->forced > MAX_RUN) w->failed = 1, w->forced = 0;
    }
    w->run++;
    if (count) memcpy(w->corrections + w->correction_bits, bits, (size_t)count);
    w->correction_bits += count;
    const int ends = w->forced ? w->run == w->forced
                               : w->run >= w->rule.longest || w->correction_bits > w->rule.bits;
    if (ends || w->run == MAX_RUN) end_run(w, table);
}

static void write_dc(Writer *w, ScanComponent *c, const int16_t *block, int low) {
    const int32_t v = block[0] >> low, difference = v - c->previous;
    c->previous = v;
    const int size = bit_length((uint32_t)abs(difference));
    w->failed |= size > 15;
    put_symbol(w, c->dc, size);
    put_number(w, difference, size);
}

/* Zeros at a block's end: runs of 16 that its encoder need not have coded, then an EOB. Returns
 * whether an EOB follows. */
static int write_zeros(Writer *w, int table, int zeros, int listed) {
    if (listed < 0 || 16 * (int64_t)listed > zeros) {
        w->failed = 1;
        return 0;
    }
    for (int i = 0; i < listed; i++) put_symbol(w, table, 0xf0);
    return zeros > 16 * listed;
}

/* A coefficient after so many zeros. */
static void write_coefficient(Writer *w, int table, int zeros, int32_t v) {
    for (; zeros > 15; zeros -= 16) put_symbol(w, table, 0xf0);
    const int size = bit_length((uint32_t)abs(v));
    w->failed |= size > 15;
    put_symbol(w, table, (zeros << 4 | size) & 255);
    put_number(w, v, size);
}

static void write_sequential(Writer *w, ScanComponent *c, const int16_t *block) {
    write_dc(w, c, block, 0);
    int last = 0;
    for (uint64_t left = at_least(block, 1) & ~(uint64_t)1; left; left &= left - 1) {
        const int k = __builtin_ctzll(left);
        write_coefficient(w, c->ac, k - last - 1, block[NATURAL[k]]);
        last = k;
    }
    if (write_zeros(w, c->ac, 63 - last, value_at(&w->zero_runs, w->block)))
        put_symbol(w, c->ac, 0);
}

static void write_ac_first(Writer *w, const ScanComponent *c, const int16_t *block) {
    const int low = w->scan.low, end = w->scan.end;
    int last = w->scan.start - 1;
    for (uint64_t left = at_least(block, 1 << low) & band(last + 1, end); left; left &= left - 1) {
        const int k = __builtin_ctzll(left);
        const int32_t v = block[NATURAL[k]];
        end_run(w, c->ac);
        write_coefficient(w, c->ac, k - last - 1, v < 0 ? -(-v >> low) : v >> low);
        last = k;
    }
    const int listed = value_at(&w->zero_runs, w->block);
    if (listed) end_run(w, c->ac);
    if (write_zeros(w, c->ac, end - last, listed)) join_run(w, c->ac, NULL, 0);
}

static int correction(const Writer *w, const int16_t *block, int k) {
    return abs(block[NATURAL[k]]) >> w->scan.low & 1;
}

/* Zeros at a block's end that its encoder need not have coded as runs: returns where they end. */
static int write_refined_zeros(Writer *w, int table, const int16_t *block, uint64_t old, int k) {
    for (int i = value_at(&w->zero_runs, w->block); i > 0 && k <= w->scan.end; i--) {
        end_run(w, table);
        put_symbol(w, table, 0xf0);
        for (int left = 16; k <= w->scan.end && left; k++)
            if (old >> k & 1)
                put(w, (uint32_t)correction(w, block, k), 1);
            else
                left--;
    }
    return k;
}

static void write_ac_refined(Writer *w, const ScanComponent *c, const int16_t *block) {
    const int start = w->scan.start, end = w->scan.end, low = w->scan.low;
    const uint64_t in_band = band(start, end), all = at_least(block, 1 << low) & in_band;
    const uint64_t old = at_least(block, 2 << low) & in_band, new = all & ~old;
    uint8_t bits[64];
    int count = 0, zeros = 0, before = start - 1;
    const int last = new ? 63 - __builtin_clzll(new) : start - 1;
    for (uint64_t left = last < start ? 0 : all & band(start, last); left; left &= left - 1) {
        const int k = __builtin_ctzll(left);
        zeros += k - before - 1;
        before = k;
        for (; zeros > 15; zeros -= 16) {
            end_run(w, c->ac);
            put_symbol(w, c->ac, 0xf0);
            put_bits(w, bits, count);
            count = 0;
        }
        if (old >> k & 1) {
            bits[count++] = (uint8_t)correction(w, block, k);
            continue;
        }
        end_run(w, c->ac);
        put_symbol(w, c->ac, zeros << 4 | 1);
        put(w, block[NATURAL[k]] > 0, 1);
        put_bits(w, bits, count);
        zeros = count = 0;
    }
    const int k = write_refined_zeros(w, c->ac, block, old, last + 1);
    if (k > end) return;
    for (uint64_t left = old & band(k, end); left; left &= left - 1)
        bits[count++] = (uint8_t)correction(w, block, __builtin_ctzll(left));
    join_run(w, c->ac, bits, count);
}

static void write_block(Writer *w, ScanComponent *c, const int16_t *block) {
    const Scan *s = &w->scan;
    if (!s->progressive)
        write_sequential(w, c, block);
    else if (s->start)
        (s->high ? write_ac_refined : write_ac_first)(w, c, block);
    else if (!s->high)
        write_dc(w, c, block, s->low);
    else
        put(w, (uint32_t)(block[0] >> s->low) & 1, 1);
    w->block++;
}

static void write_whole_bytes(Writer *w) {
    for (; w->bits >= 8; w->bits -= 8) write_byte(w, (uint8_t)(w->window >> (w->bits - 8)));
}

static void finish_byte(Writer *w) {
    write_whole_bytes(w);
    if (w->counts || w->bits == 0) return;
    const int n = 8 - w->bits;
    uint32_t bits = w->fill ? 0xff : 0;
    if (w->padding) {
        w->failed |= w->paddings_used == w->paddings;
        bits = w->failed ? 0 : w->padding[w->paddings_used++];
    }
    put(w, bits, n);
    write_whole_bytes(w);
}

/* Writes to a row of MCUs. */
static void write_rows(Writer *w, int64_t to_row) {
    Scan *s = &w->scan;
    const int64_t end = to_row * s->mcu_columns, to = end < w->mcus ? end : w->mcus;
    for (; w->mcu < to && !w->failed; w->mcu++) {
        if (s->interval && w->mcu && w->mcu % s->interval == 0) {
            end_run(w, s->component[0].ac);
            finish_byte(w);
            if (!w->counts && make_room(w, 2)) {
                w->out[w->size++] = 0xff;
                w->out[w->size++] = (uint8_t)(0xd0 + (w->mcu / s->interval - 1) % 8);
            }
            for (int i = 0; i < s->components; i++) s->component[i].previous = 0;
        }
        for (int i = 0; i < s->components; i++) {
            ScanComponent *c = &s->component[i];
            for (int n = 0; n < c->h * c->v; n++) write_block(w, c, block_at(s, c, w->mcu, n));
        }
    }
}

static void finish_writing(Writer *w) {
    w->failed |= w->mcu < w->mcus;
    end_run(w, w->scan.component[0].ac);
    if (w->mcus == w->scan.mcu_columns * w->scan.mcu_rows)
        finish_byte(w);
    else
        write_whole_bytes(w);
    w->failed |= w->runs.next >= 0 || w->zero_runs.next >= 0;
    w->failed |= w->padding && w->paddings_used < w->paddings;
}
