"""Families of colours: what integer luma and chroma become as RGB.

Pixels that were decoded from JPEG, video or Photo CD were integers of luma and chroma before, and
only some of all RGB triples can come of them. A family says how, in fixed point, so that those
integers can be coded instead of the pixels.
"""

import struct
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from seec.schemas.errors import SectionCorrupt

Pixels = NDArray[np.uint8]
FRACTION_BITS = 18
ONE = 1 << FRACTION_BITS
FAMILY = struct.Struct("<5iI4B")
_LARGEST = 4 * ONE


@dataclass(frozen=True)
class Family:
    """How pixels follow from luma Y and chroma Cb, Cr, all 0..255.

    luma, red, blue, green_blue, green_red: factors in 2^-18. rounding: added before the sums are
    rounded down. luma_zero, blue_zero, red_zero: what stands for 0. whole: 1 if green is made of
    the chroma terms of blue and red rounded down to whole levels, 0 if of Cb and Cr themselves.
    """

    luma: int
    red: int
    blue: int
    green_blue: int
    green_red: int
    rounding: int
    luma_zero: int
    blue_zero: int
    red_zero: int
    whole: int

    def pixels(self, luma: Pixels, blue: Pixels, red: Pixels) -> Pixels:
        """RGB of Y, Cb and Cr, each [...] uint8: [..., 3] uint8."""
        y_term, blue_term, red_term, green_blue, green_red = self.terms()
        base = y_term[luma]
        made = np.empty((*base.shape, 3), np.uint8)
        added = red_term[red], green_blue[blue] + green_red[red], blue_term[blue]
        for channel, term in enumerate(added):
            term += base
            term >>= FRACTION_BITS
            np.clip(term, 0, 255, out=made[..., channel], casting="unsafe")
        return made

    def terms(self) -> tuple[NDArray[np.int32], ...]:
        """What Y, Cb (in blue), Cr (in red), Cb and Cr (in green) add: tables [256] in 2^-18."""
        value = np.arange(256, dtype=np.int32)
        blue, red = value - self.blue_zero, value - self.red_zero
        blue_term, red_term = self.blue * blue, self.red * red
        if self.whole:
            blue, red = blue_term >> FRACTION_BITS, red_term >> FRACTION_BITS
        base = self.luma * (value - self.luma_zero) + self.rounding
        return base, blue_term, red_term, self.green_blue * blue, self.green_red * red

    def serialise(self) -> bytes:
        """The parameters, in the order of the fields."""
        return FAMILY.pack(*astuple(self))


def parse_family(payload: bytes) -> Family:
    """Inverse of Family.serialise; SectionCorrupt where sums could leave 32 bits."""
    if len(payload) != FAMILY.size:
        raise SectionCorrupt("a family of colours of the wrong size")
    family = Family(*FAMILY.unpack(payload))
    factors = (family.luma, family.red, family.blue)
    mixed = (family.green_blue, family.green_red)
    if (
        max(map(abs, factors)) > _LARGEST
        or max(map(abs, mixed)) > ONE
        or family.rounding >= ONE
        or family.whole > 1
    ):
        raise SectionCorrupt("parameters of a family of colours out of range")
    return family
