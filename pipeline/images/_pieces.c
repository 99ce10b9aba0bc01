/* Strips and tiles of TIFF files as a Python module: compressed bytes to samples and back, with what
 * tells how they were written. See codings.py, the only caller.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include "pieces_c/lzw.h"
/* After what it needs. */
#include "pieces_c/fax.h"
#include "pieces_c/ljpeg.h"
#include "pieces_c/rice.h"
#include "pieces_c/packbits.h"

static PyObject *failed(int how) {
    if (how == NO_MEMORY) return PyErr_NoMemory();
    PyErr_SetString(PyExc_ValueError, how == TOO_MUCH ? "more bytes than its rows need"
                                                      : "codes that cannot be, or that are cut short");
    return NULL;
}

static PyObject *bytes_object(const Bytes *b) {
    return PyBytes_FromStringAndSize(b->at ? (const char *)b->at : "", (Py_ssize_t)b->size);
}

/* (data, size): (samples, clears, tail) */
static PyObject *py_lzw_read(PyObject *self, PyObject *args) {
    Py_buffer data;
    Py_ssize_t size;
    Bytes clears = {0}, tail = {0};
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*n", &data, &size)) return NULL;
    PyObject *samples = size < 0 ? NULL : PyBytes_FromStringAndSize(NULL, size);
    if (samples) {
        uint8_t *out = (uint8_t *)PyBytes_AsString(samples);
        int how;
        Py_BEGIN_ALLOW_THREADS
        how = lzw_read(data.buf, (size_t)data.len, out, (size_t)size, &clears, &tail);
        Py_END_ALLOW_THREADS
        if (how == READ)
            result = Py_BuildValue("(ONN)", samples, bytes_object(&clears), bytes_object(&tail));
        else
            failed(how);
        Py_DecRef(samples);
    } else if (size < 0)
        failed(DAMAGED);
    free(clears.at);
    free(tail.at);
    PyBuffer_Release(&data);
    return result;
}

/* (samples, clears, tail), or (samples, None, None) for clears where the table is full, and an end
 * code behind them. */
static PyObject *py_lzw_write(PyObject *self, PyObject *args) {
    Py_buffer data, clears, tail;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*z*z*", &data, &clears, &tail)) return NULL;
    Lzw *w = calloc(1, sizeof *w);
    int good = w != NULL;
    if (w) {
        const Bytes end = {tail.buf, (size_t)tail.len, 0};
        Py_BEGIN_ALLOW_THREADS
        good = lzw_write(w, data.buf, (size_t)data.len, clears.buf,
                         clears.buf ? (size_t)clears.len / sizeof(uint32_t) : 0,
                         tail.buf ? &end : NULL);
        Py_END_ALLOW_THREADS
        if (good) result = bytes_object(&w->out);
        free(w->out.at);
        free(w);
    }
    if (!good) PyErr_NoMemory();
    PyBuffer_Release(&data);
    if (clears.obj) PyBuffer_Release(&clears);
    if (tail.obj) PyBuffer_Release(&tail);
    return result;
}

/* (data, size): (samples, heads) */
static PyObject *py_packbits_read(PyObject *self, PyObject *args) {
    Py_buffer data;
    Py_ssize_t size;
    Bytes heads = {0};
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*n", &data, &size)) return NULL;
    PyObject *samples = size < 0 ? NULL : PyBytes_FromStringAndSize(NULL, size);
    if (samples) {
        uint8_t *out = (uint8_t *)PyBytes_AsString(samples);
        const int how = packbits_read(data.buf, (size_t)data.len, out, (size_t)size, &heads);
        if (how == READ)
            result = Py_BuildValue("(ON)", samples, bytes_object(&heads));
        else
            failed(how);
        Py_DecRef(samples);
    } else if (size < 0)
        failed(DAMAGED);
    free(heads.at);
    PyBuffer_Release(&data);
    return result;
}

/* (samples, row bytes, heads), or a rule in place of heads: 0 libtiff's, 1 that of threes. */
static PyObject *py_packbits_write(PyObject *self, PyObject *args) {
    Py_buffer data, heads = {0};
    Py_ssize_t row_bytes;
    Bytes out = {0};
    PyObject *how, *result = NULL;
    if (!PyArg_ParseTuple(args, "y*nO", &data, &row_bytes, &how)) return NULL;
    const long rule = PyLong_Check(how) ? PyLong_AsLong(how) : -1;
    if (row_bytes < 1 || rule > 1)
        PyErr_SetString(PyExc_ValueError, "rows without bytes, or no rule");
    else if (rule >= 0 || PyObject_GetBuffer(how, &heads, PyBUF_SIMPLE) == 0) {
        const size_t size = (size_t)data.len;
        int good;
        if (rule < 0)
            good = packbits_write(data.buf, size, heads.buf, (size_t)heads.len, &out);
        else
            good = (rule ? packbits_threes : packbits_rows)(data.buf, size, (size_t)row_bytes, &out);
        result = good ? bytes_object(&out) : PyErr_NoMemory();
    }
    free(out.at);
    PyBuffer_Release(&data);
    if (heads.obj) PyBuffer_Release(&heads);
    return result;
}

enum { MOST_COLUMNS = 1 << 24 };

/* (data, rows, row bytes, width): (samples, tail) */
static PyObject *py_fax_read(PyObject *self, PyObject *args) {
    Py_buffer data;
    Py_ssize_t rows, row_bytes, width;
    Bytes tail = {0};
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*nnn", &data, &rows, &row_bytes, &width)) return NULL;
    if (rows < 0 || width < 1 || width > MOST_COLUMNS || row_bytes < (width + 7) / 8 ||
        rows > PY_SSIZE_T_MAX / row_bytes)
        failed(DAMAGED);
    else {
        PyObject *samples = PyBytes_FromStringAndSize(NULL, rows * row_bytes);
        if (samples) {
            uint8_t *out = (uint8_t *)PyBytes_AsString(samples);
            int how;
            Py_BEGIN_ALLOW_THREADS
            memset(out, 0, (size_t)(rows * row_bytes));
            how = fax_read(data.buf, (size_t)data.len, out, rows, row_bytes, width, &tail);
            Py_END_ALLOW_THREADS
            if (how == READ)
                result = Py_BuildValue("(ON)", samples, bytes_object(&tail));
            else
                failed(how);
            Py_DecRef(samples);
        }
    }
    free(tail.at);
    PyBuffer_Release(&data);
    return result;
}

/* (samples, row bytes, width, tail or None for two end codes) */
static PyObject *py_fax_write(PyObject *self, PyObject *args) {
    Py_buffer data, tail;
    Py_ssize_t row_bytes, width;
    Putter p = {{0}, 0, 0};
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*nnz*", &data, &row_bytes, &width, &tail)) return NULL;
    if (width < 1 || width > MOST_COLUMNS || row_bytes < (width + 7) / 8 || data.len % row_bytes)
        failed(DAMAGED);
    else {
        const Bytes end = {tail.buf, (size_t)tail.len, 0};
        int good;
        Py_BEGIN_ALLOW_THREADS
        good = fax_write(&p, data.buf, data.len / row_bytes, row_bytes, width, tail.buf ? &end : NULL);
        Py_END_ALLOW_THREADS
        result = good ? bytes_object(&p.out) : PyErr_NoMemory();
    }
    free(p.out.at);
    PyBuffer_Release(&data);
    if (tail.obj) PyBuffer_Release(&tail);
    return result;
}

/* Numbers of `each` bytes, the lowest first, of samples and their shift. False if they do not fit. */
static int ljpeg_to_bytes(const uint16_t *samples, int64_t count, int shift, int each, uint8_t *out) {
    const int most = each == 1 ? 255 : 65535;
    for (int64_t i = 0; i < count; i++) {
        const int64_t value = (int64_t)samples[i] << shift;
        if (value > most) return 0;
        out[i * each] = (uint8_t)value;
        if (each == 2) out[2 * i + 1] = (uint8_t)(value >> 8);
    }
    return 1;
}

static int ljpeg_from_bytes(const uint8_t *data, int64_t count, int shift, int each, uint16_t *out) {
    for (int64_t i = 0; i < count; i++) {
        const int value = each == 1 ? data[i] : data[2 * i] | data[2 * i + 1] << 8;
        if (value & ((1 << shift) - 1)) return 0;
        out[i] = (uint16_t)(value >> shift);
    }
    return 1;
}

/* (data, size, bytes of a sample): (samples, recipe) */
static PyObject *py_ljpeg_read(PyObject *self, PyObject *args) {
    Py_buffer data;
    Py_ssize_t size;
    int each, how = DAMAGED;
    Bytes recipe = {0};
    PyObject *samples = NULL, *result = NULL;
    if (!PyArg_ParseTuple(args, "y*ni", &data, &size, &each)) return NULL;
    Lossless *j = malloc(sizeof *j);
    if (!j)
        how = NO_MEMORY;
    else if ((each == 1 || each == 2) && lossless_head(j, data.buf, (size_t)data.len) &&
             size / each == lossless_samples(j) && size % each == 0 &&
             (samples = PyBytes_FromStringAndSize(NULL, size))) {
        uint16_t *found = malloc((size_t)(size / each) * sizeof *found);
        uint8_t *out = (uint8_t *)PyBytes_AsString(samples);
        Py_BEGIN_ALLOW_THREADS
        how = found && append(&recipe, data.buf, j->scan) ? READ : NO_MEMORY;
        if (how == READ) how = lossless_read(j, data.buf, (size_t)data.len, found, &recipe);
        if (how == READ && !ljpeg_to_bytes(found, size / each, j->shift, each, out)) how = DAMAGED;
        Py_END_ALLOW_THREADS
        free(found);
    }
    if (how == READ)
        result = Py_BuildValue("(ON)", samples, bytes_object(&recipe));
    else if (!PyErr_Occurred())
        failed(how);
    Py_XDECREF(samples);
    free(recipe.at);
    free(j);
    PyBuffer_Release(&data);
    return result;
}

/* (samples, bytes of a sample, recipe) */
static PyObject *py_ljpeg_write(PyObject *self, PyObject *args) {
    Py_buffer data, recipe;
    int each, how = DAMAGED;
    Bytes out = {0};
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*iy*", &data, &each, &recipe)) return NULL;
    Lossless *j = malloc(sizeof *j);
    if (!j)
        how = NO_MEMORY;
    else if ((each == 1 || each == 2) && lossless_head(j, recipe.buf, (size_t)recipe.len) &&
             data.len / each == lossless_samples(j) && data.len % each == 0) {
        const int64_t count = data.len / each;
        const Bytes tail = {(uint8_t *)recipe.buf + j->scan, (size_t)recipe.len - j->scan, 0};
        uint16_t *samples = malloc((size_t)count * sizeof *samples);
        Py_BEGIN_ALLOW_THREADS
        how = samples && append(&out, recipe.buf, j->scan) ? READ : NO_MEMORY;
        if (how == READ && !ljpeg_from_bytes(data.buf, count, j->shift, each, samples)) how = DAMAGED;
        if (how == READ) how = lossless_write(j, samples, &tail, &out);
        Py_END_ALLOW_THREADS
        free(samples);
    }
    result = how == READ ? bytes_object(&out) : failed(how);
    free(out.at);
    free(j);
    PyBuffer_Release(&data);
    PyBuffer_Release(&recipe);
    return result;
}

/* (data, size, bytes of a number): numbers */
static PyObject *py_rice_read(PyObject *self, PyObject *args) {
    Py_buffer data;
    Py_ssize_t size;
    int each, how = DAMAGED;
    PyObject *numbers = NULL;
    if (!PyArg_ParseTuple(args, "y*ni", &data, &size, &each)) return NULL;
    if ((each == 1 || each == 2 || each == 4) && size >= 0 && size % each == 0 &&
        (numbers = PyBytes_FromStringAndSize(NULL, size))) {
        uint8_t *out = (uint8_t *)PyBytes_AsString(numbers);
        Py_BEGIN_ALLOW_THREADS
        how = rice_read(data.buf, (size_t)data.len, out, (size_t)(size / each), each);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&data);
    if (how == READ) return numbers;
    Py_XDECREF(numbers);
    return PyErr_Occurred() ? NULL : failed(how);
}

/* (numbers, bytes of a number) */
static PyObject *py_rice_write(PyObject *self, PyObject *args) {
    Py_buffer data;
    int each, good = 0;
    Bytes out = {0};
    PyObject *result;
    if (!PyArg_ParseTuple(args, "y*i", &data, &each)) return NULL;
    if ((each != 1 && each != 2 && each != 4) || data.len % each)
        result = failed(DAMAGED);
    else {
        Py_BEGIN_ALLOW_THREADS
        good = rice_write(data.buf, (size_t)(data.len / each), each, &out);
        Py_END_ALLOW_THREADS
        result = good ? bytes_object(&out) : PyErr_NoMemory();
    }
    free(out.at);
    PyBuffer_Release(&data);
    return result;
}

static PyMethodDef METHODS[] = {
    {"lzw_read", py_lzw_read, METH_VARARGS, "Read LZW codes."},
    {"lzw_write", py_lzw_write, METH_VARARGS, "Write LZW codes."},
    {"packbits_read", py_packbits_read, METH_VARARGS, "Read PackBits."},
    {"packbits_write", py_packbits_write, METH_VARARGS, "Write PackBits."},
    {"fax_read", py_fax_read, METH_VARARGS, "Read Group 4."},
    {"fax_write", py_fax_write, METH_VARARGS, "Write Group 4."},
    {"ljpeg_read", py_ljpeg_read, METH_VARARGS, "Read lossless JPEG."},
    {"ljpeg_write", py_ljpeg_write, METH_VARARGS, "Write lossless JPEG."},
    {"rice_read", py_rice_read, METH_VARARGS, "Read Rice codes."},
    {"rice_write", py_rice_write, METH_VARARGS, "Write Rice codes."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "_pieces", "Strips and tiles.", -1, METHODS, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__pieces(void) { return PyModule_Create(&MODULE); }
