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
    int64_t inverse[9], added[3];
    int8_t step[FAR_STEPS][3]; /* the nearest first */
    int near;                  /* how many of them are tried where no channel is clipped */
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

static int take_numbers(const Py_buffer *numbers, const Py_buffer *steps, Inverter *f) {
    const int64_t *n = numbers->buf;
    if (numbers->len != 23 * 8 || steps->len != sizeof f->step) return 0;
    int32_t *const fields[] = {&f->luma, &f->red, &f->blue, &f->green_blue, &f->green_red,
                               &f->rounding, f->zero, f->zero + 1, f->zero + 2, &f->whole};
    for (int i = 0; i < 10; i++) *fields[i] = (int32_t)*n++;
    for (int i = 0; i < 9; i++) f->inverse[i] = *n++;
    for (int i = 0; i < 3; i++) f->added[i] = *n++;
    f->near = (int)*n;
    for (int i = 0; i < 3 * FAR_STEPS; i++) f->step[i / 3][i % 3] = ((int8_t *)steps->buf)[i];
    return f->near >= 0 && f->near <= FAR_STEPS;
}

/* (numbers of an Inverter, steps, pixels, samples, exact), the last two filled */
static PyObject *py_invert(PyObject *self, PyObject *args) {
    Py_buffer numbers, steps, pixels, samples, exact;
    PyObject *result = NULL;
    Inverter f;
    if (!PyArg_ParseTuple(args, "y*y*y*w*w*", &numbers, &steps, &pixels, &samples, &exact))
        return NULL;
    if (!take_numbers(&numbers, &steps, &f) || pixels.len != 3 * exact.len ||
        samples.len != pixels.len) {
        PyErr_SetString(PyExc_ValueError, "inconsistent pixels, samples or family");
        goto end;
    }
    int done;
    Py_BEGIN_ALLOW_THREADS
    done = invert_pixels(&f, pixels.buf, (size_t)exact.len, samples.buf, exact.buf);
    Py_END_ALLOW_THREADS
    result = done ? Py_NewRef(Py_None) : PyErr_NoMemory();
end:
    PyBuffer_Release(&numbers);
    PyBuffer_Release(&steps);
    PyBuffer_Release(&pixels);
    PyBuffer_Release(&samples);
    PyBuffer_Release(&exact);
    return result;
}

static PyMethodDef METHODS[] = {
    {"invert", py_invert, METH_VARARGS, "Fill in the samples that pixels were made of."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "_colours", "Colour sets of SEEC.", -1, METHODS, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__colours(void) { return PyModule_Create(&MODULE); }
