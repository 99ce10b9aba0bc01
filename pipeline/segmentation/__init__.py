"""Images in, label maps out: a label names the entropy model of a block."""

from seec.pipeline.segmentation.checked import check_labels, label_image
from seec.pipeline.segmentation.protocol import LabelMap, Segmenter
from seec.pipeline.segmentation.rate import RateSegmenter
from seec.pipeline.segmentation.registry import NAMES, check_name, make_segmenter

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
