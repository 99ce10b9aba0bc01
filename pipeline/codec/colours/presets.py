"""Families of colours that occur. Only encoders know them: files hold the parameters."""

from seec.pipeline.codec.colours.family import ONE, Family

_HALF = ONE // 2


def _fixed(value: float) -> int:
    return round(value * ONE)


def _libjpeg(value: float) -> int:
    """As libjpeg rounds its constants, to 16 bits."""
    return int(value * 65536 + 0.5) * (ONE >> 16)


def _video(red: float, blue: float, *, limited: bool) -> Family:
    """Y'CbCr with the luma weights of red and blue, in the limited or the full range."""
    green = 1 - red - blue
    luma, chroma = (255 / 219, 255 / 224) if limited else (1.0, 1.0)
    return Family(
        luma=_fixed(luma),
        red=_fixed(chroma * 2 * (1 - red)),
        blue=_fixed(chroma * 2 * (1 - blue)),
        green_blue=-_fixed(chroma * 2 * (1 - blue) * blue / green),
        green_red=-_fixed(chroma * 2 * (1 - red) * red / green),
        rounding=_HALF,
        luma_zero=16 if limited else 0,
        blue_zero=128,
        red_zero=128,
        whole=0,
    )


JFIF = Family(
    luma=ONE,
    red=_libjpeg(1.402),
    blue=_libjpeg(1.772),
    green_blue=-_libjpeg(0.34414),
    green_red=-_libjpeg(0.71414),
    rounding=_HALF,
    luma_zero=0,
    blue_zero=128,
    red_zero=128,
    whole=0,
)
# Kodak's published transform; its pixels show that green takes whole levels of the others' terms.
PHOTO_CD = Family(
    luma=_fixed(1.3584),
    red=_fixed(1.8215),
    blue=_fixed(2.2179),
    green_blue=-_fixed(0.194),
    green_red=-_fixed(0.509),
    rounding=0,
    luma_zero=0,
    blue_zero=156,
    red_zero=137,
    whole=1,
)
# The usual integer transform of limited range BT.601: factors of 8 bits.
_EIGHT_BITS = Family(
    luma=298 * (ONE >> 8),
    red=409 * (ONE >> 8),
    blue=516 * (ONE >> 8),
    green_blue=-100 * (ONE >> 8),
    green_red=-208 * (ONE >> 8),
    rounding=_HALF,
    luma_zero=16,
    blue_zero=128,
    red_zero=128,
    whole=0,
)
PRESETS = {
    "JFIF": JFIF,
    "Photo CD": PHOTO_CD,
    "BT.601 limited": _video(0.299, 0.114, limited=True),
    "BT.601 limited, 8 bits": _EIGHT_BITS,
    "BT.709 limited": _video(0.2126, 0.0722, limited=True),
    "BT.709 full": _video(0.2126, 0.0722, limited=False),
}
