"""What a coefficient model's contexts know: learnt by coding training files one after another."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.dct import _dct
from seec.pipeline.dct.jpeg import Component
from seec.pipeline.dct.native import SLOT, STRETCH_UNIT, packed, rows
from seec.pipeline.dct.weights import (
    CLASSES,
    LANES,
    LINES,
    NODES,
    POSITIONS,
    SETS,
    START_COUNT,
    UNUSED,
    WEIGHT_UNIT,
    DctModel,
    Layer,
    save_model,
)
from seec.pipeline.lab.dct.slots import fit_predictors

_EVEN = 1 << 15
# A context's weight in the mixer before anything is learnt, and a network's.
_CONTEXT_WEIGHT, _NETWORK_WEIGHT = 3300, 6000


@dataclass(frozen=True)
class Start:
    """What priming begins with. learning: steps of mixing weights are divided by 2^learning."""

    linear: NDArray[np.int16]
    networks: Mapping[str, tuple[Layer, ...]]
    learning: int = 3


class Primer:
    """A coder whose counters and mixing weights go on from file to file.

    A counter remembers 250 decisions, and weights less: the last file would rule. So the model
    takes means over files, later files weighing more, of each number in the files that changed it.
    """

    def __init__(self, start: Start, level: str = "") -> None:
        slots = np.zeros((CLASSES, LINES, NODES), SLOT)
        slots["one"] = _EVEN
        weights = np.full((CLASSES, SETS, LANES), _CONTEXT_WEIGHT, np.int16)
        weights[:, :, -2:] = _NETWORK_WEIGHT if start.networks else 0, 0
        if start.networks:
            weights[:, :, :-2] //= 3
            weights[:, :, :-2] *= 2
        layers = [packed(layer) for n in start.networks.values() for layer in n]
        self._start = start
        self._one = np.full((CLASSES, LINES, NODES), _EVEN, np.float32)
        self._last_one = np.full((CLASSES, LINES, NODES), _EVEN, np.uint16)
        self._changes = np.zeros((CLASSES, LINES, NODES), np.float32)
        self._weights, self._files = weights.astype(np.float32), 0
        self._model = _dct.make_model(
            slots.tobytes(), weights, start.linear, layers, start.learning, level
        )

    def add(self, components: Sequence[Component]) -> None:
        """Learn from a file."""
        _dct.prime(self._model, [rows(c) for c in components], bytearray(1), 0, 0)
        slots, weights = _dct.start(self._model)
        one = np.frombuffer(slots, SLOT)["one"].reshape(self._one.shape)
        changed = one != self._last_one
        self._changes += changed
        share = 2 / (self._changes[changed] + 1)
        self._one[changed] += (one[changed] - self._one[changed]) * share
        self._last_one = one.copy()
        self._files += 1
        now = np.frombuffer(weights, np.int16).reshape(self._weights.shape)
        self._weights += (now - self._weights) * (2 / (self._files + 1))

    def sample(
        self, components: Sequence[Component], share: float, seed: int, most: int
    ) -> NDArray[np.uint8]:
        """Learn from a file; returns what a network would have seen of a share of its decisions.

        [samples, SAMPLE] uint8, at most `most` of them: see coder_c/features.h.
        """
        room = bytearray(most * _dct.SAMPLE)
        drawn = round(share * 65536)
        count = _dct.prime(self._model, [rows(c) for c in components], room, drawn, seed)
        used = np.frombuffer(room, np.uint8)[: count * _dct.SAMPLE]
        return used.reshape(-1, _dct.SAMPLE).copy()  # or each file's samples keep all of the room

    def gather(
        self, components: Sequence[Component], share: float, seed: int, most: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """What networks of blocks and of coefficients would see of a share of luma's blocks.

        At most `most` of them: [blocks, BLOCK_SAMPLE] and [coefficients, COEFFICIENT_SAMPLE]
        uint8, see coder_c/trunk.h. Coefficients are those of the first block, then of the next
        one. Nothing is learnt. Luma alone is coded where components are luma alone.
        """
        blocks = np.empty((most, _dct.BLOCK_SAMPLE), np.uint8)
        coefficients = np.empty((most * (POSITIONS - 1), _dct.COEFFICIENT_SAMPLE), np.uint8)
        found, values = _dct.gather(
            self._model,
            [rows(c) for c in components],
            blocks,
            coefficients,
            round(share * 65536),
            seed,
        )
        return blocks[:found].copy(), coefficients[:values].copy()

    def finish(self, card: Mapping[str, Any]) -> DctModel:
        """The model, its numbers rounded as far as costs next to nothing.

        Of files of photographs 0.05 %, and what contexts know of slots that were met fewer than
        START_COUNT times another 0.02 %; but finer linear predictions would be missed.
        """
        started, _ = _dct.start(self._model)
        state = np.frombuffer(started, SLOT).reshape(CLASSES, LINES, NODES)
        one = np.clip(self._one.astype(np.float64), 1, 65535) / 65536
        stretched = np.rint(np.log(one / (1 - one)) * (256 / STRETCH_UNIT)).clip(-16, 15)
        slots = np.where(state["count"] >= START_COUNT, stretched, UNUSED).astype(np.int8)
        return save_model(
            {**card, "learning": self._start.learning},
            slots,
            fit_predictors(slots),
            _rounded(self._weights, WEIGHT_UNIT),
            self._start.linear,
            self._start.networks,
        )


def _rounded(numbers: NDArray[np.float32], unit: int) -> NDArray[np.int16]:
    return (np.rint(numbers / unit) * unit).clip(-32768, 32768 - unit).astype(np.int16)


def prime(start: Start, files: Iterable[Sequence[Component]], card: Mapping[str, Any]) -> DctModel:
    """A model that has coded these files, in this order."""
    primer = Primer(start)
    for components in files:
        primer.add(components)
    return primer.finish(card)
