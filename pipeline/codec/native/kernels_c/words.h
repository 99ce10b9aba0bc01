/* Coded words as bytes of a file. */
#pragma once

#include "inline.h"

/* Makes words little-endian, as they are in a file. */
INLINE void order_bytes(uint32_t *words, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const uint32_t w = words[i];
        const uint8_t bytes[4] = {(uint8_t)w, (uint8_t)(w >> 8), (uint8_t)(w >> 16),
                                  (uint8_t)(w >> 24)};
        memcpy(words + i, bytes, 4);
    }
}
