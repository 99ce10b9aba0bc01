"""Image files as rasters and an envelope, and back, by the registry of formats.

The envelope holds all that the file says beside its samples: a byte, 1 if the file comes back byte
for byte, 0 if another file with the same samples and metadata does; then what its format lays down.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from seec.pipeline.images.formats import FORMATS, Content, Format
from seec.pipeline.images.other_readers import difference
from seec.pipeline.images.raster import Pixels, Raster
from seec.schemas.errors import FormatError, UnreadableImage
from seec.schemas.planes import Shape, check_shapes

_HEAD_BYTES = 4096
# What users may ask about, and how it begins.
_OTHERS = (
    (b"P1", "Netpbm in text"),
    (b"P2", "Netpbm in text"),
    (b"P3", "Netpbm in text"),
    (b"8BPS", "Photoshop"),
    (b"\0\0\1\0", "icon"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
)


@dataclass(frozen=True)
class ImageFile:
    """An image file taken apart. format: a name of the registry.

    signed: whether the file signs its own bytes, so that no pixel may change; told for archives.
    """

    format: str
    rasters: Sequence[Raster]
    envelope: bytes
    signed: bool = False

    @property
    def pixels(self) -> Pixels | None:
        """[H, W] or [H, W, 3] uint8 if the file is one picture of 8-bit gray or RGB; else None."""
        return self.rasters[0].pixels if len(self.rasters) == 1 else None


def is_exact(envelope: bytes) -> bool:
    """Whether a file with this envelope comes back byte for byte."""
    return envelope.startswith(b"\1")


@dataclass(frozen=True)
class Header:
    """An image file of which only headers have been read. shapes: of its rasters."""

    form: Format
    shapes: Sequence[Shape]
    data: bytes = field(repr=False)

    @property
    def pixels(self) -> int:
        """Of all rasters, or how many of RGB take as much memory, if those are more."""
        pixels = sum(shape.width * shape.height for shape in self.shapes)
        return max(pixels, -(-sum(shape.size_bytes for shape in self.shapes) // 3))

    def read(self, *, keep_file: bool = False, for_archive: bool = False) -> ImageFile:
        """Take the file apart; decodes, so hold `pixels` against a limit first.

        keep_file: only if it comes back byte for byte. for_archive: only if it does so, or is not
        signed and looks the same to other programs when it comes back.

        UnreadableImage, with the reason, if it is damaged, not losslessly stored, or says something
        that could not be put back.
        """
        form, data = self.form, self.data
        signature = form.signature(data) if for_archive else None
        reasons = [] if signature is None else [f"signed ({signature})"]
        keep_file |= signature is not None
        try:
            for content in form.read(data, keep_file=keep_file):
                if not _within([raster.shape for raster in content.rasters], self.shapes):
                    raise UnreadableImage("decodes to another size than its header says")
                if content.exact:
                    if form.write(content.rasters, content.envelope, exact=True) == data:
                        whole = b"\1" + content.envelope
                        return ImageFile(form.name, content.rasters, whole, signature is not None)
                elif not keep_file:
                    why = self._difference(content) if for_archive else None
                    if why is None:
                        return ImageFile(form.name, content.rasters, b"\0" + content.envelope)
                    reasons.append(why)
        except UnreadableImage as error:
            reasons.append(str(error))
        reasons = reasons or [f"{form.name} file that would come back as another one"]
        raise UnreadableImage("; ".join(reasons))

    def _difference(self, content: Content) -> str | None:
        """Why other programs would not see the same in what comes back; None if they would."""
        # Only its compression differs from what restoring writes, and that restoring reads back.
        back = self.form.write(content.rasters, content.envelope, exact=False, quick=True)
        return difference(self.form.name, self.data, back, self.pixels)


def read_header(data: bytes) -> Header:
    """What the file holds, by content, without decoding.

    UnreadableImage, with the reason, if it is not a file that is taken apart.
    """
    first: UnreadableImage | None = None
    for form in _formats_of(data):
        try:
            shapes = form.shapes(data)
            check_shapes(shapes)
            return Header(form, shapes, data)
        except FormatError as error:
            first = first or UnreadableImage(str(error))
        except UnreadableImage as error:
            first = first or error
    raise first or UnreadableImage("of no format")


def read_image(data: bytes, *, keep_file: bool = False) -> ImageFile:
    """As `Header.read`, for a file that is known to be within limits."""
    return read_header(data).read(keep_file=keep_file)


def read_pixels(data: bytes) -> Pixels:
    """The pixels, [H, W] or [H, W, 3] uint8, of a file that is one picture of 8-bit gray or RGB.

    UnreadableImage, with the reason, for any other.
    """
    pixels = read_image(data).pixels
    if pixels is None:
        raise UnreadableImage("not one picture of 8-bit gray or RGB without transparency")
    return pixels


def write_image(image: ImageFile) -> bytes:
    """The bytes of an image file; UnreadableImage if the envelope does not fit the rasters."""
    form, exact = FORMATS.get(image.format), image.envelope[:1]
    if form is None or exact not in (b"\0", b"\1"):
        raise UnreadableImage(f"no way to write format {image.format!r} with this envelope")
    return form.write(image.rasters, image.envelope[1:], exact=exact == b"\1")


def read_extent(read_at: Callable[[int, int], bytes]) -> tuple[int, int] | None:
    """Width and height in pixels, from the few bytes of a file that say so.

    None if the file is none of a format of the registry, or does not say. For a first guess about
    files that nobody has read: nothing is decoded, and little is checked.

    read_at: a part of the file, by offset and length in bytes; fewer bytes where the file ends.
    """
    head = read_at(0, _HEAD_BYTES)
    try:
        width, height = _format_of(head).extent(head, read_at)
    except (UnreadableImage, struct.error):
        return None
    return (width, height) if width > 0 and height > 0 else None


def has_comments(format_name: str | None) -> bool:
    """Whether `with_comment` adds a comment to files of a format."""
    return format_name in FORMATS and FORMATS[format_name].has_comments


def with_comment(data: bytes, text: str) -> bytes:
    """An image file with a comment, ASCII; unchanged where its format has none."""
    try:
        return _format_of(data).with_comment(data, text)
    except UnreadableImage:
        return data


def _format_of(data: bytes) -> Format:
    """The first format that a file may be of; UnreadableImage if there is none."""
    return next(_formats_of(data))


def _formats_of(data: bytes) -> Iterator[Format]:
    """All formats that a file may be of: DICOM leaves room for the header of another one."""
    if not data:
        raise UnreadableImage("empty file")
    found = False
    for form in FORMATS.values():
        if form.matches(data):
            found = True
            yield form
    for magic, name in () if found else _OTHERS:
        if data[: len(magic)] == magic:
            raise UnreadableImage(f"{name}, a format that is kept as it is")
    if not found:
        raise UnreadableImage("not a losslessly stored image of a known format")


def _within(found: Sequence[Shape], promised: Sequence[Shape]) -> bool:
    """Whether rasters have the sizes that were promised.

    TIFF may be taken apart in the order of its samples, not of its directories.
    """
    return sorted(map(_key, found)) == sorted(map(_key, promised))


def _key(shape: Shape) -> tuple[int, int, int, int]:
    return shape.width, shape.height, shape.depth, shape.samples
