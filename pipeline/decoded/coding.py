"""Pixels as a coded JPEG file, and the pixels that do not follow from that."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.colours import encode_exceptions, take_exceptions
from seec.pipeline.dct import codec
from seec.pipeline.dct.jpeg import Jpeg
from seec.pipeline.dct.pictures import Picture
from seec.pipeline.dct.varints import Reader, put
from seec.pipeline.dct.weights import DctModel
from seec.pipeline.decoded.making import pixels_of
from seec.schemas.errors import SectionCorrupt

Pixels = NDArray[np.uint8]
MAX_PIXELS = 1 << 26  # what the gaps between exceptions can be


class Decoded(NamedTuple):
    """An image as it is coded. exceptions: the `differing` pixels that `jpeg` gives otherwise."""

    jpeg: Jpeg
    differing: int
    exceptions: bytes


def apart(image: Pixels, jpeg: Jpeg) -> Decoded:
    """An image [H, W, 1 or 3] uint8, of which a JPEG file gives most pixels."""
    channels = image.shape[2]
    wanted = image.reshape(-1, channels)
    made = _with_channels(pixels_of(jpeg), channels).reshape(-1, channels)
    return Decoded(jpeg, int((made != wanted).any(1).sum()), encode_exceptions(wanted, made))


def encode(decoded: Decoded, model: DctModel) -> bytes:
    """The payload."""
    coded = codec.encode([Picture(0, decoded.jpeg)], model)
    front = bytearray()
    put(front, len(coded))
    return bytes(front) + coded + decoded.exceptions


def decode(
    payload: bytes,
    models: Callable[[bytes], DctModel | None],
    shape: tuple[int, int, int],
) -> Pixels:
    """The pixels [H, W, 1 or 3] uint8 that were coded as a payload.

    models: as of `dct.codec.decode`. shape: of the pixels; decides how much is allocated.
    UnknownModel where there is no model; Truncated, SectionCorrupt or LimitExceeded where the
    payload is damaged.
    """
    height, width, channels = shape
    reader = Reader(payload)
    coded = reader.take(reader.number())
    # Its recipe is that of a file without metadata.
    pictures = codec.decode(coded, models, claims=codec.Claims(width, height, size_bytes=0))
    if len(pictures) != 1 or len(pictures[0].jpeg.components) not in (1, channels):
        raise SectionCorrupt("pixels of a JPEG file: other components than the image's")
    found, rest = take_exceptions(reader.take(reader.left), height * width, channels)
    if rest:
        raise SectionCorrupt("pixels of a JPEG file: bytes behind the end")
    pixels = _with_channels(pixels_of(pictures[0].jpeg), channels)
    found.correct([pixels])
    return pixels


def _with_channels(pixels: Pixels, channels: int) -> Pixels:
    """Gray ones three times, where that is asked for; writable."""
    repeated = pixels.repeat(channels, 2) if pixels.shape[2] < channels else pixels
    return np.ascontiguousarray(repeated)
