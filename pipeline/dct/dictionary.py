"""What metadata of JPEG files often holds: the dictionary that recipes are compressed with.

`schemas/JPEG-DICTIONARY.txt` states it line by line: `x` and bytes in hexadecimal, `t` and text,
`c` for the curve of the sRGB profile that most pictures of the web carry.
"""

from functools import cache
from importlib import resources

_FILE = resources.files("seec.schemas") / "JPEG-DICTIONARY.txt"
_CURVE_POINTS, _WHITE = 1024, 65535


@cache
def recipe_dictionary() -> bytes:
    """The bytes of the dictionary."""
    parts: list[bytes] = []
    for line in _FILE.read_text("utf-8").splitlines():
        kind, content = line[:1], line[2:]
        if kind == "x":
            parts.append(bytes.fromhex(content))
        elif kind == "t":
            parts.append(content.encode())
        else:
            parts += [_level(i).to_bytes(2, "big") for i in range(_CURVE_POINTS)]
    return b"".join(parts)


def _level(point: int) -> int:
    """The integer nearest to 65535 s(x) at x = point / 1023, for the transfer function s of sRGB.

    s(x) = x / 12.92 to x = 0.04045, above that ((x + 0.055) / 1.055)^2.4.
    """
    last = _CURVE_POINTS - 1
    if point <= 41:
        divisor = 1292 * last
        return (2 * 100 * _WHITE * point + divisor) // (2 * divisor)
    wanted = (2 * _WHITE) ** 5 * (1000 * point + 55 * last) ** 12
    unit = (1055 * last) ** 12
    low, high = 0, _WHITE
    while low < high:
        middle = (low + high + 1) // 2
        if (2 * middle - 1) ** 5 * unit <= wanted:
            low = middle
        else:
            high = middle - 1
    return low
