"""Deflate streams as files hold them: raw, or within zlib (RFC 1950) or gzip (RFC 1952).

Each class has two methods. `unpack` gives content and recipe of exactly the bytes that it is given,
up to a limit of bytes of content; UnreadableImage as `analyse`, and if something else stands before
or behind the stream. `pack` gives the bytes again; SectionCorrupt if the recipe is damaged, or not
of this content.
"""

import struct
import zlib

from seec.pipeline.deflate.streams import analyse, rebuild
from seec.schemas.errors import SectionCorrupt, UnreadableImage

_ZLIB_HEADER_BYTES, _ADLER_BYTES = 2, 4
_TRIED, _SHORT = 3, 64  # recipes of streams before, and bytes of such a one
_GZIP = struct.Struct("<3sBIBB")
_GZIP_MAGIC = b"\x1f\x8b\x08"
_CHECKSUM, _EXTRA, _NAME, _COMMENT, _UNKNOWN = 2, 4, 8, 16, 0xE0  # flags of gzip
_SIZE = struct.Struct("<I")
_TRAILER = struct.Struct("<II")


class Raw:
    """A stream without anything around it, as in zip archives. Recipe: the stream's."""

    def unpack(self, data: bytes, limit: int) -> tuple[bytes, bytes]:
        """Content and recipe."""
        content, recipe, used = analyse(data, limit)
        if used != len(data):
            raise UnreadableImage("deflate stream with something behind")
        return content, recipe

    def pack(self, content: bytes, recipe: bytes) -> bytes:
        """The bytes again."""
        return rebuild(content, recipe)


class Zlib:
    """A zlib stream. Recipe: the 2 bytes of its header, and the stream's."""

    def unpack(self, data: bytes, limit: int) -> tuple[bytes, bytes]:
        """Content and recipe."""
        header, end = data[:_ZLIB_HEADER_BYTES], len(data) - _ADLER_BYTES
        content, recipe = Raw().unpack(data[_ZLIB_HEADER_BYTES:end], limit)
        if data[end:] != zlib.adler32(content).to_bytes(_ADLER_BYTES, "big"):
            raise UnreadableImage("zlib stream with another checksum")
        return content, header + recipe

    def pack(self, content: bytes, recipe: bytes) -> bytes:
        """The bytes again."""
        stream = rebuild(content, recipe[_ZLIB_HEADER_BYTES:])
        check = zlib.adler32(content).to_bytes(_ADLER_BYTES, "big")
        return recipe[:_ZLIB_HEADER_BYTES] + stream + check


class Alike:
    """Zlib streams of one writer. Recipe: as `Zlib`, often that of a stream before.

    Trying a recipe takes a tenth of the time that looking for one takes.
    """

    def __init__(self) -> None:
        self._recipes: list[bytes] = []

    def unpack(self, data: bytes, limit: int) -> tuple[bytes, bytes]:
        """Content and recipe."""
        content = _content(data, limit) if self._recipes else b""
        recipe = next((one for one in self._recipes if _gives(content, one, data)), None)
        if recipe is None:
            content, recipe = Zlib().unpack(data, limit)
        else:
            self._recipes.remove(recipe)
        if len(recipe) <= _SHORT:
            self._recipes = [recipe, *self._recipes[: _TRIED - 1]]
        return content, recipe


def _content(data: bytes, limit: int) -> bytes:
    """Of a zlib stream that is all of the bytes; UnreadableImage if it is not."""
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(data, limit)
        whole = not stream.decompress(stream.unconsumed_tail, 1) and stream.eof
    except zlib.error:
        whole, content = False, b""
    if not whole or stream.unused_data:
        raise UnreadableImage("damaged zlib stream, or one that is larger than its limit")
    return content


def _gives(content: bytes, recipe: bytes, data: bytes) -> bool:
    try:
        return data[:_ZLIB_HEADER_BYTES] == recipe[:_ZLIB_HEADER_BYTES] and (
            Zlib().pack(content, recipe) == data
        )
    except (SectionCorrupt, UnreadableImage):
        return False


class Gzip:
    """One member of gzip.

    Recipe: uint32 little-endian bytes of its header, the header, and the stream's recipe.
    """

    def unpack(self, data: bytes, limit: int) -> tuple[bytes, bytes]:
        """Content and recipe."""
        start, end = gzip_header_bytes(data), len(data) - _TRAILER.size
        content, recipe = Raw().unpack(data[start:end], limit)
        if data[end:] != _trailer(content):
            raise UnreadableImage("gzip member with another checksum or size")
        return content, _SIZE.pack(start) + data[:start] + recipe

    def pack(self, content: bytes, recipe: bytes) -> bytes:
        """The bytes again."""
        if len(recipe) < _SIZE.size:
            raise SectionCorrupt("recipe of a gzip member: cut short")
        end = _SIZE.size + _SIZE.unpack_from(recipe)[0]
        return recipe[_SIZE.size : end] + rebuild(content, recipe[end:]) + _trailer(content)


def _trailer(content: bytes) -> bytes:
    return _TRAILER.pack(zlib.crc32(content), len(content) & 0xFFFFFFFF)


def gzip_header_bytes(data: bytes) -> int:
    """Of a member's header; UnreadableImage if there is none."""
    at = _GZIP.size
    if len(data) < at or not data.startswith(_GZIP_MAGIC) or data[3] & _UNKNOWN:
        raise UnreadableImage("no gzip member")
    flags = data[3]
    if flags & _EXTRA:
        at += 2 + int.from_bytes(data[at : at + 2], "little")
    for text in (_NAME, _COMMENT):
        if flags & text:
            at = data.find(b"\0", at) + 1
            if not at:
                raise UnreadableImage("gzip member whose header is cut short")
    return at + 2 * bool(flags & _CHECKSUM)
