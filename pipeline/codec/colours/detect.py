"""Which colour set an image has, if coding it pays (encoder only)."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.colours.chroma import Chroma
from seec.pipeline.codec.colours.colour_set import ColourSet, Levels, Planes
from seec.pipeline.codec.colours.family import Family
from seec.pipeline.codec.colours.halve import estimate, halve
from seec.pipeline.codec.colours.invert import all_channels, find_luma, invert, share, unique_pixels
from seec.pipeline.codec.colours.presets import PRESETS

Pixels = NDArray[np.uint8]
_SAMPLE = 768  # pixels looked at to choose a family
_FEWEST = 64  # colours among them that say something
_SHARE = 0.9  # of these colours that a family must explain
_EXCEPTION_BITS = 12  # what a pixel outside the colour set costs, about
_GAIN = 0.04  # that a colour set must promise
_ROWS = 256  # about how many rows the estimate of code lengths looks at
_CROP = 128  # edge of the part that tells how chroma was interpolated
_MISSED = 0.15  # of its pixels that an estimate may leave unexplained
_AS_GOOD = 0.005  # of them that do not count when two interpolations are compared
_EXTRA = 0.03  # of all pixels that may become exceptions where chroma is coded at half resolution

_INTERPOLATIONS = sorted(  # coarser ones first
    (chroma for chroma in Chroma if chroma is not Chroma.FULL),
    key=lambda chroma: (-chroma.row_shift, chroma.reach, chroma),
)


@dataclass(frozen=True)
class Finding:
    """A colour set, and the samples that stand for an image's pixels.

    samples: [H, W, channels] uint8 for levels; for planes Y, Cb and Cr, [h, w, 1] uint8 each.
    """

    colours: ColourSet
    samples: tuple[Pixels, ...]


def find_colour_set(image: Pixels) -> Finding | None:
    """The colour set with which an image [H, W, 1 or 3] uint8 is likely smallest; None if none.

    It depends on the pixels alone, so that the bytes of a file do, too.
    """
    planes = _find_planes(image) if image.shape[2] == 3 else None
    if planes is not None:
        found, exceptions = planes
        cost = _code_length(found.samples) + _EXCEPTION_BITS * exceptions
    else:
        found = _find_levels(image)
        if found is None:
            return None
        cost = _code_length(_apart(found.samples[0])) + 8 * len(found.colours.serialise())
    return found if cost < (1 - _GAIN) * _code_length(_apart(image)) else None


# ---------------------------------------------------------------- levels


def _find_levels(image: Pixels) -> Finding | None:
    """The numbers of the levels that occur, if others between them do not."""
    used = [np.unique(image[..., c]) for c in range(image.shape[2])]
    if all(int(values[-1]) - int(values[0]) < len(values) for values in used):
        return None
    numbers = np.zeros((len(used), 256), np.uint8)
    for table, values in zip(numbers, used, strict=True):
        table[values] = np.arange(len(values))
    samples = np.stack([table[image[..., c]] for c, table in enumerate(numbers)], -1)
    return Finding(Levels(tuple(values.tobytes() for values in used)), (samples,))


# ---------------------------------------------------------------- planes


def _find_planes(image: Pixels) -> tuple[Finding, int] | None:
    """Luma and chroma of an image, and how many pixels do not follow from them."""
    family = _find_family(image)
    if family is None:
        return None
    samples, exact = invert(family, image.reshape(-1, 3))
    full, hit = samples.reshape(image.shape), exact.reshape(image.shape[:2])
    whole = (np.ascontiguousarray(full[..., k, None]) for k in range(3))
    plain = Finding(Planes(family, Chroma.FULL), tuple(whole)), int((~hit).sum())
    halved = _halve(image, family, full, hit)
    few = plain[1] + _EXTRA * hit.size
    return halved if halved is not None and halved[1] <= few else plain


def _find_family(image: Pixels) -> Family | None:
    """The preset that explains most colours. Clipped and gray ones say nothing."""
    pixels = image.reshape(-1, 3)
    picked = np.arange(_SAMPLE, dtype=np.int64) * 2654435761 % len(pixels)
    colours = unique_pixels(pixels[picked])[0]
    least, most = colours.min(1), colours.max(1)
    colours = colours[(least > 0) & (most < 255) & (least < most)]
    if len(colours) < _FEWEST:
        return None
    shares = {family: share(family, colours) for family in PRESETS.values()}
    family = max(shares, key=shares.__getitem__)
    return family if shares[family] >= _SHARE else None


def _halve(
    image: Pixels, family: Family, full: Pixels, hit: NDArray[np.bool_]
) -> tuple[Finding, int] | None:
    """The same with chroma at half resolution, if it was interpolated from that."""
    known = hit & all_channels((image > 0) & (image < 255))
    chroma = _find_interpolation(full, known)
    if chroma is None:
        return None
    height, width = hit.shape
    coarse = [halve(full[..., k], known, chroma) for k in (1, 2)]
    blue, red = (chroma.enlarge(plane)[:height, :width] for plane in coarse)
    luma, exact = full[..., 0].copy(), hit.copy()
    other = ~hit | (blue != full[..., 1]) | (red != full[..., 2])
    luma[other], exact[other] = find_luma(
        family, image[other], luma[other], blue[other], red[other]
    )
    samples = tuple(plane[..., None] for plane in (luma, *coarse))
    return Finding(Planes(family, chroma), samples), int((~exact).sum())


def _find_interpolation(full: Pixels, known: NDArray[np.bool_]) -> Chroma | None:
    """How chroma was interpolated, judged by that of blue in the middle of an image."""
    top, left = (max(size - _CROP, 0) // 4 * 2 for size in known.shape)
    blue = full[top : top + _CROP, left : left + _CROP, 1]
    known = known[top : top + _CROP, left : left + _CROP]
    height, width = known.shape

    def missed(chroma: Chroma) -> int:
        made = chroma.enlarge(estimate(blue, known, chroma))[:height, :width]
        return int(((made != blue) & known).sum())

    misses = {chroma: missed(chroma) for chroma in _INTERPOLATIONS}
    limit = min(_MISSED * int(known.sum()), min(misses.values()) + _AS_GOOD * known.size)
    return next((chroma for chroma, count in misses.items() if count <= limit), None)


# ---------------------------------------------------------------- estimates


def _code_length(planes: Iterable[NDArray[np.integer]]) -> float:
    """About how many bits planes [h, w, 1] take: the entropy of their MED residuals."""
    return sum(_plane_bits(plane[..., 0].astype(np.int16)) for plane in planes)


def _plane_bits(plane: NDArray[np.int16]) -> float:
    rows = slice(1, None, max(1, len(plane) // _ROWS))
    here, above = plane[rows], plane[:-1][:: rows.step]
    west, north, corner = here[:, :-1], above[:, 1:], above[:, :-1]
    low, high = np.minimum(west, north), np.maximum(west, north)
    residual = here[:, 1:] - (west + north - corner).clip(low, high)
    if not residual.size:
        return 0.0
    counts = np.bincount(residual.ravel() + 1024)
    counts = counts[counts > 0] / residual.size
    return float(-(counts * np.log2(counts)).sum()) * plane.size


def _apart(image: Pixels) -> list[NDArray[np.int16]]:
    """Planes that say what the channels of an image say, red and blue next to green."""
    wide = image.astype(np.int16)
    if image.shape[2] == 1:
        return [wide]
    red, green, blue = (wide[..., c, None] for c in range(3))
    return [green, red - green, blue - green]
