"""Images inside files of any kind and size, as pure functions of the files' bytes.

A caller cuts a file in pieces with `cut`, and `find` gives the images in a piece. What lies between
them is none of this package's business. By the container's own index where members have names,
else by what images look like: that finds them in TFRecord, LMDB, Arrow, PDF, WARC and raw files,
and behind other images. Of files of strips or arrays some are taken together as small TIFF files.
"""

from seec.pipeline.containers.finding import Found, cut, find, has_strips, is_container, look_into
from seec.pipeline.containers.packings import PACKINGS, Packing, packed_size
from seec.pipeline.containers.span import Span
from seec.pipeline.images.ranges import Held, Parts, Ranges

__all__ = [
    "PACKINGS",
    "Found",
    "Held",
    "Packing",
    "Parts",
    "Ranges",
    "Span",
    "cut",
    "find",
    "has_strips",
    "is_container",
    "look_into",
    "packed_size",
]
