/* Scans of JPEG files as a Python module: entropy-coded bytes to coefficients and back. Which scans
 * there are, and with which tables, says Python: see scans.py and planes.py, the only callers.
 *
 * A scan is read or written in several calls, each with the coefficients of some rows of MCUs, so
 * that few of a large picture are in memory. What lasts from call to call is in a capsule.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include "jpeg_c/packing.h"
#include "jpeg_c/read_scan.h"
#include "jpeg_c/write_scan.h"

enum { SCAN_NUMBERS = 9, COMPONENT_NUMBERS = 5 };

static const char *const READER = "pipeline.dct.reader", *const WRITER = "pipeline.dct.writer";

static int64_t within(int64_t v, int64_t low, int64_t high, int *good) {
    *good &= v >= low && v <= high;
    return *good ? v : low;
}

/* numbers: progressive, first and last coefficient, high and low bit, interval, MCUs across and
 * down, components; for each of them blocks across and down in an MCU, DC and AC table, blocks in
 * a row of its array. */
static int take_scan(Scan *s, const Py_buffer *numbers) {
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
    s->components = (int)within(n[8], 1, MAX_COMPONENTS, &good);
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
    }
    return good;
}

/* Coefficients of the components in some rows, as their tuple of arrays holds them. */
typedef struct {
    Py_buffer buffer[MAX_COMPONENTS];
    int count;
} Arrays;

static void release(Arrays *a) {
    while (a->count) PyBuffer_Release(&a->buffer[--a->count]);
}

/* The rows of MCUs that come next, up to `to`, are in these arrays. 0 with an exception set. */
static int hold(Arrays *a, Scan *s, int64_t first, int64_t to, PyObject *tuple, int flags) {
    if (PyTuple_Size(tuple) != s->components || first < 0 || to < first || to > s->mcu_rows)
        goto inconsistent;
    for (int i = 0; i < s->components; i++) {
        ScanComponent *c = &s->component[i];
        PyObject *array = PyTuple_GetItem(tuple, i);
        if (!array || PyObject_GetBuffer(array, &a->buffer[i], flags) < 0) return 0;
        a->count++;
        const int64_t row = 128 * c->stride, length = a->buffer[i].len;
        if (length % row || length / row < c->v * (to - first)) goto inconsistent;
        c->blocks = a->buffer[i].buf;
    }
    s->first_row = first;
    return 1;
inconsistent:
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "inconsistent rows");
    return 0;
}

/* ---------------------------------------------------------------- reading */

typedef struct {
    Reader reader;
    Py_buffer data, counts;
} Reading;

static void free_reading(Reading *g) {
    Reader *r = &g->reader;
    free(r->zero_runs.at);
    for (int i = 0; i < RULES; i++) free(r->runs[i].at);
    free(r->padding);
    if (g->data.obj) PyBuffer_Release(&g->data);
    if (g->counts.obj) PyBuffer_Release(&g->counts);
    free(g);
}

static void free_reader(PyObject *capsule) { free_reading(PyCapsule_GetPointer(capsule, READER)); }

/* (data, start, numbers, tables, counts, most pairs of a list): symbols of each table are added to
 * the counts, 8 x 256; those mean nothing if the scan is not whole. */
static PyObject *py_make_reader(PyObject *self, PyObject *args) {
    Py_buffer numbers, tables;
    Py_ssize_t start, most;
    PyObject *capsule = NULL;
    Reading *g = calloc(1, sizeof *g);
    if (!g) return PyErr_NoMemory();
    Reader *r = &g->reader;
    if (!PyArg_ParseTuple(args, "y*ny*y*w*n", &g->data, &start, &numbers, &tables, &g->counts,
                          &most)) {
        /* The buffers that it had taken are given back already. */
        free(g);
        return NULL;
    }
    if (!take_scan(&r->scan, &numbers) || tables.len != TABLES * TABLE_BYTES ||
        g->counts.len != TABLES * 256 * 4 || start < 0 || start > g->data.len || most < 0)
        PyErr_SetString(PyExc_ValueError, "inconsistent scan");
    else {
        for (int i = 0; i < TABLES; i++)
            make_table(&r->table[i], (const uint8_t *)tables.buf + TABLE_BYTES * i);
        r->bits = (Bits){g->data.buf, start, g->data.len, start, 0, 0, 0};
        r->run.index = -1;
        r->counts = g->counts.buf;
        r->zero_runs.most = (size_t)most;
        for (int i = 0; i < RULES; i++) r->runs[i].most = (size_t)most;
        capsule = PyCapsule_New(g, READER, free_reader);
    }
    if (!capsule) free_reading(g);
    PyBuffer_Release(&numbers);
    PyBuffer_Release(&tables);
    return capsule;
}

/* (reader, first row, row behind the last, coefficients of them): adds to these. Returns whether
 * the scan may go on. */
static PyObject *py_read(PyObject *self, PyObject *args) {
    PyObject *capsule, *tuple;
    Py_ssize_t first, to;
    Arrays arrays = {.count = 0};
    if (!PyArg_ParseTuple(args, "OnnO", &capsule, &first, &to, &tuple)) return NULL;
    Reading *g = PyCapsule_GetPointer(capsule, READER);
    if (!g) return NULL;
    Reader *r = &g->reader;
    int good = hold(&arrays, &r->scan, first, to, tuple, PyBUF_WRITABLE);
    if (good && (r->ended || r->mcu != first * r->scan.mcu_columns)) {
        PyErr_SetString(PyExc_ValueError, "other rows than come next");
        good = 0;
    }
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        read_rows(r, to);
        Py_END_ALLOW_THREADS
    }
    release(&arrays);
    return good ? PyBool_FromLong(!r->ended) : NULL;
}

static PyObject *pairs_object(const Pairs *p) {
    if (p->full) return Py_NewRef(Py_None);
    return PyBytes_FromStringAndSize((const char *)p->at, (Py_ssize_t)(8 * p->count));
}

/* (reader), which reads no more afterwards.
 * Returns (end, MCUs, interval, padding, zero runs, (runs for each rule)). */
static PyObject *py_finish_reading(PyObject *self, PyObject *capsule) {
    Reading *g = PyCapsule_GetPointer(capsule, READER);
    PyObject *result = NULL;
    if (!g) return NULL;
    Reader *r = &g->reader;
    finish_reading(r);
    r->ended = 1;
    PyObject *zero_runs = pairs_object(&r->zero_runs), *runs = PyTuple_New(RULES);
    for (int i = 0; runs && i < RULES; i++) {
        PyObject *pairs = pairs_object(&r->runs[i]);
        if (!pairs || PyTuple_SetItem(runs, i, pairs) < 0) {
            Py_DecRef(runs);
            runs = NULL;
        }
    }
    if (zero_runs && runs)
        result = Py_BuildValue("(LLLy#OO)", (long long)r->bits.position, (long long)r->mcu,
                               (long long)r->scan.interval, r->padding ? (const char *)r->padding : "",
                               (Py_ssize_t)r->paddings, zero_runs, runs);
    Py_DecRef(zero_runs);
    Py_DecRef(runs);
    return result;
}

/* ---------------------------------------------------------------- writing */

typedef struct {
    Writer writer;
    Py_buffer counts, runs, zero_runs, padding;
} Writing;

static void free_writing(Writing *g) {
    free(g->writer.out);
    free(g->writer.corrections);
    if (g->counts.obj) PyBuffer_Release(&g->counts);
    if (g->runs.obj) PyBuffer_Release(&g->runs);
    if (g->zero_runs.obj) PyBuffer_Release(&g->zero_runs);
    if (g->padding.obj) PyBuffer_Release(&g->padding);
    free(g);
}

static void free_writer(PyObject *capsule) { free_writing(PyCapsule_GetPointer(capsule, WRITER)); }

static PairReader pair_reader(const Py_buffer *b) {
    PairReader p = {b->buf, (size_t)b->len / 8, 0, 0};
    next_pair(&p, 0);
    return p;
}

/* (numbers, tables or counts, MCUs, rule, runs, zero runs, fill, padding or None): where tables is
 * an array of 8 x 256 counts, symbols are added to it and nothing is written. */
static PyObject *py_make_writer(PyObject *self, PyObject *args) {
    Py_buffer numbers, tables;
    PyObject *capsule = NULL;
    Py_ssize_t mcus;
    int rule, fill;
    Writing *g = calloc(1, sizeof *g);
    if (!g) return PyErr_NoMemory();
    Writer *w = &g->writer;
    if (!PyArg_ParseTuple(args, "y*y*niy*y*iz*", &numbers, &tables, &mcus, &rule, &g->runs,
                          &g->zero_runs, &fill, &g->padding)) {
        /* The buffers that it had taken are given back already. */
        free(g);
        return NULL;
    }
    const int counting = tables.len == TABLES * 256 * 4;
    if (!take_scan(&w->scan, &numbers) || rule < 0 || rule >= RULES || g->runs.len % 8 ||
        g->zero_runs.len % 8 || mcus < 0 || mcus > w->scan.mcu_columns * w->scan.mcu_rows ||
        (!counting && tables.len != TABLES * TABLE_BYTES) || (counting && tables.readonly)) {
        PyErr_SetString(PyExc_ValueError, "inconsistent scan");
        goto end;
    }
    w->mcus = mcus;
    w->rule = RULE[rule];
    w->runs = pair_reader(&g->runs);
    w->zero_runs = pair_reader(&g->zero_runs);
    w->fill = fill;
    w->run_index = -1;
    if (!counting && g->padding.buf) {
        w->padding = g->padding.buf;
        w->paddings = (size_t)g->padding.len;
    }
    if (w->scan.progressive && w->scan.start && w->scan.high &&
        !(w->corrections = malloc(MAX_CORRECTIONS))) {
        PyErr_NoMemory();
        goto end;
    }
    for (int i = 0; !counting && i < TABLES; i++)
        make_table(&w->table[i], (const uint8_t *)tables.buf + TABLE_BYTES * i);
    capsule = PyCapsule_New(g, WRITER, free_writer);
    if (capsule && counting) {
        w->counts = tables.buf;
        g->counts = tables;
    }
end:
    if (!capsule) free_writing(g);
    if (!capsule || !counting) PyBuffer_Release(&tables);
    PyBuffer_Release(&numbers);
    return capsule;
}

/* What was written since the last call. */
static PyObject *written(Writer *w) {
    if (w->failed) {
        PyErr_SetString(PyExc_ValueError, "coefficients that the scan cannot hold");
        return NULL;
    }
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)w->out, (Py_ssize_t)w->size);
    w->size = 0;
    return bytes;
}

/* (writer, first row, row behind the last, coefficients of them): the bytes that are whole. */
static PyObject *py_write(PyObject *self, PyObject *args) {
    PyObject *capsule, *tuple;
    Py_ssize_t first, to;
    Arrays arrays = {.count = 0};
    if (!PyArg_ParseTuple(args, "OnnO", &capsule, &first, &to, &tuple)) return NULL;
    Writing *g = PyCapsule_GetPointer(capsule, WRITER);
    if (!g) return NULL;
    Writer *w = &g->writer;
    int good = hold(&arrays, &w->scan, first, to, tuple, PyBUF_SIMPLE);
    if (good && w->mcu < w->mcus && w->mcu != first * w->scan.mcu_columns) {
        PyErr_SetString(PyExc_ValueError, "other rows than come next");
        good = 0;
    }
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        write_rows(w, to);
        Py_END_ALLOW_THREADS
    }
    release(&arrays);
    return good ? written(w) : NULL;
}

/* (writer), which writes no more afterwards: the last bytes. */
static PyObject *py_finish_writing(PyObject *self, PyObject *capsule) {
    Writing *g = PyCapsule_GetPointer(capsule, WRITER);
    if (!g) return NULL;
    finish_writing(&g->writer);
    return written(&g->writer);
}

/* ---------------------------------------------------------------- packing */

/* (coefficients): fewer bytes, or as many that are the coefficients themselves. */
static PyObject *py_pack(PyObject *self, PyObject *object) {
    Py_buffer array;
    PyObject *packed = NULL;
    if (PyObject_GetBuffer(object, &array, PyBUF_C_CONTIGUOUS) < 0) return NULL;
    uint8_t *out = NULL;
    if (array.len % 128)
        PyErr_SetString(PyExc_ValueError, "no whole blocks");
    else if (!(out = malloc((size_t)array.len + 1)))
        PyErr_NoMemory();
    else {
        size_t size;
        Py_BEGIN_ALLOW_THREADS
        size = pack_blocks(array.buf, (size_t)array.len / 128, out);
        Py_END_ALLOW_THREADS
        packed = size ? PyBytes_FromStringAndSize((const char *)out, (Py_ssize_t)size)
                      : PyBytes_FromStringAndSize(array.buf, array.len);
    }
    free(out);
    PyBuffer_Release(&array);
    return packed;
}

/* (what `pack` gave, coefficients to fill) */
static PyObject *py_unpack(PyObject *self, PyObject *args) {
    Py_buffer packed, array;
    if (!PyArg_ParseTuple(args, "y*w*", &packed, &array)) return NULL;
    int good = array.len % 128 == 0;
    if (good && packed.len == array.len)
        memcpy(array.buf, packed.buf, (size_t)array.len);
    else if (good) {
        Py_BEGIN_ALLOW_THREADS
        good = unpack_blocks(packed.buf, (size_t)packed.len, array.buf, (size_t)array.len / 128);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&packed);
    PyBuffer_Release(&array);
    if (!good) return PyErr_Format(PyExc_ValueError, "not what was packed");
    return Py_NewRef(Py_None);
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
    {"make_reader", py_make_reader, METH_VARARGS, "Begin to read a scan."},
    {"read", py_read, METH_VARARGS, "Read rows of a scan."},
    {"finish_reading", py_finish_reading, METH_O, "What a scan holds beside coefficients."},
    {"make_writer", py_make_writer, METH_VARARGS, "Begin to write a scan, or count its symbols."},
    {"write", py_write, METH_VARARGS, "Write rows of a scan, or count their symbols."},
    {"finish_writing", py_finish_writing, METH_O, "The last bytes of a scan."},
    {"pack", py_pack, METH_O, "Coefficients in fewer bytes."},
    {"unpack", py_unpack, METH_VARARGS, "Coefficients that were packed."},
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
