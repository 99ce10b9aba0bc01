"""JPEG files of many kinds, as Pillow writes them and as hands alter them."""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.pictures import textured
from tests.sources import image_bytes

HEIGHT, WIDTH = 144, 180


def detailed(seed: int = 0) -> NDArray[np.uint8]:
    """Many of `textured`, none of them so large that it gets bright and flat: [144, 180, 3]."""
    parts = [[textured(36, 45, seed + 4 * y + x) for x in range(4)] for y in range(4)]
    return np.vstack([np.hstack(row) for row in parts])


_PICTURE = detailed()


def jpeg(pixels: Any = _PICTURE, quality: int = 95, **options: Any) -> bytes:
    """A JPEG file large enough that JPEG XL makes it smaller."""
    return image_bytes(pixels, "JPEG", quality=quality, **options)


def icc_profile() -> bytes:
    """A profile that a parser of profiles takes, made at a date that does not change."""
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile[:24] + struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + profile[36:]


def held() -> dict[str, bytes]:
    """Files that JPEG XL holds, by what is special about them."""
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "described", 6
    plain = jpeg()
    thumbnail = b"Exif\0\0" + jpeg(textured(16, 16), quality=50)
    return {
        "baseline": plain,
        "progressive": jpeg(progressive=True),
        "gray": jpeg(_PICTURE[..., 1]),
        "4:4:4": jpeg(subsampling=0),
        "4:2:2": jpeg(subsampling=1),
        "4:2:0": jpeg(subsampling=2),
        "RGB": jpeg(keep_rgb=True),
        "optimised": jpeg(optimize=True),
        "restart intervals": jpeg(restart_marker_blocks=3),
        "odd size": jpeg(_PICTURE[:141, :179]),
        "EXIF and orientation": jpeg(exif=exif),
        "thumbnail": jpeg(exif=thumbnail),
        "ICC": jpeg(icc_profile=icc_profile()),
        "no profile": jpeg(icc_profile=b"no profile" * 100),
        "no profile, and junk behind": jpeg(icc_profile=b"no profile") + b"junk" * 20,
        "XMP": jpeg(xmp=b"<x:xmpmeta/>" * 50),
        "comment": jpeg(comment=b"a comment"),
        "resolution": jpeg(dpi=(300, 300)),
        "junk behind": plain + b"junk" * 20,
        "a second picture behind": plain + jpeg(textured(40, 40)),
        "junk between segments": plain[:20] + b"junk" + plain[20:],
        "fill bytes": plain[:20] + b"\xff" * 5 + plain[20:],
    }


def refused() -> dict[str, bytes]:
    """Files that begin as JPEG and that JPEG XL does not hold."""
    plain = jpeg()
    frame = plain.index(b"\xff\xc0")

    def with_frame(marker: int, bits: int = 8) -> bytes:
        header = plain[frame + 2 : frame + 4]
        return plain[:frame] + bytes((0xFF, marker)) + header + bytes((bits,)) + plain[frame + 5 :]

    return {
        "CMYK": jpeg(Image.fromarray(_PICTURE).convert("CMYK")),
        "arithmetic coding": with_frame(0xC9),
        "lossless": with_frame(0xC3),
        "12 bits": with_frame(0xC1, bits=12),
        "truncated": plain[: len(plain) // 2],
        "no end": plain[:-2],
        "start alone": b"\xff\xd8",
        "start and end": b"\xff\xd8\xff\xd9",
        "start and noise": b"\xff\xd8\xff\xe0" + bytes(range(256)) * 4,
        "no height": plain[: frame + 5] + b"\0\0" + plain[frame + 7 :],
        "frame cut short": plain[: frame + 6],
        "segments without end": b"\xff\xd8" + b"\xff\xfe\0\2" * (1 << 17),
        "only fill bytes": b"\xff\xd8" + b"\xff" * 100_000,
    }
