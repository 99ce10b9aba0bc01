"""What a JPEG file is, and whether it can be coded by its coefficients."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.dct.pictures import Picture, gives_file, take_file_apart
from seec.pipeline.dct.standard_tables import QUALITIES, quantisation, scale_of
from seec.pipeline.images.jpeg import ZIGZAG, Frame, Headers
from seec.schemas.errors import UnreadableImage

_LUMA, _CHROMA = 0, 1


@dataclass(frozen=True)
class Quality:
    """libjpeg's quality, 1 to 100, whose table is nearest; exact: whether it is that table."""

    quality: int
    exact: bool


@dataclass(frozen=True)
class PictureWithin:
    """A JPEG file within the file, such as a thumbnail. position: of its first byte."""

    position: int
    width: int
    height: int


@dataclass(frozen=True)
class JpegInfo:
    """A JPEG file.

    frame: None if it is of a kind that is not read. sampling: as 4:2:0, or the factors of each
    component, as 2x2,1x1,1x1,2x2. luma, chroma: None without such a table. refusal: why the
    coefficients cannot be coded; None if they can.
    """

    size_bytes: int
    frame: Frame | None
    sampling: str | None
    luma: Quality | None
    chroma: Quality | None
    within: tuple[PictureWithin, ...]
    refusal: str | None


def inspect_file(data: bytes) -> JpegInfo:
    """Describe a JPEG file. Its entropy-coded data are read, and no pixels are computed."""
    headers, refusal = Headers(), None
    pictures: tuple[Picture, ...] = ()
    try:
        headers.read_to_scan(data, 0)
        pictures = take_file_apart(data)
        if not gives_file(pictures, data):
            refusal = "its coefficients do not give it back byte for byte"
    except UnreadableImage as error:
        refusal = str(error)
    luma, chroma = (headers.latched.get(component) for component in (0, 1))
    frame = headers.frame
    return JpegInfo(
        size_bytes=len(data),
        frame=frame,
        sampling=None if frame is None else _sampling(frame),
        luma=None if luma is None else _quality(luma, _LUMA),
        chroma=None if chroma is None else _quality(chroma, _CHROMA),
        within=tuple(PictureWithin(p.position, p.jpeg.width, p.jpeg.height) for p in pictures[1:]),
        refusal=refusal,
    )


def _sampling(frame: Frame) -> str:
    factors = [(c.horizontal, c.vertical) for c in frame.components]
    if len(factors) == 1:
        return "gray"
    if len(factors) == 3 and factors[1:] == [(1, 1), (1, 1)]:
        found = {
            (1, 1): "4:4:4",
            (2, 1): "4:2:2",
            (2, 2): "4:2:0",
            (1, 2): "4:4:0",
            (4, 1): "4:1:1",
        }
        if factors[0] in found:
            return found[factors[0]]
    return ",".join(f"{h}x{v}" for h, v in factors)


def _quality(table: NDArray[np.uint16], kind: int) -> Quality:
    """table: [64], natural order."""
    steps = table[ZIGZAG].astype(np.int64)
    if steps.max() < 256:
        scale = scale_of(kind, steps.astype(np.uint8).tobytes())
        if scale is not None and scale <= QUALITIES:
            return Quality(scale, exact=True)
    return Quality(min(range(1, QUALITIES + 1), key=lambda q: _distance(steps, kind, q)), False)


def _distance(steps: NDArray[np.int64], kind: int, quality: int) -> int:
    known = np.frombuffer(quantisation(kind, quality) or bytes(64), np.uint8)
    return int(np.abs(steps - known).sum())
