"""Drawn coefficients and a drawn model of them, from integers alone: the same everywhere."""

import itertools

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.dct.jpeg import Component
from seec.pipeline.dct.weights import (
    EXTRAS,
    FEATURES,
    HEAD_OUTPUTS,
    NETWORKS,
    POSITIONS,
    SHARED,
    TRUNK,
    DctModel,
    Layer,
)
from seec.pipeline.lab.dct.priming import Primer, Start

_FREQUENCY = np.add.outer(np.arange(8), np.arange(8)).reshape(64)
# Sampling factors and blocks of each component, by what is special about them.
SHAPES: dict[str, list[tuple[int, int, int, int]]] = {
    "gray": [(1, 1, 4, 5)],
    "4-2-0": [(2, 2, 4, 6), (1, 1, 2, 3), (1, 1, 2, 3)],
    "4-4-4": [(1, 1, 3, 3)] * 3,
    "4-2-2 odd": [(2, 1, 3, 4), (1, 1, 3, 2), (1, 1, 3, 2)],
    "4-1-0": [(4, 2, 2, 7), (1, 1, 1, 2), (1, 1, 1, 2)],
    "4-4-0": [(1, 2, 6, 3), (1, 1, 3, 3), (1, 1, 3, 3)],
    "3-1-1": [(3, 1, 2, 6), (1, 1, 2, 2), (1, 1, 2, 2)],
    "four": [(2, 1, 2, 4), (1, 1, 2, 2), (1, 1, 2, 2), (2, 1, 2, 4)],
    "two": [(1, 1, 2, 2), (1, 2, 4, 2)],
    "column": [(1, 1, 5, 1)] * 3,
}


def draw(name: str, seed: int = 0, loud: int = 1) -> list[Component]:
    """Components of these shapes, fainter at higher frequencies; loud: times as large."""
    rng = np.random.default_rng([seed, loud])
    return [_component(rng, *shape, loud) for shape in SHAPES[name]]


def _component(
    rng: np.random.Generator, horizontal: int, vertical: int, rows: int, columns: int, loud: int
) -> Component:
    steps = (2 + _FREQUENCY * 2 + rng.integers(0, 3, 64)).astype(np.uint16)
    walk = np.cumsum(rng.integers(-6, 7, (rows, columns)), 1)
    heard = rng.integers(0, 40, (rows, columns, 64)) > 4 * _FREQUENCY
    sizes = rng.integers(-9, 10, (rows, columns, 64)) * heard * loud // (1 + _FREQUENCY)
    sizes[..., 0] = walk * loud
    return Component(horizontal, vertical, steps, np.clip(sizes, -32768, 32767).astype(np.int16))


def draw_linear() -> NDArray[np.int16]:
    """Predictions from the same frequency of the neighbours, and a few others."""
    rng = np.random.default_rng(1)
    linear = np.zeros((2, 2, 5, 64, 64), np.int16)
    for block, z in itertools.product(range(5), range(64)):
        linear[:, 0, block, z, z] = 1500 if block else 0
        linear[:, 1, block, z, z] = 2000 if block else 0
        linear[:, :, block, z, rng.integers(0, 64)] += 300
    # What a block says of itself is said of lower frequencies only, or nothing is exact.
    return linear.reshape(2, 2, 320, 64)


def draw_networks(trunk: bool = False) -> dict[str, tuple[Layer, ...]]:
    """Networks of random weights, as small as they can be; trunk: luma's of AC has one."""
    rng = np.random.default_rng(2)

    def layer(outputs: int, inputs: int, positions: int) -> Layer:
        bias = rng.integers(-9000, 9001, (positions, outputs)).astype(np.int32)
        return Layer(rng.integers(-40, 41, (outputs, inputs)).astype(np.int8), bias)

    networks: dict[str, tuple[Layer, ...]] = {
        name: (
            layer(16, FEATURES, 64 if name.endswith("ac") else 1),
            layer(16, 16, 1),
            layer(64 if name.endswith("last") else 16, 16, 64 if name.endswith("ac") else 1),
        )
        for name in NETWORKS
    }
    if trunk:
        networks["luma.ac"] = (
            layer(32, TRUNK, 1),
            layer(16, 32, 1),
            layer(SHARED * POSITIONS, 16, 1),
            layer(48, FEATURES + EXTRAS + SHARED + 2 * POSITIONS, 64),
            layer(16, 48, 1),
            layer(HEAD_OUTPUTS, 16, 64),
        )
    return networks


def draw_model(name: str) -> DctModel:
    """A model that has coded drawn components: "contexts" alone, with "networks", or a "trunk"."""
    networks = {} if name == "contexts" else draw_networks(name == "trunk")
    primer = Primer(Start(draw_linear(), networks))
    for seed, name in enumerate(("gray", "4-2-0", "4-4-4", "four") * 3):
        primer.add(draw(name, 100 + seed))
    return primer.finish({"name": "drawn"})
