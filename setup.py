"""The C extensions; everything else is in pyproject.toml."""

import sys
from pathlib import Path

from setuptools import Extension, setup

LEVELS = Path("pipeline/codec/kernels_c")
FLAGS = [] if sys.platform == "win32" else ["-O3", "-std=gnu11"]
# Without a compiler the install goes on, and torch and Python give the same bits, slowly.
KERNELS = Extension(
    "seec.pipeline.codec._kernels",
    ["pipeline/codec/_kernels.c", *map(str, sorted(LEVELS.glob("*.c")))],
    depends=[str(p) for p in LEVELS.glob("*.h")],
    extra_compile_args=FLAGS,
    py_limited_api=True,
    optional=True,
)

SCREEN = Extension(
    "seec.pipeline.codec._screen",
    ["pipeline/codec/_screen.c"],
    depends=[
        *map(str, Path("pipeline/codec/screen_c").glob("*.h")),
        str(LEVELS / "inline.h"),
        str(LEVELS / "range_coder.h"),
    ],
    extra_compile_args=FLAGS,
    py_limited_api=True,
    optional=True,
)

COLOURS = Extension(
    "seec.pipeline.codec._colours",
    ["pipeline/codec/_colours.c"],
    extra_compile_args=FLAGS,
    py_limited_api=True,
    optional=True,
)

setup(ext_modules=[KERNELS, SCREEN, COLOURS], options={"bdist_wheel": {"py_limited_api": "cp311"}})
