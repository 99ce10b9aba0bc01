/* Lossless JPEG (ITU-T T.81, process 14): the samples of one scan of all components, and the same
 * bytes again.
 *
 * Headers, up to the end of that of the scan, are kept as they are: they hold the Huffman tables.
 * With these a writer has nothing to choose but the bits that fill up the last byte of the scan,
 * and what stands behind it. Components have the same size. Restarts come between rows.
 */
#include "../../dct/jpeg_c/huffman.h"

enum { SOI = 0xD8, SOF3 = 0xC3, DHT = 0xC4, SOS = 0xDA, DRI = 0xDD, RST = 0xD0, MOST_COMPONENTS = 4 };

typedef struct {
    int precision, height, width, components, predictor, shift;
    int restart;                   /* rows of an interval; 0 for one of all rows */
    size_t scan;                   /* where its bytes begin */
    int used[MOST_COMPONENTS];     /* the table of each component */
    Table table[MOST_COMPONENTS];
} Lossless;

static int two_bytes(const uint8_t *at) { return at[0] << 8 | at[1]; }

static int is_other_frame(int marker) {
    return marker >= 0xC0 && marker <= 0xCF && marker != SOF3 && marker != DHT && marker != 0xC8;
}

/* One segment of Huffman tables; known: a bit for each that there is. */
static int lossless_tables(Lossless *j, const uint8_t *at, size_t size, int *known) {
    while (size) {
        uint8_t wire[TABLE_BYTES] = {0};
        size_t symbols = 0;
        if (size < 17 || at[0] >= MOST_COMPONENTS) return 0;
        for (int i = 1; i <= 16; i++) symbols += at[i];
        if (symbols > 256 || size < 17 + symbols) return 0;
        memcpy(wire, at + 1, 16 + symbols);
        make_table(&j->table[at[0]], wire);
        *known |= 1 << at[0];
        at += 17 + symbols;
        size -= 17 + symbols;
    }
    return 1;
}

static int lossless_frame(Lossless *j, const uint8_t *at, size_t size, uint8_t *names) {
    if (j->components || size < 6) return 0;
    j->precision = at[0];
    j->height = two_bytes(at + 1);
    j->width = two_bytes(at + 3);
    j->components = at[5];
    if (j->precision < 2 || j->precision > 16 || !j->height || !j->width || j->components < 1 ||
        j->components > MOST_COMPONENTS || size != 6 + 3 * (size_t)j->components)
        return 0;
    for (int c = 0; c < j->components; c++) {
        names[c] = at[6 + 3 * c];
        if (j->components > 1 && at[7 + 3 * c] != 0x11) return 0;
    }
    return 1;
}

static int lossless_scan(Lossless *j, const uint8_t *at, size_t size, const uint8_t *names,
                         int known) {
    if (!j->components || size != 4 + 2 * (size_t)j->components || at[0] != j->components) return 0;
    for (int c = 0; c < j->components; c++) {
        j->used[c] = at[2 + 2 * c] >> 4;
        if (at[1 + 2 * c] != names[c] || j->used[c] >= MOST_COMPONENTS || !(known >> j->used[c] & 1))
            return 0;
    }
    j->predictor = at[size - 3];
    j->shift = at[size - 1] & 15;
    return j->predictor >= 1 && j->predictor <= 7 && at[size - 1] >> 4 == 0 && j->shift < j->precision;
}

/* Everything up to the bytes of the scan. False for what is no such file, or is cut short. */
static int lossless_head(Lossless *j, const uint8_t *data, size_t length) {
    uint8_t names[MOST_COMPONENTS] = {0};
    int known = 0, interval = 0;
    memset(j, 0, sizeof *j);
    if (length < 2 || data[0] != 0xFF || data[1] != SOI) return 0;
    for (size_t at = 2; length - at >= 4;) {
        const int marker = data[at + 1];
        const size_t size = (size_t)two_bytes(data + at + 2);
        if (data[at] != 0xFF || marker < 0xC0 || (marker >= RST && marker <= 0xD9)) return 0;
        if (size < 2 || size > length - at - 2 || is_other_frame(marker)) return 0;
        const uint8_t *body = data + at + 4;
        at += 2 + size;
        if (marker == DHT && !lossless_tables(j, body, size - 2, &known)) return 0;
        if (marker == SOF3 && !lossless_frame(j, body, size - 2, names)) return 0;
        if (marker == DRI && size != 4) return 0;
        if (marker == DRI) interval = two_bytes(body);
        if (marker == SOS) {
            j->scan = at;
            if (!lossless_scan(j, body, size - 2, names, known) || interval % j->width) return 0;
            j->restart = interval / j->width;
            return 1;
        }
    }
    return 0;
}

static int64_t lossless_samples(const Lossless *j) {
    return (int64_t)j->height * j->width * j->components;
}

/* a, b, c: left, above, left above. */
static int foretold(int predictor, int a, int b, int c) {
    switch (predictor) {
    case 1: return a;
    case 2: return b;
    case 3: return c;
    case 4: return a + b - c;
    case 5: return a + ((b - c) >> 1);
    case 6: return b + ((a - c) >> 1);
    default: return (a + b) >> 1;
    }
}

/* What is expected of a sample. now, above: the rows of one component among all; above is none in
 * the first row of an interval. */
static int expected(const Lossless *j, const uint16_t *now, const uint16_t *above, int x) {
    const int n = j->components;
    if (x == 0) return above ? above[0] : 1 << (j->precision - j->shift - 1);
    const int left = now[(x - 1) * n];
    return above ? foretold(j->predictor, left, above[x * n], above[(x - 1) * n]) : left;
}

/* ---------------------------------------------------------------- reading */

typedef struct {
    const uint8_t *data;
    size_t begin, end, at;
    uint64_t window;   /* the next bits, from the top */
    int bits, absent;  /* in the window; of them behind the last byte of the interval */
} LosslessBits;

static void lossless_refill(LosslessBits *b) {
    while (b->bits <= 56) {
        uint64_t byte = 0;
        if (b->at < b->end && (b->data[b->at] != 0xFF || (b->at + 1 < b->end && !b->data[b->at + 1]))) {
            byte = b->data[b->at];
            b->at += byte == 0xFF ? 2 : 1;
        } else
            b->absent += 8;
        b->window |= byte << (56 - b->bits);
        b->bits += 8;
    }
}

static void pass(LosslessBits *b, int count) {
    b->window <<= count;
    b->bits -= count;
}

/* Bits of the difference that follows, or -1. */
static int difference_bits(LosslessBits *b, const Table *t) {
    const int quick = t->fast[b->window >> (64 - FAST_BITS)];
    if (quick) {
        pass(b, quick >> 8);
        return quick & 255;
    }
    const int32_t top = (int32_t)(b->window >> 48);
    for (int size = 1; size <= 16; size++)
        if (top < t->end[size]) {
            const int32_t n = (top >> (16 - size)) + t->offset[size];
            if (n < 0 || n > 255) return -1;
            pass(b, size);
            return t->symbols[n];
        }
    return -1;
}

/* Back to where the bits that were passed end; how many bits of the byte before are left. */
static int step_back(LosslessBits *b) {
    int left = b->bits - b->absent;
    for (; left >= 8; left -= 8)
        b->at -= b->at >= b->begin + 2 && b->data[b->at - 2] == 0xFF ? 2 : 1;
    b->window = 0;
    b->bits = b->absent = 0;
    return left;
}

static int lossless_row(const Lossless *j, LosslessBits *b, uint16_t *now, const uint16_t *above) {
    const int n = j->components;
    for (int x = 0; x < j->width; x++)
        for (int c = 0; c < n; c++) {
            if (b->bits < 32) lossless_refill(b);
            const int bits = difference_bits(b, &j->table[j->used[c]]);
            if (bits < 0 || bits > 16) return 0;
            int difference = bits == 16 ? 1 << 15 : 0;
            if (bits && bits < 16) {
                difference = (int)(b->window >> (64 - bits));
                pass(b, bits);
                if (!(difference >> (bits - 1))) difference -= (1 << bits) - 1;
            }
            if (b->bits < b->absent) return 0;
            const int before = expected(j, now + c, above ? above + c : NULL, x);
            now[x * n + c] = (uint16_t)(before + difference);
        }
    return 1;
}

/* All samples, the components of a pixel together, without their shift. tail: the last byte with
 * bits of the scan, those bits zero, and all bytes after it. */
static int lossless_read(const Lossless *j, const uint8_t *data, size_t length, uint16_t *out,
                         Bytes *tail) {
    LosslessBits b = {data, j->scan, length, j->scan, 0, 0, 0};
    const size_t row = (size_t)j->width * (size_t)j->components;
    for (int y = 0; y < j->height; y++) {
        const int first = y == 0 || (j->restart && y % j->restart == 0);
        if (first && y) {
            step_back(&b);
            if (b.end - b.at < 2 || data[b.at] != 0xFF ||
                data[b.at + 1] != RST + ((y / j->restart - 1) & 7))
                return DAMAGED;
            b.begin = b.at += 2;
        }
        uint16_t *now = out + (size_t)y * row;
        if (!lossless_row(j, &b, now, first ? NULL : now - row)) return DAMAGED;
    }
    const int left = step_back(&b);
    if (left) {
        /* The byte with bits that are left; a zero follows it if it is 255. */
        b.at -= b.at >= b.begin + 2 && data[b.at - 2] == 0xFF ? 2 : 1;
        const uint8_t rest = data[b.at++] & (uint8_t)((1 << left) - 1);
        if (!append(tail, &rest, 1)) return NO_MEMORY;
    }
    return append(tail, data + b.at, length - b.at) ? READ : NO_MEMORY;
}

/* ---------------------------------------------------------------- writing */

typedef struct {
    Bytes out;
    uint64_t waiting; /* bits that fill no byte yet, from the bottom */
    int bits;
} LosslessPutter;

static void put_byte(Bytes *out, uint8_t byte) {
    out->at[out->size++] = byte;
    if (byte == 0xFF) out->at[out->size++] = 0;
}

/* There has to be room. */
static void put_bits(LosslessPutter *p, uint32_t value, int count) {
    p->waiting = p->waiting << count | value;
    for (p->bits += count; p->bits >= 8; p->bits -= 8)
        put_byte(&p->out, (uint8_t)(p->waiting >> (p->bits - 8)));
}

static int put_lossless_row(const Lossless *j, LosslessPutter *p, const uint16_t *now, const uint16_t *above) {
    const int n = j->components;
    for (int x = 0; x < j->width; x++)
        for (int c = 0; c < n; c++) {
            const int before = expected(j, now + c, above ? above + c : NULL, x);
            const int difference = (int16_t)(uint16_t)(now[x * n + c] - before);
            const int size = difference < 0 ? -difference : difference;
            const int bits = size ? 32 - __builtin_clz((unsigned)size) : 0;
            const Table *t = &j->table[j->used[c]];
            if (!t->size[bits]) return 0;
            put_bits(p, t->code[bits], t->size[bits]);
            if (bits && bits < 16) {
                const int value = difference < 0 ? difference + (1 << bits) - 1 : difference;
                put_bits(p, (uint32_t)value, bits);
            }
        }
    return 1;
}

/* What a scan of these samples is behind the headers, the tail included. DAMAGED for a difference
 * without a code. */
static int lossless_write(const Lossless *j, const uint16_t *samples, const Bytes *tail, Bytes *out) {
    LosslessPutter p = {*out, 0, 0};
    const size_t row = (size_t)j->width * (size_t)j->components;
    int how = READ;
    for (int y = 0; y < j->height && how == READ; y++) {
        const int first = y == 0 || (j->restart && y % j->restart == 0);
        /* At most 31 bits of a sample, and each byte may be two. */
        if (!grow(&p.out, 8 * row + 8)) {
            how = NO_MEMORY;
            break;
        }
        if (first && y) {
            if (p.bits) put_bits(&p, (1u << (8 - p.bits)) - 1, 8 - p.bits);
            p.out.at[p.out.size++] = 0xFF;
            p.out.at[p.out.size++] = (uint8_t)(RST + ((y / j->restart - 1) & 7));
        }
        const uint16_t *now = samples + (size_t)y * row;
        if (!put_lossless_row(j, &p, now, first ? NULL : now - row)) how = DAMAGED;
    }
    if (how == READ && grow(&p.out, tail->size + 2)) {
        size_t from = 0;
        if (p.bits) {
            const uint8_t filling = tail->size ? tail->at[0] : 0;
            p.out.at[p.out.size++] = (uint8_t)(p.waiting << (8 - p.bits) | filling);
            from = tail->size ? 1 : 0;
        }
        append(&p.out, tail->size ? tail->at + from : NULL, tail->size - from);
    } else if (how == READ)
        how = NO_MEMORY;
    *out = p.out;
    return how;
}
