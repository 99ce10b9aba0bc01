"""The C extension; everything else is in pyproject.toml."""

import sys

from setuptools import Extension, setup

# Without a compiler the install goes on, and the torch kernels give the same bits, slowly.
KERNELS = Extension(
    "pipeline.codec._kernels",
    ["pipeline/codec/_kernels.c"],
    extra_compile_args=[] if sys.platform == "win32" else ["-O3", "-std=gnu11"],
    py_limited_api=True,
    optional=True,
)

setup(ext_modules=[KERNELS], options={"bdist_wheel": {"py_limited_api": "cp311"}})
