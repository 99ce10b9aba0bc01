/* Planes with a frame around them. */
#pragma once

#include "band.h"

enum {
    FRAME = 4, /* columns on each side; FRAME rows above, one row below */
};

/* A band of a slice, with its frame. */
typedef struct {
    uint32_t *value;
    int32_t *error;
    uint8_t *outcome;
} Plane;

typedef struct {
    int width, height;
    ptrdiff_t stride;
    size_t size; /* samples of a plane with its frame */
    size_t first; /* the sample at (0, 0) */
} Frame;
