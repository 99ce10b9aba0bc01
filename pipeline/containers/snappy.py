"""Packing `snappy`: blocks of Snappy without framing, as Parquet has them.

Such a block is a list of tokens: literals, which are followed by their bytes, and copies of what
came before. The recipe is the block without the bytes of its literals, as one zlib stream. These
are the content, so that nothing has to be searched to write the block again.
"""

import zlib

from seec.schemas.errors import SectionCorrupt, UnreadableImage
from seec.schemas.limits import MAX_RECIPE_BYTES

_LITERAL, _NEAR, _FAR = 0, 1, 2  # the low bits of a token; 3: a copy with an offset of 4 bytes
_LONG_LITERAL = 60
_MOST_LENGTH_BYTES = 5
# Images hardly compress: where there are more tokens, other content is packed.
_MOST_TOKENS, _BYTES_A_TOKEN = 1 << 12, 16


class Snappy:
    """As `packings.Packing`."""

    def unpack(self, data: bytes, limit: int) -> tuple[bytes, bytes]:
        """As `Packing.unpack`; UnreadableImage, too, if the content is none that images have."""
        try:
            length, at = _length(data)
            if length > limit:
                raise UnreadableImage("snappy block of more than the limit")
            content, tokens = _decoded(data, at, length)
        except IndexError:
            raise UnreadableImage("damaged snappy block") from None
        if len(content) != length or len(tokens) > MAX_RECIPE_BYTES:
            raise UnreadableImage("damaged snappy block")
        return bytes(content), zlib.compress(tokens, 9)

    def pack(self, content: bytes, recipe: bytes) -> bytes:
        """As `Packing.pack`."""
        inflater = zlib.decompressobj()
        try:
            tokens = inflater.decompress(recipe, MAX_RECIPE_BYTES)
            if not inflater.eof:
                raise SectionCorrupt("recipe of a snappy block that is cut short")
            return _encoded(content, tokens)
        except (zlib.error, IndexError):
            raise SectionCorrupt("damaged recipe of a snappy block") from None


def _decoded(data: bytes, at: int, length: int) -> tuple[bytearray, bytes]:
    """The content, and the block without its literals; IndexError if the block is cut short."""
    content, tokens, count = bytearray(), bytearray(data[:at]), 0
    while at < len(data):
        size, offset, behind = _token(data, at)
        tokens += data[at:behind]
        at, count = behind, count + 1
        if len(content) + size > length or count > _MOST_TOKENS + len(data) // _BYTES_A_TOKEN:
            raise UnreadableImage("snappy block that is damaged, or of no image")
        if not offset:
            if at + size > len(data):
                raise IndexError
            content += data[at : at + size]
            at += size
            continue
        start = len(content) - offset
        if start < 0:
            raise IndexError
        copied = content[start : start + size]
        content += (copied * (size // len(copied) + 1))[:size]
    return content, bytes(tokens)


def _encoded(content: bytes, tokens: bytes) -> bytes:
    length, at = _length(tokens)
    parts, done, position = [tokens[:at]], 0, at
    while position < len(tokens):
        size, offset, behind = _token(tokens, position)
        parts.append(tokens[position:behind])
        if not offset:
            parts.append(content[done : done + size])
        done, position = done + size, behind
    if done != length or done != len(content):
        raise SectionCorrupt("recipe of a snappy block with other content")
    return b"".join(parts)


def _token(data: bytes, at: int) -> tuple[int, int, int]:
    """Bytes of content, how far back they are copied from (0: a literal), where the token ends."""
    tag = data[at]
    kind, size = tag & 3, tag >> 2
    if kind == _LITERAL:
        if size < _LONG_LITERAL:
            return size + 1, 0, at + 1
        behind = at + 2 + size - _LONG_LITERAL
        return int.from_bytes(data[at + 1 : behind], "little") + 1, 0, _within(data, behind)
    if kind == _NEAR:
        offset, size, behind = tag >> 5 << 8 | data[at + 1], (size & 7) + 4, at + 2
    else:
        behind = at + (3 if kind == _FAR else 5)
        offset, size = int.from_bytes(data[at + 1 : behind], "little"), size + 1
    if not offset:
        raise IndexError
    return size, offset, _within(data, behind)


def _within(data: bytes, end: int) -> int:
    if end > len(data):
        raise IndexError
    return end


def _length(data: bytes) -> tuple[int, int]:
    """The length of the content that a block begins with, and where that ends."""
    length = 0
    for i in range(_MOST_LENGTH_BYTES):
        length |= (data[i] & 0x7F) << 7 * i
        if data[i] < 0x80:
            return length, i + 1
    raise IndexError
