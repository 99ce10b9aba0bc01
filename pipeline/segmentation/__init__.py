"""Images in, label maps out: which entropy model speaks where."""

from pipeline.segmentation.protocol import LabelMap, Segmenter
from pipeline.segmentation.registry import NAMES, check_labels, check_name, make_segmenter

__all__ = ["NAMES", "LabelMap", "Segmenter", "check_labels", "check_name", "make_segmenter"]
