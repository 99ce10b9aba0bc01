/* SEEC's integer arithmetic for CPUs as a Python module: the same bits as integer.py, faster.
 *
 * kernels_c/ holds the arithmetic, compiled once for each instruction set; this file hands it
 * arrays that Python owns, checks them, and picks the best level that the processor has.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include "kernels_c/kernels.h"

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

static int in_range(int value, int least, int most) { return value >= least && value <= most; }

static int tuning_fits(const Sizes *s) {
    const TuningSizes *t = &s->tuning;
    return !t->every ||
           (s->predictors && in_range(t->every, 1, 4096) && in_range(t->rate, 1, 255) &&
            in_range(t->hidden, 0, 255) && in_range(t->fusion, 0, 255) &&
            in_range(t->means, 0, learns_deeply(s)) && in_range(t->memory, 0, learns_deeply(s)) &&
            (!learns_deeply(s) || t->every <= 1024 >> t->memory));
}

static int layers_fit(const Sizes *s) {
    const int widths[3] = {s->width, s->fused, s->hidden};
    for (int i = 0; i < 3; i++)
        if (!in_range(widths[i], PANEL, WIDEST) || widths[i] % PANEL) return 0;
    return in_range(s->experts, 1, MAX_EXPERTS) && in_range(s->mixtures, 1, MAX_MIXTURES) &&
           in_range(s->features, 0, WIDEST - s->width) && tuning_fits(s);
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
    if ((!s->width || layers_fit(s)) && predictors_fit(s)) return 1;
    PyErr_SetString(PyExc_ValueError, "the sizes of the network are not supported");
    return 0;
}

/* Bytes that each buffer has; see kernels.h. */
static void buffer_sizes(const Sizes *s, Py_ssize_t want[MAX_BUFFERS]) {
    Py_ssize_t *next = want;
    const Py_ssize_t experts = s->experts;
#define LAYER(groups, out, in) \
    (*next++ = (groups) * (out) * (in), *next++ = 4 * (groups) * (out), *next++ = 4 * (groups) * (out))
    if (s->width) {
        LAYER(1, (Py_ssize_t)s->width, inputs_of(s));
        LAYER(1, (Py_ssize_t)s->fused, s->width + s->features);
        for (int head = 0; head < heads_of(s); head++) {
            LAYER(experts, s->hidden, s->fused + head_inputs(s, head));
            LAYER(experts, outputs_of(s, head), s->hidden);
        }
    }
#undef LAYER
    const int tables[TABLE_BUFFERS] = {RECIPROCALS, ACTIVITIES, EXPONENTIALS, LOGISTIC_PIECES + 1,
                                       SCALES,      SCALES,     ERRORS};
    for (int i = 0; i < TABLE_BUFFERS; i++) *next++ = 4 * tables[i];
    for (int p = 0; p < s->predictors; p++) {
        const Py_ssize_t all = 3 * s->predictor[p].taps + 3;
        *next++ = 4 * all * all;
        *next++ = 4 * 3 * (all - 1);
    }
}

/* Holds the `count` buffers of `list`, or sets an error; returns how many it holds. */
static int hold_buffers(PyObject *list, int count, const Py_ssize_t *want, Py_buffer *buffers) {
    if (PySequence_Size(list) != count) {
        PyErr_Format(PyExc_ValueError, "this network has %d buffers", count);
        return 0;
    }
    for (int held = 0; held < count; held++) {
        PyObject *item = PySequence_GetItem(list, held);
        int bad = !item || PyObject_GetBuffer(item, buffers + held, PyBUF_SIMPLE) < 0;
        Py_XDECREF(item);
        if (bad) return held;
        if (buffers[held].len != want[held]) {
            PyErr_Format(PyExc_ValueError, "buffer %d has %zd bytes instead of %zd", held,
                         buffers[held].len, want[held]);
            return held + 1;
        }
    }
    return count;
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

/* sizes: int32 taps, rows, every, sweeps and forget of each predictor; seen: [TAPS] bytes each. */
static int read_predictors(Sizes *s, const Py_buffer *sizes, const Py_buffer *seen) {
    s->predictors = (int)(sizes->len / 20);
    if (sizes->len % 20 || !in_range(s->predictors, 0, MAX_PREDICTORS) ||
        seen->len != (Py_ssize_t)TAPS * s->predictors) {
        PyErr_SetString(PyExc_ValueError, "these are not the sizes of predictors");
        return 0;
    }
    for (int p = 0; p < s->predictors; p++) {
        PredictorSizes *own = s->predictor + p;
        int32_t numbers[5];
        memcpy(numbers, (char *)sizes->buf + 20 * p, 20);
        *own = (PredictorSizes){numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], {0}};
        memcpy(own->seen, (char *)seen->buf + TAPS * p, TAPS);
    }
    return 1;
}

static PyObject *network_of(const char *name, const Sizes *s, PyObject *list) {
    PyObject *result = NULL;
    const Level *level = find_level(name);
    if (!level || !check_sizes(s)) return NULL;
    Py_ssize_t want[MAX_BUFFERS];
    Py_buffer buffers[MAX_BUFFERS];
    buffer_sizes(s, want);
    const int count = buffers_of(s), held = hold_buffers(list, count, want, buffers);
    if (held == count && !PyErr_Occurred()) result = wrap_network(level, s, buffers);
    for (int i = 0; i < held; i++) PyBuffer_Release(buffers + i);
    return result;
}

/* make_network(level, width, fused, hidden, experts, mixtures, features, predictors, seen,
 * buffers[, every, rate, hidden, fusion, means, memory]): weights.py has checked what is in the
 * buffers. */
static PyObject *make_network(PyObject *self, PyObject *args) {
    Sizes s = {0};
    const char *name;
    Py_buffer sizes, seen;
    PyObject *list, *result = NULL;
    if (!PyArg_ParseTuple(args, "siiiiiiy*y*O|iiiiii", &name, &s.width, &s.fused, &s.hidden, &s.experts,
                          &s.mixtures, &s.features, &sizes, &seen, &list, &s.tuning.every,
                          &s.tuning.rate, &s.tuning.hidden, &s.tuning.fusion, &s.tuning.means,
                          &s.tuning.memory))
        return NULL;
    if (read_predictors(&s, &sizes, &seen)) result = network_of(name, &s, list);
    PyBuffer_Release(&sizes), PyBuffer_Release(&seen);
    return result;
}

/* Where the time of the calling thread goes, once somebody asks. */
static _Thread_local int64_t spent_here[PARTS_OF_TIME];
static int profiling;

typedef struct {
    const Model *model;
    Group group;
    Py_buffer canvas, size, labels, widths, side, extra;
} Call;

static void release(Call *c) {
    PyBuffer_Release(&c->canvas), PyBuffer_Release(&c->size);
    PyBuffer_Release(&c->labels), PyBuffer_Release(&c->widths);
    PyBuffer_Release(&c->side), PyBuffer_Release(&c->extra);
}

static int consistent(const Call *c) {
    const Group *g = &c->group;
    const Sizes *s = &c->model->sizes;
    const Py_ssize_t row = 3 * (g->edge + 2 * (Py_ssize_t)MARGIN);
    int ok = g->edge > 0 && g->edge <= 8192 && (g->channels == 1 || g->channels == 3) &&
             g->block_shift >= 0 && g->block_shift <= 12 && c->size.len % 8 == 0 &&
             ((g->edge - 1) >> g->block_shift) < g->label_edge && g->label_edge <= 8192 &&
             c->canvas.len == (Py_ssize_t)g->tiles * (g->edge + MARGIN) * row &&
             c->canvas.len < UINT32_MAX &&
             c->labels.len == (Py_ssize_t)g->tiles * g->label_edge * g->label_edge &&
             c->widths.len == c->labels.len &&
             c->side.len == 2 * (Py_ssize_t)g->tiles * g->edge * g->edge * s->features;
    for (int i = 0; ok && i < 2 * g->tiles; i++) ok = g->size[i] >= 1 && g->size[i] <= g->edge;
    for (Py_ssize_t i = 0; ok && i < c->labels.len; i++) ok = g->labels[i] < s->experts;
    return ok;
}

/* (network, canvas, size, labels, widths, side, edge, label_edge, block_shift, channels, extra) */
static int parse_call(PyObject *args, Call *c) {
    PyObject *capsule;
    Group *g = &c->group;
    memset(c, 0, sizeof *c);
    if (!PyArg_ParseTuple(args, "Ow*y*y*y*y*iiiiy*", &capsule, &c->canvas, &c->size, &c->labels,
                          &c->widths, &c->side, &g->edge, &g->label_edge, &g->block_shift,
                          &g->channels, &c->extra))
        return 0;
    c->model = PyCapsule_GetPointer(capsule, CAPSULE);
    g->net = c->model ? c->model->net : NULL;
    g->canvas = c->canvas.buf, g->size = c->size.buf, g->labels = c->labels.buf;
    g->widths = c->widths.buf, g->side = c->side.buf;
    g->tiles = (int)(c->size.len / 8);
    g->spent = profiling ? spent_here : NULL;
    if (g->net && consistent(c)) return 1;
    release(c);
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "inconsistent tile group");
    return 0;
}

/* For all but `follow`. */
static int parse_coding_call(PyObject *args, Call *c) {
    if (!parse_call(args, c)) return 0;
    if (c->model->sizes.width) return 1;
    release(c);
    PyErr_SetString(PyExc_ValueError, "predictors alone code nothing");
    return 0;
}

static PyObject *py_decode(PyObject *self, PyObject *args) {
    Call c;
    int status;
    if (!parse_coding_call(args, &c)) return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = c.model->level->decode(&c.group, c.extra.buf, (size_t)c.extra.len);
    Py_END_ALLOW_THREADS
    release(&c);
    return status == -2 ? PyErr_NoMemory() : PyBool_FromLong(status == 0);
}

/* Words are little-endian in the file. */
static void order_bytes(Words *coded) {
    for (size_t i = 0; i < coded->count; i++) {
        const uint32_t w = coded->words[i];
        uint8_t bytes[4] = {(uint8_t)w, (uint8_t)(w >> 8), (uint8_t)(w >> 16), (uint8_t)(w >> 24)};
        memcpy(coded->words + i, bytes, 4);
    }
}

static PyObject *py_encode(PyObject *self, PyObject *args) {
    Call c;
    int status;
    Words coded = {NULL, 0};
    PyObject *result = NULL;
    if (!parse_coding_call(args, &c)) return NULL;
    Py_BEGIN_ALLOW_THREADS
    status = c.model->level->encode(&c.group, &coded);
    order_bytes(&coded);
    Py_END_ALLOW_THREADS
    release(&c);
    if (status == 0)
        result = PyBytes_FromStringAndSize((char *)coded.words, (Py_ssize_t)(4 * coded.count));
    free(coded.words);
    return status == 0 ? result : PyErr_NoMemory();
}

/* extra: the table of 1024 int32; returns int64 costs [tiles][label_edge][label_edge][experts]. */
static PyObject *py_measure(PyObject *self, PyObject *args) {
    Call c;
    int status = -2;
    PyObject *result = NULL;
    if (!parse_coding_call(args, &c)) return NULL;
    size_t count = (size_t)c.labels.len * c.model->sizes.experts;
    int64_t *costs = calloc(count ? count : 1, sizeof *costs);
    if (c.extra.len != 4096) {
        free(costs);
        release(&c);
        return PyErr_Format(PyExc_ValueError, "the log2 table has 1024 entries");
    }
    Py_BEGIN_ALLOW_THREADS
    if (costs) status = c.model->level->measure(&c.group, c.extra.buf, costs);
    Py_END_ALLOW_THREADS
    release(&c);
    if (status == 0)
        result = PyBytes_FromStringAndSize((char *)costs, (Py_ssize_t)(count * sizeof *costs));
    free(costs);
    return status == 0 ? result : PyErr_NoMemory();
}

/* Returns base (int16), ls and full (int8), all [predictors][canvas]. */
static PyObject *py_follow(PyObject *self, PyObject *args) {
    Call c;
    if (!parse_call(args, &c)) return NULL;
    const Py_ssize_t samples = c.canvas.len * c.model->sizes.predictors;
    PyObject *base = PyBytes_FromStringAndSize(NULL, 2 * samples);
    PyObject *ls = PyBytes_FromStringAndSize(NULL, samples);
    PyObject *full = PyBytes_FromStringAndSize(NULL, samples);
    int status = -2;
    if (base && ls && full) {
        Planes planes = {(int16_t *)PyBytes_AsString(base), (int8_t *)PyBytes_AsString(ls),
                         (int8_t *)PyBytes_AsString(full)};
        memset(planes.base, 0, (size_t)(2 * samples));
        memset(planes.ls, 0, (size_t)samples), memset(planes.full, 0, (size_t)samples);
        Py_BEGIN_ALLOW_THREADS
        status = c.model->level->follow(&c.group, &planes);
        Py_END_ALLOW_THREADS
    }
    release(&c);
    PyObject *result = status ? PyErr_NoMemory() : PyTuple_Pack(3, base, ls, full);
    Py_XDECREF(base), Py_XDECREF(ls), Py_XDECREF(full);
    return result;
}

static PyObject *py_levels(PyObject *self, PyObject *none) {
    PyObject *names = PyTuple_New(level_count);
    for (int i = 0; names && i < level_count; i++) {
        PyObject *name = PyUnicode_FromString(levels[i]->name);
        if (!name || PyTuple_SetItem(names, i, name) < 0) Py_CLEAR(names);
    }
    return names;
}

static PyObject *py_profile(PyObject *self, PyObject *on) {
    profiling = PyObject_IsTrue(on) > 0;
    Py_RETURN_NONE;
}

static PyObject *py_spent(PyObject *self, PyObject *none) {
    static const char *const names[PARTS_OF_TIME] = {"inputs",   "predictors", "layers",
                                                     "mixtures", "edges",      "coding",
                                                     "tuning"};
    PyObject *result = PyDict_New();
    for (int i = 0; result && i < PARTS_OF_TIME; i++) {
        PyObject *time = PyLong_FromLongLong(spent_here[i]);
        if (!time || PyDict_SetItemString(result, names[i], time) < 0) Py_CLEAR(result);
        Py_XDECREF(time);
        spent_here[i] = 0;
    }
    return result;
}

static PyMethodDef METHODS[] = {
    {"make_network", make_network, METH_VARARGS, "Pack checked weights for the other functions."},
    {"decode", py_decode, METH_VARARGS, "Decode one tile group into its canvas; False if corrupt."},
    {"encode", py_encode, METH_VARARGS, "Encode one tile group; returns its words."},
    {"measure", py_measure, METH_VARARGS, "Code length of each block under each expert."},
    {"follow", py_follow, METH_VARARGS, "What the predictors say of the pixels of a full canvas."},
    {"levels", py_levels, METH_NOARGS, "Instruction sets to choose from, the slowest first."},
    {"profile", py_profile, METH_O, "Whether to book the time that the parts of coding take."},
    {"spent", py_spent, METH_NOARGS, "Nanoseconds of this thread by part since the last call."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "_kernels", "SEEC's integer kernels.", -1, METHODS, NULL, NULL, NULL,
    NULL,
};

PyMODINIT_FUNC PyInit__kernels(void) {
    find_levels();
    return PyModule_Create(&MODULE);
}
