/* Rice coding as CFITSIO has it: the tiles of compressed images in FITS files, by blocks of 32.
 *
 * Who writes a tile has nothing to choose: a block's number of plain bits follows from its sum.
 */
#include <stdint.h>
#include <stdlib.h>

enum { RICE_BLOCK = 32 };

/* bits: of a number. count: bits that tell how many bits of a block's numbers are plain, of which
 * there are less than most; with most they are whole. */
typedef struct { int bits, count, most; } RiceKind;

static RiceKind rice_kind(int each) {
    if (each == 1) return (RiceKind){8, 3, 6};
    return each == 2 ? (RiceKind){16, 4, 14} : (RiceKind){32, 5, 25};
}

/* Numbers have the highest byte first, and a sign. */
static uint32_t rice_number(const uint8_t *at, int each) {
    if (each == 1) return (uint32_t)(int32_t)(int8_t)at[0];
    if (each == 2) return (uint32_t)(int32_t)(int16_t)(at[0] << 8 | at[1]);
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void put_rice_number(uint8_t *at, int each, uint32_t value) {
    for (int i = 0; i < each; i++) at[i] = (uint8_t)(value >> 8 * (each - 1 - i));
}

/* Differences, modulo 2^bits, in the order 0, -1, 1, -2, 2 ... and back. */
static uint32_t folded(uint32_t difference, int each) {
    if (each == 1) difference = (uint32_t)(int32_t)(int8_t)(uint8_t)difference;
    if (each == 2) difference = (uint32_t)(int32_t)(int16_t)(uint16_t)difference;
    return difference >> 31 ? ~(difference << 1) : difference << 1;
}

static uint32_t unfolded(uint32_t value) { return value & 1 ? ~(value >> 1) : value >> 1; }

/* ---------------------------------------------------------------- reading */

typedef struct {
    const uint8_t *data;
    size_t length, at;
    uint64_t window; /* the next bits, from the top */
    int bits;
} RiceBits;

static void rice_refill(RiceBits *b) {
    while (b->bits <= 56 && b->at < b->length) {
        b->window |= (uint64_t)b->data[b->at++] << (56 - b->bits);
        b->bits += 8;
    }
}

/* At most 32 bits; false at the end. */
static int rice_take(RiceBits *b, int count, uint32_t *value) {
    if (b->bits < count) rice_refill(b);
    if (b->bits < count) return 0;
    *value = count ? (uint32_t)(b->window >> (64 - count)) : 0;
    b->window <<= count;
    b->bits -= count;
    return 1;
}

/* How many zeros stand before a one. */
static int rice_zeros(RiceBits *b, uint32_t *zeros) {
    for (*zeros = 0;; *zeros += (uint32_t)b->bits, b->window = 0, b->bits = 0) {
        rice_refill(b);
        if (!b->bits) return 0;
        if (b->window) {
            const int run = __builtin_clzll(b->window);
            *zeros += (uint32_t)run;
            b->window = run == 63 ? 0 : b->window << (run + 1);
            b->bits -= run + 1;
            return 1;
        }
    }
}

/* `count` numbers of `each` bytes. What stands behind them has to be less than a byte. */
static int rice_read(const uint8_t *data, size_t length, uint8_t *out, size_t count, int each) {
    const RiceKind kind = rice_kind(each);
    RiceBits b = {data, length, 0, 0, 0};
    uint32_t last, plain;
    if (!rice_take(&b, kind.bits, &last)) return DAMAGED;
    for (size_t i = 0; i < count; i += RICE_BLOCK) {
        const size_t end = count - i < RICE_BLOCK ? count : i + RICE_BLOCK;
        if (!rice_take(&b, kind.count, &plain) || plain > (uint32_t)kind.most + 1) return DAMAGED;
        for (size_t k = i; k < end; k++) {
            uint32_t value = 0, zeros = 0;
            if (plain == (uint32_t)kind.most + 1) {
                if (!rice_take(&b, kind.bits, &value)) return DAMAGED;
            } else if (plain) {
                if (!rice_zeros(&b, &zeros) || !rice_take(&b, (int)plain - 1, &value)) return DAMAGED;
                value |= zeros << (plain - 1);
            }
            last += unfolded(value);
            put_rice_number(out + k * (size_t)each, each, last);
            last = rice_number(out + k * (size_t)each, each);
        }
    }
    return b.at == b.length && b.bits < 8 ? READ : DAMAGED;
}

/* ---------------------------------------------------------------- writing */

typedef struct {
    Bytes out;
    uint64_t waiting; /* bits that fill no byte yet, from the bottom */
    int bits;
} RicePutter;

/* There has to be room. */
static void rice_put(RicePutter *p, uint32_t value, int count) {
    p->waiting = p->waiting << count | value;
    for (p->bits += count; p->bits >= 8; p->bits -= 8)
        p->out.at[p->out.size++] = (uint8_t)(p->waiting >> (p->bits - 8));
}

static void rice_block(RicePutter *p, const uint32_t *values, int count, RiceKind kind) {
    double sum = 0;
    int plain = 0;
    for (int i = 0; i < count; i++) sum += values[i];
    const double mean = (sum - count / 2 - 1) / count;
    for (uint32_t half = mean > 0 ? (uint32_t)mean >> 1 : 0; half; half >>= 1) plain++;
    if (plain >= kind.most) {
        rice_put(p, (uint32_t)kind.most + 1, kind.count);
        for (int i = 0; i < count; i++) rice_put(p, values[i], kind.bits);
    } else if (sum == 0)
        rice_put(p, 0, kind.count);
    else {
        rice_put(p, (uint32_t)plain + 1, kind.count);
        for (int i = 0; i < count; i++) {
            for (uint32_t zeros = values[i] >> plain; zeros; zeros -= zeros < 16 ? zeros : 16)
                rice_put(p, 0, zeros < 16 ? (int)zeros : 16);
            rice_put(p, 1, 1);
            rice_put(p, values[i] & ((1u << plain) - 1), plain);
        }
    }
}

static int rice_write(const uint8_t *data, size_t count, int each, Bytes *out) {
    const RiceKind kind = rice_kind(each);
    RicePutter p = {*out, 0, 0};
    uint32_t values[RICE_BLOCK], last = count ? rice_number(data, each) : 0;
    int good = grow(&p.out, 16);
    if (good) rice_put(&p, kind.bits == 32 ? last : last & ((1u << kind.bits) - 1), kind.bits);
    for (size_t i = 0; good && i < count; i += RICE_BLOCK) {
        const int block = count - i < RICE_BLOCK ? (int)(count - i) : RICE_BLOCK;
        for (int k = 0; k < block; k++) {
            const uint32_t now = rice_number(data + (i + (size_t)k) * (size_t)each, each);
            values[k] = folded(now - last, each);
            last = now;
        }
        /* At most 33 bits of a number, and fewer than four zeros of each on the average. */
        good = grow(&p.out, 8 * RICE_BLOCK);
        if (good) rice_block(&p, values, block, kind);
    }
    if (good && p.bits) rice_put(&p, 0, 8 - p.bits);
    *out = p.out;
    return good;
}
