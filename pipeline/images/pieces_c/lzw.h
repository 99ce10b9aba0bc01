/* LZW as TIFF has it: codes of 9 to 12 bits, the highest bit first, one code earlier than need be.
 *
 * Who writes the longest string that is known has nothing to choose but when to clear the table.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CLEAR = 256, END = 257, FIRST = 258, CODES = 4096, FULL = 4094, SLOTS = 1 << 14 };

typedef struct {
    uint8_t *at;
    size_t size, room;
} Bytes;

static int grow(Bytes *b, size_t more) {
    if (b->room - b->size >= more) return 1;
    const size_t room = 2 * b->room + more + 64;
    uint8_t *at = realloc(b->at, room);
    if (!at) return 0;
    b->at = at;
    b->room = room;
    return 1;
}

static int append(Bytes *b, const void *from, size_t size) {
    if (!grow(b, size)) return 0;
    if (size) memcpy(b->at + b->size, from, size);
    b->size += size;
    return 1;
}

/* Bits of the code that follows `codes` others behind a clear code. */
static int code_bits(int64_t codes) {
    const int64_t free_code = FIRST + codes;
    return free_code < 512 ? 9 : free_code < 1024 ? 10 : free_code < 2048 ? 11 : 12;
}

enum { READ, DAMAGED, TOO_MUCH, NO_MEMORY };

/* The first `size` bytes, into out. clears: uint32 for each clear code, how many bytes are before
 * it. tail: the last byte with bits of a code, those bits zero, and all bytes after it. */
static int lzw_read(const uint8_t *data, size_t length, uint8_t *out, size_t size, Bytes *clears,
                    Bytes *tail) {
    struct { size_t at; uint32_t length; } known[CODES];
    size_t done = 0, at = 0, last_at = 0;
    uint32_t last_length = 0, value = 0;
    int available = 0, next = FIRST;
    int64_t codes = 0;
    while (done < size) {
        const int bits = code_bits(codes);
        while (available < bits) {
            if (at == length) return DAMAGED;
            value = value << 8 | data[at++];
            available += 8;
        }
        const int code = (int)(value >> (available - bits) & ((1u << bits) - 1));
        available -= bits;
        value &= (1u << available) - 1;
        if (code == CLEAR) {
            const uint32_t place = (uint32_t)done;
            if (clears->size > length) return DAMAGED;
            if (!append(clears, &place, sizeof place)) return NO_MEMORY;
            next = FIRST;
            codes = 0;
            last_length = 0;
            continue;
        }
        const size_t here = done;
        uint32_t count;
        if (code < CLEAR) {
            out[done++] = (uint8_t)code;
            count = 1;
        } else {
            const int new = code == next && next < CODES;
            if (code == END || (code >= next && !(new && last_length))) return DAMAGED;
            const size_t from = new ? last_at : known[code].at;
            count = new ? last_length + 1 : known[code].length;
            if (count > size - done) return TOO_MUCH;
            /* Forwards, since a string may run into itself. */
            for (uint32_t i = 0; i < count; i++) out[done + i] = out[from + i];
            done += count;
        }
        if (last_length && next < CODES) {
            known[next].at = last_at;
            known[next++].length = last_length + 1;
        }
        last_at = here;
        last_length = count;
        codes++;
    }
    if (available) {
        const uint8_t rest = (uint8_t)value;
        if (!append(tail, &rest, 1)) return NO_MEMORY;
    }
    return append(tail, data + at, length - at) ? READ : NO_MEMORY;
}

typedef struct {
    Bytes out;
    uint32_t value;
    int available, next;
    int64_t codes;
    uint32_t key[SLOTS];
    uint16_t code[SLOTS];
} Lzw;

static int put(Lzw *w, int code) {
    const int bits = code_bits(w->codes);
    w->value = w->value << bits | (uint32_t)code;
    w->available += bits;
    if (!grow(&w->out, 4)) return 0;
    while (w->available >= 8) {
        w->available -= 8;
        w->out.at[w->out.size++] = (uint8_t)(w->value >> w->available);
    }
    w->value &= (1u << w->available) - 1;
    w->codes++;
    return 1;
}

static int put_clear(Lzw *w) {
    const int good = put(w, CLEAR);
    memset(w->key, 0, sizeof w->key);
    w->next = FIRST;
    w->codes = 0;
    return good;
}

/* The slot of a string and the byte behind it: where it is, or where it belongs. */
static uint32_t slot_of(const Lzw *w, uint32_t key) {
    uint32_t slot = key * 2654435761u >> 18;
    while (w->key[slot] && w->key[slot] != key) slot = (slot + 1) % SLOTS;
    return slot;
}

/* clears, NULL for where the table is full: uint32 each, in order. tail, NULL for an end code:
 * as lzw_read gives it. Returns 0 without memory. */
static int lzw_write(Lzw *w, const uint8_t *data, size_t size, const uint32_t *clears,
                     size_t clear_count, const Bytes *tail) {
    size_t at = 0, cleared = 0;
    int good = 1;
    w->next = FIRST;
    if (!clears) good &= put_clear(w);
    while (at < size && good) {
        while (clears && cleared < clear_count && clears[cleared] <= at && good) {
            good &= put_clear(w);
            cleared++;
        }
        size_t stop = clears && cleared < clear_count ? clears[cleared] : size;
        if (stop > size) stop = size;
        uint32_t string = data[at++];
        while (at < stop) {
            const uint32_t key = (string << 8 | data[at]) + 1, slot = slot_of(w, key);
            if (w->key[slot]) {
                string = w->code[slot];
                at++;
                continue;
            }
            if (w->next < CODES) {
                w->key[slot] = key;
                w->code[slot] = (uint16_t)w->next;
            }
            break;
        }
        good &= put(w, (int)string);
        if (w->next < CODES) w->next++;
        if (!clears && w->next == FULL) good &= put_clear(w);
    }
    for (; clears && cleared < clear_count && good; cleared++) good &= put_clear(w);
    if (!tail) {
        if (good) good &= put(w, END);
        const uint8_t rest = (uint8_t)(w->value << (8 - w->available) & 255);
        return good && (!w->available || append(&w->out, &rest, 1));
    }
    if (good && w->available) {
        const uint8_t rest = (uint8_t)(w->value << (8 - w->available) & 255);
        const uint8_t byte = rest | (tail->size ? tail->at[0] : 0);
        good &= append(&w->out, &byte, 1);
        return good && (tail->size < 2 || append(&w->out, tail->at + 1, tail->size - 1));
    }
    return good && append(&w->out, tail->at, tail->size);
}
