"""What other programs see of an image file: the same before archiving and after restoring, or not.

A file that is not kept byte for byte is written anew from its samples. Whether those samples mean
to others what they mean to this program is for others to say, while the source is still at hand.
"""

import hashlib
import io
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image

from seec.pipeline.images import pillow
from seec.schemas.errors import UnreadableImage

Facts = dict[str, str]

# Pixels that are looked at, where a file holds fewer: GIF shows each frame on its whole screen.
_SHOWN_PIXELS = 1 << 25
_PART_PIXELS = 1 << 20
# How files hold their samples, which is not kept.
_STORAGE = ("compression", "interlace")
_STORAGE_TAGS = (259, 273, 279, 317, 324, 325)
_POINTERS = (34665, 34853, 40965)  # EXIF, GPS, interoperability: offsets of other directories
_DEPTH_AT = 24  # of IHDR


def difference(format_name: str, before: bytes, after: bytes, pixels: int) -> str | None:
    """Why `after` does not stand for `before`; None where it does.

    Every reader that reads `before` has to read `after`, and to see the same pages, pixels and
    metadata; one at least has to read `before`. pixels: of all pictures of the file.
    """
    limit = max(pixels, _SHOWN_PIXELS)
    read = False
    for name, look in _READERS[format_name]:
        seen = _seen(look, before, limit)
        if seen is None:
            continue
        read = True
        again = _seen(look, after, limit)
        if again is None:
            return f"{name} would not read the restored file"
        changed = [fact for fact in seen | again if seen.get(fact) != again.get(fact)]
        if changed:
            return f"{name} would see another {changed[0]} in the restored file"
    return None if read else "no other program that reads the file is at hand"


Look = Callable[[bytes, int], Iterator[tuple[str, Any]]]


def _seen(look: Look, data: bytes, limit: int) -> Facts | None:
    """What a reader says of a file, by name; None if it does not read the file."""
    try:
        return {name: repr(value) for name, value in look(data, limit)}
    except Exception:  # noqa: BLE001, another program may fail in any way
        return None


def _pillow(format_name: str) -> Look:
    def look(data: bytes, limit: int) -> Iterator[tuple[str, Any]]:
        with pillow.opened(data, format_name) as image:
            pages = getattr(image, "n_frames", 1)
            yield "number of pages", pages
            for page in range(pages):
                image.seek(page)
                limit -= image.width * image.height
                if limit < 0:
                    raise UnreadableImage("shows more pixels than it holds")
                for name, value in _page(image):
                    yield f"{name} of page {page + 1}", value

    return look


def _page(image: Image.Image) -> Iterator[tuple[str, Any]]:
    # TIFF has no way to its directories any more once pixels are loaded.
    yield from _exif(image)
    image.load()
    yield "mode", image.mode
    yield "size", image.size
    yield "palette", image.palette and (image.palette.mode, image.palette.tobytes())
    for name, value in image.info.items():
        if name not in _STORAGE:
            yield str(name), value
    yield "picture", _pixels_of(image)


def _pixels_of(image: Image.Image) -> bytes:
    """A digest of the pixels; takes memory for a part of them."""
    digest = hashlib.sha256()
    width, height = image.size
    rows = max(1, _PART_PIXELS // width)
    for top in range(0, height, rows):
        part = image.crop((0, top, width, min(top + rows, height)))
        digest.update(part.tobytes())
    return digest.digest()


def _exif(image: Image.Image) -> Iterator[tuple[str, Any]]:
    try:
        exif = image.getexif()
        for tag, value in exif.items():
            if tag not in _STORAGE_TAGS + _POINTERS:
                yield f"tag {tag}", value
        for pointer in _POINTERS:
            yield f"directory {pointer}", exif.get_ifd(pointer)
    except Exception as error:  # noqa: BLE001, pictures are shown whose EXIF is damaged
        yield "EXIF", type(error)


def _libpng(data: bytes, limit: int) -> Iterator[tuple[str, Any]]:
    del limit
    if data[_DEPTH_AT] != 16:
        raise UnreadableImage("Pillow drops no bits of other depths")
    yield "picture", _digest(imagecodecs.png_decode(data))


def _libtiff(data: bytes, limit: int) -> Iterator[tuple[str, Any]]:
    del limit  # the sizes of pages are those that the caller has seen
    for page in count(1):
        try:
            samples = imagecodecs.tiff_decode(data, index=page - 1)
        except IndexError:  # there are no more
            return
        yield f"picture of page {page}", _digest(samples)


def _tifffile(data: bytes, limit: int) -> Iterator[tuple[str, Any]]:
    import tifffile  # takes long to import, and few need it

    del limit
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        yield "number of pages", len(file.pages)
        for number, page in enumerate(file.pages, 1):
            page = page.aspage()
            yield f"picture of page {number}", (page.axes, _digest(page.asarray()))
            for tag in page.tags:
                if tag.code not in _STORAGE_TAGS:
                    yield f"tag {tag.code} of page {number}", tag.value


def _digest(samples: Any) -> tuple[Any, ...]:
    data = np.ascontiguousarray(samples).data
    return samples.shape, str(samples.dtype), hashlib.sha256(data).digest()


# By format, of those that are not always kept byte for byte.
_READERS: dict[str, tuple[tuple[str, Look], ...]] = {
    "PNG": (("Pillow", _pillow("PNG")), ("libpng", _libpng)),
    "WEBP": (("Pillow", _pillow("WEBP")),),
    "GIF": (("Pillow", _pillow("GIF")),),
    "TIFF": (
        ("Pillow", _pillow("TIFF")),
        ("libtiff", _libtiff),
        ("tifffile", _tifffile),
    ),
}
