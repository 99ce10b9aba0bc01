"""A raw deflate stream, whatever program wrote it, as what it holds and how that was chosen.

The recipe has numbers that make our own C code predict as zlib would, and what is not as predicted:
FORMAT-DEFLATE.md says how. No compression library decides a bit, so each machine writes the same.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seec.schemas.errors import SectionCorrupt, UnreadableImage

try:
    from seec.pipeline.deflate import _deflate
except ImportError:  # installed without a C compiler
    _deflate = None

# Recipes of so many bytes are never too large.
_SMALL = 128
_NEEDED = "deflate streams need the C extension: install with a C compiler"


@dataclass(frozen=True)
class Blocks:
    """Whole blocks of a stream that follow each other.

    content: what they hold. bits, ends: [blocks] uint64, where each ends, in bits from where the
    stream of the caller begins, and in bytes of the content. final: whether the last one ends the
    stream. reach: how many bytes of content before them matches lead to.
    """

    content: bytes
    bits: NDArray[np.uint64]
    ends: NDArray[np.uint64]
    final: bool
    reach: int


def is_available() -> bool:
    """Whether the C extension was built; without it no stream is taken apart or put together."""
    return _deflate is not None


def analyse(stream: bytes, limit: int) -> tuple[bytes, bytes, int]:
    """Content, recipe, and how many bytes of `stream` they stand for.

    limit: most bytes of content. UnreadableImage if the stream is damaged, its content is larger,
    or no recipe is found that has at most a quarter of the stream's bytes, or 128 bytes.
    """
    if _deflate is None:
        raise UnreadableImage(_NEEDED)
    parts = _deflate.analyse(stream, limit, _SMALL)
    if isinstance(parts, str):
        raise UnreadableImage(f"deflate stream: {parts}")
    return parts


def rebuild(content: bytes, recipe: bytes) -> bytes:
    """The stream. SectionCorrupt if no analysis wrote such a recipe for such content."""
    if _deflate is None:
        raise UnreadableImage(_NEEDED)
    stream = _deflate.rebuild(content, recipe)
    if stream is None:
        raise SectionCorrupt("recipe of a deflate stream: damaged, or for another content")
    return stream


def walk(stream: bytes, bit: int, window: bytes, limit: int) -> Blocks:
    """The whole blocks from a bit of a stream on, as far as they are there and sound.

    bit: where a block begins. window: up to 32 KiB of content before it. limit: most bytes of
    content; a block that leads beyond is left out. UnreadableImage without the C extension.
    """
    if _deflate is None:
        raise UnreadableImage(_NEEDED)
    content, listed, final, reach = _deflate.walk(stream, bit, window, limit)
    places = np.frombuffer(listed, np.uint64).reshape(-1, 2)
    return Blocks(content, places[:, 0], places[:, 1], bool(final), reach)
