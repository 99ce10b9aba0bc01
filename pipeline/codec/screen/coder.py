"""The range coder for binary decisions: the words of FORMAT.md's range coder, two symbols."""

import struct

from seec.schemas.errors import SectionCorrupt

_ALL = (1 << 64) - 1
_LOW = (1 << 32) - 1


class BitEncoder:
    """Writes bits with given probabilities."""

    def __init__(self) -> None:
        self._lower, self._range = 0, _ALL
        self._words: list[int] = []

    def code(self, bit: int, p: int) -> int:
        """Write `bit`, which is 1 with probability p / 65536; returns it."""
        edge = (65536 - p) << 8
        scale = self._range >> 24
        if bit:
            self._lower += scale * edge
        self._range = scale * ((1 << 24) - edge if bit else edge)
        self._carry()
        if self._range <= _LOW:
            self._words.append(self._lower >> 32)
            self._lower = (self._lower & _LOW) << 32
            self._range <<= 32
        return bit

    def finish(self) -> bytes:
        """The little-endian 32-bit words written."""
        if self._range == _ALL:
            return b""
        lower, size = self._lower, self._range
        self._lower += _LOW
        self._carry()
        self._words.append(self._lower >> 32)
        if (lower + size & _ALL) >> 32 == self._words[-1]:
            self._words.append(0)
        return struct.pack(f"<{len(self._words)}I", *self._words)

    def _carry(self) -> None:
        if self._lower <= _ALL:
            return
        self._lower &= _ALL
        at = len(self._words) - 1
        while self._words[at] == _LOW:
            self._words[at] = 0
            at -= 1
        self._words[at] += 1


class BitDecoder:
    """Reads what BitEncoder wrote."""

    def __init__(self, payload: bytes):
        self._words = struct.unpack(f"<{len(payload) // 4}I", payload)
        self._position, self._range, self._ahead = 0, _ALL, 0
        self._ahead = self._word() << 32 | self._word()

    def code(self, bit: int, p: int) -> int:
        """The next bit, which is 1 with probability p / 65536. Raises SectionCorrupt."""
        del bit
        edge = (65536 - p) << 8
        scale = self._range >> 24
        one = self._ahead >= scale * edge
        if one:
            self._ahead -= scale * edge
        self._range = scale * ((1 << 24) - edge if one else edge)
        if self._range <= _LOW:
            self._range <<= 32
            self._ahead = (self._ahead << 32 | self._word()) & _ALL
        return int(one)

    def finish(self) -> None:
        """Raises SectionCorrupt unless all words were used."""
        if self._position < len(self._words):
            raise SectionCorrupt("coded words are left over")

    def _word(self) -> int:
        self._position += 1
        if self._position > len(self._words) + 1:
            raise SectionCorrupt("coded words end too early")
        return self._words[self._position - 1] if self._position <= len(self._words) else 0
