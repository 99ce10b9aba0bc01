"""Test sets for colour sets: photographs out of JPEG, video and contrast stretching."""

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seec.pipeline.codec import Encoder, decode, default_model
from seec.pipeline.codec.colours.chroma import Chroma
from seec.pipeline.codec.colours.detect import find_colour_set
from seec.pipeline.codec.colours.family import Family
from seec.pipeline.codec.colours.invert import invert
from seec.pipeline.codec.colours.presets import PRESETS

Pixels = NDArray[np.uint8]
_SUBSAMPLING = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}


def through_jpeg(image: Pixels, quality: int, subsampling: str) -> Pixels:
    """An image [H, W, 3] uint8 compressed as JPEG and decoded."""
    file = io.BytesIO()
    options = {"quality": quality, "subsampling": _SUBSAMPLING[subsampling]}
    Image.fromarray(image).save(file, "JPEG", **options)
    return np.asarray(Image.open(file).convert("RGB"))


def through_video(image: Pixels, family: Family) -> Pixels:
    """An image [H, W, 3] uint8 as 8-bit 4:2:0 video shows it, chroma means of 2 x 2 pixels."""
    height, width = (size // 2 * 2 for size in image.shape[:2])
    samples = invert(family, image[:height, :width].reshape(-1, 3))[0].reshape(height, width, 3)
    quads = samples.reshape(height // 2, 2, width // 2, 2, 3).astype(np.int32).sum((1, 3))
    means = ((quads + 2) >> 2).astype(np.uint8)
    blue, red = (Chroma.REPEAT_BOTH.enlarge(means[..., k]) for k in (1, 2))
    return family.pixels(samples[..., 0], blue, red)


def stretched(image: Pixels, quarters: int) -> Pixels:
    """An image with so many quarters of its contrast around middle gray."""
    return ((image.astype(np.int32) - 128) * quarters // 4 + 128).clip(0, 255).astype(np.uint8)


SETS: dict[str, Callable[[Pixels], Pixels]] = {
    "as they are": lambda image: image,
    "JPEG 75, 4:2:0": partial(through_jpeg, quality=75, subsampling="4:2:0"),
    "JPEG 85, 4:2:0": partial(through_jpeg, quality=85, subsampling="4:2:0"),
    "JPEG 90, 4:2:2": partial(through_jpeg, quality=90, subsampling="4:2:2"),
    "JPEG 95, 4:4:4": partial(through_jpeg, quality=95, subsampling="4:4:4"),
    "video BT.601, 4:2:0": partial(through_video, family=PRESETS["BT.601 limited"]),
    "video BT.709, 4:2:0": partial(through_video, family=PRESETS["BT.709 limited"]),
    "contrast stretched by a quarter": partial(stretched, quarters=5),
    "contrast stretched by a half": partial(stretched, quarters=6),
}


@dataclass(frozen=True)
class ColourFigures:
    """What colour sets bring on some images.

    found: images coded with one. bpsp: means over images of whole files. seconds: CPU time on
    one thread to encode all; seconds_to_find: the part of it that looked for colour sets.
    """

    images: str
    count: int
    found: int
    bpsp_without: float
    bpsp: float
    seconds_without: float
    seconds: float
    seconds_to_find: float


def measure(name: str, images: Sequence[Pixels]) -> ColourFigures:
    """Encode images [H, W, 3] with and without colour sets. ValueError if pixels change."""
    plain = Encoder(default_model(), colour_set="none")
    aware = Encoder(default_model())
    found, rates, seconds = 0, np.zeros(2), np.zeros(3)
    for image in images:
        marks = [time.process_time()]
        (with_it,) = aware.encode_batch([image], [None])
        marks.append(time.process_time())
        (without_it,) = plain.encode_batch([image], [None])
        marks.append(time.process_time())
        # Behind the encoding, so that what a first look takes longer counts in the whole.
        found += find_colour_set(image) is not None
        marks.append(time.process_time())
        seconds += np.diff(marks)
        rates += [8 * len(without_it) / image.size, 8 * len(with_it) / image.size]
        if not np.array_equal(decode(with_it), image):
            raise ValueError("an image decoded to other pixels")
    without, bpsp = (float(rate) for rate in rates / len(images))
    aware_s, plain_s, to_find = (float(second) for second in seconds)
    return ColourFigures(name, len(images), found, without, bpsp, plain_s, aware_s, to_find)
