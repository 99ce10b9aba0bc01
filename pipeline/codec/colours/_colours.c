/* From pixels back to luma and chroma as a Python module: the same samples as colours/invert.py,
 * faster. Encoders only: no decoder depends on it.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>

enum { FRACTION_BITS = 18, FAR_STEPS = 125, CACHE_BITS = 12 };

/* Fields of a Family, and how pixels are inverted but for rounding. */
typedef struct {
    int32_t luma, red, blue, green_blue, green_red, rounding, zero[3], whole;
    const int64_t *inverse, *added; /* [9], [3] */
    const int8_t (*step)[3];        /* [FAR_STEPS], the nearest first */
    int near;                       /* how many of them are tried where no channel is clipped */
} Inverter;

typedef struct {
    uint32_t colour; /* + 1, so that 0 is none */
    uint8_t sample[3], exact;
} Found;

static int level(int64_t sum) {
    const int64_t v = sum >> FRACTION_BITS;
    return v < 0 ? 0 : v > 255 ? 255 : (int)v;
}

/* Whether samples become a pixel. */
static int fits(const Inverter *f, const uint8_t s[3], const uint8_t pixel[3]) {
    const int32_t base = f->luma * (s[0] - f->zero[0]) + f->rounding;
    const int32_t b = s[1] - f->zero[1], r = s[2] - f->zero[2];
    const int32_t in_blue = f->blue * b, in_red = f->red * r;
    if (level((int64_t)base + in_red) != pixel[0] || level((int64_t)base + in_blue) != pixel[2])
        return 0;
    const int64_t from_blue = f->whole ? in_blue >> FRACTION_BITS : b;
    const int64_t from_red = f->whole ? in_red >> FRACTION_BITS : r;
    return level(base + f->green_blue * from_blue + f->green_red * from_red) == pixel[1];
}

static uint8_t clip(int64_t v) { return v < 0 ? 0 : v > 255 ? 255 : (uint8_t)v; }

static void invert_colour(const Inverter *f, const uint8_t pixel[3], Found *found) {
    int64_t start[3];
    int steps = f->near;
    for (int k = 0; k < 3; k++) {
        int64_t sum = 1 << 23;
        for (int c = 0; c < 3; c++)
            sum += f->inverse[3 * k + c] * (((int64_t)pixel[c] << 8) + f->added[c]);
        start[k] = (sum >> 24) + f->zero[k];
        found->sample[k] = clip(start[k]);
        if (pixel[k] == 0 || pixel[k] == 255) steps = FAR_STEPS;
    }
    found->exact = 0;
    for (int i = 0; i < steps; i++) {
        uint8_t tried[3];
        for (int k = 0; k < 3; k++) tried[k] = clip(start[k] + f->step[i][k]);
        if (!fits(f, tried, pixel)) continue;
        for (int k = 0; k < 3; k++) found->sample[k] = tried[k];
        found->exact = 1;
        return;
    }
}

static int invert_pixels(const Inverter *f, const uint8_t *pixel, size_t count, uint8_t *sample,
                         uint8_t *exact) {
    Found *cache = calloc((size_t)1 << CACHE_BITS, sizeof *cache);
    if (!cache) return 0;
    for (size_t i = 0; i < count; i++, pixel += 3, sample += 3) {
        const uint32_t colour = pixel[0] | (uint32_t)pixel[1] << 8 | (uint32_t)pixel[2] << 16;
        Found *found = cache + (colour * 2654435761u >> (32 - CACHE_BITS));
        if (found->colour != colour + 1) {
            found->colour = colour + 1;
            invert_colour(f, pixel, found);
        }
        for (int k = 0; k < 3; k++) sample[k] = found->sample[k];
        exact[i] = found->exact;
    }
    free(cache);
    return 1;
}

static int is_of(const Py_buffer *buffer, size_t bytes, size_t unit) {
    return buffer->len == (Py_ssize_t)bytes && (uintptr_t)buffer->buf % unit == 0;
}

/* All arguments by name, so that none takes another's place. samples, exact: to be filled. */
static PyObject *py_invert(PyObject *self, PyObject *args, PyObject *named) {
    static char *names[] = {"inverse",  "added",     "steps",     "pixels",     "samples", "exact",
                            "near",     "luma",      "red",       "blue",       "green_blue",
                            "green_red", "rounding", "luma_zero", "blue_zero",  "red_zero",
                            "whole",    NULL};
    Inverter f;
    Py_buffer b[6];
    PyObject *result = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, named, "$y*y*y*y*w*w*iiiiiiiiiii", names, b, b + 1,
                                     b + 2, b + 3, b + 4, b + 5, &f.near, &f.luma, &f.red, &f.blue,
                                     &f.green_blue, &f.green_red, &f.rounding, f.zero, f.zero + 1,
                                     f.zero + 2, &f.whole))
        return NULL;
    const Py_buffer *pixels = b + 3, *samples = b + 4, *exact = b + 5;
    f.inverse = b[0].buf, f.added = b[1].buf, f.step = b[2].buf;
    if (!is_of(b, 9 * sizeof *f.inverse, sizeof *f.inverse) ||
        !is_of(b + 1, 3 * sizeof *f.added, sizeof *f.added) ||
        !is_of(b + 2, FAR_STEPS * sizeof *f.step, 1) || f.near < 0 || f.near > FAR_STEPS ||
        pixels->len != 3 * exact->len || samples->len != pixels->len) {
        PyErr_SetString(PyExc_ValueError, "inconsistent pixels, samples or family");
        goto end;
    }
    int done;
    Py_BEGIN_ALLOW_THREADS
    done = invert_pixels(&f, pixels->buf, (size_t)exact->len, samples->buf, exact->buf);
    Py_END_ALLOW_THREADS
    result = done ? Py_NewRef(Py_None) : PyErr_NoMemory();
end:
    for (int i = 0; i < 6; i++) PyBuffer_Release(b + i);
    return result;
}

static PyMethodDef METHODS[] = {
    {"invert", (PyCFunction)(void (*)(void))py_invert, METH_VARARGS | METH_KEYWORDS,
     "Fill in the samples that pixels were made of."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "_colours", "Colour sets of SEEC.", -1, METHODS, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__colours(void) { return PyModule_Create(&MODULE); }
