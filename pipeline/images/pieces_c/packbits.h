/* PackBits: runs and literals, each behind a byte that says how many bytes it gives.
 *
 * Those bytes are all that there is to choose.
 */

/* The first `size` bytes, into out. heads: what says how many, in order, and all bytes behind the
 * last that is needed. */
static int packbits_read(const uint8_t *data, size_t length, uint8_t *out, size_t size,
                         Bytes *heads) {
    size_t done = 0, at = 0;
    while (done < size) {
        if (at == length) return DAMAGED;
        const uint8_t head = data[at++];
        if (!append(heads, &head, 1)) return NO_MEMORY;
        if (head == 128) continue; /* says nothing */
        const size_t count = head < 128 ? head + 1u : 257u - head, taken = head < 128 ? count : 1;
        if (count > size - done) return TOO_MUCH;
        if (taken > length - at) return DAMAGED;
        if (head < 128)
            memcpy(out + done, data + at, count);
        else
            memset(out + done, data[at], count);
        at += taken;
        done += count;
    }
    return append(heads, data + at, length - at) ? READ : NO_MEMORY;
}

/* The inverse; 0 without memory. */
static int packbits_write(const uint8_t *data, size_t size, const uint8_t *heads, size_t head_count,
                          Bytes *out) {
    size_t done = 0, at = 0;
    while (done < size && at < head_count) {
        const uint8_t head = heads[at++];
        if (!append(out, &head, 1)) return 0;
        if (head == 128) continue;
        size_t count = head < 128 ? head + 1u : 257u - head;
        if (count > size - done) count = size - done;
        if (!append(out, data + done, head < 128 ? count : 1)) return 0;
        done += count;
    }
    return append(out, heads + at, head_count - at);
}

/* As libtiff writes rows: two equal bytes between literals join them. 0 without memory. */
static int packbits_rows(const uint8_t *data, size_t size, size_t row_bytes, Bytes *out) {
    enum { BASE, LITERAL, RUN, LITERAL_RUN } state = BASE;
    size_t literal = 0; /* where the last literal begins */
    for (size_t at = 0, stop = 0; at < size;) {
        if (at == stop) {
            state = BASE;
            stop = size - at < row_bytes ? size : at + row_bytes;
        }
        const uint8_t byte = data[at];
        size_t count = 1;
        while (at + count < stop && data[at + count] == byte) count++;
        at += count;
        while (count) {
            if (!grow(out, 2)) return 0;
            uint8_t *end = out->at + out->size;
            if (state == LITERAL_RUN) {
                if (count == 1 && end[-2] == 255 && out->at[literal] < 126) {
                    state = (out->at[literal] += 2) == 127 ? BASE : LITERAL;
                    end[-2] = end[-1];
                } else
                    state = RUN;
            } else if (count > 1) {
                const size_t run = count < 128 ? count : 128;
                state = state == LITERAL ? LITERAL_RUN : RUN;
                end[0] = (uint8_t)(257 - run);
                end[1] = byte;
                out->size += 2;
                count -= run;
            } else if (state == LITERAL) {
                if (++out->at[literal] == 127) state = BASE;
                end[0] = byte;
                out->size++;
                count = 0;
            } else {
                literal = out->size;
                end[0] = 0;
                end[1] = byte;
                out->size += 2;
                state = LITERAL;
                count = 0;
            }
        }
    }
    return 1;
}

/* As the first description of the format does, and programs for DICOM: a literal goes on up to three
 * equal bytes, and two of them are a run elsewhere. 0 without memory. */
static int packbits_threes(const uint8_t *data, size_t size, size_t row_bytes, Bytes *out) {
    for (size_t at = 0, stop = 0; at < size;) {
        if (at == stop) stop = size - at < row_bytes ? size : at + row_bytes;
        const size_t most = stop - at < 128 ? stop - at : 128;
        size_t count = 1;
        while (count < most && data[at + count] == data[at]) count++;
        uint8_t head = (uint8_t)(257 - count);
        size_t taken = 1;
        if (count == 1) {
            const uint8_t *b = data + at;
            while (count < most && !(at + count + 2 < stop && b[count] == b[count + 1] &&
                                     b[count] == b[count + 2]))
                count++;
            head = (uint8_t)(count - 1);
            taken = count;
        }
        if (!append(out, &head, 1) || !append(out, data + at, taken)) return 0;
        at += count;
    }
    return 1;
}
