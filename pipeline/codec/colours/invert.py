"""From pixels back to the integer luma and chroma that they were made of (encoder only).

A C extension does it fast; where there is none, numpy gives the same samples.
"""

from dataclasses import asdict
from itertools import product

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.colours.family import ONE, Family

try:
    from seec.pipeline.codec.colours import _colours as native  # pyright: ignore[reportAttributeAccessIssue]
except ImportError:  # built without a compiler
    native = None

Pixels = NDArray[np.uint8]
Samples = tuple[Pixels, NDArray[np.bool_]]
_NEAR, _FAR = 1, 2  # how far the search goes; further where a clipped channel tells less
_NEAR_STEPS = (2 * _NEAR + 1) ** 3


def _ordered() -> NDArray[np.int8]:
    """Where to look around an estimate, the nearest first: [125, 3]."""
    steps = product(range(-_FAR, _FAR + 1), repeat=3)
    return np.array(sorted(steps, key=lambda s: (max(map(abs, s)), sum(v * v for v in s))), np.int8)


_STEPS = _ordered()


def invert(family: Family, pixels: Pixels) -> Samples:
    """Samples that become these pixels, or nearly so.

    pixels: [n, 3] uint8. Returns Y, Cb, Cr [n, 3] uint8, and [n] bool: exactly so.
    """
    if native is None:
        return invert_in_numpy(family, pixels)
    pixels = np.ascontiguousarray(pixels)
    samples, exact = np.empty_like(pixels), np.empty(len(pixels), np.bool_)
    inverse, added = _inverse(family)
    native.invert(
        **asdict(family),
        inverse=inverse,
        added=added,
        steps=_STEPS,
        near=_NEAR_STEPS,
        pixels=pixels,
        samples=samples,
        exact=exact,
    )
    return samples, exact


def invert_in_numpy(family: Family, pixels: Pixels) -> Samples:
    """See invert."""
    colours, which = unique_pixels(pixels)
    start = _estimate(family, colours)
    found = start.clip(0, 255).astype(np.uint8)
    open_rows = np.arange(len(colours))
    for number, step in enumerate(_STEPS):
        if number == _NEAR_STEPS:
            clipped = colours[open_rows]
            open_rows = open_rows[((clipped == 0) | (clipped == 255)).any(1)]
        if not open_rows.size:
            break
        tried = (start[open_rows] + step).clip(0, 255).astype(np.uint8)
        fits = all_channels(family.pixels(*tried.T) == colours[open_rows])
        found[open_rows[fits]] = tried[fits]
        open_rows = open_rows[~fits]
    exact = all_channels(family.pixels(*found.T) == colours)
    return found[which], exact[which]


def share(family: Family, pixels: Pixels) -> float:
    """The share of these pixels [n, 3] uint8, none of them clipped, that `invert` gives exactly."""
    tried = (_estimate(family, pixels) + _STEPS[:_NEAR_STEPS, None]).clip(0, 255).astype(np.uint8)
    equal = family.pixels(*np.moveaxis(tried, -1, 0)) == pixels
    return float(all_channels(equal).any(0).mean())


def all_channels(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where all of three channels are set, [..., 3] -> [...]: `all(-1)` takes ten times as long."""
    return mask[..., 0] & mask[..., 1] & mask[..., 2]


def unique_pixels(pixels: Pixels) -> tuple[Pixels, NDArray[np.intp]]:
    """The colours among pixels [n, 3] uint8, and which of them each pixel has, [n]."""
    wide = pixels.astype(np.uint32)
    keys, which = np.unique(wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2], return_inverse=True)
    return np.stack([keys >> 16, keys >> 8 & 255, keys & 255], 1).astype(np.uint8), which


def _estimate(family: Family, pixels: Pixels) -> NDArray[np.int16]:
    """The inverse without rounding, rounded: [n, 3]."""
    inverse, added = _inverse(family)
    sums = (pixels.astype(np.int64) << 8) + added
    zeros = np.array([family.luma_zero, family.blue_zero, family.red_zero])
    return (((sums @ inverse.T + (1 << 23)) >> 24) + zeros).astype(np.int16)


def _inverse(family: Family) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What makes Y, Cb and Cr of RGB: factors [3, 3] in 2^-16, and what is added first, in 2^-8."""
    f = family
    blue_share, red_share = f.green_blue / ONE, f.green_red / ONE
    if f.whole:
        blue_share, red_share = blue_share * f.blue / ONE, red_share * f.red / ONE
    luma, red, blue = f.luma / ONE, f.red / ONE, f.blue / ONE
    matrix = np.array([[luma, 0, red], [luma, blue_share, red_share], [luma, blue, 0]])
    middle = ONE // 2 - f.rounding  # of what is rounded down to 0
    lost = (f.green_blue + f.green_red) // 2 * f.whole  # what rounding other terms takes
    # Integers from here on, so that machines agree on what is rounded.
    inverse = np.rint(np.linalg.inv(matrix) * (1 << 16)).astype(np.int64)
    return inverse, np.array([middle, middle + lost, middle]) * 256 // ONE


def find_luma(
    family: Family, pixels: Pixels, first: Pixels, blue: Pixels, red: Pixels
) -> tuple[Pixels, NDArray[np.bool_]]:
    """Luma that makes pixels of given chroma where there is one: the closest to `first`.

    pixels: [..., 3] uint8, the others [...] uint8. Returns [...] uint8, and bool: there is one.
    """
    least, most = luma_range(family, pixels, blue, red)
    luma = np.minimum(np.maximum(first, least), most).clip(0, 255).astype(np.uint8)
    return luma, least <= most


def luma_range(
    family: Family, pixels: Pixels, blue: Pixels, red: Pixels
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The least and the most luma that makes pixels of given chroma; none where they cross.

    pixels: [..., 3] uint8, the others [...] uint8. Returns [...] each.
    """
    base, blue_term, red_term, green_blue, green_red = family.terms()
    added = (red_term[red], green_blue[blue] + green_red[red], blue_term[blue])
    least = np.zeros(blue.shape, np.int32)
    most = np.full(blue.shape, 255, np.int32)
    for channel, term in enumerate(added):
        value = pixels[..., channel].astype(np.int32)
        start = value * ONE - term - base[0]  # what luma times its factor must reach
        lowest = np.where(value > 0, -(-start // family.luma), 0)
        highest = np.where(value < 255, (start + ONE - 1) // family.luma, 255)
        least, most = np.maximum(least, lowest), np.minimum(most, highest)
    return least, most
