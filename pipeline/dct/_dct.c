/* The coder of quantised DCT coefficients as a Python module.
 *
 * coder_c/ holds the arithmetic; this file checks what Python hands over, and keeps models.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include "coder_c/levels.h"
#include "coder_c/network.h"
#include "coder_c/slots.h"

enum {
    COMPONENTS_MAX = 4,
    LAYERS = 3,
    TRUNK_LAYERS = 3,
    NETWORKS = CLASSES * KINDS,
    WITH_TRUNK = KINDS - 1, /* the network that may have one: luma's of AC coefficients */
    WIDTH_MAX = 2048,       /* inputs and outputs of a layer */
};

static const Level *levels[3];
static int level_count;

static void find_levels(void) {
    levels[level_count++] = &portable_coder;
#if X86_LEVELS
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi2")) return;
    levels[level_count++] = &avx2_coder;
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"))
        levels[level_count++] = &avx512_coder;
#endif
}

/* A model, the coder that runs it, and states to use again; the list is guarded by the GIL. */
typedef struct Spare {
    State state;
    struct Spare *next;
} Spare;

typedef struct {
    Model model;
    const Level *level;
    Spare *spare;
    Network networks[NETWORKS];
    Trunk trunk;
} Held;

static const char *const CAPSULE = "pipeline.dct.model";

static size_t slots_size(const Model *m) {
    return CLASSES * (size_t)m->layout.lines * NODES * sizeof(Slot);
}
enum { WEIGHTS_SIZE = CLASSES * SETS * sizeof(Weights) };

/* Memory on cache lines; what `malloc` gave stands before it. */
static void *aligned(size_t size) {
    uint8_t *raw = malloc(size + 128);
    if (!raw) return NULL;
    uint8_t *at = (uint8_t *)(((uintptr_t)raw + 127) & ~(uintptr_t)63);
    memcpy(at - sizeof raw, &raw, sizeof raw);
    return at;
}

static void free_aligned(void *at) {
    if (!at) return;
    void *raw;
    memcpy(&raw, (uint8_t *)at - sizeof raw, sizeof raw);
    free(raw);
}

static void free_layer(Layer *l) {
    free_aligned(l->weights), free_aligned(l->own), free(l->bias);
}

static void free_spare(Spare *s) {
    if (!s) return;
    free_aligned(s->state.slots), free_aligned(s->state.weights), free(s);
}

static void free_held(Held *h) {
    for (Spare *s = h->spare; s;) {
        Spare *next = s->next;
        free_spare(s);
        s = next;
    }
    for (int i = 0; i < NETWORKS; i++)
        free_layer(&h->networks[i].first), free_layer(&h->networks[i].second),
            free_layer(&h->networks[i].third);
    free_layer(&h->trunk.first), free_layer(&h->trunk.second), free_layer(&h->trunk.share);
    free_aligned(h->model.start.slots), free_aligned(h->model.start.weights),
        free_aligned(h->model.linear);
    free(h);
}

static void free_capsule(PyObject *capsule) { free_held(PyCapsule_GetPointer(capsule, CAPSULE)); }

/* A state like the model's start. */
static Spare *take_state(Held *h) {
    Spare *s = h->spare;
    if (s)
        h->spare = s->next;
    else {
        s = calloc(1, sizeof *s);
        if (!s) return NULL;
        s->state.slots = aligned(slots_size(&h->model)),
        s->state.weights = aligned(WEIGHTS_SIZE);
        if (!s->state.slots || !s->state.weights) {
            free_spare(s);
            return NULL;
        }
    }
    return s;
}

static void give_state(Held *h, Spare *s) { s->next = h->spare, h->spare = s; }

/* Copies a bytes-like object of exactly this size to aligned memory; NULL with an exception set. */
static void *copy_of(PyObject *object, size_t size, const char *what) {
    Py_buffer view;
    if (PyObject_GetBuffer(object, &view, PyBUF_C_CONTIGUOUS) < 0) return NULL;
    void *copy = NULL;
    if ((size_t)view.len != size)
        PyErr_Format(PyExc_ValueError, "%s: %zd bytes instead of %zu", what, view.len, size);
    else if (!(copy = aligned(size)))
        PyErr_NoMemory();
    else
        memcpy(copy, view.buf, size);
    PyBuffer_Release(&view);
    return copy;
}

/* Where the slot of a node stands, of those of Python, [CLASSES][lines][NODES], by number. */
static size_t place_of(const Model *m, size_t number) {
    const size_t lines = (size_t)m->layout.lines, node = number % NODES,
                 line = number / NODES % lines, class = number / NODES / lines * lines * NODES;
    return class + (node < LINE ? line * LINE + node
                                : lines * LINE + line * FURTHER + node - LINE);
}

/* Slots of Python as the coder has them; NULL with an exception set. */
static Slot *take_slots(PyObject *object, const Model *m) {
    Slot *given = copy_of(object, slots_size(m), "slots");
    Slot *slots = given ? aligned(slots_size(m)) : NULL;
    if (given && !slots) PyErr_NoMemory();
    for (size_t i = 0; slots && i < slots_size(m) / sizeof(Slot); i++) {
        const uint32_t count = given[i] >> 16;
        slots[place_of(m, i)] = (given[i] & 65535) | (count < COUNT_MAX ? count : COUNT_MAX) << 16;
    }
    free_aligned(given);
    return slots;
}

/* Packs a layer: (inputs, outputs, positions, weights int8, bias int32). Of the inputs the last
 * `own` are what is known of the block. The level takes the weights of `beside` inputs together. */
static int take_layer(PyObject *tuple, Layer *l, int own, int beside) {
    int positions, inputs;
    PyObject *weights, *bias;
    if (!PyArg_ParseTuple(tuple, "iiiOO", &inputs, &l->outputs, &positions, &weights, &bias))
        return 0;
    l->inputs = inputs - own;
    if (l->inputs < 16 || inputs > WIDTH_MAX || l->inputs % 8 || l->outputs < 16 ||
        l->outputs > WIDTH_MAX || l->outputs % TILE || (positions != 1 && positions != POSITIONS)) {
        PyErr_SetString(PyExc_ValueError, "a layer of another shape");
        return 0;
    }
    l->by_position = positions == 1 ? 0 : l->outputs;
    const size_t all = (size_t)inputs, in = (size_t)l->inputs, out = (size_t)l->outputs;
    int8_t *w = copy_of(weights, all * out, "weights");
    int32_t *b = copy_of(bias, (size_t)positions * out * 4, "bias");
    const size_t together = (size_t)beside, width = beside == 4 ? 1 : 2;
    l->weights = aligned(width * in * out),
    l->own = own ? aligned(2 * (size_t)own * out) : NULL,
    l->bias = malloc((size_t)positions * out * 4);
    const int ok = w && b && l->weights && l->bias && (l->own || !own);
    for (size_t o = 0; ok && o < out; o++) {
        const size_t tile = o / TILE * TILE * in, at = o % TILE;
        const int8_t *row = w + o * all;
        for (size_t i = 0; i < in; i++) {
            const size_t place =
                tile + i / together * together * TILE + together * at + i % together;
            if (width == 1)
                ((int8_t *)l->weights)[place] = row[i];
            else
                ((int16_t *)l->weights)[place] = row[i];
        }
        for (int i = 0; i < own; i++) /* signed bytes, then magnitude bytes */
            l->own[((size_t)(i % POSITIONS) * out + o) * 2 + (size_t)(i / POSITIONS)] =
                row[in + (size_t)i];
    }
    if (ok) memcpy(l->bias, b, (size_t)positions * out * 4);
    free_aligned(w), free_aligned(b);
    if (!ok && !PyErr_Occurred()) PyErr_NoMemory();
    return ok;
}

/* Whether layers follow each other, from so many inputs to so many outputs; hidden ones are at most
 * WIDEST wide. */
static int fit(Layer *const *layers, int count, int inputs, int outputs) {
    for (int i = 0; i < count; i++) {
        if (layers[i]->inputs != inputs) return 0;
        inputs = layers[i]->outputs;
        if (i < count - 1 && inputs > WIDEST) return 0;
    }
    return inputs == outputs;
}

static int take_networks(PyObject *sequence, Held *h) {
    const Py_ssize_t count = PySequence_Size(sequence);
    if (count == 0) return 1;
    const int trunk = count == NETWORKS * LAYERS + TRUNK_LAYERS;
    if (count != NETWORKS * LAYERS && !trunk) {
        if (count > 0) PyErr_SetString(PyExc_ValueError, "networks of another number of layers");
        return 0;
    }
    Py_ssize_t at = 0;
    for (int i = 0; i < NETWORKS; i++) {
        Network *n = &h->networks[i];
        Layer *layers[] = {&h->trunk.first, &h->trunk.second, &h->trunk.share,
                           &n->first,       &n->second,       &n->third};
        const int with_trunk = trunk && i == WITH_TRUNK;
        for (int j = with_trunk ? 0 : TRUNK_LAYERS; j < TRUNK_LAYERS + LAYERS; j++) {
            PyObject *item = PySequence_GetItem(sequence, at++);
            const int own = with_trunk && j == TRUNK_LAYERS ? 2 * POSITIONS : 0;
            const int ok = item && take_layer(item, layers[j], own, h->level->beside);
            Py_XDECREF(item);
            if (!ok) return 0;
        }
        const int inputs = with_trunk ? HEAD + SHARED : FEATURES,
                  outputs = with_trunk       ? VALUE_OUTPUTS
                            : i % KINDS == 0 ? OUTPUTS_MAX
                                             : NODES + 6;
        if (!fit(layers + TRUNK_LAYERS, LAYERS, inputs, outputs) ||
            (with_trunk && !fit(layers, TRUNK_LAYERS, TRUNK, SHARED * POSITIONS))) {
            PyErr_SetString(PyExc_ValueError, "layers that do not fit");
            return 0;
        }
        if (with_trunk) n->trunk = &h->trunk;
    }
    h->model.networks = h->networks;
    return 1;
}

static const Level *find_level(const char *name) {
    if (!*name) return levels[level_count - 1];
    for (int i = 0; i < level_count; i++)
        if (!strcmp(levels[i]->name, name)) return levels[i];
    PyErr_Format(PyExc_ValueError, "this processor has no level %s", name);
    return NULL;
}

static PyObject *py_make_model(PyObject *self, PyObject *args) {
    PyObject *slots, *weights, *linear, *networks;
    const char *name;
    int learning;
    if (!PyArg_ParseTuple(args, "OOOOis", &slots, &weights, &linear, &networks, &learning,
                          &name))
        return NULL;
    if (learning < 3 || learning > 8)
        return PyErr_Format(PyExc_ValueError, "learning %d", learning);
    Held *h = calloc(1, sizeof *h);
    if (!h) return PyErr_NoMemory();
    Model *m = &h->model;
    make_tables(&m->tables), lay_out(&m->layout);
    m->learning = learning;
    h->level = find_level(name);
    if (h->level && (m->start.slots = take_slots(slots, m)) &&
        (m->start.weights = copy_of(weights, WEIGHTS_SIZE, "weights")) &&
        (m->linear = copy_of(linear, CLASSES * sizeof *m->linear, "linear")) &&
        take_networks(networks, h)) {
        PyObject *capsule = PyCapsule_New(h, CAPSULE, free_capsule);
        if (capsule) return capsule;
    }
    free_held(h);
    return NULL;
}

/* Components as Python hands them over: (rows, columns, horizontal, vertical, step, coefficients).
 */
typedef struct {
    Component component[COMPONENTS_MAX];
    Py_buffer step[COMPONENTS_MAX], coefficients[COMPONENTS_MAX];
    int count;
} Taken;

static void release(Taken *t) {
    for (int i = 0; i < t->count; i++)
        PyBuffer_Release(&t->step[i]), PyBuffer_Release(&t->coefficients[i]);
}

static int take_component(PyObject *tuple, Taken *t, int writable) {
    Component *c = &t->component[t->count];
    PyObject *step, *coefficients;
    if (!PyArg_ParseTuple(tuple, "iiiiOO", &c->rows, &c->columns, &c->horizontal, &c->vertical,
                          &step, &coefficients))
        return 0;
    if (PyObject_GetBuffer(step, &t->step[t->count], PyBUF_C_CONTIGUOUS) < 0) return 0;
    if (PyObject_GetBuffer(coefficients, &t->coefficients[t->count],
                           writable ? PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE : PyBUF_C_CONTIGUOUS) <
        0) {
        PyBuffer_Release(&t->step[t->count]);
        return 0;
    }
    t->count++;
    c->step = t->step[t->count - 1].buf, c->coefficients = t->coefficients[t->count - 1].buf;
    const int sane = c->rows >= 0 && c->rows <= 1 << 16 && c->columns >= 0 &&
                     c->columns <= 1 << 16 && c->horizontal >= 1 && c->horizontal <= 4 &&
                     c->vertical >= 1 && c->vertical <= 4;
    if (!sane || t->step[t->count - 1].len != 128 ||
        (size_t)t->coefficients[t->count - 1].len != (size_t)c->rows * (size_t)c->columns * 128) {
        PyErr_SetString(PyExc_ValueError, "a component of another shape");
        return 0;
    }
    return 1;
}

static int take_components(PyObject *sequence, Taken *t, int writable) {
    const Py_ssize_t count = PySequence_Size(sequence);
    t->count = 0;
    int ok = count >= 1 && count <= COMPONENTS_MAX;
    if (!ok && !PyErr_Occurred()) PyErr_SetString(PyExc_ValueError, "one to four components");
    for (Py_ssize_t i = 0; ok && i < count; i++) {
        PyObject *item = PySequence_GetItem(sequence, i);
        ok = item && take_component(item, t, writable);
        Py_XDECREF(item);
    }
    if (!ok) release(t);
    return ok;
}

/* Codes from the model's start, or on from it where `lasting`. */
static int run(Held *h, Taken *t, Arithmetic *a, Samples *samples, int lasting) {
    Spare *s = lasting ? NULL : take_state(h);
    if (!lasting && !s) return NO_MEMORY;
    int status;
    Py_BEGIN_ALLOW_THREADS if (s) {
        const size_t part = t->count > 1 ? 1 : CLASSES; /* luma alone leaves chroma's as they are */
        memcpy(s->state.slots, h->model.start.slots, slots_size(&h->model) / part);
        memcpy(s->state.weights, h->model.start.weights, WEIGHTS_SIZE / part);
    }
    status = h->level->code_group(&h->model, s ? &s->state : &h->model.start, a, t->component,
                                  t->count, samples);
    Py_END_ALLOW_THREADS if (s) give_state(h, s);
    return status;
}

static PyObject *py_encode(PyObject *self, PyObject *args) {
    PyObject *capsule, *components;
    Taken taken;
    if (!PyArg_ParseTuple(args, "OO", &capsule, &components)) return NULL;
    Held *h = PyCapsule_GetPointer(capsule, CAPSULE);
    if (!h || !take_components(components, &taken, 0)) return NULL;
    Arithmetic a;
    start_encoding(&a);
    const int status = run(h, &taken, &a, NULL, 0);
    release(&taken);
    finish_encoding(&a);
    PyObject *coded = status == CODED && !a.failed
                          ? PyBytes_FromStringAndSize((char *)a.bytes, (Py_ssize_t)a.count)
                          : PyErr_NoMemory();
    free(a.bytes);
    return coded;
}

static PyObject *py_decode(PyObject *self, PyObject *args) {
    PyObject *capsule, *components;
    Py_buffer coded;
    Taken taken;
    if (!PyArg_ParseTuple(args, "OOy*", &capsule, &components, &coded)) return NULL;
    Held *h = PyCapsule_GetPointer(capsule, CAPSULE);
    int status = CORRUPT;
    const int ok = h && take_components(components, &taken, 1);
    if (ok) {
        Arithmetic a;
        static const uint8_t none = 0;
        start_decoding(&a, coded.len ? coded.buf : &none, (size_t)coded.len);
        status = run(h, &taken, &a, NULL, 0);
        if (status == CODED && a.next != a.end) status = CORRUPT;
        release(&taken);
    }
    PyBuffer_Release(&coded);
    if (!ok) return NULL;
    if (status == NO_MEMORY) return PyErr_NoMemory();
    return PyBool_FromLong(status == CODED);
}

static PyObject *py_prime(PyObject *self, PyObject *args) {
    PyObject *capsule, *components;
    Py_buffer sampled;
    unsigned share, seed;
    Taken taken;
    if (!PyArg_ParseTuple(args, "OOw*II", &capsule, &components, &sampled, &share, &seed))
        return NULL;
    Held *h = PyCapsule_GetPointer(capsule, CAPSULE);
    Samples samples = {sampled.buf, 0, (size_t)sampled.len / SAMPLE, seed, share, NULL};
    int status = CORRUPT;
    const int ok = h && take_components(components, &taken, 0);
    if (ok) {
        Arithmetic a;
        start_encoding(&a);
        status = run(h, &taken, &a, share ? &samples : NULL, 1);
        release(&taken);
        free(a.bytes);
    }
    PyBuffer_Release(&sampled);
    if (!ok) return NULL;
    return status == CODED ? PyLong_FromSize_t(samples.count) : PyErr_NoMemory();
}

/* (model, components, blocks, coefficients, share, seed): how many of both were gathered. */
static PyObject *py_gather(PyObject *self, PyObject *args) {
    PyObject *capsule, *components;
    Py_buffer blocks, coefficients;
    unsigned share, seed;
    Taken taken;
    if (!PyArg_ParseTuple(args, "OOw*w*II", &capsule, &components, &blocks, &coefficients, &share,
                          &seed))
        return NULL;
    Held *h = PyCapsule_GetPointer(capsule, CAPSULE);
    Gathered gathered = {.blocks = blocks.buf,
                         .block_room = (size_t)blocks.len / BLOCK_SAMPLE,
                         .coefficients = coefficients.buf,
                         .coefficient_room = (size_t)coefficients.len / COEFFICIENT_SAMPLE,
                         .random = seed,
                         .share = share};
    Samples samples = {.gathered = &gathered};
    int status = CORRUPT;
    const int ok = h && take_components(components, &taken, 0);
    if (ok) {
        Arithmetic a;
        start_encoding(&a);
        status = run(h, &taken, &a, &samples, 0);
        release(&taken);
        free(a.bytes);
    }
    PyBuffer_Release(&blocks), PyBuffer_Release(&coefficients);
    if (!ok) return NULL;
    return status == CODED ? Py_BuildValue("nn", (Py_ssize_t)gathered.block_count,
                                           (Py_ssize_t)gathered.coefficient_count)
                           : PyErr_NoMemory();
}

static PyObject *py_start(PyObject *self, PyObject *capsule) {
    Held *h = PyCapsule_GetPointer(capsule, CAPSULE);
    if (!h) return NULL;
    const Py_ssize_t size = (Py_ssize_t)slots_size(&h->model);
    PyObject *slots = PyByteArray_FromStringAndSize(NULL, size);
    if (!slots) return NULL;
    Slot *at = (Slot *)PyByteArray_AsString(slots);
    for (size_t i = 0; i < (size_t)size / sizeof(Slot); i++)
        at[i] = h->model.start.slots[place_of(&h->model, i)];
    return Py_BuildValue("Ny#", slots, (char *)h->model.start.weights, (Py_ssize_t)WEIGHTS_SIZE);
}

static PyObject *py_levels(PyObject *self, PyObject *none) {
    PyObject *names = PyTuple_New(level_count);
    for (int i = 0; names && i < level_count; i++) {
        PyObject *name = PyUnicode_FromString(levels[i]->name);
        if (!name || PyTuple_SetItem(names, i, name) < 0) Py_CLEAR(names);
    }
    return names;
}

/* Slots to bytes, or back: (what to code, what to fill or NULL). */
static PyObject *py_slots(PyObject *args, int decoding) {
    Py_buffer predictors, slots, coded = {0};
    if (!PyArg_ParseTuple(args, decoding ? "y*w*y*" : "y*y*", &predictors, &slots, &coded))
        return NULL;
    Layout layout;
    lay_out(&layout);
    const size_t lines = CLASSES * (size_t)layout.lines;
    PyObject *result = NULL;
    int8_t(*copy)[NODES] = aligned(lines * NODES);
    Predictors *p = aligned(sizeof *p);
    if (!copy || !p)
        PyErr_NoMemory();
    else if (slots.len != (Py_ssize_t)(lines * NODES) || predictors.len != sizeof *p)
        PyErr_SetString(PyExc_ValueError, "slots or predictors of another shape");
    else {
        Arithmetic a;
        memcpy(copy, slots.buf, lines * NODES), memcpy(p, predictors.buf, sizeof *p);
        if (decoding)
            start_decoding(&a, coded.buf, (size_t)coded.len);
        else
            start_encoding(&a);
        code_slots(&a, (const Predictors *)p, copy, decoding);
        if (decoding) {
            memcpy(slots.buf, copy, lines * NODES);
            result = PyBool_FromLong(a.next == a.end && a.overrun <= 4);
        } else {
            finish_encoding(&a);
            result = a.failed ? PyErr_NoMemory()
                              : PyBytes_FromStringAndSize((char *)a.bytes, (Py_ssize_t)a.count);
            free(a.bytes);
        }
    }
    free_aligned(copy), free_aligned(p);
    PyBuffer_Release(&predictors), PyBuffer_Release(&slots);
    if (decoding) PyBuffer_Release(&coded);
    return result;
}
static PyObject *py_encode_slots(PyObject *self, PyObject *args) { return py_slots(args, 0); }
static PyObject *py_decode_slots(PyObject *self, PyObject *args) { return py_slots(args, 1); }

static PyMethodDef methods[] = {{"make_model", py_make_model, METH_VARARGS, NULL},
                                {"encode", py_encode, METH_VARARGS, NULL},
                                {"decode", py_decode, METH_VARARGS, NULL},
                                {"prime", py_prime, METH_VARARGS, NULL},
                                {"gather", py_gather, METH_VARARGS, NULL},
                                {"start", py_start, METH_O, NULL},
                                {"levels", py_levels, METH_NOARGS, NULL},
                                {"encode_slots", py_encode_slots, METH_VARARGS, NULL},
                                {"decode_slots", py_decode_slots, METH_VARARGS, NULL},
                                {NULL, NULL, 0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_dct", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__dct(void) {
    find_levels();
    Layout layout;
    lay_out(&layout);
    PyObject *m = PyModule_Create(&module);
    if (m && (PyModule_AddIntConstant(m, "LINES", layout.lines) < 0 ||
              PyModule_AddIntConstant(m, "NODES", NODES) < 0 ||
              PyModule_AddIntConstant(m, "SETS", SETS) < 0 ||
              PyModule_AddIntConstant(m, "LANES", LANES) < 0 ||
              PyModule_AddIntConstant(m, "SAMPLE", SAMPLE) < 0 ||
              PyModule_AddIntConstant(m, "TRUNK", TRUNK) < 0 ||
              PyModule_AddIntConstant(m, "EXTRAS", EXTRAS) < 0 ||
              PyModule_AddIntConstant(m, "SHARED", SHARED) < 0 ||
              PyModule_AddIntConstant(m, "WIDEST", WIDEST) < 0 ||
              PyModule_AddIntConstant(m, "VALUE_OUTPUTS", VALUE_OUTPUTS) < 0 ||
              PyModule_AddIntConstant(m, "BLOCK_SAMPLE", BLOCK_SAMPLE) < 0 ||
              PyModule_AddIntConstant(m, "COEFFICIENT_SAMPLE", COEFFICIENT_SAMPLE) < 0 ||
              PyModule_AddIntConstant(m, "COUNT_MAX", COUNT_MAX) < 0))
        Py_CLEAR(m);
    return m;
}
