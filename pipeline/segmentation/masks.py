"""`masks:DIR`: label maps from a folder of pictures."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seec.pipeline.segmentation.protocol import MAX_LABELS, LabelMap, Pixels
from seec.schemas.errors import ModelError, UnreadableMask
from seec.schemas.names import unescape

SUFFIXES = (".png", ".pgm", ".webp")
_ON = 255


class MaskSegmenter:
    """Finds the label map of an image by the image's path, with the suffix of a mask."""

    labels = None
    proposes = False

    def __init__(self, folder: Path):
        if not folder.is_dir():
            raise ModelError(f"{folder}: no folder of masks")
        self._folder = folder

    @property
    def name(self) -> str:
        """As `make_segmenter` takes it."""
        return f"masks:{self._folder}"

    def segment(
        self, images: Sequence[Pixels], names: Sequence[str] | None = None
    ) -> list[LabelMap | None]:
        """The label map of each image. Raises UnreadableMask for a missing or unfit mask."""
        if names is None:
            raise ValueError("masks are looked up by name")
        return [self._one(image, name) for image, name in zip(images, names, strict=True)]

    def _one(self, image: Pixels, name: str) -> LabelMap:
        place = self._folder / os.fsdecode(unescape(name))
        path = next((p for s in SUFFIXES if (p := place.with_suffix(s)).is_file()), None)
        if path is None:
            raise UnreadableMask(f"{name}: no mask, as {' or '.join(SUFFIXES)}, among the masks")
        labels = labels_in(path, name)
        if labels.shape != image.shape[:2]:
            raise UnreadableMask(
                f"{name}: the mask has {_size(labels)} pixels and the image {_size(image)}"
            )
        return labels


def labels_in(path: Path, name: str) -> LabelMap:
    """The labels of a mask file, [H, W] uint8.

    Values up to 15 are labels. A gray picture that reaches 255 is a mask: label 1 from 128 on.
    name: of the image, for messages. Raises UnreadableMask for any other picture.
    """
    try:
        with Image.open(path) as picture:
            if picture.mode not in ("1", "L", "P"):
                raise UnreadableMask(f"{name}: the mask is neither gray nor a palette picture")
            values: NDArray[np.uint8] = np.array(picture, np.uint8)
            indexed = picture.mode == "P"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnreadableMask(f"{name}: the mask cannot be read as a picture") from error
    largest = int(values.max())
    if largest < MAX_LABELS:
        return values
    if largest < _ON or indexed:
        raise UnreadableMask(f"{name}: the mask has label {largest}, labels go up to 15")
    return (values > _ON // 2).astype(np.uint8)


def _size(values: Pixels) -> str:
    return f"{values.shape[1]} x {values.shape[0]}"
