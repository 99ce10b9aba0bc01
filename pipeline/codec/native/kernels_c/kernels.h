/* The interface between the Python module and the kernels of each level.
 *
 * A level is the same source compiled for one instruction set: portable.c, avx2.c, avx512.c.
 * All levels give the same bits.
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "sizes.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define X86_LEVELS 1
#include <immintrin.h>
#else
#define X86_LEVELS 0
#endif

enum { MARGIN = 3 }; /* rows above and columns beside a tile in its canvas */

typedef struct Network Network;

/* Parts of coding whose time is booked. */
enum {
    INPUTS_PART,
    PREDICTORS_PART,
    LAYERS_PART,
    MIXTURES_PART,
    EDGES_PART,
    CODING_PART,
    ADAPTATION_PART,
    PARTS_OF_TIME,
};

typedef struct {
    const Network *net;
    uint8_t *canvas;       /* [tiles][rows + 3][columns + 6][3] */
    const int32_t *size;   /* [tiles][2]: height, width */
    const uint8_t *labels; /* [tiles][label_rows][label_columns] */
    const uint8_t *widths; /* the same shape: how wide the bins of a block are */
    const int16_t *side;   /* [tiles][rows][columns][features] */
    int tiles, rows, columns, label_rows, label_columns, block_shift, channels;
    int64_t *spent; /* [PARTS_OF_TIME], nanoseconds; NULL: time is not booked */
} Group;

/* The coded words of a group; free(words) is the caller's. */
typedef struct {
    uint32_t *words;
    size_t count;
} Words;

/* Outputs of predictors for known pixels, [predictors][tiles][rows + 3][columns + 6][3]. */
typedef struct {
    int16_t *base;     /* predictions, 1/64 of a value */
    int8_t *ls, *full; /* network inputs, head numbers */
} Planes;

typedef struct {
    const char *name;
    /* buffers: [buffers_of(sizes)]; a network of width 0 has predictors only. NULL: no memory. */
    Network *(*make_network)(const Sizes *sizes, const void *const *buffers);
    void (*free_network)(Network *net);
    /* The canvas holds the whole group with its margins; where bins are wider than a value, it
     * ends with what a decoder will see. Returns 0, or -2 out of memory. */
    int (*encode)(const Group *group, Words *result);
    /* Returns 0, or -1 for words that no encoder wrote, or -2 out of memory. */
    int (*decode)(const Group *group, const uint8_t *words, size_t size);
    /* Adds code lengths in 1/256 bit to costs, [tiles][label_rows][label_columns][entropy
     * models].
     * log2_table: [1024]. Returns 0, or -2 out of memory. */
    int (*measure)(const Group *group, const int32_t *log2_table, int64_t *costs);
    /* Runs the predictors over a full canvas. Returns 0, or -2 out of memory. */
    int (*follow)(const Group *group, Planes *planes);
} Level;

extern const Level portable_level;
#if X86_LEVELS
extern const Level avx2_level, avx512_level;
#endif
