"""Which quantisation tables, and which sampling of chroma, pixels show (encoder only).

A table is judged by how many samples of decoded blocks come back when their coefficients are
quantised by it. With steps of 1 any samples do, so tables of hardly larger steps do not count.
"""

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.colours.chroma import Chroma
from seec.pipeline.codec.colours.halve import before_rounding
from seec.pipeline.codec.colours.invert import all_channels, invert, share, unique_pixels
from seec.pipeline.codec.colours.presets import JFIF
from seec.pipeline.dct import standard_tables
from seec.pipeline.decoded.blocks import in_blocks, in_plane, inverse
from seec.pipeline.decoded.lattice import Floats, Steps, forward, padded
from seec.pipeline.decoded.making import SAMPLING
from seec.pipeline.images.jpeg import ZIGZAG

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
_COLOURS = 768  # pixels that tell whether colours are of YCbCr
_FEWEST_COLOURS = 64  # among them that say something
_YCC_SHARE = 0.9  # of these that YCbCr must explain
_LOOKED_AT, _BUSY = 512, 64  # blocks; of these the busiest are tried
_FEWEST_BLOCKS = 16
_LEAST_LOG2 = 1.0  # of a table's steps, the mean
_LUMA_SHARE = 0.9  # of samples that a table must give back
_CHROMA_SHARE, _SURE_SHARE = 0.8, 0.97  # of pixels; and where no other table is tried
_RANKED, _NEAR = 6, 0.75  # tables; levels
_WINDOW, _LOOKED_AT_WINDOWS, _WINDOWS = 128, 64, 3  # pixels along an edge; the busiest are tried
_INSET = 16  # pixels at the edges of a window that others beside it change
_LUMA, _CHROMA = 0, 1


class Judged(NamedTuple):
    """Steps and sampling, and which share of the samples or pixels looked at they give back."""

    share: float
    steps: Steps
    chroma: Chroma = Chroma.FULL


def is_of_ycc(image: Pixels) -> bool:
    """Whether the colours of an image [H, W, 3] uint8 are, but for few, those of JFIF's YCbCr."""
    pixels = image.reshape(-1, 3)
    picked = np.arange(_COLOURS, dtype=np.int64) * 2654435761 % len(pixels)
    colours = unique_pixels(pixels[picked])[0]
    least, most = colours.min(1), colours.max(1)
    colours = colours[(least > 0) & (most < 255) & (least < most)]
    return len(colours) >= _FEWEST_COLOURS and share(JFIF, colours) >= _YCC_SHARE


def find_luma(image: Pixels) -> Judged | None:
    """The table of luma of an image [H, W, 1 or 3] uint8; None if it shows none."""
    blocks = _busy_blocks(image)
    if len(blocks) < _FEWEST_BLOCKS:
        return None
    real = forward(blocks.astype(np.float32) - 128)

    def judged(steps: Steps) -> Judged:
        found = np.rint(real / steps).astype(np.int16)
        return Judged(float((inverse(found, steps) == blocks).mean()), steps)

    return _best(map(judged, _tables(_LUMA).values()), _LUMA_SHARE)


def find_chroma(image: Pixels, luma: Steps) -> Judged | None:
    """Table and sampling of chroma of an image [H, W, 3] uint8; None if none explains it.

    luma: the steps of luma, whose quality is tried first.
    """
    windows = _busy_windows(image)
    others = _tables(_CHROMA)
    same = [q for q, steps in _tables(_LUMA).items() if (steps == luma).all() and q in others]

    def judged(tables: Iterable[tuple[Chroma, Steps]], least: float) -> Judged | None:
        tries = (
            Judged(sum(w.explained(kind, steps) for w in windows) / len(windows), steps, kind)
            for kind, steps in tables
        )
        return _best(tries, least)

    sure = judged(((kind, others[q]) for kind in SAMPLING.values() for q in same), _SURE_SHARE)
    if sure is not None:
        return sure
    # Finer steps than the right ones explain much, too; so all are tried.
    ranked = sorted(
        ((kind, q) for kind in SAMPLING.values() for q in others),
        key=lambda one: -windows[0].near(one[0], others[one[1]]),
    )
    return judged(((kind, others[q]) for kind, q in ranked[:_RANKED]), _CHROMA_SHARE)


def ycc_of(image: Pixels) -> tuple[Pixels, Mask]:
    """Y, Cb, Cr [H, W, 3] uint8 of an image [H, W, 3] uint8, and [H, W] bool where no others are.

    Of clipped pixels they are a guess.
    """
    samples, exact = invert(JFIF, image.reshape(-1, 3))
    known = exact.reshape(image.shape[:2]) & all_channels((image > 0) & (image < 255))
    return samples.reshape(image.shape), known


def _best(tries: Iterable[Judged], least: float) -> Judged | None:
    best = max(tries, key=lambda one: one.share, default=None)
    return best if best is not None and best.share >= least else None


@cache
def _tables(kind: int) -> dict[int, Steps]:
    """Tables of luma (0) or chroma (1) by libjpeg's quality, [64] in natural order each."""
    found: dict[int, Steps] = {}
    for quality in range(1, standard_tables.QUALITIES + 1):
        steps = np.empty(64, np.uint16)
        steps[ZIGZAG] = np.frombuffer(standard_tables.quantisation(kind, quality) or b"", np.uint8)
        if np.log2(steps).mean() >= _LEAST_LOG2:
            found[quality] = steps
    return found


def _busy_blocks(image: Pixels) -> Pixels:
    """Luma [n, 64] of blocks of which all pixels are known."""
    rows, columns = image.shape[0] // 8, image.shape[1] // 8
    count = min(_LOOKED_AT, rows * columns)
    at = np.arange(count, dtype=np.int64) * (rows * columns) // max(count, 1)
    y, x = np.divmod(at, max(columns, 1))
    k = np.arange(8)
    cut = image[(8 * y[:, None] + k)[:, :, None], (8 * x[:, None] + k)[:, None]]
    cut = cut[((cut > 0) & (cut < 255)).all((1, 2, 3))]
    luma = cut.reshape(-1, 64)
    if image.shape[2] > 1:
        samples, exact = invert(JFIF, cut.reshape(-1, 3))
        luma = samples[:, 0].reshape(-1, 64)[exact.reshape(-1, 64).all(1)]
    busy = np.abs(np.diff(luma.astype(np.int16), axis=1)).sum(1)
    order = np.argsort(-busy, kind="stable")[:_BUSY]
    return luma[order[busy[order] > 0]]  # flat ones say nothing


def _busy_windows(image: Pixels) -> "list[_Window]":
    """Where both chroma planes are busy, and known; on the grid of the largest MCU."""
    rows, columns = (max(1, size // _WINDOW) for size in image.shape[:2])
    count = min(_LOOKED_AT_WINDOWS, rows * columns)
    found = [
        _Window(image[_WINDOW * y : _WINDOW * (y + 1), _WINDOW * x : _WINDOW * (x + 1)])
        for y, x in (divmod(rows * columns * i // count, columns) for i in range(count))
    ]
    return sorted(found, key=lambda one: -one.busy)[:_WINDOWS]


class _Window:
    """A part of an image on which tables of chroma are tried."""

    def __init__(self, image: Pixels) -> None:
        ycc, self._known = ycc_of(image)
        self._planes = ycc[..., 1], ycc[..., 2]
        self._samples: dict[Chroma, list[tuple[Floats, Floats]]] = {}
        differences = np.abs(np.diff(ycc[..., 1:].astype(np.int16), axis=1)).sum((0, 1))
        self.busy = float(differences.min()) * float(self._known.mean())
        large = min(self._known.shape) > 3 * _INSET
        self._inner = (slice(_INSET, -_INSET),) * 2 if large else (slice(None),) * 2

    def near(self, kind: Chroma, steps: Steps) -> float:
        """The share of samples that quantised ones are near to: as `explained`, about, but fast."""
        return sum(
            float((np.abs(_quantised(real, steps) - samples) < _NEAR).mean())
            for samples, real in self._samples_of(kind)
        )

    def explained(self, kind: Chroma, steps: Steps) -> float:
        """The share of known pixels whose chroma quantised samples give back."""
        height, width = self._known.shape
        hit = 0
        for plane, (samples, real) in zip(self._planes, self._samples_of(kind), strict=True):
            made = kind.enlarge(in_plane(_quantised(real, steps).reshape(samples.shape)))
            hit += int(((made[:height, :width] == plane) & self._known)[self._inner].sum())
        return hit / max(2 * int(self._known[self._inner].sum()), 1)

    def _samples_of(self, kind: Chroma) -> list[tuple[Floats, Floats]]:
        """Blocks of samples and of coefficients, not quantised, [rows, columns, 64] each."""
        if kind not in self._samples:
            planes = (first_samples(plane, self._known, kind) for plane in self._planes)
            blocks = [in_blocks(padded(plane)) for plane in planes]
            self._samples[kind] = [(one, forward(one - 128)) for one in blocks]
        return self._samples[kind]


def _quantised(real: Floats, steps: Steps) -> Pixels:
    """Samples of coefficients [rows, columns, 64] once they are quantised."""
    found = np.rint(real / steps).astype(np.int16)
    return inverse(found.reshape(-1, 64), steps).reshape(real.shape)


def first_samples(plane: Pixels, known: Mask, chroma: Chroma) -> Floats:
    """Chroma samples, not whole, that become about this plane [h, w]."""
    if chroma is Chroma.FULL:
        return plane.astype(np.float32)
    return before_rounding(plane, known, chroma)
