/* The coder of samples of any depth as a Python module.
 *
 * deep_c/ holds the arithmetic; this file checks what Python hands over.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include "deep_c/levels.h"
#include "deep_c/tables.h"

enum { SIDE_MAX = 1 << 28, BANDS_MAX = 32, COLUMNS_MAX = 1 << 20 };

static const Level *levels[2];
static int level_count;
static DeepTables tables;

static void find_levels(void) {
    levels[level_count++] = &portable_deep;
#if X86_LEVELS
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"))
        levels[level_count++] = &avx2_deep;
#endif
}

static const Level *find_level(const char *name) {
    if (!*name) return levels[level_count - 1];
    for (int i = 0; i < level_count; i++)
        if (!strcmp(levels[i]->name, name)) return levels[i];
    PyErr_Format(PyExc_ValueError, "no level %s", name);
    return NULL;
}

/* Whether samples fill what the group says; else an exception is set. */
static int check_group(Group *g, const Py_buffer *samples) {
    const int possible = g->slices >= 1 && g->slices <= SIDE_MAX && g->bands >= 1 &&
                         g->bands <= BANDS_MAX && g->height >= 1 && g->height <= SIDE_MAX &&
                         g->width >= 1 && (int64_t)g->width * g->bands <= COLUMNS_MAX &&
                         g->top < (uint32_t)1 << 31;
    int64_t count = possible ? (int64_t)g->slices * g->height : 0;
    count = count <= SIDE_MAX ? count * g->width * g->bands : 0;
    if (!count || samples->len != 4 * count) {
        PyErr_SetString(PyExc_ValueError, "a group that cannot be, or samples of another size");
        return 0;
    }
    g->samples = samples->buf;
    return 1;
}

/* (samples, slices, bands, height, width, top, across, repeats, holes, level) -> code */
static PyObject *py_encode(PyObject *self, PyObject *args) {
    Py_buffer samples;
    Group g = {0};
    const char *name;
    unsigned int top;
    if (!PyArg_ParseTuple(args, "y*iiiiIppps", &samples, &g.slices, &g.bands, &g.height, &g.width,
                          &top, &g.across, &g.repeats, &g.holes, &name))
        return NULL;
    PyObject *result = NULL;
    Arithmetic a;
    start_encoding(&a);
    g.top = top;
    const Level *level = find_level(name);
    if (!level || !check_group(&g, &samples)) goto end;
    for (Py_ssize_t i = 0; i < samples.len / 4; i++)
        if (g.samples[i] > g.top) {
            PyErr_SetString(PyExc_ValueError, "a sample above the largest value");
            goto end;
        }
    int status;
    Py_BEGIN_ALLOW_THREADS
    status = level->code_group(&tables, &a, &g);
    if (status == CODED) finish_encoding(&a);
    Py_END_ALLOW_THREADS
    if (status == CODED && !a.failed)
        result = PyBytes_FromStringAndSize((char *)a.bytes, (Py_ssize_t)a.count);
    else
        PyErr_NoMemory();
end:
    free(a.bytes);
    PyBuffer_Release(&samples);
    return result;
}

/* (code, samples, slices, bands, height, width, top, across, repeats, holes, level) -> whether an encoder
 * could have written the code */
static PyObject *py_decode(PyObject *self, PyObject *args) {
    Py_buffer code, samples;
    Group g = {0};
    const char *name;
    unsigned int top;
    if (!PyArg_ParseTuple(args, "y*w*iiiiIppps", &code, &samples, &g.slices, &g.bands, &g.height,
                          &g.width, &top, &g.across, &g.repeats, &g.holes, &name))
        return NULL;
    PyObject *result = NULL;
    g.top = top;
    const Level *level = find_level(name);
    if (!level || !check_group(&g, &samples)) goto end;
    Arithmetic a;
    start_decoding(&a, code.buf, (size_t)code.len);
    int status;
    Py_BEGIN_ALLOW_THREADS
    status = level->code_group(&tables, &a, &g);
    Py_END_ALLOW_THREADS
    if (status == NO_MEMORY)
        PyErr_NoMemory();
    else
        result = PyBool_FromLong(status == CODED && a.next == a.end && a.overrun <= 4);
end:
    PyBuffer_Release(&code);
    PyBuffer_Release(&samples);
    return result;
}

/* () -> the names of the coders that this processor runs, the slowest first */
static PyObject *py_levels(PyObject *self, PyObject *args) {
    PyObject *names = PyTuple_New(level_count);
    for (int i = 0; names && i < level_count; i++) {
        PyObject *name = PyUnicode_FromString(levels[i]->name);
        if (!name || PyTuple_SetItem(names, i, name) < 0) {
            Py_DECREF(names);
            return NULL;
        }
    }
    return names;
}

static PyMethodDef METHODS[] = {
    {"encode", py_encode, METH_VARARGS, "Code a group of samples; returns bytes."},
    {"decode", py_decode, METH_VARARGS, "Decode a group into samples; False if corrupt."},
    {"levels", py_levels, METH_NOARGS, "Names of the coders that this processor runs."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "_deep", "SEEC's coder of samples of any depth.", -1, METHODS, NULL,
    NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__deep(void) {
    find_levels();
    make_deep_tables(&tables);
    return PyModule_Create(&MODULE);
}
