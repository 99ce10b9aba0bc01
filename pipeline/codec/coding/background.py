"""Region-of-interest coding (arXiv 2509.07704, Fig. 3): a lossless region, a lossy background.

Blocks that hold any pixel of the region are lossless. In the others a bin of 2 error + 1 values
is coded instead of a value, so that no sub-pixel is further off than `error`; or nothing at all,
and the decoder keeps what the network expects.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.coding.entropy import decode_labels, encode_labels
from seec.schemas.errors import SectionCorrupt
from seec.schemas.loss import MAX_BACKGROUND_ERROR


@dataclass(frozen=True)
class Background:
    """What an encoder may lose.

    region: [H, W] bool, True where every pixel must come back. error: 1..127, by how much a
    sub-pixel elsewhere may be off; None codes nothing there.
    """

    region: NDArray[np.bool_]
    error: int | None

    def __post_init__(self) -> None:
        """ValueError for errors that bins cannot have."""
        if self.error is not None and not 1 <= self.error <= MAX_BACKGROUND_ERROR:
            limit = MAX_BACKGROUND_ERROR
            raise ValueError(f"a background error of {self.error}; 1 to {limit}, or skip")

    def widths(self, shift: int) -> NDArray[np.uint8]:
        """Values per bin of each block of 2^shift pixels, [rows, columns] uint8."""
        edge, (height, width) = 1 << shift, self.region.shape
        padded = np.pad(self.region, ((0, -height % edge), (0, -width % edge)))
        inside = padded.reshape(-1, edge, padded.shape[1] // edge, edge).any((1, 3))
        return np.where(inside, 1, width_of(self.error)).astype(np.uint8)


def width_of(error: int | None) -> int:
    """Values per bin for a background error; 0 where nothing is coded."""
    return 0 if error is None else 2 * error + 1


def encode_widths(widths: NDArray[np.uint8]) -> bytes:
    """The payload of a background section: the error, then which blocks are background."""
    (width,) = np.unique(widths[widths != 1])
    return bytes([width >> 1]) + encode_labels((widths != 1).astype(np.uint8), 2)


def decode_error(payload: bytes) -> int | None:
    """The background error of a section, None where nothing was coded. Raises SectionCorrupt."""
    if not payload or payload[0] > MAX_BACKGROUND_ERROR:
        raise SectionCorrupt("a background error out of range")
    return payload[0] or None


def decode_widths(payload: bytes, rows: int, columns: int) -> NDArray[np.uint8]:
    """Inverse of encode_widths, [rows, columns] uint8; raises SectionCorrupt."""
    width = width_of(decode_error(payload))
    return np.where(decode_labels(payload[1:], rows, columns, 2), width, 1).astype(np.uint8)
