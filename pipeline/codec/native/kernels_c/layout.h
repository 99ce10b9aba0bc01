/* The structs of sizes.h as Python sees them, and which sizes the kernels take. */
#pragma once

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include "sizes.h"

/* What a struct looks like from Python; format: of numpy, or the name of another struct. */
typedef struct {
    const char *name, *format;
    size_t offset, count;
} Field;

#define INT_FIELD(struct, name) {#name, "i4", offsetof(struct, name), 1},
#define PREDICTOR_FIELD(name) INT_FIELD(PredictorSizes, name)
#define ADAPTATION_FIELD(name) INT_FIELD(AdaptationSizes, name)
#define SIZES_FIELD(name) INT_FIELD(Sizes, name)

/* clang-format off */
static const Field predictor_fields[] = {
    PREDICTOR_FIELDS(PREDICTOR_FIELD)
    {"seen", "u1", offsetof(PredictorSizes, seen), TAPS},
    {NULL, NULL, 0, 0},
};
static const Field adaptation_fields[] = {ADAPTATION_FIELDS(ADAPTATION_FIELD) {NULL, NULL, 0, 0}};
static const Field sizes_fields[] = {
    PROFILE_FIELDS(SIZES_FIELD)
    SIZES_FIELD(predictors)
    {"predictor", "predictor", offsetof(Sizes, predictor), MAX_PREDICTORS},
    {"adaptation", "adaptation", offsetof(Sizes, adaptation), 1},
    {NULL, NULL, 0, 0},
};
/* clang-format on */

/* Adds a struct to `layouts`: its size and its fields. Returns whether that went well. */
static int add_layout(PyObject *layouts, const char *name, size_t size, const Field *field) {
    PyObject *fields = PyList_New(0);
    int ok = fields != NULL;
    for (; ok && field->name; field++) {
        PyObject *item = Py_BuildValue("(ssnn)", field->name, field->format,
                                       (Py_ssize_t)field->offset, (Py_ssize_t)field->count);
        ok = item && PyList_Append(fields, item) == 0;
        Py_XDECREF(item);
    }
    PyObject *layout = ok ? Py_BuildValue("(nO)", (Py_ssize_t)size, fields) : NULL;
    ok = layout && PyDict_SetItemString(layouts, name, layout) == 0;
    Py_XDECREF(layout), Py_XDECREF(fields);
    return ok;
}

/* layouts() -> {struct: (bytes, [(field, format, offset, count)])} */
static PyObject *py_layouts(PyObject *self, PyObject *none) {
    PyObject *layouts = PyDict_New();
    if (layouts && add_layout(layouts, "predictor", sizeof(PredictorSizes), predictor_fields) &&
        add_layout(layouts, "adaptation", sizeof(AdaptationSizes), adaptation_fields) &&
        add_layout(layouts, "sizes", sizeof(Sizes), sizes_fields))
        return layouts;
    Py_XDECREF(layouts);
    return NULL;
}

static int in_range(int value, int least, int most) { return value >= least && value <= most; }

static int adaptation_fits(const Sizes *s) {
    const AdaptationSizes *t = &s->adaptation;
    return !t->every ||
           (s->predictors && in_range(t->every, 1, 4096) && in_range(t->rate, 1, 255) &&
            in_range(t->hidden_rate, 0, 255) && in_range(t->fusion_rate, 0, 255) &&
            in_range(t->means, 0, learns_deeply(s)) && in_range(t->memory, 0, learns_deeply(s)) &&
            (!learns_deeply(s) || (t->every <= 1024 >> t->memory && s->hidden <= 256)));
}

static int layers_fit(const Sizes *s) {
    const int widths[3] = {s->width, s->fused, s->hidden};
    for (int i = 0; i < 3; i++)
        if (!in_range(widths[i], PANEL, WIDEST) || widths[i] % PANEL) return 0;
    return in_range(s->entropy_models, 1, MAX_ENTROPY_MODELS) &&
           in_range(s->mixtures, 1, MAX_MIXTURES) && in_range(s->features, 0, WIDEST - s->width) &&
           adaptation_fits(s);
}

static int predictors_fit(const Sizes *s) {
    for (int p = 0; p < s->predictors; p++) {
        const PredictorSizes *own = s->predictor + p;
        int seen = 0;
        for (int i = 0; i < TAPS; i++) seen += own->seen[i] == 1;
        if (seen != own->taps || seen < 1 || !in_range(own->rows, 1, 64) ||
            !in_range(own->every, 1, 64) || !in_range(own->sweeps, 1, 4096) ||
            !in_range(own->forget, 1, 30))
            return 0;
    }
    return s->predictors || s->width;
}

static int check_sizes(const Sizes *s) {
    if (in_range(s->predictors, 0, MAX_PREDICTORS) && (!s->width || layers_fit(s)) &&
        predictors_fit(s))
        return 1;
    PyErr_SetString(PyExc_ValueError, "the sizes of the network are not supported");
    return 0;
}
