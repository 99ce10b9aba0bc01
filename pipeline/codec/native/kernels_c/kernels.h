/* What the Python module and the kernels of each level say to each other.
 *
 * A level is the same source compiled for one instruction set: portable.c, avx2.c, avx512.c.
 * All levels give the same bits.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define X86_LEVELS 1
#include <immintrin.h>
#else
#define X86_LEVELS 0
#endif

enum {
    MARGIN = 3,    /* rows above and columns beside a tile in its canvas */
    WIDEST = 512,  /* features a layer may have; loading a model checks it */
    PANEL = 16,    /* widths of layers are multiples of this */
    MAX_EXPERTS = 16,
    MAX_MIXTURES = 8,
    MAX_PREDICTORS = 4,
    MAX_HEADS = 3, /* entropy models that an expert has: one, or with predictors one per channel */
};

/* Of the network's inputs, and of the tables; see tables.py. */
enum {
    TAPS = 22,
    TAP_VALUES = 3 * TAPS,
    INPUTS = TAP_VALUES + 6,
    AROUND = 18,    /* errors of a predictor that its network sees: of 3 channels at 6 places */
    RECIPROCALS = 4591,
    ACTIVITIES = 1531,
    ERRORS = 6121,
    EXPONENTIALS = 512,
    LOGISTIC_PIECES = 512,
    SCALES = 176,
};

/* See Predictor in profile.py. seen: which of the taps it sees. */
typedef struct {
    int32_t taps, rows, every, sweeps, forget;
    uint8_t seen[TAPS];
} PredictorSizes;

/* See Tuning in profile.py; every is 0 where nothing learns. */
typedef struct {
    int every, rate, hidden, fusion, means, memory;
} TuningSizes;

typedef struct {
    int width, fused, hidden, experts, mixtures;
    int features;   /* per pixel from SIC, behind those of the context; 0 without SIC */
    int predictors; /* 0 in networks without */
    PredictorSizes predictor[MAX_PREDICTORS];
    TuningSizes tuning;
} Sizes;

/* Whether more than output layers learns. */
static inline int learns_deeply(const Sizes *s) { return s->tuning.hidden || s->tuning.fusion; }

/* Entropy models that an expert has. */
static inline int heads_of(const Sizes *s) { return s->predictors ? MAX_HEADS : 1; }

/* What the entropy model of a channel sees beside the fused features: see profile.py. */
static inline int head_inputs(const Sizes *s, int channel) {
    return s->predictors && channel ? s->predictors + 3 * channel : 0;
}

/* Mixture parameters that a head gives. */
static inline int outputs_of(const Sizes *s, int head) {
    return s->predictors ? 3 * s->mixtures + s->predictors + head : 12 * s->mixtures;
}

static inline int inputs_of(const Sizes *s) {
    return INPUTS + (s->predictors ? AROUND + 6 * s->predictors : 0);
}

/* A network is made of buffers: weight, bias and shift of context, fusion and, for each head, its
 * hidden and its output layer; the tables; prior and start of each predictor. */
enum {
    TABLE_BUFFERS = 7,
    MAX_BUFFERS = 3 * (2 + 2 * MAX_HEADS) + TABLE_BUFFERS + 2 * MAX_PREDICTORS,
};

static inline int layer_buffers(const Sizes *s) { return s->width ? 3 * (2 + 2 * heads_of(s)) : 0; }

static inline int buffers_of(const Sizes *s) {
    return layer_buffers(s) + TABLE_BUFFERS + 2 * s->predictors;
}

typedef struct Network Network;

/* What time is spent on. */
enum {
    INPUTS_PART,
    PREDICTORS_PART,
    LAYERS_PART,
    MIXTURES_PART,
    EDGES_PART,
    CODING_PART,
    TUNING_PART,
    PARTS_OF_TIME,
};

typedef struct {
    const Network *net;
    uint8_t *canvas;       /* [tiles][edge + 3][edge + 6][3] */
    const int32_t *size;   /* [tiles][2]: height, width */
    const uint8_t *labels; /* [tiles][label_edge][label_edge] */
    const uint8_t *widths; /* the same shape: how wide the bins of a block are */
    const int16_t *side;   /* [tiles][edge][edge][features] */
    int tiles, edge, label_edge, block_shift, channels;
    int64_t *spent; /* [PARTS_OF_TIME], nanoseconds, or NULL: nobody asks */
} Group;

/* The coded words of a group; free(words) is the caller's. */
typedef struct {
    uint32_t *words;
    size_t count;
} Words;

/* What predictors say of known pixels, [predictors][tiles][edge + 3][edge + 6][3]. */
typedef struct {
    int16_t *base; /* predictions, 1/64 of a value */
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
    /* Adds code lengths in 1/256 bit to costs, [tiles][label_edge][label_edge][experts].
     * log2_table: [1024]. Returns 0, or -2 out of memory. */
    int (*measure)(const Group *group, const int32_t *log2_table, int64_t *costs);
    /* What the predictors say of a full canvas. Returns 0, or -2 out of memory. */
    int (*follow)(const Group *group, Planes *planes);
} Level;

extern const Level portable_level;
#if X86_LEVELS
extern const Level avx2_level, avx512_level;
#endif
