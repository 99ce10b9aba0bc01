"""What label maps cost: coded by us, and as JPEG XL images."""

from collections.abc import Sequence
from dataclasses import dataclass

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec import Encoder, Model, default_model
from seec.pipeline.codec.coding.entropy import encode_labels
from seec.pipeline.codec.coding.labels import blocks_from_map
from seec.pipeline.codec.decoder import read_front
from seec.pipeline.codec.encoder import BLOCK_SHIFT
from seec.pipeline.segmentation import LabelMap, Segmenter
from seec.pipeline.segmentation.protocol import Pixels
from seec.schemas.container import parse, read_index, reader

# What JPEG XL may choose from: on a few hundred bytes, more effort is not always smaller.
_EFFORTS = (7, 9, 10)


@dataclass(frozen=True)
class LabelMapFigures:
    """Sizes of the label maps of some images, at block resolution.

    maps: how many. blocks: how many labels, in all. size_bytes: as `.seec` files hold them.
    jpegxl_size_bytes: as lossless JPEG XL without a container, the smallest of efforts 7, 9, 10.
    """

    maps: int
    blocks: int
    size_bytes: int
    jpegxl_size_bytes: int


def measure(
    segmenter: Segmenter, images: Sequence[Pixels], model: Model | None = None
) -> LabelMapFigures:
    """Code the label maps that a source gives these images both ways.

    images: each [H, W] or [H, W, 3] uint8. model: whose encoder picks labels where the source
    leaves that to it, and whose number of entropy models counts; default the packaged one.
    """
    model = model or default_model()
    entropy_models = model.profile.entropy_models
    maps = [
        chosen_blocks(image, labels, model, regions=segmenter.proposes)
        for image in images
        for labels in segmenter.segment([image])
    ]
    return LabelMapFigures(
        maps=len(maps),
        blocks=sum(blocks.size for blocks in maps),
        size_bytes=sum(len(encode_labels(blocks, entropy_models)) for blocks in maps),
        jpegxl_size_bytes=sum(_jpegxl_size_bytes(blocks) for blocks in maps),
    )


def chosen_blocks(
    image: Pixels, labels: LabelMap | None, model: Model, *, regions: bool
) -> NDArray[np.uint8]:
    """The label of each block of an image, the choice of an encoder of pixels where it has one.

    image, labels, regions: as `pipeline.codec.encode` takes them. Returns [rows, columns] uint8.
    """
    if labels is not None and not regions:
        return blocks_from_map(labels, BLOCK_SHIFT, model.profile.entropy_models)
    encoder = Encoder(model, colour_set="none", screen=False, turned=False)
    (blob,) = encoder.encode_batch([image], [labels], regions=regions)
    sections = parse(blob).sections
    return read_front(read_index(reader(blob)), sections.__getitem__, model).maps.labels


def _jpegxl_size_bytes(blocks: NDArray[np.uint8]) -> int:
    codes = (
        imagecodecs.jpegxl_encode(blocks, lossless=True, effort=effort, usecontainer=False)
        for effort in _EFFORTS
    )
    return min(map(len, codes))
