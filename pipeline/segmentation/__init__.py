"""Images in, label maps out: which entropy model speaks where."""

from pipeline.segmentation.protocol import LabelMap, Segmenter
from pipeline.segmentation.rate import RateSegmenter
from pipeline.segmentation.registry import make_segmenter

__all__ = ["LabelMap", "RateSegmenter", "Segmenter", "make_segmenter"]
