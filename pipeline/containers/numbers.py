"""Numbers of LEB128: 7 bits a byte, the lowest first; the highest bit is set but in the last."""

_MOST_BYTES = 9


def numbers(*values: int) -> bytes:
    """Numbers from 0 to 2^63 - 1, one behind the other."""
    made = bytearray()
    for value in values:
        while value > 0x7F:
            made.append(value & 0x7F | 0x80)
            value >>= 7
        made.append(value)
    return bytes(made)


def number(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """The number there, and where it ends. IndexError if it is cut short, or too large."""
    value = 0
    for i in range(_MOST_BYTES):
        value |= (data[at + i] & 0x7F) << 7 * i
        if data[at + i] < 0x80:
            return value, at + i + 1
    raise IndexError
