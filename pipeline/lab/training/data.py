"""Training patches and validation crops with their causal margin, as network inputs."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from seec.pipeline.codec.coding.labels import blocks_from_map
from seec.pipeline.codec.coding.tiles import MARGIN
from seec.pipeline.codec.model.profile import INPUT_BITS, TAPS, Profile
from seec.pipeline.codec.model.tables import Tables, build_tables
from seec.pipeline.codec.network.inputs import front_end
from seec.pipeline.codec.training.mixture import code_length
from seec.pipeline.codec.training.networks import AdaptiveNetwork, SeecNetwork
from seec.pipeline.images.split import is_validation
from seec.pipeline.segmentation import LabelMap, Segmenter

PATCH = 32
SIDE_PATCH = 64  # SIC needs room for its latents; as in arXiv 2509.07704
BLOCK_SHIFT = 4
BLOCK = 1 << BLOCK_SHIFT  # the unit for which an entropy model is chosen
_INPUT_UNIT = 2.0**-INPUT_BITS

LUMA = np.array([0.299, 0.587, 0.114])

Pixels = NDArray[np.uint8]
_Pixel = TypeVar("_Pixel", bound=np.generic)


def load_images(folder: Path, *, validation: bool) -> list[Pixels]:
    """All RGB images of one side of the split, [H, W, 3] uint8, sorted by name."""
    paths = sorted(p for p in folder.iterdir() if is_validation(p.name) == validation)
    return [np.asarray(Image.open(p).convert("RGB")) for p in paths]


def add_scaled(images: Sequence[Pixels], seed: int, larger_than: int = 400_000) -> list[Pixels]:
    """The images, and for each large one a copy scaled by 0.45 to 0.85."""
    rng = np.random.default_rng(seed)
    out = list(images)
    for image in images:
        if image.shape[0] * image.shape[1] < larger_than:
            continue
        factor = rng.uniform(0.45, 0.85)
        size = (int(image.shape[1] * factor), int(image.shape[0] * factor))
        out.append(np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)))
    return out


@dataclass(frozen=True)
class PixelBatch(ABC):
    """Pixels in block order: each run of 256 pixels is one 16 x 16 block.

    inputs: [pixels, I], network inputs / 32. target, prediction: [pixels, 3], the pixels and
    what MED says. weight: [pixels, 3], 0 for channels that are not coded.
    """

    inputs: Tensor
    target: Tensor
    prediction: Tensor
    weight: Tensor

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return len(self.target) // (BLOCK * BLOCK)

    def take(self, rows: Tensor) -> Self:
        """Some of the pixels."""
        return type(self)(*(getattr(self, f.name)[rows] for f in fields(self)))

    def to(self, device: str) -> Self:
        """The same pixels on a device."""
        return type(self)(*(getattr(self, f.name).to(device) for f in fields(self)))

    @abstractmethod
    def code_length(self, params: Tensor) -> Tensor:
        """Bits of each sub-pixel, [pixels, 3], under these mixture parameters."""


@dataclass(frozen=True)
class Batch(PixelBatch):
    """Pixels of a network without predictors; activity, log_activity: [pixels, 3]."""

    activity: Tensor
    log_activity: Tensor

    def code_length(self, params: Tensor) -> Tensor:
        """Bits of each sub-pixel, [pixels, 3]; params: [pixels, 12 K]."""
        return code_length(params, self.target, self.prediction, self.activity, self.log_activity)


@dataclass(frozen=True)
class Sample:
    """A batch and what comes with it.

    labels: [blocks] int64, or None where the code length is to choose. pixels: [B, 3, H, W]
    uint8, the patches themselves.
    """

    batch: PixelBatch
    labels: Tensor | None
    pixels: Tensor

    def to(self, device: str) -> "Sample":
        """The sample on a device."""
        labels = None if self.labels is None else self.labels.to(device)
        return Sample(self.batch.to(device), labels, self.pixels.to(device))


class PatchSampler:
    """Draws patches with their margin: images by the square root of their area.

    segmenter: labels each image before patches are cut from it; one that leaves labels to
    the encoder (`rate`) gives patches without labels.
    """

    def __init__(self, images: Sequence[Pixels], segmenter: Segmenter):
        self._images = [with_labels(i, segmenter) for i in images]

    def draw(self, rng: np.random.Generator, count: int, size: int) -> "Patches":
        """`count` patches of `size` x `size` pixels, from images that are large enough."""
        edge = size + 2 * MARGIN
        area = [i.shape[0] * i.shape[1] * (min(i.shape[:2]) >= edge) for i in self._images]
        chance = np.sqrt(area)
        picks = rng.choice(len(self._images), count, p=chance / chance.sum())
        layers = np.stack([self._one(rng, self._images[i], size) for i in picks])
        patches, labels = np.ascontiguousarray(layers[..., :3]), layers[..., 3:]
        gray = rng.random(count) < 0.05
        luma = np.rint(patches[gray] @ LUMA)
        patches[gray] = luma.astype(np.uint8)[..., None]
        for patch in patches:
            _emulate_borders(rng, patch)
        return Patches(patches, gray, _inside(labels))

    def _one(self, rng: np.random.Generator, image: Pixels, size: int) -> Pixels:
        edge = size + 2 * MARGIN
        y = rng.integers(image.shape[0] - edge + 1)
        x = rng.integers(image.shape[1] - edge + 1)
        crop = image[y : y + edge, x : x + edge]
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        if rng.random() < 0.25:
            crop = crop[::-1]
        if rng.random() < 0.25:
            crop = crop.transpose(1, 0, 2)
        return crop[:-MARGIN]


@dataclass(frozen=True)
class Patches:
    """Patches with their margins above, left and right.

    pixels: [B, H + 3, W + 6, 3] uint8. gray: [B], which of them are gray. labels: [B, H, W]
    uint8, or None where the code length is to choose.
    """

    pixels: Pixels
    gray: NDArray[np.bool_]
    labels: LabelMap | None


def with_labels(image: Pixels, segmenter: Segmenter) -> Pixels:
    """The image, with its label map as a fourth channel if the segmenter gives one."""
    (labels,) = segmenter.segment([image])
    return image if labels is None else np.dstack([image, labels])


def _inside(labels: Pixels) -> LabelMap | None:
    """[B, H + 3, W + 6, 1 or 0] -> [B, H, W], or None for no channel."""
    return labels[:, MARGIN:, MARGIN:-MARGIN, 0] if labels.shape[-1] else None


def _emulate_borders(rng: np.random.Generator, patch: Pixels) -> None:
    """Make some patches look like the borders of a tile, in place."""
    top, left, right = rng.random(3) < 1 / 16
    if right:
        patch[:, -MARGIN:] = patch[:, -MARGIN - 1, None]
    if left:
        patch[1:, :MARGIN] = patch[:-1, MARGIN, None]
    if top:
        patch[:MARGIN] = np.rint(patch[MARGIN, MARGIN:-MARGIN].mean(0)).astype(np.uint8)
        if left:
            patch[MARGIN, :MARGIN] = patch[0, 0]


def to_blocks(values: Tensor) -> Tensor:
    """[B, H, W, F] -> [B * H * W, F], one 16 x 16 block after the other."""
    b, h, w, f = values.shape
    split = values.reshape(b, h // BLOCK, BLOCK, w // BLOCK, BLOCK, f)
    return split.permute(0, 1, 3, 2, 4, 5).reshape(-1, f)


def shifted(plane: Tensor, dy: int = 0, dx: int = 0) -> Tensor:
    """What lies at (dy, dx) from each pixel: [B, H + 3, W + 6, ...] -> [B, H, W, ...]."""
    height, width = plane.shape[1] - MARGIN, plane.shape[2] - 2 * MARGIN
    y, x = MARGIN + dy, MARGIN + dx
    return plane[:, y : y + height, x : x + width]


def neighbours(plane: Tensor, offsets: Sequence[tuple[int, int]]) -> Tensor:
    """The n neighbours of each pixel: [B, H + 3, W + 6, F] -> [B, H, W, n, F]."""
    return torch.stack([shifted(plane, dy, dx) for dy, dx in offsets], 3)


def make_batch(patches: Pixels, gray: NDArray[np.bool_], tables: Tables) -> Batch:
    """The integer front end of the decoder, on whole patches.

    patches: [B, H + 3, W + 6, 3] uint8 with margins; H and W multiples of 16.
    """
    x = torch.from_numpy(patches).to(torch.int32)
    log_activity = torch.from_numpy(tables["log_activity"])
    reciprocal = torch.from_numpy(tables["reciprocal"])
    context, inputs = front_end(neighbours(x, TAPS), log_activity, reciprocal)
    weight = torch.ones_like(context.med)
    weight[torch.from_numpy(gray), :, :, 1:] = 0
    level = log_activity[context.activity]
    maps = (shifted(x), context.med, weight, context.activity, level)
    return Batch(to_blocks(inputs).float() * _INPUT_UNIT, *(to_blocks(m).float() for m in maps))


def block_labels(labels: LabelMap) -> Tensor:
    """[B, H, W] uint8 -> [B * H * W / 256] int64: the most frequent label of each block."""
    rows = labels.reshape(-1, labels.shape[-1])
    blocks = blocks_from_map(rows, BLOCK_SHIFT, int(labels.max()) + 1)
    return torch.from_numpy(blocks.ravel().astype(np.int64))


class Data(Protocol):
    """What runs learn from and what they are validated on.

    training_images, validation_images: how many there are. validation: one sample an image.
    """

    training_images: int
    validation_images: int
    validation: list[Sample]

    def network(self, profile: Profile) -> SeecNetwork | AdaptiveNetwork:
        """An untrained network for this data."""
        ...

    def draw(self, rng: np.random.Generator, count: int, size: int = PATCH) -> Sample:
        """`count` random patches of the training images, `size` pixels wide and high."""
        ...


class TrainingData:
    """Data of networks without predictors, loaded once for several runs; see Data."""

    def __init__(self, folder: Path, segmenter: Segmenter, seed: int = 1):
        self._tables = build_tables()
        training = load_images(folder, validation=False)
        validation = load_images(folder, validation=True)
        self.training_images, self.validation_images = len(training), len(validation)
        self._sampler = PatchSampler(add_scaled(training, seed), segmenter)
        crops = [_validation_patches(with_labels(image, segmenter)) for image in validation]
        self.validation = [self._sample(patches) for patches in crops if patches]

    def network(self, profile: Profile) -> SeecNetwork:
        """An untrained network for this data."""
        return SeecNetwork(profile)

    def draw(self, rng: np.random.Generator, count: int, size: int = PATCH) -> Sample:
        """`count` random patches of the training images, `size` pixels wide and high."""
        return self._sample(self._sampler.draw(rng, count, size))

    def _sample(self, patches: Patches) -> Sample:
        batch = make_batch(patches.pixels, patches.gray, self._tables)
        labels = None if patches.labels is None else block_labels(patches.labels)
        inside = patches.pixels[:, MARGIN:, MARGIN:-MARGIN]
        return Sample(batch, labels, torch.from_numpy(inside).permute(0, 3, 1, 2))


def _validation_patches(layers: Pixels) -> Patches | None:
    crops = fixed_crops(layers)
    if not crops:
        return None
    stacked = np.stack(crops)
    gray = np.zeros(len(crops), bool)
    return Patches(np.ascontiguousarray(stacked[..., :3]), gray, _inside(stacked[..., 3:]))


def fixed_crops(layers: NDArray[_Pixel]) -> list[NDArray[_Pixel]]:
    """Up to four crops of [64 + 3, 64 + 6, ...] at fixed places of [H, W, ...]."""
    h, w = layers.shape[:2]
    places = [(h * a // 8, w * b // 8) for a, b in ((1, 1), (1, 5), (5, 1), (5, 5))]
    return [layers[y : y + 67, x : x + 70] for y, x in places if y + 67 <= h and x + 70 <= w]
