"""Coefficients of blocks that reach beyond the image, whose last samples nobody sees.

Encoders fill such blocks with what stands at the edge, so their coefficients are near those of
samples that repeat. Given that, and the samples that are seen, the coefficients are normally
distributed, about; they are rounded one by one, the surest first, and each tells of the others.
"""

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.decoded.blocks import in_blocks, in_plane
from seec.pipeline.decoded.lattice import Floats, Steps, basis, padded

Exact = NDArray[np.float64]
_SLACK = 2.0  # of the variance that quantisation adds: the edge itself is known quantised only


def filled(plane: Floats, steps: Steps, variance: float) -> Floats:
    """Samples [h, w] with whole blocks: what is added follows from the coefficients.

    variance: of samples, which were rounded.
    """
    whole = padded(plane)
    blocks = in_blocks(whole)
    bottom, right = plane.shape[0] % 8, plane.shape[1] % 8
    for rows, columns, part in (
        (8, right, blocks[: len(blocks) - (bottom > 0), -1]),
        (bottom, 8, blocks[-1, : blocks.shape[1] - (right > 0)]),
        (bottom, right, blocks[-1:, -1]),
    ):
        if part.size and 0 < rows * columns < 64 and rows and columns:
            part[...] = _completed(part, rows, columns, steps, variance)
    return in_plane(blocks)


def _completed(blocks: Floats, rows: int, columns: int, steps: Steps, variance: float) -> Floats:
    """Blocks [n, 64] of which the first rows and columns are seen; the others follow."""
    seen = np.zeros((8, 8), np.bool_)
    seen[:rows, :columns] = True
    seen = seen.reshape(64)
    effect, size = basis().astype(np.float64), steps.astype(np.float64)
    given = blocks.astype(np.float64) - 128
    mean = given @ effect.T
    spread = np.diag(_SLACK * size**2 / 12)
    shown = effect[:, seen]
    gain = np.linalg.solve(
        shown.T @ spread @ shown + variance * np.eye(int(seen.sum())), shown.T @ spread
    )
    mean += (given[:, seen] - mean @ shown) @ gain
    spread -= spread @ shown @ gain
    left = np.ones(64, np.bool_)
    for _ in range(64):
        own = np.diag(spread)
        at = int(np.argmin(np.where(left, own / size**2, np.inf)))
        left[at] = False
        value = np.rint(mean[:, at] / size[at]) * size[at]
        if own[at] > 1e-9:
            others = spread[:, at] / own[at]
            mean += (value - mean[:, at])[:, None] * others
            spread -= np.outer(others, spread[at])
        mean[:, at] = value
    made = (mean @ effect + 128).astype(np.float32)
    made[:, seen] = blocks[:, seen]
    return made
