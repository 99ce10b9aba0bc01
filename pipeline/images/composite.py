"""Image files whose samples are not 8-bit RGB or gray: as rasters plus an envelope, and back.

`picture` is the way of those that are. Envelope: a byte, 1 if the file comes back byte for byte,
0 if another file with the same samples and metadata does; then what the format's module says.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seec.pipeline.images.formats import (
    bmp,
    gif,
    netpbm,
    png_exact,
    png_samples,
    qoi,
    spliced,
    tiff,
    webp_alpha,
)
from seec.pipeline.images.formats.spliced import Place, check_places
from seec.pipeline.images.formats.tiff_rewritten import rewrite
from seec.pipeline.images.raster import Raster
from seec.schemas.errors import FormatError, UnreadableImage
from seec.schemas.planes import Shape, check_shapes

Taken = tuple[list[Raster], bytes, bool]  # rasters, envelope, whether it comes back byte for byte


@dataclass(frozen=True)
class Composite:
    """An image file taken apart."""

    format: str
    rasters: Sequence[Raster]
    envelope: bytes


def is_exact(envelope: bytes) -> bool:
    """Whether a file with this envelope comes back byte for byte."""
    return envelope.startswith(b"\1")


@dataclass(frozen=True)
class _Format:
    """A format: how its files begin, what they promise, how they come apart and together."""

    matches: Callable[[bytes], bool]
    shapes: Callable[[bytes], list[Shape]]
    take_apart: Callable[[bytes], Taken]
    put_together: Callable[[list[Raster], bytes], bytes]
    # Where the file itself comes back only if that is asked for.
    take_file_apart: Callable[[bytes], Taken] | None = None
    put_file_together: Callable[[list[Raster], bytes], bytes] | None = None


def read_shapes(data: bytes) -> list[Shape]:
    """What the file holds, by content, without decoding.

    UnreadableImage, with the reason, if it is not a file that `read_composite` takes.
    """
    shapes = _FORMATS[_format_of(data)].shapes(data)
    try:
        check_shapes(shapes)
    except FormatError as error:
        raise UnreadableImage(str(error)) from None
    return shapes


def read_composite(data: bytes, *, keep_file: bool = False) -> Composite:
    """Take a file apart; decodes, so hold `read_shapes` against a limit first.

    keep_file: only if it comes back byte for byte.

    UnreadableImage, with the reason, if it is damaged, not losslessly stored, or says something
    that could not be put back.
    """
    name = _format_of(data)
    promised = read_shapes(data)
    form = _FORMATS[name]
    take_apart = (form.take_file_apart if keep_file else None) or form.take_apart
    rasters, envelope, exact = take_apart(data)
    if keep_file and not exact:
        raise UnreadableImage(f"{name} file that would come back as another one")
    # TIFF may be taken apart in the order of its samples, not of its directories.
    if sorted(map(_key, promised)) != sorted(_key(raster.shape) for raster in rasters):
        raise UnreadableImage("decodes to another size than its header says")
    return Composite(name, rasters, bytes([exact]) + envelope)


def write_composite(composite: Composite) -> bytes:
    """The bytes of an image file; UnreadableImage if the envelope does not fit the rasters."""
    form = _FORMATS.get(composite.format)
    if form is None or composite.envelope[:1] not in (b"\0", b"\1"):
        raise UnreadableImage(f"no way to write format {composite.format!r} with this envelope")
    put_together = form.put_together
    if is_exact(composite.envelope) and form.put_file_together is not None:
        put_together = form.put_file_together
    return put_together(list(composite.rasters), composite.envelope[1:])


# What users may ask about, and how it begins.
_OTHERS = (
    (b"II+\0", "BigTIFF"),
    (b"MM\0+", "BigTIFF"),
    (b"P1", "Netpbm in text"),
    (b"P2", "Netpbm in text"),
    (b"P3", "Netpbm in text"),
    (b"8BPS", "Photoshop"),
    (b"\0\0\1\0", "icon"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"v/1\1", "OpenEXR"),
)


def _format_of(data: bytes) -> str:
    if not data:
        raise UnreadableImage("empty file")
    for name, form in _FORMATS.items():
        if form.matches(data):
            return name
    for magic, name in _OTHERS:
        if data[: len(magic)] == magic:
            raise UnreadableImage(f"{name}, a format that is kept as it is")
    raise UnreadableImage("not a losslessly stored image of a known format")


def _key(shape: Shape) -> tuple[int, int, int, int]:
    return shape.width, shape.height, shape.samples, shape.depth


def _spliced(matches: Callable[[bytes], bool], find: Callable[[bytes], list[Place]]) -> _Format:
    """A format that holds its samples as they are."""

    def shapes(data: bytes) -> list[Shape]:
        return [place.shape for place in check_places(find(data), len(data))]

    def take_apart(data: bytes) -> Taken:
        return *spliced.take_apart(data, check_places(find(data), len(data))), True

    return _Format(matches, shapes, take_apart, spliced.put_together)


def _tiff_shapes(data: bytes) -> list[Shape]:
    return [page.shape for page in tiff.pages(data) for _ in range(page.rasters)]


def _take_tiff_apart(data: bytes) -> Taken:
    pages = tiff.pages(data)
    exact = all(page.compression == tiff.RAW for page in pages)
    plain = data if exact else rewrite(data, pages)
    places = check_places(tiff.places(plain), len(plain))
    return *spliced.take_apart(plain, places), exact


def _take_qoi_apart(data: bytes) -> Taken:
    rasters, envelope = qoi.take_apart(data)
    # A decoder stops at the last pixel: what else is in such a file only a comparison tells.
    if qoi.put_together(rasters, envelope) != data:
        raise UnreadableImage("QOI that the format's reference writes otherwise")
    return rasters, envelope, True


_FORMATS = {
    png_samples.FORMAT: _Format(
        png_samples.matches,
        png_samples.shapes,
        lambda data: (*png_samples.take_apart(data), False),
        png_samples.put_together,
        lambda data: (*png_exact.take_apart(data), True),
        png_exact.put_together,
    ),
    webp_alpha.FORMAT: _Format(
        webp_alpha.matches,
        webp_alpha.shapes,
        lambda data: (*webp_alpha.take_apart(data), False),
        webp_alpha.put_together,
    ),
    tiff.FORMAT: _Format(tiff.matches, _tiff_shapes, _take_tiff_apart, spliced.put_together),
    bmp.FORMAT: _spliced(bmp.matches, bmp.places),
    netpbm.FORMAT: _spliced(netpbm.matches, netpbm.places),
    gif.FORMAT: _Format(gif.matches, gif.shapes, gif.take_apart, gif.put_together),
    qoi.FORMAT: _Format(qoi.matches, qoi.shapes, _take_qoi_apart, qoi.put_together),
}
