"""A file that its decoder does not survive: it hangs, or takes its process down."""

import contextlib
import hashlib
import os
import re
import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest.mock import patch

from seec.pipeline.routes.writing import jpegxl_jpeg
from seec.pipeline.stages import apart

CRASH, HANG, RAISE = "crash", "hang", "raise"


@contextlib.contextmanager
def poisoned(how: str, digest: str) -> Iterator[None]:
    """In this process, and in those that look into files apart, JPEG of this digest is poison."""
    deadly = _deadly(jpegxl_jpeg.transcode, how, digest)
    look = partial(_look_poisoned, how, digest)
    with patch.object(jpegxl_jpeg, "transcode", deadly), patch.object(apart, "_look", look):
        yield


def _look_poisoned(how: str, digest: str, *arguments: Any) -> Any:
    with patch.object(jpegxl_jpeg, "transcode", _deadly(jpegxl_jpeg.transcode, how, digest)):
        return apart._look(*arguments)


def _deadly(call: Callable[..., Any], how: str, digest: str) -> Callable[..., Any]:
    def deadly(data: bytes, *others: Any) -> Any:
        if hashlib.sha256(data).hexdigest() != digest:
            return call(data, *others)
        if how == HANG:
            re.match(r"(a+)+$", "a" * 60 + "b")  # for years, in native code
        if how == RAISE:
            raise ArithmeticError("not expected")
        os.kill(os.getpid(), signal.SIGSEGV)
        return None

    return deadly
