/* Raw deflate streams as content and recipe, as a Python module: see native.py, the only caller. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include "deflate_c/blocks.h"
#include "deflate_c/estimate.h"

/* Steps of matchers for a byte of content, when analysing; rebuilding may take twice as many. */
enum { WORK_PER_BYTE = 256, WORK_BASE = 1 << 26, TRIAL_BYTES = 1 << 18 };

static int64_t work_for(size_t size) { return WORK_BASE + WORK_PER_BYTE * (int64_t)size; }

/* The recipe of one guess in r->coder; 0 if there is none. */
static int encode(Recipe *r, const Content *c, const Settings *s, int perfect, size_t limit) {
    start_recipe(r, c->data, (uint32_t)c->size, s, perfect);
    r->content = c;
    start_encoding(&r->coder, limit);
    code_stream(r);
    if (!r->failed) end_encoding(&r->coder);
    return !r->failed && !r->coder.failed;
}

typedef struct {
    uint8_t *at;
    size_t size;
    Settings s;
    int perfect, found;
} Best;

/* Encodes as these settings say, and keeps the result. */
static int try_settings(Recipe *r, const Content *c, const Settings *s, int perfect, size_t limit,
                        Best *best) {
    best->found = encode(r, c, s, perfect, limit);
    if (best->found)
        *best = (Best){r->coder.out, r->coder.size, *s, perfect, 1};
    else
        free(r->coder.out);
    r->coder.out = NULL;
    return best->found;
}

/* The candidate with the smallest recipe for the beginning. */
static int cheapest(Recipe *r, const Content *c, const Candidates *k) {
    size_t least = SIZE_MAX;
    int chosen = 0;
    for (int i = 0; i < k->count && k->count > 1; i++) {
        start_recipe(r, c->data, (uint32_t)c->size, &k->at[i].s, 0);
        r->stop = TRIAL_BYTES;
        r->content = c;
        start_encoding(&r->coder, c->size + 4096);
        code_stream(r);
        if (!r->failed && !r->coder.failed && r->coder.size < least) {
            least = r->coder.size;
            chosen = i;
        }
        free(r->coder.out);
        r->coder.out = NULL;
    }
    return chosen;
}

/* First candidates that were never wrong, as far as all their predictions are right; then the one
 * that was right for longest, or the best. */
static void encode_best(Recipe *r, const Content *c, const Candidates *k, Best *best, size_t limit) {
    uint32_t farthest = 0;
    int chosen = 0;
    r->matcher.work = work_for(c->size);
    for (int i = 0; i < k->count && !k->at[i].wrong; i++) {
        if (try_settings(r, c, &k->at[i].s, 1, limit, best)) return;
        if (r->position > farthest) {
            farthest = r->position;
            chosen = i;
        }
    }
    r->matcher.work = work_for(c->size);
    if (k->at[0].wrong) chosen = cheapest(r, c, k);
    r->matcher.work = work_for(c->size);
    try_settings(r, c, &k->at[chosen].s, 0, limit, best);
}

enum { HEADER = 1 + 5 * SETTINGS };

/* A recipe's first bytes: numbers of 7 bits a byte, the lowest first, bit 7 set in all but the last;
 * the settings in their order, then 1 where all tokens are as predicted, else 0. */
static size_t write_header(uint8_t *out, const Settings *s, int perfect) {
    uint32_t n[SETTINGS + 1];
    size_t size = 0;
    memcpy(n, s, sizeof *s);
    n[SETTINGS] = (uint32_t)perfect;
    for (size_t i = 0; i <= SETTINGS; i++) {
        for (; n[i] > 127; n[i] >>= 7) out[size++] = (uint8_t)(n[i] | 128);
        out[size++] = (uint8_t)n[i];
    }
    return size;
}

/* Bytes of the header, 0 if it is none. */
static size_t read_header(const uint8_t *at, size_t size, Settings *s, int *perfect) {
    uint32_t n[SETTINGS + 1];
    size_t position = 0;
    for (size_t i = 0; i <= SETTINGS; i++) {
        uint64_t value = 0;
        for (int shift = 0;; shift += 7) {
            if (position == size || shift > 28) return 0;
            const uint8_t byte = at[position++];
            value |= (uint64_t)(byte & 127) << shift;
            if (byte < 128) break;
        }
        if (value > UINT32_MAX) return 0;
        n[i] = (uint32_t)value;
    }
    memcpy(s, n, sizeof *s);
    *perfect = (int)n[SETTINGS];
    return n[SETTINGS] <= 1 && good_settings(s) ? position : 0;
}

static PyObject *parts_object(const Content *c, const Best *best) {
    uint8_t header[HEADER];
    const size_t size = write_header(header, &best->s, best->perfect);
    PyObject *result = NULL;
    char *recipe = malloc(size + best->size);
    if (!recipe) return PyErr_NoMemory();
    memcpy(recipe, header, size);
    if (best->size) memcpy(recipe + size, best->at, best->size);
    result = Py_BuildValue("(y#y#n)", (const char *)c->data, (Py_ssize_t)c->size, recipe,
                           (Py_ssize_t)(size + best->size), (Py_ssize_t)c->used);
    free(recipe);
    return result;
}

static const char *const WHY[] = {"damaged", "damaged", "larger than its limit", "not reproduced"};

/* (stream, most bytes of content, bytes that a recipe may have though they are more than a quarter
 * of the stream): (content, recipe, bytes of the stream), or why there is none. */
static PyObject *py_analyse(PyObject *self, PyObject *args) {
    Py_buffer stream;
    Py_ssize_t limit, allowed;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*nn", &stream, &limit, &allowed)) return NULL;
    Content c = {.limit = limit < 0 ? 0 : limit > INT32_MAX ? INT32_MAX : (size_t)limit};
    Best best = {0};
    Candidates *k = malloc(sizeof *k);
    Recipe *r = calloc(1, sizeof *r);
    Verdict v = NO_MEMORY;
    Py_BEGIN_ALLOW_THREADS
    if (k && r) v = inflate(&c, stream.buf, (size_t)stream.len);
    if (v == READ) {
        r->stream = stream.buf;
        r->stream_size = (size_t)stream.len;
        estimate(&r->matcher, &c, k);
        const size_t least = allowed < 0 ? 0 : (size_t)allowed;
        encode_best(r, &c, k, &best, c.used / 4 < least ? least : c.used / 4);
    }
    Py_END_ALLOW_THREADS
    if (v == NO_MEMORY)
        PyErr_NoMemory();
    else if (v == READ && best.found)
        result = parts_object(&c, &best);
    else
        result = PyUnicode_FromString(WHY[v == READ ? 3 : v]);
    free(best.at);
    free_content(&c);
    free(k);
    free(r);
    PyBuffer_Release(&stream);
    return result;
}

/* (content, recipe): the stream, or None if the recipe is not for it. */
static PyObject *py_rebuild(PyObject *self, PyObject *args) {
    Py_buffer content, recipe;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*y*", &content, &recipe)) return NULL;
    Settings s;
    int perfect, good = 0;
    const size_t header = read_header(recipe.buf, (size_t)recipe.len, &s, &perfect);
    const int fits = header && content.len <= INT32_MAX;
    Recipe *r = fits ? calloc(1, sizeof *r) : NULL;
    if (r) {
        Py_BEGIN_ALLOW_THREADS
        start_recipe(r, content.buf, (uint32_t)content.len, &s, perfect);
        r->matcher.work = 2 * work_for((size_t)content.len);
        r->out.limit = 2 * (size_t)content.len + 65536;
        start_decoding(&r->coder, (const uint8_t *)recipe.buf + header, (size_t)recipe.len - header);
        code_stream(r);
        good = !r->failed && !r->out.failed;
        Py_END_ALLOW_THREADS
    }
    if (fits && !r)
        PyErr_NoMemory();
    else if (good)
        result = PyBytes_FromStringAndSize((const char *)r->out.out, (Py_ssize_t)r->out.size);
    else
        result = Py_NewRef(Py_None);
    if (r) {
        free(r->token);
        free(r->out.out);
        free(r);
    }
    PyBuffer_Release(&content);
    PyBuffer_Release(&recipe);
    return result;
}

/* (stream, bit, bytes before it, most bytes of content): (content of the whole blocks from there on,
 * as far as they are there and within the limit; for each block u64 its end in bits, u64 its end in
 * the content; whether the last of them ends the stream; how many of the bytes before they need). */
static PyObject *py_walk(PyObject *self, PyObject *args) {
    Py_buffer stream, window;
    unsigned long long bit;
    Py_ssize_t limit;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*Ky*n", &stream, &bit, &window, &limit)) return NULL;
    const size_t before = (size_t)window.len, most = limit < 0 ? 0 : (size_t)limit;
    Content c = {.limit = before + (most > INT32_MAX ? INT32_MAX : most)};
    uint64_t *ends = NULL;
    Verdict v = NO_MEMORY;
    c.data = malloc(before + LONGEST);
    if (c.data) {
        c.room = before + LONGEST;
        if (before) memcpy(c.data, window.buf, before);
        c.size = c.before = before;
        Py_BEGIN_ALLOW_THREADS
        v = bit / 8 < (size_t)stream.len ? walk(&c, stream.buf, (size_t)stream.len, bit) : BROKEN;
        Py_END_ALLOW_THREADS
        ends = malloc((c.blocks + 1) * 2 * sizeof *ends);
    }
    if (v == NO_MEMORY || !ends) {
        PyErr_NoMemory();
    } else {
        for (size_t i = 0; i < c.blocks; i++) {
            ends[2 * i] = c.block[i].header;
            ends[2 * i + 1] = c.block[i].end - before;
        }
        result = Py_BuildValue("(y#y#in)", (const char *)c.data + before,
                               (Py_ssize_t)(c.size - before), (const char *)ends,
                               (Py_ssize_t)(c.blocks * 2 * sizeof *ends),
                               c.blocks ? c.block[c.blocks - 1].final : 0, (Py_ssize_t)c.reach);
    }
    free(ends);
    free_content(&c);
    PyBuffer_Release(&stream);
    PyBuffer_Release(&window);
    return result;
}

static PyMethodDef FUNCTIONS[] = {
    {"analyse", py_analyse, METH_VARARGS, "Take a stream apart."},
    {"rebuild", py_rebuild, METH_VARARGS, "Put a stream together."},
    {"walk", py_walk, METH_VARARGS, "Read whole blocks from within a stream."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "_deflate", "Raw deflate streams.", -1, FUNCTIONS, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__deflate(void) { return PyModule_Create(&MODULE); }
