"""Lossless archives of image collections, with a learned codec that is exact on every machine.

>>> import numpy as np
>>> import seec
>>> image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
>>> bool((seec.decode(seec.encode(image)) == image).all())
True

`seec.open(url)` reads archives; the command `seec archive` writes them. Names are imported when a
program first uses them: `import seec` alone loads no other package.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seec._images import ImageInfo, decode, encode, inspect
    from seec.pipeline.reading import FileInfo
    from seec.pipeline.reading import OpenedArchive as Archive
    from seec.pipeline.reading import open_archive as open  # noqa: A004
    from seec.schemas.errors import (
        FixityError,
        FormatError,
        ModelError,
        SeecError,
        SourceError,
        StorageError,
    )

__version__ = "0.1.0"

_ERRORS = "seec.schemas.errors"
_HOMES = {
    "Archive": ("seec.pipeline.reading", "OpenedArchive"),
    "FileInfo": ("seec.pipeline.reading", "FileInfo"),
    "FixityError": (_ERRORS, "FixityError"),
    "FormatError": (_ERRORS, "FormatError"),
    "ImageInfo": ("seec._images", "ImageInfo"),
    "ModelError": (_ERRORS, "ModelError"),
    "SeecError": (_ERRORS, "SeecError"),
    "SourceError": (_ERRORS, "SourceError"),
    "StorageError": (_ERRORS, "StorageError"),
    "decode": ("seec._images", "decode"),
    "encode": ("seec._images", "encode"),
    "inspect": ("seec._images", "inspect"),
    "open": ("seec.pipeline.reading", "open_archive"),
}

__all__ = [
    "Archive",
    "FileInfo",
    "FixityError",
    "FormatError",
    "ImageInfo",
    "ModelError",
    "SeecError",
    "SourceError",
    "StorageError",
    "__version__",
    "decode",
    "encode",
    "inspect",
    "open",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'seec' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
