/* Scans of JPEG files as a Python module: entropy-coded bytes to coefficients and back. Which scans
 * there are, and with which tables, says Python: see scans.py, the only caller.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include "jpeg_c/read_scan.h"
#include "jpeg_c/write_scan.h"

enum { SCAN_NUMBERS = 9, COMPONENT_NUMBERS = 6, MAX_NUMBERS = 33 };

/* Coefficients of the components, as their tuple of arrays holds them. */
typedef struct {
    Py_buffer buffer[MAX_COMPONENTS];
    int count;
} Arrays;

static void release(Arrays *a) {
    while (a->count) PyBuffer_Release(&a->buffer[--a->count]);
}

static int hold(Arrays *a, PyObject *tuple, int flags) {
    const Py_ssize_t count = PyTuple_Size(tuple);
    if (count < 0) return 0;
    if (count < 1 || count > MAX_COMPONENTS) {
        PyErr_SetString(PyExc_ValueError, "1 to 4 components");
        return 0;
    }
    for (; a->count < count; a->count++) {
        PyObject *array = PyTuple_GetItem(tuple, a->count);
        if (!array || PyObject_GetBuffer(array, &a->buffer[a->count], flags) < 0) return 0;
    }
    return 1;
}

static int64_t within(int64_t v, int64_t low, int64_t high, int *good) {
    *good &= v >= low && v <= high;
    return *good ? v : low;
}

/* numbers: progressive, first and last coefficient, high and low bit, interval, MCUs across and
 * down, components; for each of them blocks across and down in an MCU, DC and AC table, blocks in
 * a row of its array, rows. */
static int take_scan(Scan *s, const Py_buffer *numbers, Arrays *arrays) {
    const int64_t *n = numbers->buf;
    int good = 1;
    if (numbers->len < SCAN_NUMBERS * 8) return 0;
    s->progressive = (int)within(n[0], 0, 1, &good);
    s->start = (int)within(n[1], 0, 63, &good);
    s->end = (int)within(n[2], s->start, 63, &good);
    s->high = (int)within(n[3], 0, 14, &good);
    s->low = (int)within(n[4], 0, 13, &good);
    s->interval = within(n[5], 0, 65535, &good);
    s->mcu_columns = within(n[6], 1, 65535, &good);
    s->mcu_rows = within(n[7], 1, 65535, &good);
    s->components = (int)within(n[8], 1, arrays->count, &good);
    if (!good || numbers->len != 8 * (SCAN_NUMBERS + COMPONENT_NUMBERS * s->components)) return 0;
    if (s->progressive && s->start && s->components > 1) return 0;
    if (s->progressive && !s->start && s->end) return 0;
    if (s->high && s->high != s->low + 1) return 0;
    for (int i = 0; i < s->components; i++) {
        const int64_t *m = n + SCAN_NUMBERS + COMPONENT_NUMBERS * i;
        ScanComponent *c = &s->component[i];
        c->h = (int)within(m[0], 1, 4, &good);
        c->v = (int)within(m[1], 1, 4, &good);
        c->dc = (int)within(m[2], 0, 3, &good);
        c->ac = (int)within(m[3], 4, 7, &good);
        c->stride = within(m[4], c->h * s->mcu_columns, 1 << 17, &good);
        const int64_t rows = within(m[5], c->v * s->mcu_rows, 1 << 17, &good);
        c->blocks = arrays->buffer[i].buf;
        if (arrays->buffer[i].len != 128 * rows * c->stride) return 0;
    }
    return good;
}

static PyObject *pairs_object(const Pairs *p) {
    if (p->full) return Py_NewRef(Py_None);
    return PyBytes_FromStringAndSize((const char *)p->at, (Py_ssize_t)(8 * p->count));
}

/* (data, start, numbers, tables, coefficients, counts): coefficients are added to the arrays,
 * symbols of each table to the counts, 8 x 256; those mean nothing if the scan is not whole.
 * Returns (end, MCUs, interval, padding, zero runs, (runs for each rule)). */
static PyObject *py_read(PyObject *self, PyObject *args) {
    Py_buffer data, numbers, tables, counts;
    Py_ssize_t start;
    PyObject *tuple, *result = NULL;
    Arrays arrays = {.count = 0};
    if (!PyArg_ParseTuple(args, "y*ny*y*Ow*", &data, &start, &numbers, &tables, &tuple, &counts))
        return NULL;
    Reader *r = calloc(1, sizeof *r);
    if (!r) {
        PyErr_NoMemory();
        goto end;
    }
    if (!hold(&arrays, tuple, PyBUF_WRITABLE)) goto end;
    if (!take_scan(&r->scan, &numbers, &arrays) || tables.len != TABLES * TABLE_BYTES ||
        counts.len != TABLES * 256 * 4 || start < 0 || start > data.len) {
        PyErr_SetString(PyExc_ValueError, "inconsistent scan");
        goto end;
    }
    int64_t mcus;
    Py_BEGIN_ALLOW_THREADS
    for (int i = 0; i < TABLES; i++)
        make_table(&r->table[i], (const uint8_t *)tables.buf + TABLE_BYTES * i);
    r->bits = (Bits){data.buf, start, data.len, start, 0, 0, 0};
    r->run.index = -1;
    r->counts = counts.buf;
    mcus = read_scan(r);
    Py_END_ALLOW_THREADS
    PyObject *zero_runs = pairs_object(&r->zero_runs), *runs = PyTuple_New(RULES);
    for (int i = 0; runs && i < RULES; i++) {
        PyObject *pairs = pairs_object(&r->runs[i]);
        if (!pairs || PyTuple_SetItem(runs, i, pairs) < 0) {
            Py_DecRef(runs);
            runs = NULL;
        }
    }
    if (zero_runs && runs)
        result = Py_BuildValue("(LLLy#OO)", (long long)r->bits.position, (long long)mcus,
                               (long long)r->scan.interval, r->padding ? (const char *)r->padding : "",
                               (Py_ssize_t)r->paddings, zero_runs, runs);
    Py_DecRef(zero_runs);
    Py_DecRef(runs);
end:
    if (r) {
        free(r->zero_runs.at);
        for (int i = 0; i < RULES; i++) free(r->runs[i].at);
        free(r->padding);
        free(r);
    }
    release(&arrays);
    PyBuffer_Release(&data);
    PyBuffer_Release(&numbers);
    PyBuffer_Release(&tables);
    PyBuffer_Release(&counts);
    return result;
}

static PairReader pair_reader(const Py_buffer *b) {
    PairReader p = {b->buf, (size_t)b->len / 8, 0, 0};
    next_pair(&p, 0);
    return p;
}

/* Writes or counts; 0 without memory. */
static int run_writer(Writer *w, int64_t mcus) {
    const Scan *s = &w->scan;
    if (s->progressive && s->start && s->high) {
        w->corrections = malloc(MAX_CORRECTIONS);
        if (!w->corrections) return 0;
    }
    w->run_index = -1;
    write_scan(w, mcus);
    return 1;
}

/* (numbers, tables or counts, coefficients, MCUs, rule, runs, zero runs, fill, padding or None)
 * Returns the bytes; where `tables` is an array of 8 x 256 counts, adds to it and returns b"". */
static PyObject *py_write(PyObject *self, PyObject *args) {
    Py_buffer numbers, tables, runs, zero_runs, padding;
    PyObject *tuple, *result = NULL;
    Py_ssize_t mcus;
    int rule, fill;
    Arrays arrays = {.count = 0};
    if (!PyArg_ParseTuple(args, "y*y*Oniy*y*iz*", &numbers, &tables, &tuple, &mcus, &rule, &runs,
                          &zero_runs, &fill, &padding))
        return NULL;
    const int counting = tables.len == TABLES * 256 * 4;
    Writer *w = calloc(1, sizeof *w);
    if (!w) {
        PyErr_NoMemory();
        goto end;
    }
    if (!hold(&arrays, tuple, PyBUF_SIMPLE)) goto end;
    if (!take_scan(&w->scan, &numbers, &arrays) || rule < 0 || rule >= RULES || runs.len % 8 ||
        zero_runs.len % 8 || mcus < 0 || mcus > w->scan.mcu_columns * w->scan.mcu_rows ||
        (!counting && tables.len != TABLES * TABLE_BYTES) || (counting && tables.readonly)) {
        PyErr_SetString(PyExc_ValueError, "inconsistent scan");
        goto end;
    }
    w->rule = RULE[rule];
    w->runs = pair_reader(&runs);
    w->zero_runs = pair_reader(&zero_runs);
    w->fill = fill;
    w->padding = padding.buf;
    w->paddings = padding.buf ? (size_t)padding.len : 0;
    if (counting) {
        w->counts = tables.buf;
        w->padding = NULL;
    }
    int done;
    Py_BEGIN_ALLOW_THREADS
    for (int i = 0; !counting && i < TABLES; i++)
        make_table(&w->table[i], (const uint8_t *)tables.buf + TABLE_BYTES * i);
    done = run_writer(w, mcus);
    Py_END_ALLOW_THREADS
    if (!done)
        PyErr_NoMemory();
    else if (w->failed)
        PyErr_SetString(PyExc_ValueError, "coefficients that the scan cannot hold");
    else
        result = PyBytes_FromStringAndSize((const char *)w->out, (Py_ssize_t)w->size);
end:
    if (w) {
        free(w->out);
        free(w->corrections);
        free(w);
    }
    release(&arrays);
    PyBuffer_Release(&numbers);
    PyBuffer_Release(&tables);
    PyBuffer_Release(&runs);
    PyBuffer_Release(&zero_runs);
    if (padding.obj) PyBuffer_Release(&padding);
    return result;
}

/* (256 counts): the table that libjpeg makes of them, as in a DHT segment. */
static PyObject *py_best_table(PyObject *self, PyObject *args) {
    Py_buffer counts;
    PyObject *result = NULL;
    uint8_t wire[TABLE_BYTES];
    if (!PyArg_ParseTuple(args, "y*", &counts)) return NULL;
    if (counts.len != 256 * 4)
        PyErr_SetString(PyExc_ValueError, "not 256 counts");
    else
        result = PyBytes_FromStringAndSize((const char *)wire, best_table(counts.buf, wire));
    PyBuffer_Release(&counts);
    return result;
}

static PyMethodDef METHODS[] = {
    {"read", py_read, METH_VARARGS, "Read a scan."},
    {"write", py_write, METH_VARARGS, "Write a scan, or count its symbols."},
    {"best_table", py_best_table, METH_VARARGS, "The Huffman table for counts of symbols."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "_jpeg", "Scans of JPEG files.", -1, METHODS, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__jpeg(void) {
    make_zigzag();
    return PyModule_Create(&MODULE);
}
