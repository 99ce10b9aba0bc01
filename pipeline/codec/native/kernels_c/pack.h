/* From what Python has of a network to one that a level has packed. */
#pragma once

#include "layout.h"

#include <stdio.h>

#include "kernels.h"

/* The levels that this processor can run, the slowest first. */
static const Level *levels[3];
static int level_count;

static void find_levels(void) {
    level_count = 0;
    levels[level_count++] = &portable_level;
#if X86_LEVELS
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) levels[level_count++] = &avx2_level;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vnni"))
        levels[level_count++] = &avx512_level;
#endif
}

/* A network and the level that packed it. */
typedef struct {
    const Level *level;
    Sizes sizes;
    Network *net;
} Model;

static const char *const CAPSULE = "pipeline.codec.network";

static void destroy(PyObject *capsule) {
    Model *model = PyCapsule_GetPointer(capsule, CAPSULE);
    model->level->free_network(model->net);
    free(model);
}

/* An empty name is the fastest level. */
static const Level *find_level(const char *name) {
    if (!*name) return levels[level_count - 1];
    for (int i = 0; i < level_count; i++)
        if (!strcmp(levels[i]->name, name)) return levels[i];
    PyErr_Format(PyExc_ValueError, "this processor has no level %s", name);
    return NULL;
}

/* A buffer that a network is made of: its name in model files, and its size. */
typedef struct {
    char name[32];
    Py_ssize_t bytes;
} Wanted;

static Wanted *want_layer(Wanted *next, const char *name, Py_ssize_t groups, Py_ssize_t out,
                          Py_ssize_t in) {
    const char *const parts[3] = {"weight", "bias", "shift"};
    const Py_ssize_t bytes[3] = {groups * out * in, 4 * groups * out, 4 * groups * out};
    for (int i = 0; i < 3; i++, next++) {
        snprintf(next->name, sizeof next->name, "%s.%s", name, parts[i]);
        next->bytes = bytes[i];
    }
    return next;
}

static Wanted *want_layers(Wanted *next, const Sizes *s) {
    const char *const plain[2] = {"hidden", "output"};
    const char *const heads[2 * MAX_HEADS] = {"hidden_r", "output_r", "hidden_g",
                                              "output_g", "hidden_b", "output_b"};
    const char *const *name = s->predictors ? heads : plain;
    next = want_layer(next, "context", 1, s->width, inputs_of(s));
    next = want_layer(next, "fusion", 1, s->fused, s->width + s->features);
    for (int head = 0; head < heads_of(s); head++) {
        const int in = s->fused + head_inputs(s, head);
        next = want_layer(next, *name++, s->entropy_models, s->hidden, in);
        next = want_layer(next, *name++, s->entropy_models, outputs_of(s, head), s->hidden);
    }
    return next;
}

/* The buffers of a network in the order in which make_network of a level takes them. */
static void want_buffers(const Sizes *s, Wanted want[MAX_BUFFERS]) {
    const struct {
        const char *name;
        int entries;
    } tables[TABLE_BUFFERS] = {
        {"reciprocal", RECIPROCALS}, {"log_activity", ACTIVITIES},
        {"exp", EXPONENTIALS},       {"logistic", LOGISTIC_PIECES + 1},
        {"inverse_scale", SCALES},   {"reach", SCALES},
        {"log_error", ERRORS},
    };
    Wanted *next = s->width ? want_layers(want, s) : want;
    for (int i = 0; i < TABLE_BUFFERS; i++, next++) {
        snprintf(next->name, sizeof next->name, "table.%s", tables[i].name);
        next->bytes = 4 * tables[i].entries;
    }
    for (int p = 0; p < s->predictors; p++, next += 2) {
        const Py_ssize_t all = 3 * s->predictor[p].taps + 3;
        snprintf(next[0].name, sizeof next->name, "predictor_%d_prior", p);
        snprintf(next[1].name, sizeof next->name, "predictor_%d_start", p);
        next[0].bytes = 4 * all * all, next[1].bytes = 4 * 3 * (all - 1);
    }
}

/* Holds the buffer `want` of the mapping `of`, or sets an error. Returns whether it is held, in
 * which case the caller releases it. */
static int hold_buffer(PyObject *of, const Wanted *want, Py_buffer *buffer) {
    PyObject *item = PyMapping_GetItemString(of, want->name);
    const int held = item && PyObject_GetBuffer(item, buffer, PyBUF_SIMPLE) == 0;
    Py_XDECREF(item);
    if (!held) return 0;
    if (buffer->len != want->bytes)
        PyErr_Format(PyExc_ValueError, "%s has %zd bytes instead of %zd", want->name, buffer->len,
                     want->bytes);
    else if ((uintptr_t)buffer->buf % sizeof(int32_t))
        PyErr_Format(PyExc_ValueError, "%s is not aligned", want->name);
    return 1;
}

static PyObject *wrap_network(const Level *level, const Sizes *sizes, const Py_buffer *buffers) {
    const void *raw[MAX_BUFFERS];
    for (int i = 0; i < buffers_of(sizes); i++) raw[i] = buffers[i].buf;
    Model *model = calloc(1, sizeof *model);
    if (!model) return PyErr_NoMemory();
    *model = (Model){level, *sizes, level->make_network(sizes, raw)};
    PyObject *result = model->net ? PyCapsule_New(model, CAPSULE, destroy) : PyErr_NoMemory();
    if (!result) {
        if (model->net) level->free_network(model->net);
        free(model);
    }
    return result;
}

/* Copies and checks a packed Sizes; false with an exception set. */
static int read_sizes(Sizes *s, const Py_buffer *packed) {
    if (packed->len != sizeof *s) {
        PyErr_Format(PyExc_ValueError, "the sizes of a network have %zd bytes instead of %zd",
                     packed->len, (Py_ssize_t)sizeof *s);
        return 0;
    }
    memcpy(s, packed->buf, sizeof *s);
    return check_sizes(s);
}

/* buffer_names(sizes) -> the names of the buffers that a network is made of */
static PyObject *py_buffer_names(PyObject *self, PyObject *args) {
    Sizes s;
    Py_buffer packed;
    Wanted want[MAX_BUFFERS];
    if (!PyArg_ParseTuple(args, "y*", &packed)) return NULL;
    const int ok = read_sizes(&s, &packed);
    PyBuffer_Release(&packed);
    if (!ok) return NULL;
    want_buffers(&s, want);
    PyObject *names = PyTuple_New(buffers_of(&s));
    for (int i = 0; names && i < buffers_of(&s); i++) {
        PyObject *name = PyUnicode_FromString(want[i].name);
        if (!name || PyTuple_SetItem(names, i, name) < 0) Py_CLEAR(names);
    }
    return names;
}

static PyObject *network_of(const char *name, const Sizes *s, PyObject *of) {
    PyObject *result = NULL;
    const Level *level = find_level(name);
    if (!level) return NULL;
    Wanted want[MAX_BUFFERS];
    Py_buffer buffers[MAX_BUFFERS];
    want_buffers(s, want);
    int held = 0;
    while (held < buffers_of(s) && !PyErr_Occurred())
        if (hold_buffer(of, want + held, buffers + held)) held++;
    if (!PyErr_Occurred()) result = wrap_network(level, s, buffers);
    for (int i = 0; i < held; i++) PyBuffer_Release(buffers + i);
    return result;
}

/* make_network(level, sizes, buffers): weights.py has checked what is in the buffers. */
static PyObject *py_make_network(PyObject *self, PyObject *args) {
    Sizes s;
    const char *name;
    Py_buffer packed;
    PyObject *buffers, *result = NULL;
    if (!PyArg_ParseTuple(args, "sy*O", &name, &packed, &buffers)) return NULL;
    if (read_sizes(&s, &packed)) result = network_of(name, &s, buffers);
    PyBuffer_Release(&packed);
    return result;
}
