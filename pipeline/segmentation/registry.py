"""Segmentation sources by name."""

from pipeline.segmentation.protocol import Segmenter
from pipeline.segmentation.rate import RateSegmenter

NAMES = ("rate",)


def make_segmenter(name: str) -> Segmenter:
    """The segmentation source called `name`; ValueError lists the known ones."""
    if name == RateSegmenter.name:
        return RateSegmenter()
    raise ValueError(f"unknown segmentation source {name!r}; known: {', '.join(NAMES)}")
