"""What every segmentation source offers."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
LabelMap = NDArray[np.uint8]


class Segmenter(Protocol):
    """A source of label maps. The bitstream knows only labels, never where they came from."""

    name: str

    def segment(self, images: Sequence[Pixels]) -> list[LabelMap | None]:
        """Label every image of a batch.

        images: each [H, W] or [H, W, 3] uint8.
        Returns one entry per image: labels [H, W] uint8, or None to leave the choice
        to the encoder (the labels of least code length).
        """
        ...
