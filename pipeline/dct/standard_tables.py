"""Tables that encoders share: Huffman tables and quantisation of ISO/IEC 10918-1, annex K."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.images.jpeg import ZIGZAG

# Tables K.3, K.5, K.4 and K.6: DC and AC for luma, the same for chroma. Counts of codes, symbols.
_DC_LUMA = "00010501010101010100000000000000 000102030405060708090a0b"
_DC_CHROMA = "00030101010101010101010000000000 000102030405060708090a0b"
_AC_LUMA = """
0002010303020403050504040000017d 01020300041105122131410613516107227114328191a1082342b1c11552d1f0
2433627282090a161718191a25262728292a3435363738393a434445464748494a535455565758595a63646566676869
6a737475767778797a838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5
c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"""
_AC_CHROMA = """
00020102040403040705040400010277 000102031104052131061241510761711322328108144291a1b1c109233352f0
156272d10a162434e125f11718191a26 2728292a35363738393a434445464748494a535455565758595a6364656667
68696a737475767778797a82838485868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9ba
c2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa"""

# By class (0 DC, 1 AC) and number of the table.
HUFFMAN = {
    (0, 0): bytes.fromhex(_DC_LUMA),
    (1, 0): bytes.fromhex(_AC_LUMA),
    (0, 1): bytes.fromhex(_DC_CHROMA),
    (1, 1): bytes.fromhex(_AC_CHROMA),
}

# Tables K.1 and K.2, and what mozjpeg has in their place (for all components), row by row.
_LUMA = [
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
]
_CHROMA = [
    *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99),
    *[99] * 32,
]
_SMOOTH = [
    *(16, 16, 16, 18, 25, 37, 56, 85, 16, 17, 20, 27, 34, 40, 53, 75),
    *(16, 20, 24, 31, 43, 62, 91, 135, 18, 27, 31, 40, 53, 74, 106, 156),
    *(25, 34, 43, 53, 69, 94, 131, 189, 37, 40, 62, 74, 94, 124, 169, 238),
    *(56, 53, 91, 106, 131, 169, 226, 311, 85, 75, 135, 156, 189, 238, 311, 418),
]
QUANTISATION = tuple(np.array(table) for table in (_LUMA, _CHROMA, _SMOOTH))
# Scales of tables: libjpeg's qualities from 1, then percentages from 0.
QUALITIES = 100
_MAX_PERCENT = 150


@cache
def quantisation(table: int, scale: int) -> bytes | None:
    """A table of QUANTISATION as libjpeg scales it, as in a DQT segment; None without that scale.

    scale: 1 to 100 a quality, from 101 a percentage, less 101.
    """
    if not 1 <= scale <= QUALITIES + 1 + _MAX_PERCENT:
        return None
    if scale > QUALITIES:
        percent = scale - QUALITIES - 1
    else:
        percent = 5000 // scale if scale < 50 else 200 - 2 * scale
    steps: NDArray[np.int_] = np.clip((QUANTISATION[table] * percent + 50) // 100, 1, 255)
    return steps[ZIGZAG].astype(np.uint8).tobytes()


@cache
def _scales() -> dict[tuple[int, bytes], int]:
    found: dict[tuple[int, bytes], int] = {}
    # The highest quality first: its table of ones is also that of lower percentages.
    scales = [*range(QUALITIES, 0, -1), *range(QUALITIES + 1, QUALITIES + 2 + _MAX_PERCENT)]
    for table in range(len(QUANTISATION)):
        for scale in scales:
            steps = quantisation(table, scale)
            if steps is not None:
                found.setdefault((table, steps), scale)
    return found


def scale_of(table: int, steps: bytes) -> int | None:
    """The scale at which a table of QUANTISATION becomes these 64 bytes; None if at none."""
    return _scales().get((table, steps))
