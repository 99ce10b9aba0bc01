/* Screen coding of tile groups as a Python module: the same bits as screen/, faster.
 *
 * screen_c/ holds the arithmetic; this file checks what Python hands over and packs pixels.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include "../native/kernels_c/words.h"
#include "screen_c/tile.h"

enum { OK, NO_MEMORY, CORRUPT };

/* A group: tile after tile, row after row, channels interleaved. */
typedef struct {
    uint8_t *samples;
    const int32_t *size; /* [tiles][2], height and width */
    int tiles, channels;
    size_t pixels, largest; /* of all tiles, of the largest */
} Group;

static void unpack(uint32_t *pixels, const uint8_t *samples, size_t count, int channels) {
    for (size_t i = 0; i < count; i++, samples += channels)
        pixels[i] = channels == 1 ? samples[0]
                                  : samples[0] | (uint32_t)samples[1] << 8 | (uint32_t)samples[2] << 16;
}

static void pack(uint8_t *samples, const uint32_t *pixels, size_t count, int channels) {
    for (size_t i = 0; i < count; i++)
        for (int c = 0; c < channels; c++) *samples++ = (uint8_t)channel(pixels[i], c);
}

/* Codes the group's samples, or decodes into them. */
static int code_group(const Group *g, RangeEncoder *encoder, RangeDecoder *decoder) {
    Screen *s = open_screen(g->pixels, g->channels, encoder, decoder);
    uint32_t *pixels = malloc(g->largest * sizeof *pixels);
    int status = s && pixels ? OK : NO_MEMORY;
    uint8_t *samples = g->samples;
    for (int i = 0; i < g->tiles && status == OK; i++) {
        const int height = g->size[2 * i], width = g->size[2 * i + 1];
        const size_t count = (size_t)height * (size_t)width;
        if (encoder) unpack(pixels, samples, count, g->channels);
        if (!code_tile(s, pixels, height, width))
            status = decoder && decoder->overrun > 1 ? CORRUPT : NO_MEMORY;
        if (decoder && status == OK) pack(samples, pixels, count, g->channels);
        samples += count * (size_t)g->channels;
    }
    if (decoder && status == OK && decoder->next != decoder->end) status = CORRUPT;
    free(pixels);
    close_screen(s);
    return status;
}

/* Fills all but the samples of a group from its sizes; false with an exception set. */
static int measure_group(Group *g, const Py_buffer *size, int channels) {
    g->size = size->buf, g->channels = channels, g->tiles = (int)(size->len / 8);
    int ok = (channels == 1 || channels == 3) && size->len % 8 == 0 && g->tiles;
    for (int i = 0; ok && i < g->tiles; i++) {
        const int32_t height = g->size[2 * i], width = g->size[2 * i + 1];
        ok = height >= 1 && width >= 1 && height <= 4096 && width <= 4096;
        const size_t pixels = ok ? (size_t)height * (size_t)width : 0;
        g->pixels += pixels, g->largest = pixels > g->largest ? pixels : g->largest;
    }
    if (!ok) PyErr_SetString(PyExc_ValueError, "inconsistent tile group");
    return ok;
}

/* (samples, sizes, channels) -> words */
static PyObject *py_encode(PyObject *self, PyObject *args) {
    Py_buffer samples, size;
    int channels, status = OK;
    Group g = {0};
    PyObject *result = NULL;
    RangeEncoder coder = begin_encoder();
    if (!PyArg_ParseTuple(args, "y*y*i", &samples, &size, &channels)) return NULL;
    if (!measure_group(&g, &size, channels)) goto end;
    if ((size_t)samples.len != g.pixels * (size_t)channels) {
        PyErr_SetString(PyExc_ValueError, "samples and sizes of tiles disagree");
        goto end;
    }
    g.samples = samples.buf;
    Py_BEGIN_ALLOW_THREADS
    status = code_group(&g, &coder, NULL);
    seal(&coder);
    order_bytes(coder.words, coder.count);
    Py_END_ALLOW_THREADS if (status == OK && !coder.failed) result =
        PyBytes_FromStringAndSize((char *)coder.words, (Py_ssize_t)(4 * coder.count));
    else
        PyErr_NoMemory();
end:
    free(coder.words);
    PyBuffer_Release(&samples);
    PyBuffer_Release(&size);
    return result;
}

/* (words, sizes, channels, samples) -> whether an encoder could have written the words */
static PyObject *py_decode(PyObject *self, PyObject *args) {
    Py_buffer words, size, samples;
    int channels, status;
    Group g = {0};
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*y*iw*", &words, &size, &channels, &samples)) return NULL;
    if (!measure_group(&g, &size, channels)) goto end;
    if ((size_t)samples.len != g.pixels * (size_t)channels) {
        PyErr_SetString(PyExc_ValueError, "samples and sizes of tiles disagree");
        goto end;
    }
    g.samples = samples.buf;
    RangeDecoder coder = begin_decoder(words.buf, (size_t)words.len);
    Py_BEGIN_ALLOW_THREADS status = code_group(&g, NULL, &coder);
    Py_END_ALLOW_THREADS
    result = status == NO_MEMORY ? PyErr_NoMemory() : PyBool_FromLong(status == OK);
end:
    PyBuffer_Release(&words);
    PyBuffer_Release(&size);
    PyBuffer_Release(&samples);
    return result;
}

static PyMethodDef METHODS[] = {
    {"encode", py_encode, METH_VARARGS, "Code the samples of a tile group; returns the words."},
    {"decode", py_decode, METH_VARARGS, "Decode words into samples; False if corrupt."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "_screen", "SEEC's screen coding.", -1, METHODS, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__screen(void) {
    make_tables();
    return PyModule_Create(&MODULE);
}
