"""Sources that look at no pixel: `none`, and `rate`, where the encoder decides."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from pipeline.segmentation.protocol import LabelMap, Pixels


class NoSegmenter:
    """One class: the first entropy model speaks everywhere."""

    name: ClassVar[str] = "none"
    labels: ClassVar[int | None] = 1
    proposes: ClassVar[bool] = False

    def segment(
        self, images: Sequence[Pixels], names: Sequence[str] | None = None
    ) -> list[LabelMap | None]:
        """All zeros for each image."""
        return [np.zeros(image.shape[:2], np.uint8) for image in images]


class RateSegmenter:
    """Leaves every label to the encoder, which measures each block under each expert."""

    name: ClassVar[str] = "rate"
    labels: ClassVar[int | None] = None
    proposes: ClassVar[bool] = False

    def segment(
        self, images: Sequence[Pixels], names: Sequence[str] | None = None
    ) -> list[LabelMap | None]:
        """One None per image: the encoder chooses."""
        return [None] * len(images)
