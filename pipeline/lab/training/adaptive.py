"""Training data of networks with predictors: tiles of images, and patches of them as inputs."""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seec.pipeline.codec.coding.tiles import MARGIN
from seec.pipeline.codec.model.profile import ACTIVITY_TAPS, CHANNELS, INPUT_BITS, TAPS, Profile
from seec.pipeline.codec.model.tables import build_tables, log_error_table
from seec.pipeline.codec.network.inputs import (
    NetworkInputs,
    Tables,
    context_inputs,
    head_inputs,
    normalised_taps,
)
from seec.pipeline.codec.network.predictors import error_of
from seec.pipeline.codec.training.mixture import adaptive_code_length
from seec.pipeline.codec.training.networks import AdaptiveNetwork
from seec.pipeline.lab.training.data import (
    PATCH,
    Data,
    PixelBatch,
    Sample,
    TrainingData,
    block_labels,
    fixed_crops,
    load_images,
    neighbours,
    shifted,
    to_blocks,
    with_labels,
)
from seec.pipeline.lab.training.starts import learn_starts
from seec.pipeline.lab.training.tiles import Records, TileFile, TileMaker
from seec.pipeline.lab.training.variants import middle, tiles_of, variants
from seec.pipeline.segmentation import Segmenter

_AROUND = tuple(TAPS[tap] for tap in ACTIVITY_TAPS)  # where a predictor's errors are looked at
_BASE_UNIT = 2.0**-6


@dataclass(frozen=True)
class AdaptiveBatch(PixelBatch):
    """Pixels of a network with P predictors.

    inputs: [pixels, inputs + head inputs], network inputs, then head numbers, / 32. bases:
    [pixels, P, 3], what predictors say, in pixel values. spread, log_spread: [pixels, 3], the sum
    of the first predictor's errors around the pixel and the table entry for it. errors:
    [pixels, 3], its errors at the pixel itself, in pixel values.
    """

    bases: Tensor
    spread: Tensor
    log_spread: Tensor
    errors: Tensor

    def code_length(self, params: Tensor) -> Tensor:
        """Bits of each sub-pixel, [pixels, 3]; params: [pixels, outputs]."""
        return adaptive_code_length(
            params,
            self.target,
            self.prediction,
            self.bases,
            self.spread,
            self.log_spread,
            self.errors,
        )


@dataclass(frozen=True)
class PatchPlanes:
    """Patches with their margins, and what predictors say; int32.

    pixel: [B, H + 3, W + 6, 3]. base, ls: [B, H + 3, W + 6, P, 3]; full: [..., P, 2], of G and B.
    H and W are multiples of 16. gray: [B] bool.
    """

    pixel: Tensor
    base: Tensor
    ls: Tensor
    full: Tensor
    gray: Tensor

    @staticmethod
    def of(records: Records, gray: NDArray[np.bool_]) -> "PatchPlanes":
        """records: [B, H + 3, W + 6] with the fields of TileMaker.kind."""

        def plane(name: str) -> Tensor:
            return torch.from_numpy(records[name].astype(np.int32))

        planes = plane("pixel"), plane("base"), plane("ls"), plane("full")
        return PatchPlanes(*planes, torch.from_numpy(gray))


def adaptive_batch(patches: PatchPlanes, tables: Tables) -> AdaptiveBatch:
    """The integers before the network, on whole patches."""
    pixel = patches.pixel
    context, scaled = normalised_taps(neighbours(pixel, TAPS), tables["reciprocal"])
    scale = tables["reciprocal"][context.activity.sum(-1)]
    errors = error_of(pixel[..., None, :], patches.base)
    seen = NetworkInputs(context, scaled, scale, neighbours(errors, _AROUND), shifted(patches.ls))
    spread = seen.spread()[..., 0, :]
    known, full = shifted(errors)[..., 0, :], shifted(patches.full)
    heads = [
        head_inputs(full[..., c - 1], known[..., :c], scale, tables) for c in range(1, CHANNELS)
    ]
    inputs = torch.cat([context_inputs(seen, tables), *heads], -1)
    weight = torch.ones_like(context.med)
    weight[..., 1:] *= (~patches.gray).to(torch.int32)[:, None, None, None]
    bases = to_blocks(shifted(patches.base).flatten(-2)).float() * _BASE_UNIT
    return AdaptiveBatch(
        inputs=to_blocks(inputs).float() * 2.0**-INPUT_BITS,
        target=to_blocks(shifted(pixel)).float(),
        prediction=to_blocks(context.med).float(),
        weight=to_blocks(weight).float(),
        bases=bases.unflatten(-1, (-1, CHANNELS)),
        spread=to_blocks(spread).float(),
        log_spread=to_blocks(tables["log_error"][spread]).float(),
        errors=to_blocks(known).float() * 0.25,
    )


class AdaptiveData:
    """Data of networks with predictors; see Data.

    starts: what the predictors know at first, learnt from the training images.
    """

    def __init__(
        self, folder: Path, segmenter: Segmenter, profile: Profile, cache: Path, seed: int = 1
    ):
        """Follow the predictors through all tiles, unless the cache knows what they say.

        cache: a folder for about 13 P bytes for each pixel of the training images.
        """
        training = load_images(folder, validation=False)
        validation = load_images(folder, validation=True)
        self.training_images, self.validation_images = len(training), len(validation)
        self.starts = learn_starts(profile.predictors, training)
        tables = build_tables() | {"log_error": log_error_table()}
        self._tables = {name: torch.from_numpy(table) for name, table in tables.items()}

        maker = TileMaker(profile.predictors, self.starts)
        layers = (with_labels(image, segmenter) for image in variants(training, seed))
        self._tiles = TileFile(cache / "training.tiles", maker)
        self._tiles.fill(training, seed, tiles_of(layers, seed))
        held = TileFile(cache / "validation.tiles", maker)
        held.fill(validation, seed, (middle(with_labels(i, segmenter)) for i in validation))
        crops = [(fixed_crops(held.tile(i)), shape.gray) for i, shape in enumerate(held.shapes)]
        self.validation = [
            self._sample(np.stack(some), np.full(len(some), gray)) for some, gray in crops if some
        ]

    def network(self, profile: Profile) -> AdaptiveNetwork:
        """An untrained network for this data."""
        return AdaptiveNetwork(profile, self.starts)

    def draw(self, rng: np.random.Generator, count: int, size: int = PATCH) -> Sample:
        """`count` random patches, from tiles by their area to the power of 3/4."""
        shapes = self._tiles.shapes
        height, width = size + MARGIN, size + 2 * MARGIN
        area = [s.height * s.width * (s.height >= height and s.width >= width) for s in shapes]
        chance = np.power(np.asarray(area, np.float64), 0.75)
        picks = rng.choice(len(shapes), count, p=chance / chance.sum())
        patches = np.empty((count, height, width), self._tiles.kind)
        for patch, pick in zip(patches, picks.tolist(), strict=True):
            y = rng.integers(shapes[pick].height - height + 1)
            x = rng.integers(shapes[pick].width - width + 1)
            patch[:] = self._tiles.tile(pick)[y : y + height, x : x + width]
        return self._sample(patches, np.array([shapes[pick].gray for pick in picks.tolist()]))

    def _sample(self, patches: Records, gray: NDArray[np.bool_]) -> Sample:
        """patches: [B, H + 3, W + 6]; gray: [B]."""
        batch = adaptive_batch(PatchPlanes.of(patches, gray), self._tables)
        inside = patches[:, MARGIN:, MARGIN:-MARGIN]
        labels = inside["label"]
        pixels = torch.from_numpy(np.ascontiguousarray(inside["pixel"])).permute(0, 3, 1, 2)
        return Sample(batch, block_labels(labels[..., 0]) if labels.shape[-1] else None, pixels)


def load_data(folder: Path, segmenter: Segmenter, profile: Profile, cache: Path) -> Data:
    """Whatever data networks of this profile learn from.

    cache: a folder for what predictors say of it, if it has some.
    """
    if not profile.predictors:
        return TrainingData(folder, segmenter)
    return AdaptiveData(folder, segmenter, profile, cache)
