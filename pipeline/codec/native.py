"""The C kernels: see _kernels.c."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.codec import _kernels
from pipeline.codec.tables import log2_table
from pipeline.codec.tiles import GroupCanvas
from pipeline.codec.weights import LAYERS, Model
from schemas.errors import SectionCorrupt

_TABLES = ("reciprocal", "log_activity", "exp", "logistic", "inverse_scale", "reach")


def levels() -> tuple[str, ...]:
    """The instruction sets that this processor's kernels can be made for, the slowest first."""
    return _kernels.levels()


class NativeKernels:
    """Holds a model's packed weights; safe to share between threads.

    level: one of `levels()`, which all give the same bits; empty is
    the fastest one of this processor.
    """

    at_once = 1  # a group is one call, and calls run beside each other

    def __init__(self, model: Model, level: str = ""):
        p = model.profile
        layers = [model.layers[name] for name in LAYERS]
        buffers: list[NDArray[Any]] = [a for x in layers for a in (x.weight, x.bias, x.shift)]
        buffers += [model.tables[name] for name in _TABLES]
        self._experts = p.experts
        self._log2 = log2_table()
        self._network: Any = _kernels.make_network(
            level, p.width, p.fused, p.expert_hidden, p.experts, p.mixtures, p.features, buffers
        )

    def encode(self, group: GroupCanvas) -> bytes:
        """The coded words of a full canvas; see Kernels."""
        return _kernels.encode(*self._arguments(group), b"")

    def decode(self, groups: Sequence[GroupCanvas], words: Sequence[bytes]) -> None:
        """Fill each canvas from its coded words; raises SectionCorrupt."""
        for group, coded in zip(groups, words, strict=True):
            if len(coded) % 4 or not _kernels.decode(*self._arguments(group), coded):
                raise SectionCorrupt("coded words that no encoder writes")

    def measure(self, group: GroupCanvas) -> NDArray[np.int64]:
        """Code length of the even rows of each block, [tiles, B, B, experts], 1/256 bit."""
        costs = _kernels.measure(*self._arguments(group), self._log2)
        return np.frombuffer(costs, np.int64).reshape(*group.labels.shape, self._experts)

    def _arguments(self, group: GroupCanvas) -> tuple[Any, ...]:
        return (
            self._network,
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
