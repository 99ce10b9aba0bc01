"""Groups of coefficients coded by the C extension: see _dct.c."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.dct import _dct
from seec.pipeline.dct.jpeg import Component
from seec.pipeline.dct.weights import START_COUNT, UNUSED, DctModel, Layer
from seec.schemas.errors import SectionCorrupt

STRETCH_UNIT = 128  # of model files, in the coder's 1/256
# As the coder takes them, for each class, line and node.
SLOT = np.dtype([("one", "<u2"), ("count", "u1"), ("unused", "u1")])
# 65536 / (1 + exp(-x)) at x = -8, -7.5, ... 8, as tables.h has them.
_SQUASH = np.fromstring(
    """22 36 60 98 162 267 439 720 1179 1921 3108 4971 7812 11955 17625 24743 32768 40793 47911
    53581 57724 60565 62428 63615 64357 64816 65097 65269 65374 65438 65476 65500 65514""",
    np.int64,
    sep=" ",
)


def levels() -> tuple[str, ...]:
    """The instruction sets that the coder can be run with here, the slowest first."""
    return _dct.levels()


def squash(stretched: NDArray[Any]) -> NDArray[np.uint16]:
    """65536 / (1 + exp(-x)) of x in 1/256, from -2048 to 2047."""
    at = np.clip(np.asarray(stretched, np.int64), -2048, 2047) + 2048
    node, part = at >> 7, at & 127
    mixed = _SQUASH[node] * (128 - part) + _SQUASH[node + 1] * part
    return ((mixed + 64) >> 7).astype(np.uint16)


class Coder:
    """A model made ready. May be used from several threads."""

    def __init__(self, model: DctModel, level: str = "") -> None:
        slots = np.zeros(model.slots.shape, SLOT)
        used = model.slots != UNUSED
        slots["one"] = np.where(used, squash(model.slots.astype(int) * STRETCH_UNIT), 1 << 15)
        slots["count"] = START_COUNT * used
        layers = [packed(layer) for n in model.networks.values() for layer in n]
        self._model = _dct.make_model(
            slots.tobytes(), model.weights, model.linear, layers, model.learning, level
        )

    def encode(self, components: Sequence[Component]) -> bytes:
        """The coded bytes of a group."""
        return _dct.encode(self._model, [rows(c) for c in components])

    def decode(self, components: Sequence[Component], coded: bytes | memoryview) -> None:
        """Fill a group's coefficients; SectionCorrupt where no encoder wrote such bytes."""
        if not _dct.decode(self._model, [rows(c) for c in components], coded):
            raise SectionCorrupt("coded coefficients: not what an encoder wrote")


@lru_cache(maxsize=4)
def make_coder(model: DctModel) -> Coder:
    """The fastest coder for a model; those of the last few models are kept."""
    return Coder(model)


def rows(c: Component) -> "_dct.Component":
    """A component as the extension takes it."""
    rows, columns, _ = c.coefficients.shape
    return rows, columns, c.horizontal, c.vertical, c.quantisation, c.coefficients


def packed(layer: Layer) -> "_dct.Layer":
    """A layer as the extension takes it."""
    outputs, inputs = layer.weight.shape
    return inputs, outputs, len(layer.bias), layer.weight, layer.bias
