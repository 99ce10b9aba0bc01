"""The C extensions; everything else is in pyproject.toml.

Paths go through seec/, so that a source distribution holds each file once.
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup

LEVELS = Path("seec/pipeline/codec/native/kernels_c")
# Whoever sets CFLAGS may choose how much is optimised, but not that divisions are approximate.
FLAGS = [] if sys.platform == "win32" else ["-std=gnu11", "-fno-fast-math"]
OPTIMISED = os.environ.get("CFLAGS", "")
if FLAGS and ("-O" not in OPTIMISED or "-Ofast" in OPTIMISED):
    FLAGS.append("-O3")
# Without a compiler the install goes on, and torch and Python give the same bits, slowly.
KERNELS = Extension(
    "seec.pipeline.codec.native._kernels",
    ["seec/pipeline/codec/native/_kernels.c", *map(str, sorted(LEVELS.glob("*.c")))],
    depends=[str(p) for p in LEVELS.glob("*.h")],
    extra_compile_args=FLAGS,
    py_limited_api=True,
    optional=True,
)

SCREEN = Extension(
    "seec.pipeline.codec.screen._screen",
    ["seec/pipeline/codec/screen/_screen.c"],
    depends=[
        *map(str, Path("seec/pipeline/codec/screen/screen_c").glob("*.h")),
        str(LEVELS / "inline.h"),
        str(LEVELS / "range_coder.h"),
        str(LEVELS / "words.h"),
    ],
    extra_compile_args=FLAGS,
    py_limited_api=True,
    optional=True,
)

COLOURS = Extension(
    "seec.pipeline.codec.colours._colours",
    ["seec/pipeline/codec/colours/_colours.c"],
    extra_compile_args=FLAGS,
    py_limited_api=True,
    optional=True,
)

JPEG = Extension(
    "seec.pipeline.dct._jpeg",
    ["seec/pipeline/dct/_jpeg.c"],
    depends=[*map(str, Path("seec/pipeline/dct/jpeg_c").glob("*.h"))],
    extra_compile_args=FLAGS,
    py_limited_api=True,
    optional=True,
)

CODER = Path("seec/pipeline/dct/coder_c")
DCT = Extension(
    "seec.pipeline.dct._dct",
    ["seec/pipeline/dct/_dct.c", *map(str, sorted(CODER.glob("*.c")))],
    depends=[*map(str, CODER.glob("*.h"))],
    extra_compile_args=FLAGS,
    py_limited_api=True,
    optional=True,
)

DEEP_CODER = Path("seec/pipeline/deep/deep_c")
DEEP = Extension(
    "seec.pipeline.deep._deep",
    ["seec/pipeline/deep/_deep.c", *map(str, sorted(DEEP_CODER.glob("*.c")))],
    depends=[
        *map(str, DEEP_CODER.glob("*.h")),
        *(str(CODER / name) for name in ("arithmetic.h", "lanes.h", "mixed.h", "tables.h")),
    ],
    extra_compile_args=FLAGS,
    py_limited_api=True,
    optional=True,
)

DEFLATE = Extension(
    "seec.pipeline.deflate._deflate",
    ["seec/pipeline/deflate/_deflate.c"],
    depends=[*map(str, Path("seec/pipeline/deflate/deflate_c").glob("*.h"))],
    extra_compile_args=FLAGS,
    py_limited_api=True,
    optional=True,
)

PIECES = Extension(
    "seec.pipeline.images._pieces",
    ["seec/pipeline/images/_pieces.c"],
    depends=[
        *map(str, Path("seec/pipeline/images/pieces_c").glob("*.h")),
        "seec/pipeline/dct/jpeg_c/huffman.h",
    ],
    extra_compile_args=FLAGS,
    py_limited_api=True,
    optional=True,
)

setup(
    ext_modules=[KERNELS, SCREEN, COLOURS, JPEG, DCT, DEFLATE, PIECES, DEEP],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
