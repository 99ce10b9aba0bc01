"""Tiles and what predictors say of their pixels, followed once and kept in a file."""

# torch's and numpy's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seec.pipeline.codec.coding.tiles import MARGIN, GroupCanvas, Pixels, canvas_of
from seec.pipeline.codec.encoder import BLOCK_SHIFT
from seec.pipeline.codec.kernels import native_available
from seec.pipeline.codec.model.profile import CHANNELS, Predictor
from seec.pipeline.codec.model.tables import build_tables
from seec.pipeline.codec.model.weights import PredictorStart
from seec.pipeline.codec.network.predictors import follow

Records = NDArray[np.void]
Follower = Callable[[GroupCanvas], tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]


def make_follower(
    predictors: Sequence[Predictor], starts: Sequence[PredictorStart], *, native: bool
) -> Follower:
    """What gives base, ls and full of a full canvas, as in Planes; in C or, slowly, in torch."""
    if native:
        from seec.pipeline.codec.native.kernels import NativePredictors

        return NativePredictors(predictors, starts).follow
    tables = {"reciprocal": torch.from_numpy(build_tables()["reciprocal"])}

    def in_torch(group: GroupCanvas) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        planes = follow(predictors, starts, tables, group)
        return planes.base.numpy(), planes.ls.numpy(), planes.full.numpy()

    return in_torch


class TileMaker:
    """Makes records of tiles, by following these predictors through them."""

    def __init__(self, predictors: Sequence[Predictor], starts: Sequence[PredictorStart]):
        self._predictors, self._starts = predictors, starts
        self._follow = make_follower(predictors, starts, native=native_available())

    def kind(self, labelled: bool) -> np.dtype[np.void]:
        """What is kept of each pixel.

        pixel: its channels. label: [1], or [0] in unlabelled data. base, ls, full: what each
        predictor says, see Planes; `full` of G and B only, since entropy models of R see none.
        """
        predictors = len(self._predictors)
        return np.dtype(
            [
                ("pixel", "u1", (CHANNELS,)),
                ("label", "u1", (int(labelled),)),
                ("base", "<i2", (predictors, CHANNELS)),
                ("ls", "i1", (predictors, CHANNELS)),
                ("full", "i1", (predictors, CHANNELS - 1)),
            ]
        )

    def records(self, layers: Pixels) -> Records:
        """A tile with its margins: [H, W, 3] or, with a label map, [H, W, 4] -> [H + 3, W + 6]."""
        height, width, depth = layers.shape
        group = canvas_of([layers[..., :CHANNELS]], BLOCK_SHIFT)
        base, ls, full = self._follow(group)
        records = np.zeros(
            (height + MARGIN, width + 2 * MARGIN), self.kind(labelled=depth > CHANNELS)
        )
        records["pixel"] = group.canvas[0, : height + MARGIN, : width + 2 * MARGIN]
        # Nothing is predicted in the margins: no error there.
        records["base"] = 64 * records["pixel"].astype(np.int16)[..., None, :]
        inside = records[MARGIN:, MARGIN : MARGIN + width]
        inside["label"] = layers[..., CHANNELS:]
        for name, plane, first in (
            ("base", base, 0),
            ("ls", ls, 0),
            ("full", full, 1),
        ):
            own = plane[:, 0, MARGIN : MARGIN + height, MARGIN : MARGIN + width, first:]
            inside[name] = own.transpose(1, 2, 0, 3)
        return records

    def digest(self) -> str:
        """Stands for the predictors and what they know at first."""
        known = hashlib.sha256(repr(self._predictors).encode())
        for start in self._starts:
            known.update(start.prior.tobytes() + start.start.tobytes())
        return known.hexdigest()


@dataclass(frozen=True)
class TileShape:
    """height, width: of the records, margins included. gray: whether one channel is coded."""

    height: int
    width: int
    gray: bool


class TileFile:
    """Records of tiles in a file, read as a memory map.

    Of some hundred images they take gigabytes: more than a process should hold, but the page
    cache of the system may.
    """

    def __init__(self, path: Path, maker: TileMaker):
        self._path, self._maker = path, maker
        self._index = path.with_suffix(".json")
        self.shapes: list[TileShape] = []

    def fill(self, images: Sequence[Pixels], seed: int, tiles: Iterable[Pixels]) -> None:
        """Keep records of the tiles, unless the file has those of the same images and seed.

        tiles: [H, W, 3 or 4] uint8 each, made from the images; not looked at where not needed.
        """
        key = self._key(images, seed)
        index = self._known(key)
        if index is None:
            index = {"key": key, **self._write(tiles)}
            partial = self._index.with_suffix(".partial")
            partial.write_text(json.dumps(index), encoding="utf-8")
            partial.replace(self._index)
        self.shapes = [TileShape(*shape) for shape in index["tiles"]]
        self.kind = self._maker.kind(index["labelled"])
        self._starts = np.cumsum([0, *(s.height * s.width for s in self.shapes)]).tolist()
        self._records = np.memmap(self._path, self.kind, "r")

    def tile(self, number: int) -> Records:
        """The records of one tile, [height, width]."""
        shape = self.shapes[number]
        records = self._records[self._starts[number] : self._starts[number + 1]]
        return records.reshape(shape.height, shape.width)

    def _key(self, images: Sequence[Pixels], seed: int) -> str:
        digest = hashlib.sha256(f"{self._maker.digest()} {seed}".encode())
        for image in images:
            digest.update(image.tobytes())
        return digest.hexdigest()

    def _known(self, key: str) -> dict[str, Any] | None:
        if not (self._index.exists() and self._path.exists()):
            return None
        index = json.loads(self._index.read_text(encoding="utf-8"))
        return index if index["key"] == key else None

    def _write(self, tiles: Iterable[Pixels]) -> dict[str, Any]:
        self._index.unlink(missing_ok=True)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        shapes: list[tuple[int, int, bool]] = []
        labelled = False
        with self._path.open("wb") as file:
            for layers in tiles:
                records = self._maker.records(layers)
                file.write(records.tobytes())
                gray = bool((layers[..., :CHANNELS] == layers[..., :1]).all())
                shapes.append((*records.shape, gray))
                labelled = layers.shape[-1] > CHANNELS
        return {"labelled": labelled, "tiles": shapes}
