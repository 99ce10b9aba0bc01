/* The sizes of a network, and what follows from them.
 *
 * Python hands over one packed Sizes. Each list of fields below makes both a struct and what the
 * module tells Python of that struct: names, offsets, formats. Python fills the struct by name, so
 * a field can be moved here or there, and one that only one side has is refused.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    WIDEST = 512,  /* features a layer may have; loading a model checks it */
    PANEL = 16,    /* widths of layers are multiples of this */
    MAX_ENTROPY_MODELS = 16,
    MAX_MIXTURES = 8,
    MAX_PREDICTORS = 4,
    MAX_HEADS = 3, /* networks that an entropy model has: one, or with predictors one a channel */
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

#define INT_MEMBER(name) int32_t name;

/* See Predictor in profile.py. */
#define PREDICTOR_FIELDS(FIELD) FIELD(taps) FIELD(rows) FIELD(every) FIELD(sweeps) FIELD(forget)
typedef struct {
    PREDICTOR_FIELDS(INT_MEMBER)
    uint8_t seen[TAPS]; /* 1 for each tap that it sees */
} PredictorSizes;

/* See Adaptation in profile.py; every is 0 where nothing learns. */
#define ADAPTATION_FIELDS(FIELD) \
    FIELD(every) FIELD(rate) FIELD(hidden_rate) FIELD(fusion_rate) FIELD(means) FIELD(memory)
typedef struct {
    ADAPTATION_FIELDS(INT_MEMBER)
} AdaptationSizes;

/* See Profile in profile.py. features: per pixel from SIC, behind those of the context. */
#define PROFILE_FIELDS(FIELD)                                                              \
    FIELD(width) FIELD(fused) FIELD(hidden) FIELD(entropy_models) FIELD(mixtures) FIELD(features)
typedef struct {
    PROFILE_FIELDS(INT_MEMBER)
    int32_t predictors; /* 0 in networks without */
    PredictorSizes predictor[MAX_PREDICTORS];
    AdaptationSizes adaptation;
} Sizes;

/* Whether more than output layers learns. */
static inline int learns_deeply(const Sizes *s) {
    return s->adaptation.hidden_rate || s->adaptation.fusion_rate;
}

/* Networks that an entropy model has. */
static inline int heads_of(const Sizes *s) { return s->predictors ? MAX_HEADS : 1; }

/* What the head of a channel sees beside the fused features: see profile.py. */
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
