"""Structures of Thrift's compact protocol, as Parquet writes them: footers and page headers."""

from collections.abc import Iterator

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
# Of fields; yes and no are part of the head of theirs.
_WIDTHS = {_TRUE: 0, _FALSE: 0, _BYTE: 1, _DOUBLE: 8}
_MOST_DEPTH = 16
_MOST_VARINT_BYTES = 10


class Malformed(Exception):
    """No structures are there."""


class Structures:
    """A cursor. at: where it stands. Each value takes a byte at least, so work is linear.

    Methods raise Malformed where the bytes end, or say what cannot be.
    """

    def __init__(self, data: bytes, at: int = 0) -> None:
        self._data = data
        self.at = at

    def fields(self) -> Iterator[tuple[int, int]]:
        """Number and type of each field of a structure; the caller takes or skips its value."""
        number = 0
        while True:
            head = self._byte()
            if head == 0:
                return
            step = head >> 4
            number = number + step if step else self._signed()
            yield number, head & 15

    def structure(self, kind: int) -> Iterator[tuple[int, int]]:
        """As `fields`, of a value."""
        if kind != _STRUCT:
            raise Malformed
        return self.fields()

    def integer(self, kind: int) -> int:
        """A whole number, or 1 and 0 for yes and no."""
        if kind in (_TRUE, _FALSE):
            return int(kind == _TRUE)
        if kind in (_I16, _I32, _I64):
            return self._signed()
        raise Malformed

    def binary(self, kind: int) -> bytes:
        """Bytes, or the bytes of a text."""
        if kind != _BINARY:
            raise Malformed
        length = self._varint()
        start = self.at
        self._pass(length)
        return self._data[start : self.at]

    def items(self, kind: int) -> Iterator[int]:
        """The type of each item of a list; the caller takes or skips it."""
        if kind not in (_LIST, _SET):
            raise Malformed
        head = self._byte()
        count = head >> 4 if head >> 4 != 15 else self._varint()
        if count > len(self._data) - self.at:
            raise Malformed
        for _ in range(count):
            yield head & 15

    def skip(self, kind: int, depth: int = 0) -> None:
        """Pass over a value."""
        if depth > _MOST_DEPTH:
            raise Malformed
        if kind in _WIDTHS:
            self._pass(_WIDTHS[kind])
        elif kind in (_I16, _I32, _I64):
            self._varint()
        elif kind == _BINARY:
            self._pass(self._varint())
        elif kind in (_LIST, _SET):
            for item in self.items(kind):
                self.skip_item(item, depth + 1)
        elif kind == _STRUCT:
            for _, field in self.fields():
                self.skip(field, depth + 1)
        else:
            raise Malformed

    def skip_item(self, kind: int, depth: int = 0) -> None:
        """Pass over an item of a list: there yes and no take a byte."""
        if kind in (_TRUE, _FALSE):
            self._pass(1)
        else:
            self.skip(kind, depth)

    def _byte(self) -> int:
        at = self.at
        self._pass(1)
        return self._data[at]

    def _pass(self, count: int) -> None:
        if count > len(self._data) - self.at:
            raise Malformed
        self.at += count

    def _varint(self) -> int:
        value = 0
        for i in range(_MOST_VARINT_BYTES):
            byte = self._byte()
            value |= (byte & 0x7F) << 7 * i
            if byte < 0x80:
                return value
        raise Malformed

    def _signed(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
