"""From pixels back to the integer luma and chroma that they were made of (encoder only)."""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from pipeline.codec.colours.family import ONE, Family

Pixels = NDArray[np.uint8]
_MANY = 1 << 16  # pixels, from which on a table of all colours is faster than sorting
_NEAR, _FAR = 1, 2  # how far the search goes; further where a clipped channel tells less


def _ordered() -> list[tuple[int, NDArray[np.int16]]]:
    """Where to look around an estimate, and how far that is: the nearest first."""
    steps = product(range(-_FAR, _FAR + 1), repeat=3)
    ordered = sorted(steps, key=lambda s: (max(map(abs, s)), sum(v * v for v in s)))
    return [(max(map(abs, s)), np.array(s, np.int16)) for s in ordered]


_STEPS = _ordered()


def invert(family: Family, pixels: Pixels) -> tuple[Pixels, NDArray[np.bool_]]:
    """Samples that become these pixels, or nearly so.

    pixels: [n, 3] uint8. Returns Y, Cb, Cr [n, 3] uint8, and [n] bool: exactly so.
    """
    start = _estimate(family, pixels)
    found = start.clip(0, 255).astype(np.uint8)
    open_rows = np.arange(len(pixels))
    for reach, step in _STEPS:
        if reach > _NEAR:
            clipped = pixels[open_rows]
            open_rows = open_rows[((clipped == 0) | (clipped == 255)).any(1)]
        if not open_rows.size:
            break
        tried = (start[open_rows] + step).clip(0, 255).astype(np.uint8)
        fits = (family.pixels(*tried.T) == pixels[open_rows]).all(1)
        found[open_rows[fits]] = tried[fits]
        open_rows = open_rows[~fits]
    return found, (family.pixels(*found.T) == pixels).all(1)


def share(family: Family, pixels: Pixels) -> float:
    """The share of these pixels [n, 3] uint8, none of them clipped, that `invert` gives exactly."""
    steps = np.stack([step for reach, step in _STEPS if reach <= _NEAR])
    tried = (_estimate(family, pixels) + steps[:, None]).clip(0, 255).astype(np.uint8)
    return float((family.pixels(*np.moveaxis(tried, -1, 0)) == pixels).all(-1).any(0).mean())


def unique_pixels(pixels: Pixels) -> tuple[Pixels, NDArray[np.integer]]:
    """The colours among pixels [n, 3] uint8, and which of them each pixel has, [n]."""
    wide = pixels.astype(np.uint32)
    keys = wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2]
    if len(keys) < _MANY:
        found, which = np.unique(keys, return_inverse=True)
    else:
        seen = np.zeros(1 << 24, np.bool_)
        seen[keys] = True
        found = np.flatnonzero(seen)
        number = np.empty(1 << 24, np.int32)
        number[found] = np.arange(len(found), dtype=np.int32)
        which = number[keys]
    return np.stack([found >> 16, found >> 8 & 255, found & 255], 1).astype(np.uint8), which


def _estimate(family: Family, pixels: Pixels) -> NDArray[np.int16]:
    """The inverse without rounding, rounded: [n, 3]."""
    f = family
    blue_share, red_share = f.green_blue / ONE, f.green_red / ONE
    if f.whole:
        blue_share, red_share = blue_share * f.blue / ONE, red_share * f.red / ONE
    luma, red, blue = f.luma / ONE, f.red / ONE, f.blue / ONE
    matrix = np.array([[luma, 0, red], [luma, blue_share, red_share], [luma, blue, 0]])
    # Integers from here on, so that machines agree on what is rounded.
    inverse = np.rint(np.linalg.inv(matrix) * (1 << 16)).astype(np.int64)
    middle = ONE // 2 - f.rounding  # of what is rounded down to 0
    lost = (f.green_blue + f.green_red) // 2 * f.whole  # what rounding other terms takes
    sums = (pixels.astype(np.int64) << 8) + (np.array([middle, middle + lost, middle]) * 256 // ONE)
    zeros = np.array([f.luma_zero, f.blue_zero, f.red_zero])
    return (((sums @ inverse.T + (1 << 23)) >> 24) + zeros).astype(np.int16)


def find_luma(
    family: Family, pixels: Pixels, first: Pixels, blue: Pixels, red: Pixels
) -> tuple[Pixels, NDArray[np.bool_]]:
    """Luma that makes pixels of given chroma where there is one: the closest to `first`.

    pixels: [..., 3] uint8, the others [...] uint8. Returns [...] uint8, and bool: there is one.
    """
    base, blue_term, red_term, green_blue, green_red = family.terms()
    added = (red_term[red], green_blue[blue] + green_red[red], blue_term[blue])
    least = np.zeros(first.shape, np.int32)
    most = np.full(first.shape, 255, np.int32)
    for channel, term in enumerate(added):
        value = pixels[..., channel].astype(np.int32)
        start = value * ONE - term - base[0]  # what luma times its factor must reach
        lowest = np.where(value > 0, -(-start // family.luma), 0)
        highest = np.where(value < 255, (start + ONE - 1) // family.luma, 255)
        least, most = np.maximum(least, lowest), np.minimum(most, highest)
    luma = np.minimum(np.maximum(first, least), most).clip(0, 255).astype(np.uint8)
    return luma, least <= most
