"""How tile groups are coded: the protocol of the C kernels and of the torch kernels."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.coding.tiles import GroupCanvas


class Kernels(Protocol):
    """What coding a tile group needs. Implementations may be used from several threads.

    at_once: tile groups that `decode` is best called with.
    """

    at_once: int

    def encode(self, group: GroupCanvas) -> bytes:
        """The coded words of a full canvas.

        Where coding is lossy the canvas ends with the pixels that a decoder will see.
        """
        ...

    def decode(self, groups: Sequence[GroupCanvas], words: Sequence[bytes]) -> None:
        """Fill each canvas from its coded words; raises SectionCorrupt."""
        ...

    def measure(self, group: GroupCanvas) -> NDArray[np.int64]:
        """Code length of each block under each entropy model, in 1/256 bit.

        Counts the even rows of each tile only: they tell enough to choose an entropy model by,
        in half the time (0.05 % larger files). Returns [tiles, rows of blocks,
        columns of blocks, entropy models].
        """
        ...
