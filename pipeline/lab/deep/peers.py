"""The peers of the coder of samples: each codes an array of samples as small as it can."""

import io
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image

from seec.pipeline.lab.deep.samples import Samples

Peer = Callable[[Samples], int | None]
_ZSTD_LEVEL = 19


def sizes(samples: Samples) -> dict[str, int]:
    """Bytes by the name of each peer that takes samples of this type.

    samples: [slices, height, width, bands], bool, unsigned integers of 8, 16 or 32 bits, or floats.
    """
    samples = _narrowed(samples)
    found = {name: peer(samples) for name, peer in PEERS.items()}
    return {name: size for name, size in found.items() if size is not None}


def _narrowed(samples: Samples) -> Samples:
    """Integers as the smallest ones that hold them: not all peers take the others."""
    if samples.dtype.kind != "u":
        return samples
    return samples.astype(np.min_scalar_type(int(samples.max())))


def _pictures(samples: Samples) -> Iterator[Samples]:
    """[H, W] or [H, W, 3] each: bands beyond colour go by themselves."""
    for one in samples:
        bands = one.shape[2]
        if bands in (3, 4):
            yield np.ascontiguousarray(one[:, :, :3])
        for band in range(3 if bands in (3, 4) else 0, bands):
            yield np.ascontiguousarray(one[:, :, band])


def _sum(pictures: Iterator[Samples], size: Callable[[Samples], int]) -> int:
    return sum(size(one) for one in pictures)


def _jpegxl(effort: int) -> Peer:
    def size(samples: Samples) -> int | None:
        if samples.dtype == np.uint32:
            return None
        samples = samples.astype(np.uint8) if samples.dtype == bool else samples
        # Its half floats do not come back to the bit.
        samples = samples.view(np.uint16) if samples.dtype == np.float16 else samples
        return _sum(_pictures(samples), lambda one: _jpegxl_size(one, effort))

    return size


def _jpegxl_size(one: Samples, effort: int) -> int:
    """The smaller of what it makes of the depth of the type, and of the depth that is used."""
    codes: list[bytes] = []
    for bits in {None, _bits(one)}:
        # It does not take every depth of every type.
        with suppress(imagecodecs.JpegxlError):
            code = imagecodecs.jpegxl_encode(
                one, lossless=True, effort=effort, usecontainer=False, bitspersample=bits
            )
            codes.append(bytes(code))
    return min(map(len, codes))


def _bits(one: Samples) -> int | None:
    return max(1, int(one.max()).bit_length()) if one.dtype.kind == "u" else None


def _jpegls(samples: Samples) -> int | None:
    if samples.dtype not in (np.uint8, np.uint16):
        return None
    return _sum(_pictures(samples), lambda one: len(imagecodecs.jpegls_encode(one)))


def _jpeg2000(samples: Samples) -> int | None:
    if samples.dtype not in (np.uint8, np.uint16):
        return None
    return _sum(
        _pictures(samples),
        lambda one: len(
            imagecodecs.jpeg2k_encode(
                one, level=0, reversible=True, codecformat="j2k", bitspersample=_bits(one)
            )
        ),
    )


def _webp(samples: Samples) -> int | None:
    if samples.dtype not in (np.uint8, bool) or samples.shape[3] != 1:
        return None
    values = samples.astype(np.uint8) * np.uint8(255 if samples.dtype == bool else 1)
    return sum(
        len(imagecodecs.webp_encode(np.dstack([one] * 3), lossless=True, level=9))
        for one in values[..., 0]
    )


def _pcodec(samples: Samples) -> int | None:
    if samples.dtype.kind == "b" or samples.dtype.itemsize == 1:
        return None
    return len(imagecodecs.pcodec_encode(np.ascontiguousarray(samples).reshape(-1), level=12))


def _zstd(samples: Samples) -> int | None:
    if samples.dtype == bool:
        data = np.packbits(samples[..., 0], axis=2).tobytes()
    else:
        as_bytes = np.ascontiguousarray(samples).reshape(-1, 1).view(np.uint8)
        data = np.ascontiguousarray(as_bytes.T).tobytes()
    return len(imagecodecs.zstd_encode(data, _ZSTD_LEVEL))


def _png(samples: Samples) -> int | None:
    if samples.dtype == bool:
        return sum(_pillow_size(one, "PNG", optimize=True) for one in samples[..., 0])
    if samples.dtype not in (np.uint8, np.uint16):
        return None
    return _sum(_pictures(samples), lambda one: len(imagecodecs.png_encode(one, level=9)))


def _group4(samples: Samples) -> int | None:
    if samples.dtype != bool:
        return None
    return sum(_pillow_size(one, "TIFF", compression="group4") for one in samples[..., 0])


def _jbig(samples: Samples) -> int | None:
    """With `pbmtojbg` of JBIG-KIT, if that is installed."""
    if samples.dtype != bool or not shutil.which("pbmtojbg"):
        return None
    return sum(len(_jbig_code(one)) for one in samples[..., 0])


def _jbig_code(one: Samples) -> bytes:
    height, width = one.shape
    pbm = b"P4\n%d %d\n" % (width, height) + np.packbits(one, axis=1).tobytes()
    return subprocess.run(["pbmtojbg", "-q"], input=pbm, capture_output=True, check=True).stdout


def _pillow_size(one: Samples, file_format: str, **options: Any) -> int:
    file = io.BytesIO()
    Image.fromarray(one).save(file, file_format, **options)
    return file.tell()


PEERS: dict[str, Peer] = {
    "jpegxl-e7": _jpegxl(7),
    "jpegxl-e9": _jpegxl(9),
    "jpegls": _jpegls,
    "jpeg2000": _jpeg2000,
    "webp": _webp,
    "pcodec": _pcodec,
    "zstd-19": _zstd,
    "png": _png,
    "group4": _group4,
    "jbig": _jbig,
}
