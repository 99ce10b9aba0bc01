/* Group 4 of facsimiles (ITU-T T.6): rows of bits as differences to the row above.
 *
 * T.6 leaves nothing to choose but what stands behind the last row.
 */
enum { RUN_CODES = 64 + 27 + 13, LONGEST_CODE = 13, LONGEST_RUN = 2560 };

typedef struct {
    uint16_t code;
    uint8_t bits;
} Code;

/* Of runs of 0 to 63, then of multiples of 64. */
static const Code WHITE[RUN_CODES] = {
    {53, 8}, {7, 6}, {7, 4}, {8, 4}, {11, 4}, {12, 4}, {14, 4}, {15, 4}, {19, 5}, {20, 5}, {7, 5},
    {8, 5}, {8, 6}, {3, 6}, {52, 6}, {53, 6}, {42, 6}, {43, 6}, {39, 7}, {12, 7}, {8, 7}, {23, 7},
    {3, 7}, {4, 7}, {40, 7}, {43, 7}, {19, 7}, {36, 7}, {24, 7}, {2, 8}, {3, 8}, {26, 8}, {27, 8},
    {18, 8}, {19, 8}, {20, 8}, {21, 8}, {22, 8}, {23, 8}, {40, 8}, {41, 8}, {42, 8}, {43, 8},
    {44, 8}, {45, 8}, {4, 8}, {5, 8}, {10, 8}, {11, 8}, {82, 8}, {83, 8}, {84, 8}, {85, 8}, {36, 8},
    {37, 8}, {88, 8}, {89, 8}, {90, 8}, {91, 8}, {74, 8}, {75, 8}, {50, 8}, {51, 8}, {52, 8},
    {27, 5}, {18, 5}, {23, 6}, {55, 7}, {54, 8}, {55, 8}, {100, 8}, {101, 8}, {104, 8}, {103, 8},
    {204, 9}, {205, 9}, {210, 9}, {211, 9}, {212, 9}, {213, 9}, {214, 9}, {215, 9}, {216, 9},
    {217, 9}, {218, 9}, {219, 9}, {152, 9}, {153, 9}, {154, 9}, {24, 6}, {155, 9}, {8, 11},
    {12, 11}, {13, 11}, {18, 12}, {19, 12}, {20, 12}, {21, 12}, {22, 12}, {23, 12}, {28, 12},
    {29, 12}, {30, 12}, {31, 12},
};

static const Code BLACK[RUN_CODES] = {
    {55, 10}, {2, 3}, {3, 2}, {2, 2}, {3, 3}, {3, 4}, {2, 4}, {3, 5}, {5, 6}, {4, 6}, {4, 7},
    {5, 7}, {7, 7}, {4, 8}, {7, 8}, {24, 9}, {23, 10}, {24, 10}, {8, 10}, {103, 11}, {104, 11},
    {108, 11}, {55, 11}, {40, 11}, {23, 11}, {24, 11}, {202, 12}, {203, 12}, {204, 12}, {205, 12},
    {104, 12}, {105, 12}, {106, 12}, {107, 12}, {210, 12}, {211, 12}, {212, 12}, {213, 12},
    {214, 12}, {215, 12}, {108, 12}, {109, 12}, {218, 12}, {219, 12}, {84, 12}, {85, 12}, {86, 12},
    {87, 12}, {100, 12}, {101, 12}, {82, 12}, {83, 12}, {36, 12}, {55, 12}, {56, 12}, {39, 12},
    {40, 12}, {88, 12}, {89, 12}, {43, 12}, {44, 12}, {90, 12}, {102, 12}, {103, 12}, {15, 10},
    {200, 12}, {201, 12}, {91, 12}, {51, 12}, {52, 12}, {53, 12}, {108, 13}, {109, 13}, {74, 13},
    {75, 13}, {76, 13}, {77, 13}, {114, 13}, {115, 13}, {116, 13}, {117, 13}, {118, 13}, {119, 13},
    {82, 13}, {83, 13}, {84, 13}, {85, 13}, {90, 13}, {91, 13}, {100, 13}, {101, 13}, {8, 11},
    {12, 11}, {13, 11}, {18, 12}, {19, 12}, {20, 12}, {21, 12}, {22, 12}, {23, 12}, {28, 12},
    {29, 12}, {30, 12}, {31, 12},
};

static const Code PASS = {1, 4}, HORIZONTAL = {1, 3};
/* From 3 to the left of the change above to 3 to its right. */
static const Code VERTICAL[7] = {{2, 7}, {2, 6}, {2, 3}, {1, 1}, {3, 3}, {3, 6}, {3, 7}};
static const Code END_OF_BLOCK = {1, 12}; /* twice */

typedef struct {
    Bytes out;
    uint64_t value;
    int available;
} Putter;

static int put_code(Putter *p, Code c) {
    p->value = p->value << c.bits | c.code;
    p->available += c.bits;
    if (!grow(&p->out, 8)) return 0;
    while (p->available >= 8) {
        p->available -= 8;
        p->out.at[p->out.size++] = (uint8_t)(p->value >> p->available);
    }
    return 1;
}

static int put_run(Putter *p, const Code *table, int64_t run) {
    int good = 1;
    for (; run >= LONGEST_RUN + 64 && good; run -= LONGEST_RUN)
        good = put_code(p, table[RUN_CODES - 1]);
    if (run >= 64 && good) {
        good = put_code(p, table[63 + run / 64]);
        run %= 64;
    }
    return good && put_code(p, table[run]);
}

/* Where the bits of a row change, from white (0) on; then `width` several times. */
static void changes_of(const uint8_t *row, int64_t width, int32_t *changes) {
    int64_t count = 0, at = 0;
    int colour = 0;
    while (at < width) {
        const uint8_t same = colour ? 255 : 0;
        if (at % 8 == 0 && width - at >= 8 && row[at / 8] == same) {
            at += 8;
            continue;
        }
        if ((row[at / 8] >> (7 - at % 8) & 1) != colour) {
            changes[count++] = (int32_t)at;
            colour ^= 1;
        }
        at++;
    }
    for (int i = 0; i < 4; i++) changes[count + i] = (int32_t)width;
}

/* One row. above, row: as changes_of gives them. */
static int put_row(Putter *p, const int32_t *above, const int32_t *row, int64_t width) {
    int64_t a0 = 0, i = 0, j = 0;
    int good = 1, started = 0;
    while ((a0 < width || !started) && good) {
        /* i is the next change of the row, and its parity is the colour at a0. */
        const int32_t a1 = row[i];
        while (j > 0 && above[j - 1] > (started ? a0 : -1)) j--;
        while (above[j] < width && (above[j] <= (started ? a0 : -1) || (j ^ i) & 1)) j++;
        const int32_t b1 = above[j], b2 = b1 < width ? above[j + 1] : (int32_t)width;
        if (b2 < a1) {
            good = put_code(p, PASS);
            a0 = b2;
        } else if (a1 - b1 >= -3 && a1 - b1 <= 3) {
            good = put_code(p, VERTICAL[a1 - b1 + 3]);
            a0 = a1;
            i++;
        } else {
            const int32_t a2 = a1 < width ? row[i + 1] : (int32_t)width;
            good = put_code(p, HORIZONTAL) && put_run(p, i & 1 ? BLACK : WHITE, a1 - a0) &&
                   put_run(p, i & 1 ? WHITE : BLACK, a2 - a1);
            a0 = a2;
            i += 2;
        }
        started = 1;
    }
    return good;
}

/* tail: the last byte with bits of a row, those bits zero, and all bytes after it; NULL for two
 * end codes and zeros. Returns 0 without memory. */
static int fax_write(Putter *p, const uint8_t *data, int64_t rows, int64_t row_bytes, int64_t width,
                     const Bytes *tail) {
    int32_t *above = malloc(2 * sizeof(int32_t) * (size_t)(width + 8)), *row = above + width + 8;
    int good = above != NULL;
    if (good)
        for (int i = 0; i < 4; i++) above[i] = (int32_t)width;
    int32_t *lines[2] = {above, row};
    for (int64_t y = 0; y < rows && good; y++) {
        changes_of(data + y * row_bytes, width, lines[1 - y % 2]);
        good = put_row(p, lines[y % 2], lines[1 - y % 2], width);
    }
    free(above);
    if (good && !tail) good = put_code(p, END_OF_BLOCK) && put_code(p, END_OF_BLOCK);
    if (!good) return 0;
    if (p->available) {
        uint8_t byte = (uint8_t)(p->value << (8 - p->available));
        if (tail && tail->size) byte |= tail->at[0];
        if (!append(&p->out, &byte, 1)) return 0;
        return !tail || tail->size < 2 || append(&p->out, tail->at + 1, tail->size - 1);
    }
    return !tail || append(&p->out, tail->at, tail->size);
}

typedef struct {
    const uint8_t *data;
    int64_t size, at; /* in bits */
} Taker;

static uint32_t look(const Taker *t, int bits) {
    uint32_t value = 0;
    const int64_t first = t->at / 8;
    for (int64_t i = first; i < first + 4; i++) value = value << 8 | (i < t->size / 8 ? t->data[i] : 0);
    return value << t->at % 8 >> (32 - bits);
}

static int is_next(Taker *t, Code c) {
    if (look(t, c.bits) != c.code) return 0;
    t->at += c.bits;
    return 1;
}

/* Codes by their first 13 bits: run and bits, or 0 bits where there is none. */
typedef struct {
    uint16_t run[2][1 << LONGEST_CODE];
    uint8_t bits[2][1 << LONGEST_CODE];
} FaxTable;

static void make_fax_table(FaxTable *f) {
    memset(f, 0, sizeof *f);
    for (int colour = 0; colour < 2; colour++)
        for (int i = 0; i < RUN_CODES; i++) {
            const Code c = (colour ? BLACK : WHITE)[i];
            const int free_bits = LONGEST_CODE - c.bits, first = c.code << free_bits;
            for (int j = first; j < first + (1 << free_bits); j++) {
                f->run[colour][j] = (uint16_t)(i < 64 ? i : 64 * (i - 63));
                f->bits[colour][j] = c.bits;
            }
        }
}

/* A run, at most `most`; -1 if there is none. */
static int64_t take_run(Taker *t, const FaxTable *f, int colour, int64_t most) {
    int64_t run = 0;
    for (;;) {
        const uint32_t code = look(t, LONGEST_CODE);
        const int64_t part = f->run[colour][code];
        if (!f->bits[colour][code] || run + part > most) return -1;
        t->at += f->bits[colour][code];
        run += part;
        if (part < 64) return run;
    }
}

/* One row; 0 if it is damaged. */
static int take_row(Taker *t, const FaxTable *f, const int32_t *above, int32_t *row, int64_t width) {
    int64_t a0 = -1, count = 0, j = 0;
    while (a0 < width) {
        const int colour = count & 1;
        const int64_t start = a0 < 0 ? 0 : a0;
        if (t->at >= t->size) return 0;
        while (j > 0 && above[j - 1] > a0) j--;
        while (above[j] < width && (above[j] <= a0 || (j ^ count) & 1)) j++;
        const int32_t b1 = above[j], b2 = b1 < width ? above[j + 1] : (int32_t)width;
        if (is_next(t, PASS)) {
            a0 = b2;
            continue;
        }
        if (is_next(t, HORIZONTAL)) {
            const int64_t first = take_run(t, f, colour, width - start);
            if (first < 0) return 0;
            const int64_t second = take_run(t, f, !colour, width - start - first);
            if (second < 0) return 0;
            if (start + first < width) row[count] = (int32_t)(start + first);
            if (start + first < width && start + first + second < width)
                row[count + 1] = (int32_t)(start + first + second);
            if (start + first < width) count += start + first + second < width ? 2 : 1;
            a0 = start + first + second;
            if (count > width) return 0;
            continue;
        }
        int found = 0;
        for (int d = 0; d < 7 && !found; d++)
            if (is_next(t, VERTICAL[d])) {
                a0 = b1 + d - 3;
                found = 1;
            }
        if (!found || a0 < start || a0 > width) return 0;
        if (a0 < width) {
            row[count++] = (int32_t)a0;
            if (count > width) return 0;
        }
    }
    for (int i = 0; i < 4; i++) row[count + i] = (int32_t)width;
    return 1;
}

static void fill_row(uint8_t *out, const int32_t *changes, int64_t width) {
    for (int64_t i = 0; changes[i] < width; i += 2)
        for (int64_t at = changes[i]; at < changes[i + 1]; at++) {
            if (at % 8 == 0 && changes[i + 1] - at >= 8) {
                out[at / 8] = 255;
                at += 7;
            } else
                out[at / 8] |= (uint8_t)(128 >> at % 8);
        }
}

/* So many rows, into out, which is zero. tail: as fax_write takes it. */
static int fax_read(const uint8_t *data, size_t length, uint8_t *out, int64_t rows,
                    int64_t row_bytes, int64_t width, Bytes *tail) {
    FaxTable *f = malloc(sizeof *f);
    int32_t *above = malloc(2 * sizeof(int32_t) * (size_t)(width + 8));
    int how = f && above ? READ : NO_MEMORY;
    Taker t = {data, 8 * (int64_t)length, 0};
    if (how == READ) {
        make_fax_table(f);
        int32_t *lines[2] = {above, above + width + 8};
        for (int i = 0; i < 4; i++) above[i] = (int32_t)width;
        for (int64_t y = 0; y < rows && how == READ; y++) {
            if (take_row(&t, f, lines[y % 2], lines[1 - y % 2], width))
                fill_row(out + y * row_bytes, lines[1 - y % 2], width);
            else
                how = DAMAGED;
        }
    }
    free(f);
    free(above);
    if (how != READ || t.at > t.size) return how == READ ? DAMAGED : how;
    size_t first = (size_t)(t.at / 8);
    if (t.at % 8) {
        const uint8_t rest = data[first++] & (uint8_t)(255 >> t.at % 8);
        if (!append(tail, &rest, 1)) return NO_MEMORY;
    }
    return append(tail, data + first, length - first) ? READ : NO_MEMORY;
}
