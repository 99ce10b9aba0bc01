"""Parts of gzip members that are too large to be taken whole, each put together alone.

A part has the blocks of a deflate stream between two places, and the bytes around them that are in
no other part. It knows the 32 KiB of content before it, which its matches lead to.
"""

import struct
from dataclasses import dataclass
from itertools import pairwise

from seec.pipeline.deflate.streams import analyse, rebuild
from seec.schemas.errors import SectionCorrupt, UnreadableImage

WINDOW_BYTES = 1 << 15
# Bits and value of what is before the first block in its byte; 8 if the stream ends with the part,
# and how many bits of the last byte of the recipe's stream are left; lengths of head, window and
# tail; bytes of content that belong to the next part.
_HEAD = struct.Struct("<BBBIIII")
_LAST, _LEFT = 8, 7
_STORED = struct.Struct("<BHH")  # the header of a stored block at a whole byte
_END, _END_BITS = 0b11, 10  # a last block without content, of fixed codes
# Blocks without content that are not the last: of fixed codes, and of a code for their end alone,
# whose header has an odd number of bits.
_EMPTY, _EMPTY_BITS = 0b10, 10
_ODD_BITS = 95


def _odd_block() -> int:
    """A dynamic block without content: bits as a number, the first one lowest."""
    # Header; lengths of the codes of 18, 0 and 1; 138 and 118 zeros, a one, a zero; the end.
    fields = [(0b100, 3), (0, 5), (0, 5), (15, 4)]
    lengths = {2: 1, 3: 2, 17: 2}  # by place in the order of RFC 1951
    fields += [(lengths.get(place, 0), 3) for place in range(19)]
    fields += [(0, 1), (138 - 11, 7), (0, 1), (118 - 11, 7), (0b11, 2), (0b01, 2), (0, 1)]
    number = at = 0
    for value, bits in fields:
        number |= value << at
        at += bits
    return number


_ODD = _odd_block()


@dataclass(frozen=True)
class Cut:
    """Where a part is.

    bits: from the first block's beginning to the last one's end, in bits of what is taken apart.
    window: content before it. last: whether the stream ends with it. extra: bytes of the content of
    the next part that are told with this one, so that no member is cut.
    """

    bits: tuple[int, int]
    window: bytes
    last: bool
    extra: int = 0


class GzipPart:
    """Recipe: what `_HEAD` says, head, window and tail, and the recipe of a deflate stream.

    This stream is a stored block of the window, if there is one, blocks without content, the blocks
    of the part, and a last block without content, unless the stream ends with them. Those before
    the part make it begin at the same bit of a byte as in the file, since stored blocks begin at
    whole bytes. Head and tail are what stands in the file before the first block's byte and behind
    the last block of the stream.
    """

    def take_apart(self, data: bytes, size_bytes: int, cut: Cut, limit: int) -> tuple[bytes, bytes]:
        """Content, without `extra`, and recipe.

        data: the bytes of the part, `size_bytes`, and at least one more unless it is the last.
        limit: of the content. UnreadableImage as `analyse`.
        """
        begin, end = cut.bits
        first, lead = divmod(begin, 8)
        blocks = _bits(data, begin, end)
        length = end - begin
        if not cut.last:
            blocks |= _END << length
            length += _END_BITS
        shift, shift_bits = _shift(lead)
        blocks = blocks << shift_bits | shift
        length += shift_bits
        window = cut.window
        before = _STORED.pack(0, len(window), len(window) ^ 0xFFFF) + window if window else b""
        stream = before + blocks.to_bytes(-(-length // 8), "little")
        content, recipe, used = analyse(stream, limit + len(window))
        if used != len(stream) or not content.startswith(window):
            raise UnreadableImage("part of a deflate stream that does not end where its blocks do")
        behind = -(-end // 8)
        tail = data[behind:size_bytes] if cut.last else b""
        if cut.last and end % 8 and data[behind - 1] >> end % 8:
            raise UnreadableImage("deflate stream that is filled up with something else than zeros")
        head = _HEAD.pack(
            lead,
            data[first] & ((1 << lead) - 1),
            _LAST * cut.last | -length % 8,
            first,
            len(window),
            len(tail),
            cut.extra,
        )
        return content[len(window) :], head + data[:first] + window + tail + recipe

    def unpack(self, data: bytes, limit: int) -> tuple[bytes, bytes]:
        """Raises UnreadableImage: only who walked through the stream knows where blocks begin."""
        raise UnreadableImage("a part that does not tell where it begins")

    def pack(self, content: bytes, recipe: bytes) -> bytes:
        """The bytes of the part; SectionCorrupt if the recipe is damaged, or of another content."""
        try:
            lead, lead_bits, flags, first, window_bytes, tail_bytes, extra = _HEAD.unpack_from(
                recipe
            )
        except struct.error:
            raise SectionCorrupt("recipe of a part of a gzip member: cut short") from None
        ends = [_HEAD.size]
        for size in (first, window_bytes, tail_bytes):
            ends.append(ends[-1] + size)
        damaged = lead > 7 or lead_bits >> lead or flags > _LAST | _LEFT
        if damaged or ends[-1] > len(recipe) or extra > len(content):
            raise SectionCorrupt("recipe of a part of a gzip member: damaged")
        head, window, tail = (recipe[a:b] for a, b in pairwise(ends))
        whole = rebuild(window + content[: len(content) - extra], recipe[ends[-1] :])
        begin = (8 * (_STORED.size + len(window)) if window else 0) + _shift(lead)[1]
        end = 8 * len(whole) - (flags & _LEFT) - (0 if flags & _LAST else _END_BITS)
        if end < begin:
            raise SectionCorrupt("recipe of a part of a gzip member: of another stream")
        led = _led(whole, begin, end, lead, lead_bits)
        if flags & _LAST:
            return head + led + tail
        # The bits behind the last whole byte are the next part's lead.
        return head + led[: (lead + end - begin) // 8]


def _shift(lead: int) -> tuple[int, int]:
    """Blocks without content behind which that bit of a byte follows; how many bits they have."""
    number, bits = (_ODD, _ODD_BITS) if lead % 2 else (0, 0)
    while bits % 8 != lead:
        number |= _EMPTY << bits
        bits += _EMPTY_BITS
    return number, bits


def _bits(data: bytes, begin: int, end: int) -> int:
    """Bits of some bytes as a number, the first one lowest."""
    first = begin // 8
    number = int.from_bytes(data[first : -(-end // 8)], "little") >> begin % 8
    return number & ((1 << (end - begin)) - 1)


def _led(stream: bytes, begin: int, end: int, lead: int, lead_bits: int) -> bytes:
    """Bits of a stream behind others."""
    number = _bits(stream, begin, end) << lead | lead_bits
    return number.to_bytes(-(-(lead + end - begin) // 8), "little")
