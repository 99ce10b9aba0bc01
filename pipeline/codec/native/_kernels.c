/* SEEC's integer arithmetic for CPUs as a Python module: the same bits as network/, faster.
 *
 * kernels_c/ holds the arithmetic, compiled once for each instruction set; this file hands it
 * arrays that Python owns, checks them, and picks the best level that the processor has.
 */
#include "kernels_c/pack.h"
#include "kernels_c/words.h"

/* Where the time of the calling thread goes, while times are booked. */
static _Thread_local int64_t spent_here[PARTS_OF_TIME];
static int booking;

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

/* Whether numbers can be read where they are. */
static int is_aligned(const void *at, size_t unit) { return (uintptr_t)at % unit == 0; }

static int are_sides(int rows, int columns) {
    return rows > 0 && rows <= 8192 && columns > 0 && columns <= 8192;
}

static int consistent(const Call *c) {
    const Group *g = &c->group;
    const Sizes *s = &c->model->sizes;
    const Py_ssize_t row = 3 * (g->columns + 2 * (Py_ssize_t)MARGIN);
    const Py_ssize_t blocks = (Py_ssize_t)g->tiles * g->label_rows * g->label_columns;
    const Py_ssize_t pixels = (Py_ssize_t)g->tiles * g->rows * g->columns;
    int ok = is_aligned(g->size, sizeof *g->size) && is_aligned(g->side, sizeof *g->side) &&
             are_sides(g->rows, g->columns) && are_sides(g->label_rows, g->label_columns) &&
             (g->channels == 1 || g->channels == 3) &&
             g->block_shift >= 0 && g->block_shift <= 12 && c->size.len % 8 == 0 &&
             ((g->rows - 1) >> g->block_shift) < g->label_rows &&
             ((g->columns - 1) >> g->block_shift) < g->label_columns &&
             c->canvas.len == (Py_ssize_t)g->tiles * (g->rows + MARGIN) * row &&
             c->canvas.len < UINT32_MAX && c->labels.len == blocks && c->widths.len == blocks &&
             c->side.len == 2 * pixels * s->features;
    for (int i = 0; ok && i < 2 * g->tiles; i++)
        ok = g->size[i] >= 1 && g->size[i] <= (i % 2 ? g->columns : g->rows);
    for (Py_ssize_t i = 0; ok && i < c->labels.len; i++) ok = g->labels[i] < s->entropy_models;
    return ok;
}

/* (network, extra, canvas=, sizes=, labels=, widths=, side=, rows=, columns=, label_rows=,
 * label_columns=, block_shift=, channels=): by name, so that nothing of the same type takes another's place. */
static int parse_call(PyObject *args, PyObject *named, Call *c) {
    static char *names[] = {"network",    "extra",         "canvas",      "sizes",   "labels",
                            "widths",     "side",          "rows",        "columns", "label_rows",
                            "label_columns", "block_shift", "channels",   NULL};
    PyObject *capsule;
    Group *g = &c->group;
    memset(c, 0, sizeof *c);
    if (!PyArg_ParseTupleAndKeywords(args, named, "Oy*$w*y*y*y*y*iiiiii", names, &capsule, &c->extra,
                                     &c->canvas, &c->size, &c->labels, &c->widths, &c->side,
                                     &g->rows, &g->columns, &g->label_rows, &g->label_columns,
                                     &g->block_shift, &g->channels))
        return 0;
    c->model = PyCapsule_GetPointer(capsule, CAPSULE);
    g->net = c->model ? c->model->net : NULL;
    g->canvas = c->canvas.buf, g->size = c->size.buf, g->labels = c->labels.buf;
    g->widths = c->widths.buf, g->side = c->side.buf;
    g->tiles = (int)(c->size.len / 8);
    g->spent = booking ? spent_here : NULL;
    if (g->net && consistent(c)) return 1;
    release(c);
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "inconsistent tile group");
    return 0;
}

/* For all but `follow`. */
static int parse_coding_call(PyObject *args, PyObject *named, Call *c) {
    if (!parse_call(args, named, c)) return 0;
    if (c->model->sizes.width) return 1;
    release(c);
    PyErr_SetString(PyExc_ValueError, "predictors alone code nothing");
    return 0;
}

static PyObject *py_decode(PyObject *self, PyObject *args, PyObject *named) {
    Call c;
    int status;
    if (!parse_coding_call(args, named, &c)) return NULL;
    Py_BEGIN_ALLOW_THREADS status =
        c.model->level->decode(&c.group, c.extra.buf, (size_t)c.extra.len);
    Py_END_ALLOW_THREADS
    release(&c);
    return status == -2 ? PyErr_NoMemory() : PyBool_FromLong(status == 0);
}

static PyObject *py_encode(PyObject *self, PyObject *args, PyObject *named) {
    Call c;
    int status;
    Words coded = {NULL, 0};
    PyObject *result = NULL;
    if (!parse_coding_call(args, named, &c)) return NULL;
    Py_BEGIN_ALLOW_THREADS status = c.model->level->encode(&c.group, &coded);
    order_bytes(coded.words, coded.count);
    Py_END_ALLOW_THREADS release(&c);
    if (status == 0)
        result = PyBytes_FromStringAndSize((char *)coded.words, (Py_ssize_t)(4 * coded.count));
    free(coded.words);
    return status == 0 ? result : PyErr_NoMemory();
}

/* extra: the table of 1024 int32; returns int64 costs [tiles][label_rows][label_columns][models]. */
static PyObject *py_measure(PyObject *self, PyObject *args, PyObject *named) {
    Call c;
    int status = -2;
    PyObject *result = NULL;
    if (!parse_coding_call(args, named, &c)) return NULL;
    size_t count = (size_t)c.labels.len * c.model->sizes.entropy_models;
    int64_t *costs = calloc(count ? count : 1, sizeof *costs);
    if (c.extra.len != 4096 || !is_aligned(c.extra.buf, sizeof(int32_t))) {
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
static PyObject *py_follow(PyObject *self, PyObject *args, PyObject *named) {
    Call c;
    if (!parse_call(args, named, &c)) return NULL;
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

static PyObject *py_book_times(PyObject *self, PyObject *on) {
    booking = PyObject_IsTrue(on) > 0;
    Py_RETURN_NONE;
}

static PyObject *py_take_times(PyObject *self, PyObject *none) {
    static const char *const names[PARTS_OF_TIME] = {"inputs",   "predictors", "layers",
                                                     "mixtures", "edges",      "coding",
                                                     "adaptation"};
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
    {"layouts", py_layouts, METH_NOARGS, "The fields of the structs that make_network takes."},
    {"buffer_names", py_buffer_names, METH_VARARGS, "Names of the buffers of a network."},
    {"make_network", py_make_network, METH_VARARGS,
     "Pack checked weights for the other functions."},
    {"decode", (PyCFunction)(void (*)(void))py_decode, METH_VARARGS | METH_KEYWORDS,
     "Decode one tile group into its canvas; False if corrupt."},
    {"encode", (PyCFunction)(void (*)(void))py_encode, METH_VARARGS | METH_KEYWORDS,
     "Encode one tile group; returns its words."},
    {"measure", (PyCFunction)(void (*)(void))py_measure, METH_VARARGS | METH_KEYWORDS,
     "Code length of each block under each entropy model."},
    {"follow", (PyCFunction)(void (*)(void))py_follow, METH_VARARGS | METH_KEYWORDS,
     "Outputs of the predictors for a full canvas."},
    {"levels", py_levels, METH_NOARGS, "Instruction sets to choose from, the slowest first."},
    {"book_times", py_book_times, METH_O, "Whether to book the times of the parts of coding."},
    {"take_times", py_take_times, METH_NOARGS,
     "Nanoseconds of this thread by part since the last call."},
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
