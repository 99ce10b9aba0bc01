"""Images in, label maps out: which entropy model speaks where."""

from pipeline.segmentation.checked import check_labels, label_image
from pipeline.segmentation.protocol import LabelMap, Segmenter
from pipeline.segmentation.rate import RateSegmenter
from pipeline.segmentation.registry import NAMES, check_name, make_segmenter

__all__ = [
    "NAMES",
    "LabelMap",
    "RateSegmenter",
    "Segmenter",
    "check_labels",
    "check_name",
    "label_image",
    "make_segmenter",
]
