"""Luma's blocks with what is around them, and all AC coefficients of each, in files for training.

A split has three files of uint8 rows: NAME.blocks [blocks, BLOCK_SAMPLE] and NAME.coefficients
[coefficients, COEFFICIENT_SAMPLE], see coder_c/trunk.h, and NAME.last [blocks], their last
positions. They are memory-mapped, and may be larger than memory.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seec.pipeline.dct import _dct
from seec.pipeline.dct.weights import EXTRAS, FEATURES, POSITIONS, TRUNK
from seec.pipeline.lab.dct.files import components_of
from seec.pipeline.lab.dct.priming import Primer
from seec.pipeline.lab.dct.sampled import write_rows
from seec.schemas.errors import UnreadableImage

HEAD = FEATURES + EXTRAS
_MOST = 1 << 14  # blocks of a file
_BLOCKS, _COEFFICIENTS, _LAST = ".blocks", ".coefficients", ".last"


@dataclass(frozen=True)
class Batch:
    """Blocks and their AC coefficients.

    trunk: [blocks, TRUNK] uint8. own: [blocks, 2, 64] uint8, a block's coefficients by zigzag
    positions as signed bytes and as magnitude bytes. features: [n, HEAD] uint8. block, position,
    value: [n] int64, block counting within the batch. known: [n] float32, whether zero is ruled
    out.
    """

    trunk: Tensor
    own: Tensor
    features: Tensor
    block: Tensor
    position: Tensor
    known: Tensor
    value: Tensor


def batch_of(blocks: NDArray[np.uint8], coefficients: NDArray[np.uint8]) -> Batch:
    """A batch of rows as `Primer.gather` gives them."""
    last = blocks[:, -1].astype(np.int64)
    value = np.ascontiguousarray(coefficients[:, HEAD + 2 :]).view("<i2")[:, 0]
    return Batch(
        torch.from_numpy(np.ascontiguousarray(blocks[:, :TRUNK])),
        torch.from_numpy(blocks[:, TRUNK:-1].reshape(-1, 2, POSITIONS).copy()),
        torch.from_numpy(np.ascontiguousarray(coefficients[:, :HEAD])),
        torch.from_numpy(np.repeat(np.arange(len(blocks)), last)),
        torch.from_numpy(coefficients[:, HEAD].astype(np.int64)),
        torch.from_numpy(coefficients[:, HEAD + 1].astype(np.float32)),
        torch.from_numpy(value.astype(np.int64)),
    )


class BlockSamples:
    """A split that `gather` has written."""

    def __init__(self, work: Path, name: str) -> None:
        def rows(suffix: str, width: int) -> NDArray[np.uint8]:
            return np.memmap(work / (name + suffix), np.uint8, "r").reshape(-1, width)

        self._blocks = rows(_BLOCKS, _dct.BLOCK_SAMPLE)
        self._coefficients = rows(_COEFFICIENTS, _dct.COEFFICIENT_SAMPLE)
        self._last = np.fromfile(work / (name + _LAST), np.uint8).astype(np.int64)
        self._first = np.cumsum(self._last) - self._last

    def __len__(self) -> int:
        return len(self._last)

    def batch(self, chosen: NDArray[np.int64]) -> Batch:
        """The blocks at these places."""
        last = self._last[chosen]
        within = np.arange(last.sum()) - np.repeat(np.cumsum(last) - last, last)
        rows = np.repeat(self._first[chosen], last) + within
        return batch_of(self._blocks[chosen], self._coefficients[rows])


def gather(
    work: Path,
    name: str,
    primer: Primer,
    images: Sequence[Path],
    share: float,
    report: Callable[[str], None],
) -> BlockSamples:
    """A share of the blocks of luma of images, from files in `work` or written there.

    UnreadableImage if no image can be read.
    """
    files = [work / (name + suffix) for suffix in (_BLOCKS, _COEFFICIENTS, _LAST)]
    if not files[-1].exists():
        found, values, _ = write_rows(files, _sampled(primer, images, share))
        if not values:
            raise UnreadableImage(f"files for {name} have no coefficient to learn from")
        report(f"{name}: {found} blocks, {values} coefficients")
    return BlockSamples(work, name)


def _sampled(
    primer: Primer, images: Sequence[Path], share: float
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]]:
    """Rows of blocks, of coefficients, and last positions, image by image."""
    for number, components in enumerate(components_of(images)):
        blocks, coefficients = primer.gather(components[:1], share, number, _MOST)
        yield blocks, coefficients, blocks[:, -1]
