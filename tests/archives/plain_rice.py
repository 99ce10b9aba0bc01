"""Rice codes of tiles in FITS files, by FORMAT.md alone."""

from collections.abc import Iterator, Sequence

_KINDS = {8: (3, 6), 16: (4, 14), 32: (5, 25)}


def rice(numbers: Sequence[int], bits: int) -> bytes:
    """The code of numbers with a sign, of so many bits."""
    code = "".join(parts(numbers, bits))
    code += "0" * (-len(code) % 8)
    return int(code, 2).to_bytes(len(code) // 8, "big")


def parts(numbers: Sequence[int], bits: int) -> Iterator[str]:
    count, most = _KINDS[bits]
    yield f"{numbers[0] % (1 << bits):0{bits}b}"
    for start in range(0, len(numbers), 32):
        block = numbers[start : start + 32]
        before = [numbers[max(0, start - 1)], *block]
        values = [folded(one - other, bits) for one, other in zip(block, before, strict=False)]
        mean = (sum(values) - len(block) // 2 - 1) / len(block)
        plain = (int(max(mean, 0)) >> 1).bit_length()
        if plain >= most:
            yield f"{most + 1:0{count}b}" + "".join(f"{value:0{bits}b}" for value in values)
        elif not any(values):
            yield "0" * count
        else:
            yield f"{plain + 1:0{count}b}"
            for value in values:
                yield "0" * (value >> plain) + "1"
                yield f"{value % (1 << plain):0{plain}b}" if plain else ""


def folded(difference: int, bits: int) -> int:
    half = 1 << (bits - 1)
    difference = (difference + half) % (2 * half) - half
    return 2 * difference if difference >= 0 else -2 * difference - 1
