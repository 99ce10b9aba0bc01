"""What every segmentation source offers."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
LabelMap = NDArray[np.uint8]
Saliency = NDArray[np.float32]

MAX_LABELS = 16


class Segmenter(Protocol):
    """A source of label maps. The bitstream knows only labels, never where they came from.

    name: as `make_segmenter` takes it. labels: how many different labels its maps may hold;
    None where only the images or the encoder can tell. proposes: labels only name regions, and
    the encoder picks the entropy model of each.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def labels(self) -> int | None: ...  # noqa: D102

    @property
    def proposes(self) -> bool: ...  # noqa: D102

    def segment(
        self, images: Sequence[Pixels], names: Sequence[str] | None = None
    ) -> list[LabelMap | None]:
        """Label every image of a batch.

        images: each [H, W] or [H, W, 3] uint8. names: their paths in the collection, as
        `seec.schemas.names` escapes them; only sources that look something up need them.
        Returns one entry per image: labels [H, W] uint8, or None to leave the choice to the
        encoder (the labels of least code length).
        Raises UnreadableMask where an image has no label map.
        """
        ...
