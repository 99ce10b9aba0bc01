"""What is written anew looks the same to other programs, or is kept byte for byte."""

import io
import struct
import zlib
from itertools import product
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from seec.pipeline.codec import default_model, encode
from seec.pipeline.images.files import is_exact, read_header, write_image
from seec.pipeline.images.formats.png_file import IHDR_END, chunk
from seec.pipeline.images.other_readers import difference
from seec.pipeline.routes.writing import Candidate, RunModels, draft, settle
from seec.schemas.errors import UnreadableImage
from seec.schemas.plan import SourceFile
from seec.schemas.rows import Entry
from tests.deflated import odd_png
from tests.pictures import gray, textured
from tests.sources import coded_files, image_bytes, metadata, plane_files

FILES = coded_files() | plane_files()
RGB, GRAY = textured(40, 56), gray(40, 56)
RGBA = np.dstack([RGB, GRAY])
MODEL = default_model()


def tiff(samples: NDArray[Any], **options: Any) -> bytes:
    sink = io.BytesIO()
    tifffile.imwrite(sink, samples, metadata=None, **options)
    return sink.getvalue()


def planes(samples: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(np.moveaxis(samples, 2, 0))


def archived(data: bytes) -> Entry:
    made = draft(Candidate(SourceFile("a", len(data), 0), data, 10**6))
    return settle(made, [encode(picture) for picture in made.pictures], RunModels(MODEL))


def restored(data: bytes) -> bytes:
    """What an archive gives back; UnreadableImage if it does not take the file apart."""
    return write_image(read_header(data).read(for_archive=True))


def pillow_page(data: bytes) -> tuple[Any, ...] | None:
    try:
        with Image.open(io.BytesIO(data)) as image:
            says = metadata(image)
            return image.mode, image.size, image.tobytes(), says
    except (OSError, SyntaxError, ValueError):
        return None


@pytest.mark.parametrize("name", FILES)
def test_files_of_all_kinds_look_the_same(name: str):
    restored(FILES[name])


ODDLY_READ = {
    # Libtiff takes no notice of it, tifffile undoes it.
    "packed bytes that are predicted": tiff(
        RGB, photometric="rgb", compression="packbits", predictor=True
    ),
    # Pillow leaves these to libtiff if they are compressed, and has no way of its own.
    "six planes": tiff(
        np.stack([GRAY] * 6),
        photometric="minisblack",
        planarconfig="separate",
        compression="zstd",
    ),
    "planes of luma and chroma": tiff(
        planes(RGB), photometric="ycbcr", planarconfig="separate", compression="zstd"
    ),
    "luma and chroma": tiff(RGB, photometric="ycbcr", compression="lzw"),
}


@pytest.mark.parametrize("kind", ODDLY_READ)
def test_a_tiff_that_each_reader_sees_in_its_own_way_is_seen_so_again(kind: str):
    data = ODDLY_READ[kind]
    back = restored(data)
    assert difference("TIFF", data, back, 10**6) is None
    with tifffile.TiffFile(io.BytesIO(data)) as one, tifffile.TiffFile(io.BytesIO(back)) as other:
        assert one.pages.first.compression == other.pages.first.compression


KINDS = list(
    product(
        ("lzw", "deflate", "packbits", "zstd"),
        (False, True),
        ("rgb", "planes", "gray", "white", "four", "deep", "deep planes", "floats", "signed"),
        ((), (32, 16)),
        "<>",
    )
)


@pytest.mark.parametrize(("compression", "predictor", "kind", "tile", "order"), KINDS)
def test_a_tiff_looks_the_same_or_is_refused(
    compression: str, predictor: bool, kind: str, tile: tuple[int, ...], order: str
):
    deep = RGB.astype(np.uint16) * 77
    samples, options = {
        "rgb": (RGB, {"photometric": "rgb"}),
        "planes": (planes(RGB), {"photometric": "rgb", "planarconfig": "separate"}),
        "gray": (GRAY, {"photometric": "minisblack"}),
        "white": (GRAY, {"photometric": "miniswhite"}),
        "four": (RGBA, {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
        "deep": (deep, {"photometric": "rgb"}),
        "deep planes": (planes(deep), {"photometric": "rgb", "planarconfig": "separate"}),
        "floats": (GRAY.astype(np.float32) / 7, {"photometric": "minisblack"}),
        "signed": (GRAY.astype(np.int16) - 90, {"photometric": "minisblack"}),
    }[kind]
    options |= {"compression": compression, "predictor": predictor, "byteorder": order}
    data = tiff(samples, **options, **({"tile": tile} if tile else {}))
    try:
        back = restored(data)
    except UnreadableImage:
        return
    before = pillow_page(data)
    assert before is None or pillow_page(back) == before
    if back == data or kind == "floats":  # what is no number does not equal itself
        return
    for read in (imagecodecs.tiff_decode, lambda d: tifffile.imread(io.BytesIO(d))):
        assert np.array_equal(read(back), read(data))


def test_most_tiffs_are_taken_apart():
    for compression, predictor in product(("lzw", "zstd"), (False, True)):
        for samples in (RGB, RGB.astype(np.uint16) * 77):
            data = tiff(samples, photometric="rgb", compression=compression, predictor=predictor)
            exact = is_exact(read_header(data).read(for_archive=True).envelope)
            assert exact == (compression == "lzw")


def webp(pixels: NDArray[np.uint8], **options: Any) -> bytearray:
    return bytearray(image_bytes(pixels, "WEBP", lossless=True, exact=True, **options))


def test_exif_that_a_webp_does_not_announce_stays_hidden():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = webp(RGB, exif=exif)
    restored(bytes(data))
    data[20] &= ~0x08
    with pytest.raises(UnreadableImage, match="Pillow would see another"):
        restored(bytes(data))


@pytest.mark.parametrize("options", [{}, {"icc_profile": b"profile"}])
def test_alpha_that_is_full_everywhere_stays_alpha(options: dict[str, Any]):
    data = webp(np.dstack([RGB, np.full_like(GRAY, 255)]), **options)
    picture = data.index(b"VP8L")
    data[picture + 12] |= 0x10
    if options:
        data[20] |= 0x10
    before, after = (Image.open(io.BytesIO(d)) for d in (bytes(data), restored(bytes(data))))
    assert before.mode == after.mode == "RGBA"
    assert before.tobytes() == after.tobytes()


def with_chunk(data: bytes, kind: bytes, body: bytes) -> bytes:
    return data[:IHDR_END] + chunk(kind, body) + data[IHDR_END:]


def test_a_png_that_no_other_program_reads_comes_back_byte_for_byte():
    profile = b"name\0\0" + zlib.compress(bytes(1 << 21))
    data = with_chunk(image_bytes(RGB, "PNG"), b"iCCP", profile)
    assert pillow_page(data) is None
    assert restored(data) == data
    with pytest.raises(UnreadableImage, match=r"no other program.*reproduced"):
        restored(with_chunk(odd_png(4), b"iCCP", profile))


def test_low_bits_are_compared_too():
    deep = RGB.astype(np.uint16) * 77
    before, after = (bytes(imagecodecs.png_encode(samples)) for samples in (deep, deep ^ 1))
    assert pillow_page(before) == pillow_page(after)
    assert "libpng would see another picture" in (difference("PNG", before, after, 1) or "")


def test_a_gif_is_not_shown_on_a_screen_that_takes_all_memory():
    data = FILES["animated.gif"]
    large = data[:6] + struct.pack("<HH", 65535, 65535) + data[10:]
    assert difference("GIF", data, data, 1) is None
    assert "no other program" in (difference("GIF", large, large, 1) or "")


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "GIF"])
def test_a_difference_has_a_name(kind: str):
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
    one, other = (image_bytes(Image.fromarray(p), kind, **options) for p in (RGB, RGB[:, ::-1]))
    assert difference(kind, one, one, 1) is None
    assert "Pillow would see another" in (difference(kind, one, other, 1) or "")
    assert "Pillow would not read" in (difference(kind, one, other[:60], 1) or "")
