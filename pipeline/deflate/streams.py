"""A raw deflate stream, whatever program wrote it, as what it holds and how that was chosen.

The recipe has numbers that make our own C code predict as zlib would, and what is not as predicted:
FORMAT-DEFLATE.md says how. No compression library decides a bit, so each machine writes the same.
"""

from seec.schemas.errors import SectionCorrupt, UnreadableImage

try:
    from seec.pipeline.deflate import _deflate
except ImportError:  # installed without a C compiler
    _deflate = None

# Recipes of so many bytes are never too large.
_SMALL = 128
_NEEDED = "deflate streams need the C extension: install with a C compiler"


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
