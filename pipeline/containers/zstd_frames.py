"""Packing `zstd`: frames of Zstandard (RFC 8878) that hold the content as it is, block by block.

An encoder writes what does not get smaller as raw blocks, and most images do not. A frame of which
more than a sixteenth are other blocks is refused: these could not be written again without the very
encoder. The recipe is a zlib stream of steps. Each is three numbers of LEB128: bytes of the frame
that follow here, bytes of content that the frame has behind these as they are, bytes of content
that the first ones stood for and that are passed over before. Bytes of the frame follow.
"""

import zlib
from dataclasses import dataclass

import zstandard

from seec.pipeline.containers.numbers import number, numbers
from seec.schemas.errors import SectionCorrupt, UnreadableImage
from seec.schemas.limits import MAX_RECIPE_BYTES

_MAGIC = b"\x28\xb5\x2f\xfd"
_RAW, _RUN, _COMPRESSED = 0, 1, 2
_BLOCK_BYTES, _CHECK_BYTES = 3, 4
_DICTIONARY_BYTES, _SIZE_BYTES = (0, 1, 2, 4), (0, 2, 4, 8)
_MOST_OTHER, _OTHER_BYTES = 1 / 16, 1 << 10


@dataclass(frozen=True)
class _Block:
    """start, end: in the frame, without its header."""

    raw: bool
    start: int
    end: int


class Zstd:
    """As `packings.Packing`."""

    def unpack(self, data: bytes, limit: int) -> tuple[bytes, bytes]:
        """As `Packing.unpack`; UnreadableImage, too, if the frame is compressed indeed."""
        try:
            blocks = _blocks(data)
        except IndexError:
            raise UnreadableImage("damaged zstd frame") from None
        other = len(data) - sum(block.end - block.start for block in blocks if block.raw)
        if other > _OTHER_BYTES + _MOST_OTHER * len(data):
            raise UnreadableImage("zstd frame that is compressed, which is not reproduced")
        content, steps = _decoded(data, blocks, limit)
        return content, zlib.compress(steps, 9)

    def pack(self, content: bytes, recipe: bytes) -> bytes:
        """As `Packing.pack`."""
        inflater = zlib.decompressobj()
        try:
            steps = inflater.decompress(recipe, MAX_RECIPE_BYTES)
            if not inflater.eof:
                raise SectionCorrupt("recipe of a zstd frame that is cut short")
            return _written(content, steps)
        except (zlib.error, IndexError):
            raise SectionCorrupt("damaged recipe of a zstd frame") from None


def _blocks(data: bytes) -> list[_Block]:
    """The blocks of a frame that is all of the bytes; IndexError if it is not."""
    flags = data[4]
    if not data.startswith(_MAGIC) or flags & 8:
        raise IndexError
    single = flags >> 5 & 1
    size = _SIZE_BYTES[flags >> 6] or single
    at, last = 5 + (1 - single) + _DICTIONARY_BYTES[flags & 3] + size, False
    blocks: list[_Block] = []
    while not last:
        head = int.from_bytes(data[at : at + _BLOCK_BYTES], "little")
        at += _BLOCK_BYTES
        kind, length, last = head >> 1 & 3, head >> 3, bool(head & 1)
        end = at + (1 if kind == _RUN else length)
        if kind > _COMPRESSED or end > len(data):
            raise IndexError
        blocks.append(_Block(kind == _RAW, at, end))
        at = end
    if at + (_CHECK_BYTES if flags & 4 else 0) != len(data):
        raise IndexError
    return blocks


def _decoded(data: bytes, blocks: list[_Block], limit: int) -> tuple[bytes, bytes]:
    """Content and steps."""
    decoder, content, steps = zstandard.ZstdDecompressor().decompressobj(), bytearray(), bytearray()
    fed = begun = 0  # of the frame: given to the decoder, and part of a step
    done = 0  # of the content: part of a step
    try:
        for block in (one for one in blocks if one.raw and one.start < one.end):
            content += decoder.decompress(data[fed : block.start])
            passed = len(content) - done
            content += decoder.decompress(data[block.start : block.end])
            fed, done = block.end, len(content)
            steps += numbers(block.start - begun, block.end - block.start, passed)
            steps += data[begun : block.start]
            begun = block.end
            if done > limit:
                raise UnreadableImage("zstd frame of more than the limit")
        if fed < len(data):
            content += decoder.decompress(data[fed:])
    except zstandard.ZstdError as error:
        raise UnreadableImage(f"damaged zstd frame: {error}") from None
    steps += numbers(len(data) - begun, 0, len(content) - done) + data[begun:]
    if not decoder.eof or len(content) > limit or len(steps) > MAX_RECIPE_BYTES:
        raise UnreadableImage("damaged zstd frame, or one of more than the limit")
    if _written(bytes(content), steps) != data:
        raise UnreadableImage("zstd frame whose blocks overlap what they hold")
    return bytes(content), bytes(steps)


def _written(content: bytes, steps: bytes | bytearray) -> bytes:
    parts: list[bytes] = []
    at = done = 0
    while at < len(steps):
        verbatim, at = number(steps, at)
        copied, at = number(steps, at)
        passed, at = number(steps, at)
        done += passed
        if at + verbatim > len(steps) or done + copied > len(content):
            raise IndexError
        parts += [bytes(steps[at : at + verbatim]), content[done : done + copied]]
        at, done = at + verbatim, done + copied
    if done != len(content):
        raise SectionCorrupt("recipe of a zstd frame with other content")
    return b"".join(parts)
