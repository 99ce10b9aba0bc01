/* From a scan's entropy-coded bytes to coefficients, and to what its encoder chose freely. */
#pragma once
#include "scan.h"

typedef struct {
    const uint8_t *data;
    int64_t start, size, position; /* of the scan, of the file, of the next byte to load */
    uint64_t window;        /* the next bits, from the top */
    int bits, absent;       /* in the window; of them behind the last byte of the segment */
} Bits;

/* Position in a run of EOBs: the run's number, its length as coded, how much of it is done. */
typedef struct {
    int64_t index;
    int32_t length, done;
    int64_t bits;
    int waiting;            /* the run is over, and the block after it has not begun */
    int ends[RULES], listed[RULES];
} Run;

/* All that an MCU and a restart before it change beside coefficients. */
typedef struct {
    Bits bits;
    Run run;
    int64_t block;
    size_t zero_runs, runs[RULES], paddings;
    int64_t last_zero_run, last_run[RULES];
} Mark;

typedef struct {
    Scan scan;
    Table table[TABLES];
    Bits bits;
    Run run;
    uint32_t (*counts)[256]; /* of the symbols of each table */
    int64_t mcu, block;      /* how many were read */
    int ended;               /* what follows is no MCU */
    Pairs zero_runs, runs[RULES];
    uint8_t *padding; /* of each byte that ends an interval: a 1, then its bits */
    size_t paddings, padding_room;
    int16_t saved[64];
} Reader;

static int has_ff(uint64_t v) {
    const uint64_t t = ~v;
    return ((t - 0x0101010101010101u) & ~t & 0x8080808080808080u) != 0;
}

static void refill(Bits *b) {
    if (b->position + 8 <= b->size) {
        uint64_t word;
        memcpy(&word, b->data + b->position, 8);
        if (!has_ff(word)) {
            const int bytes = (64 - b->bits) >> 3;
            word = __builtin_bswap64(word);
            if (bytes < 8) word &= ~(~(uint64_t)0 >> (8 * bytes));
            b->window |= b->bits < 64 ? word >> b->bits : 0;
            b->position += bytes;
            b->bits += 8 * bytes;
            return;
        }
    }
    while (b->bits <= 56) {
        uint64_t byte = 0;
        if (!b->absent && b->position < b->size) {
            byte = b->data[b->position];
            if (byte != 0xff)
                b->position++;
            else if (b->position + 1 < b->size && b->data[b->position + 1] == 0)
                b->position += 2;
            else {
                b->absent += 8;
                byte = 0;
            }
        } else
            b->absent += 8;
        b->window |= byte << (56 - b->bits);
        b->bits += 8;
    }
}

static inline void skip(Bits *b, int n) {
    b->window <<= n;
    b->bits -= n;
}

static inline uint32_t take(Bits *b, int n) {
    if (n == 0) return 0;
    if (b->bits < n) refill(b);
    const uint32_t v = (uint32_t)(b->window >> (64 - n));
    skip(b, n);
    return v;
}

static int long_symbol(Bits *b, const Table *t) {
    const int32_t code = (int32_t)(b->window >> 48);
    for (int size = 1; size <= 16; size++) {
        if (code >= t->end[size]) continue;
        const int n = (code >> (16 - size)) + t->offset[size];
        if (n < 0 || n > 255 || t->second[n]) return -1;
        skip(b, size);
        return t->symbols[n];
    }
    return -1;
}

/* The next symbol; -1 where no code is. At least 16 more bits are in the window afterwards. */
static inline int symbol(Reader *r, int table) {
    Bits *b = &r->bits;
    const Table *t = &r->table[table];
    if (b->bits < 32) refill(b);
    int found = t->fast[b->window >> (64 - FAST_BITS)];
    if (found) {
        skip(b, found >> 8);
        found &= 255;
    } else if ((found = long_symbol(b, t)) < 0)
        return -1;
    r->counts[table][found]++;
    return found;
}

/* A number of `size` bits, 1 to 15, with its sign (table F.1). */
static inline int32_t number(Bits *b, int size) {
    const int32_t v = (int32_t)take(b, size);
    return v < 1 << (size - 1) ? v - (1 << size) + 1 : v;
}

static int overrun(const Bits *b) { return b->bits < b->absent; }

/* Forget the window: the position becomes that of the first byte with an unread bit. */
static void step_back(Bits *b) {
    for (int n = (b->bits - b->absent + 7) / 8; n > 0; n--) {
        const int stuffed = b->position - 2 >= b->start && b->data[b->position - 1] == 0 &&
                            b->data[b->position - 2] == 0xff;
        b->position -= 1 + stuffed;
    }
    b->window = 0;
    b->bits = b->absent = 0;
}

static int align(Reader *r) {
    const int n = (r->bits.bits - r->bits.absent) & 7;
    if (n) {
        if (r->paddings == r->padding_room) {
            const size_t room = r->padding_room ? 2 * r->padding_room : 64;
            uint8_t *padding = realloc(r->padding, room);
            if (!padding) return 0;
            r->padding = padding;
            r->padding_room = room;
        }
        r->padding[r->paddings++] = (uint8_t)(1 << n | take(&r->bits, n));
    }
    step_back(&r->bits);
    return 1;
}

static void list_run(Reader *r, int rule) {
    if (!r->run.listed[rule]) push(&r->runs[rule], r->run.index, r->run.length);
    r->run.listed[rule] = 1;
}

/* A run that goes on although its interval or the scan is over. */
static void end_runs(Reader *r) {
    if (r->run.length > r->run.done)
        for (int i = 0; i < RULES; i++) list_run(r, i);
    r->run.length = r->run.done = 0;
    r->run.waiting = 0;
}

/* An EOB symbol. first: nothing else of this block was read before. */
static void begin_run(Reader *r, int32_t length, int first) {
    if (r->run.waiting && first)
        for (int i = 0; i < RULES; i++)
            if (!r->run.ends[i]) list_run(r, i);
    r->run = (Run){r->run.index + 1, length, 0, 0, 0, {0}, {0}};
}

/* A block of the run is done, in which `bits` correction bits belong to the run. */
static void next_in_run(Reader *r, int bits) {
    r->run.done++;
    r->run.bits += bits;
    for (int i = 0; i < RULES; i++) {
        const int ends = r->run.done >= RULE[i].longest || r->run.bits > RULE[i].bits;
        r->run.ends[i] = ends;
        if (ends && r->run.done < r->run.length) list_run(r, i);
    }
    r->run.waiting = r->run.done == r->run.length;
}

static int read_dc(Reader *r, ScanComponent *c, int16_t *block, int low) {
    const int size = symbol(r, c->dc);
    if (size < 0 || size > 15) return 0;
    if (size) c->previous += number(&r->bits, size);
    if (c->previous < -(1 << (15 - low)) || c->previous >= 1 << (15 - low)) return 0;
    block[0] = (int16_t)(c->previous * (1 << low));
    return 1;
}

static int read_sequential(Reader *r, ScanComponent *c, int16_t *block) {
    if (!read_dc(r, c, block, 0)) return 0;
    int zero_runs = 0;
    for (int k = 1; k < 64;) {
        const int s = symbol(r, c->ac);
        if (s <= 0) {
            if (s < 0) return 0;
            break;
        }
        k += s >> 4;
        if (k > 63) return 0;
        if (s & 15) {
            block[NATURAL[k]] = (int16_t)number(&r->bits, s & 15);
            zero_runs = 0;
        } else if (s >> 4 != 15)
            return 0;
        else
            zero_runs++;
        k++;
    }
    if (zero_runs) push(&r->zero_runs, r->block, zero_runs);
    return 1;
}

static int read_ac_first(Reader *r, const ScanComponent *c, int16_t *block) {
    if (r->run.done < r->run.length) {
        next_in_run(r, 0);
        return 1;
    }
    const int low = r->scan.low, end = r->scan.end;
    int zero_runs = 0, first = 1;
    for (int k = r->scan.start; k <= end;) {
        const int s = symbol(r, c->ac);
        if (s < 0) return 0;
        const int run = s >> 4, size = s & 15;
        if (!size && run < 15) {
            begin_run(r, (1 << run) + (int32_t)take(&r->bits, run), first);
            next_in_run(r, 0);
            break;
        }
        r->run.waiting = first = 0;
        k += run;
        if (k > end) return 0;
        if (size) {
            const int32_t v = number(&r->bits, size) * (1 << low);
            if (v < -32767 || v > 32767) return 0;
            block[NATURAL[k]] = (int16_t)v;
            zero_runs = 0;
        } else
            zero_runs++;
        k++;
    }
    if (zero_runs) push(&r->zero_runs, r->block, zero_runs);
    return 1;
}

static void correct(Reader *r, int16_t *coefficient) {
    const int step = 1 << r->scan.low;
    if (take(&r->bits, 1)) *coefficient += (int16_t)(*coefficient > 0 ? step : -step);
}

static int read_ac_refined(Reader *r, const ScanComponent *c, int16_t *block) {
    const int end = r->scan.end;
    int k = r->scan.start, zero_runs = 0, first = 1, in_run = r->run.done < r->run.length;
    const uint64_t old = at_least(block, 1) & band(k, end);
    memcpy(r->saved, block, sizeof r->saved);
    while (k <= end && !in_run) {
        const int s = symbol(r, c->ac);
        if (s < 0) return 0;
        int run = s >> 4;
        const int size = s & 15;
        if (size > 1) return 0;
        if (!size && run < 15) {
            begin_run(r, (1 << run) + (int32_t)take(&r->bits, run), first);
            in_run = 1;
            break;
        }
        r->run.waiting = first = 0;
        const int sign = size ? (int)take(&r->bits, 1) : 0;
        for (; k <= end; k++) {
            if (old >> k & 1)
                correct(r, &block[NATURAL[k]]);
            else if (run-- == 0)
                break;
        }
        if (size) {
            if (k > end) return 0;
            block[NATURAL[k]] = (int16_t)((sign ? 1 : -1) * (1 << r->scan.low));
            zero_runs = 0;
        } else
            zero_runs++;
        k++;
    }
    if (in_run) {
        const uint64_t left = k > end ? 0 : old & band(k, end);
        for (uint64_t rest = left; rest; rest &= rest - 1)
            correct(r, &block[NATURAL[__builtin_ctzll(rest)]]);
        next_in_run(r, __builtin_popcountll(left));
    }
    if (zero_runs) push(&r->zero_runs, r->block, zero_runs);
    return 1;
}

static int read_block(Reader *r, ScanComponent *c, int16_t *block) {
    const Scan *s = &r->scan;
    int read;
    if (!s->progressive)
        read = read_sequential(r, c, block);
    else if (s->start)
        read = (s->high ? read_ac_refined : read_ac_first)(r, c, block);
    else if (!s->high)
        read = read_dc(r, c, block, s->low);
    else {
        read = 1;
        if (take(&r->bits, 1)) block[0] |= (int16_t)(1 << s->low);
    }
    r->block++;
    return read && !overrun(&r->bits);
}

/* As the block was before this scan. */
static void clear(const Reader *r, int16_t *block) {
    const Scan *s = &r->scan;
    if (!s->progressive)
        memset(block, 0, 128);
    else if (s->start && s->high)
        memcpy(block, r->saved, sizeof r->saved);
    else if (s->start)
        for (int k = s->start; k <= s->end; k++) block[NATURAL[k]] = 0;
    else if (s->high)
        block[0] &= (int16_t)~(1 << s->low);
    else
        block[0] = 0;
}

static int read_mcu(Reader *r, int64_t mcu) {
    Scan *s = &r->scan;
    for (int i = 0; i < s->components; i++) {
        ScanComponent *c = &s->component[i];
        for (int n = 0; n < c->h * c->v; n++) {
            if (read_block(r, c, block_at(s, c, mcu, n))) continue;
            for (int j = 0; j <= i; j++) {
                const ScanComponent *d = &s->component[j];
                for (int m = 0; m < (j < i ? d->h * d->v : n + 1); m++)
                    clear(r, block_at(s, d, mcu, m));
            }
            return 0;
        }
    }
    return 1;
}

static void set_mark(const Reader *r, Mark *m) {
    m->bits = r->bits;
    m->run = r->run;
    m->block = r->block;
    m->paddings = r->paddings;
    m->zero_runs = r->zero_runs.count;
    m->last_zero_run = r->zero_runs.last;
    for (int i = 0; i < RULES; i++) {
        m->runs[i] = r->runs[i].count;
        m->last_run[i] = r->runs[i].last;
    }
}

static void back_to(Reader *r, const Mark *m) {
    r->bits = m->bits;
    r->run = m->run;
    r->block = m->block;
    r->paddings = m->paddings;
    r->zero_runs.count = m->zero_runs;
    r->zero_runs.last = m->last_zero_run;
    for (int i = 0; i < RULES; i++) {
        r->runs[i].count = m->runs[i];
        r->runs[i].last = m->last_run[i];
    }
}

/* The bytes that end an interval, and the marker behind them. 0: none is there. */
static int read_restart(Reader *r, int64_t number) {
    const Bits before = r->bits;
    const size_t paddings = r->paddings;
    if (!align(r)) return 0;
    Bits *b = &r->bits;
    if (b->position + 2 > b->size || b->data[b->position] != 0xff ||
        b->data[b->position + 1] != 0xd0 + number % 8) {
        r->bits = before;
        r->paddings = paddings;
        return 0;
    }
    b->position += 2;
    end_runs(r);
    for (int i = 0; i < r->scan.components; i++) r->scan.component[i].previous = 0;
    return 1;
}

/* Reads to a row of MCUs, or until what follows is no MCU. */
static void read_rows(Reader *r, int64_t to_row) {
    Scan *s = &r->scan;
    const int64_t to = to_row * s->mcu_columns;
    Mark mark;
    for (; r->mcu < to && !r->ended; r->mcu++) {
        set_mark(r, &mark);
        if (s->interval && r->mcu && r->mcu % s->interval == 0 &&
            !read_restart(r, r->mcu / s->interval - 1)) {
            if (r->mcu > s->interval) {
                r->ended = 1;
                return;
            }
            s->interval = 0;
        }
        if (!read_mcu(r, r->mcu)) {
            back_to(r, &mark);
            r->ended = 1;
            return;
        }
    }
}

/* Afterwards bits.position is where the next byte stands that the scan does not account for. */
static void finish_reading(Reader *r) {
    end_runs(r);
    if (r->mcu < r->scan.mcu_columns * r->scan.mcu_rows || !align(r)) step_back(&r->bits);
}
