"""Sources that read no pixel: `none`, and `rate`, which leaves labels to the encoder."""

from collections.abc import Sequence

import numpy as np

from seec.pipeline.segmentation.protocol import LabelMap, Pixels


class NoSegmenter:
    """One class: the first entropy model codes every block."""

    name = "none"
    labels = 1
    proposes = False

    def segment(
        self, images: Sequence[Pixels], names: Sequence[str] | None = None
    ) -> list[LabelMap | None]:
        """All zeros for each image."""
        return [np.zeros(image.shape[:2], np.uint8) for image in images]


class RateSegmenter:
    """Leaves labels to the encoder, which measures each block under each entropy model."""

    name = "rate"
    labels = None
    proposes = False

    def segment(
        self, images: Sequence[Pixels], names: Sequence[str] | None = None
    ) -> list[LabelMap | None]:
        """One None per image: the encoder chooses."""
        return [None] * len(images)
