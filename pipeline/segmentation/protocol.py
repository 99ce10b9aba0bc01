"""The interface of every segmentation source."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
LabelMap = NDArray[np.uint8]
Saliency = NDArray[np.float32]

MAX_LABELS = 16


class Segmenter(Protocol):
    """A source of label maps. A `.seec` file holds labels, not their origin.

    name: as for `make_segmenter`. labels: number of different labels in the maps; None if the
    number depends on the images or the encoder. proposes: True if labels only name regions, for
    each of which the encoder picks the entropy model.
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

        images: each [H, W] or [H, W, 3] uint8. names: paths in the collection, escaped by
        `seec.schemas.names`; only `masks:DIR` needs names. Returns one entry per image: labels
        [H, W] uint8, or None for the labels of least code length, which the encoder finds.
        Raises UnreadableMask if an image has no label map.
        """
        ...
