"""Decisions with what small networks see of them, in files for training.

A split is a file NAME.decisions of uint8 rows [decisions, SAMPLE], see coder_c/features.h. It is
memory-mapped, and may be larger than memory.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seec.pipeline.dct import _dct
from seec.pipeline.dct.weights import FEATURES
from seec.pipeline.lab.dct.files import components_of
from seec.pipeline.lab.dct.priming import Primer
from seec.pipeline.lab.dct.sampled import write_rows
from seec.schemas.errors import UnreadableImage

_MOST = 1 << 19  # decisions of a file
_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Decisions:
    """Features [n, FEATURES] uint8; position, value [n] int64.

    known: [n] float32, whether zero is ruled out.
    """

    features: Tensor
    position: Tensor
    known: Tensor
    value: Tensor


class DecisionSamples:
    """The decisions of one kind among rows: 0 last, 1 DC, 2 AC; 3 more for chroma."""

    def __init__(self, rows: NDArray[np.uint8], kind: int) -> None:
        self._rows = rows
        parts = [
            start + np.flatnonzero(rows[start : start + _AT_ONCE, FEATURES] == kind)
            for start in range(0, len(rows), _AT_ONCE)
        ]
        self._places = np.concatenate(parts or [np.empty(0, np.int64)])

    def __len__(self) -> int:
        return len(self._places)

    def batch(self, chosen: NDArray[np.int64]) -> Decisions:
        """The decisions at these places among those of the kind."""
        rows = self._rows[self._places[chosen]]
        value = np.ascontiguousarray(rows[:, FEATURES + 4 :]).view("<i4")[:, 0]
        return Decisions(
            torch.from_numpy(rows[:, :FEATURES]),
            torch.from_numpy(rows[:, FEATURES + 1].astype(np.int64)),
            torch.from_numpy(rows[:, FEATURES + 2].astype(np.float32)),
            torch.from_numpy(value.astype(np.int64)),
        )


def gather(
    work: Path,
    name: str,
    primer: Primer,
    images: Sequence[Path],
    share: float,
    report: Callable[[str], None],
) -> NDArray[np.uint8]:
    """Rows of a share of the decisions of images, from a file in `work` or written there.

    UnreadableImage if no image can be read.
    """
    kept = work / f"{name}.decisions"
    if not kept.exists():
        sampled = (
            [primer.sample(components, share, seed, _MOST)]
            for seed, components in enumerate(components_of(images))
        )
        (found,) = write_rows([kept], sampled)
        if not found:
            raise UnreadableImage(f"none of {len(images)} files for {name} is an image")
        report(f"{name}: {found} decisions")
    return np.memmap(kept, np.uint8, "r").reshape(-1, _dct.SAMPLE)
