"""Numbers of 7 bits a byte, the lowest first; bit 7 is set in all bytes but the last."""

from seec.schemas.errors import SectionCorrupt, Truncated

_MAX_SHIFT = 28


def put(out: bytearray, number: int) -> None:
    """Append a number of 0 to 2^35 - 1."""
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)


class Reader:
    """Numbers and bytes in turn; Truncated and SectionCorrupt for what `put` never wrote."""

    def __init__(self, data: bytes, start: int = 0) -> None:
        self._data, self._position = data, start

    @property
    def left(self) -> int:
        """Bytes that are not read yet."""
        return len(self._data) - self._position

    def take(self, count: int) -> bytes:
        """The next bytes."""
        part = self._data[self._position : self._position + count]
        if len(part) < count:
            raise Truncated("JPEG recipe: ends before its own lengths say")
        self._position += count
        return part

    def view(self, count: int) -> memoryview:
        """The next bytes, which are not copied."""
        if count > self.left:
            raise Truncated("JPEG recipe: ends before its own lengths say")
        self._position += count
        return memoryview(self._data)[self._position - count : self._position]

    def number(self) -> int:
        """The next number."""
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > _MAX_SHIFT:
                raise SectionCorrupt("JPEG recipe: a number over its limit")

    def count(self) -> int:
        """The next number, of things that take at least a byte each."""
        value = self.number()
        if value > self.left:
            raise Truncated("JPEG recipe: ends before its own lengths say")
        return value
