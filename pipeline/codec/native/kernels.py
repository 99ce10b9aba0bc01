"""The C kernels: see _kernels.c."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.coding.tiles import GroupCanvas
from seec.pipeline.codec.model.profile import TAPS, Predictor, Profile
from seec.pipeline.codec.model.tables import ERROR_MAX, build_tables, log2_table
from seec.pipeline.codec.model.weights import Model, PredictorStart, layer_shapes
from seec.pipeline.codec.native import _kernels
from seec.schemas.errors import SectionCorrupt

_TABLES = ("reciprocal", "log_activity", "exp", "logistic", "inverse_scale", "reach")
_NO_ERRORS = np.zeros(ERROR_MAX + 1, np.int32)  # the table that networks without predictors lack


def levels() -> tuple[str, ...]:
    """The instruction sets that this processor's kernels can be made for, the slowest first."""
    return _kernels.levels()


def _make_network(
    level: str,
    sizes: Profile | None,
    predictors: Sequence[Predictor],
    starts: Sequence[PredictorStart],
    tables: Mapping[str, NDArray[np.int32]],
    layers: Sequence[NDArray[Any]],
) -> Any:
    """A packed network; without sizes it has no layers, only predictors."""
    numbers = [(p.taps, p.rows, p.every, p.sweeps, p.forget) for p in predictors]
    seen = np.zeros((len(predictors), len(TAPS)), np.uint8)
    for row, predictor in zip(seen, predictors, strict=True):
        row[list(predictor.nearest)] = 1
    buffers = [*layers, *(tables[name] for name in _TABLES), tables.get("log_error", _NO_ERRORS)]
    buffers += [a for start in starts for a in (start.prior, start.start)]
    s = sizes
    widths = (
        (s.width, s.fused, s.hidden, s.entropy_models, s.mixtures, s.features)
        if s
        else (0, 0, 0, 1, 0, 0)
    )
    adaptation = astuple(s.adaptation) if s and s.adaptation else ()
    return _kernels.make_network(
        level, *widths, np.array(numbers, np.int32), seen, buffers, *adaptation
    )


def _arguments(network: Any, group: GroupCanvas) -> tuple[Any, ...]:
    return (
        network,
        group.canvas,
        group.sizes,
        group.labels,
        group.widths,
        group.side,
        group.edge,
        int(group.labels.shape[1]),
        group.block_shift,
        group.channels,
    )


class NativeKernels:
    """Holds a model's packed weights; safe to share between threads.

    level: one of `levels()`, which all give the same bits; empty is
    the fastest one of this processor.
    """

    at_once = 1  # a group is one call, and calls run beside each other

    def __init__(self, model: Model, level: str = ""):
        profile = model.profile
        layers = [model.layers[name] for name in layer_shapes(profile)]
        buffers: list[NDArray[Any]] = [a for x in layers for a in (x.weight, x.bias, x.shift)]
        self._entropy_models = profile.entropy_models
        self._log2 = log2_table()
        self._network = _make_network(
            level, profile, profile.predictors, model.starts, model.tables, buffers
        )

    def encode(self, group: GroupCanvas) -> bytes:
        """The coded words of a full canvas; see Kernels."""
        return _kernels.encode(*_arguments(self._network, group), b"")

    def decode(self, groups: Sequence[GroupCanvas], words: Sequence[bytes]) -> None:
        """Fill each canvas from its coded words; raises SectionCorrupt."""
        for group, coded in zip(groups, words, strict=True):
            arguments = _arguments(self._network, group)
            if len(coded) % 4 or not _kernels.decode(*arguments, coded):
                raise SectionCorrupt("coded words that no encoder writes")

    def measure(self, group: GroupCanvas) -> NDArray[np.int64]:
        """Code length of the even rows of each block, [tiles, B, B, entropy models], 1/256 bit."""
        costs = _kernels.measure(*_arguments(self._network, group), self._log2)
        return np.frombuffer(costs, np.int64).reshape(*group.labels.shape, self._entropy_models)


class NativePredictors:
    """Predictors without a network, for training; see predictor.follow."""

    def __init__(
        self, predictors: Sequence[Predictor], starts: Sequence[PredictorStart], level: str = ""
    ):
        self._count = len(predictors)
        self._network = _make_network(level, None, predictors, starts, build_tables(), [])

    def follow(
        self, group: GroupCanvas
    ) -> tuple[NDArray[np.int16], NDArray[np.int8], NDArray[np.int8]]:
        """Base, ls and full of a full canvas as in Planes, [P, tiles, edge + 3, edge + 6, 3]."""
        base, ls, full = _kernels.follow(*_arguments(self._network, group), b"")
        shape = (self._count, *group.canvas.shape)
        return (
            np.frombuffer(base, np.int16).reshape(shape),
            np.frombuffer(ls, np.int8).reshape(shape),
            np.frombuffer(full, np.int8).reshape(shape),
        )
