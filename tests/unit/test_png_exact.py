"""PNG files that come back byte for byte, and those that cannot."""

import random
import zlib
from dataclasses import replace
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from seec.pipeline.codec import Model, default_model, encode
from seec.pipeline.images.files import ImageFile, is_exact, read_image, write_image
from seec.pipeline.images.formats import png_stream
from seec.pipeline.images.formats.png_file import (
    IHDR_END,
    SIGNATURE,
    chunk,
    parts,
    read_header,
    stream_parts,
)
from seec.pipeline.images.raster import pixel_raster
from seec.pipeline.routes import reading
from seec.pipeline.routes.writing import Candidate, RunModels, draft, settle
from seec.schemas.errors import DigestMismatch, UnreadableImage
from seec.schemas.plan import SourceFile
from seec.schemas.routes import STORE
from seec.schemas.rows import Entry
from tests.deflated import FOREIGN, flushed, odd_png
from tests.pictures import gray, textured
from tests.rows import envelope_of
from tests.sources import coded_files, image_bytes, jpeg_files, plane_files, stored_files
from tests.torture.drawn import interlaced

MODEL = default_model()
FILES = coded_files() | plane_files() | jpeg_files() | stored_files()
RGB, GRAY = textured(70, 90), gray(70, 90)
DEEP = GRAY.astype(np.uint16) * 201
PICTURES: dict[str, Any] = {
    "RGB": RGB,
    "L": GRAY,
    "RGBA": np.dstack([RGB, GRAY]),
    "LA": np.dstack([GRAY, 255 - GRAY]),
    "P": Image.fromarray(RGB).quantize(64),
    "P4": Image.fromarray(RGB).quantize(16),
    "1": Image.fromarray(GRAY).convert("1"),
    "I;16": DEEP,
}


@pytest.mark.parametrize("mode", PICTURES)
@pytest.mark.parametrize(
    "options", [{}, {"optimize": True}, *({"compress_level": n} for n in range(10))]
)
def test_png_of_pillow_comes_back_byte_for_byte(mode: str, options: dict[str, Any]):
    check(image_bytes(PICTURES[mode], "PNG", dpi=(300, 300), **options))


@pytest.mark.parametrize("strategy", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("level", [1, 4, 6, 9])
def test_png_of_libpng_comes_back_byte_for_byte(level: int, strategy: int):
    for picture in (RGB, GRAY, DEEP, np.dstack([DEEP] * 4)):
        for filters in (None, 0x08, 0x10, 0xF8):
            options = {"level": level, "strategy": strategy, "filter": filters}
            check(bytes(imagecodecs.png_encode(picture, **options)))


@pytest.mark.parametrize("program", FOREIGN)
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "I;16"])
def test_png_of_other_deflates_comes_back_byte_for_byte(mode: str, program: str):
    data = image_bytes(PICTURES[mode], "PNG")
    coded = FOREIGN[program](rows_of(data))
    check(with_stream(data, b"\x78\xda" + coded + adler(rows_of(data)), 100, 8192))


@pytest.mark.parametrize("level", range(10))
def test_png_of_libspng_comes_back_byte_for_byte(level: int):
    for picture in (RGB, GRAY, np.dstack([RGB, GRAY])):
        check(bytes(imagecodecs.spng_encode(picture, level=level)))


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 2), (9, 4), (41, 29)])
@pytest.mark.parametrize("samples", [1, 2, 3, 4])
def test_interlaced_png_comes_back_byte_for_byte(samples: int, size: tuple[int, int]):
    check(interlaced(np.dstack([RGB, GRAY])[: size[0], : size[1], :samples]))


def test_no_library_compresses_what_is_restored(monkeypatch: pytest.MonkeyPatch):
    data = image_bytes(RGB, "PNG")
    composite = read_image(data, keep_file=True)
    for name in ("compress", "compressobj"):
        monkeypatch.setattr(zlib, name, None)
    assert write_image(composite) == data


def adler(rows: bytes) -> bytes:
    return zlib.adler32(rows).to_bytes(4, "big")


def rows_of(data: bytes) -> bytes:
    return zlib.decompress(b"".join(stream_parts(parts(data, ())[1])))


def check(data: bytes) -> None:
    composite = read_image(data, keep_file=True)
    assert is_exact(composite.envelope)
    assert write_image(composite) == data
    assert len(zlib.compress(composite.envelope)) < 400 + len(data) // 20


def with_stream(data: bytes, stream: bytes, *sizes: int) -> bytes:
    """The same file with another stream, in chunks of these sizes and one of what is left."""
    first, _, second = parts(data, ())
    pieces = b""
    for size in (*sizes, len(stream)):
        pieces += chunk(b"IDAT", stream[:size])
        stream = stream[size:]
    return data[:IHDR_END] + first + pieces + second


def test_chunks_of_any_size_come_back():
    data = image_bytes(RGB, "PNG")
    stream = b"".join(stream_parts(parts(data, ())[1]))
    for sizes in ((1, 1, 1), (0, 100, 0), (len(stream),), tuple(range(60))):
        check(with_stream(data, stream, *sizes) + b"trailing")


@pytest.mark.parametrize("settings", [(6, 15, 9, 0), (6, 12, 8, 0), (9, 9, 9, 1)])
def test_small_windows_come_back(settings: tuple[int, int, int, int]):
    level, window_bits, memory_level, strategy = settings
    data = image_bytes(RGB, "PNG")
    rows = rows_of(data)
    compressor = zlib.compressobj(level, zlib.DEFLATED, window_bits, memory_level, strategy)
    check(with_stream(data, compressor.compress(rows) + compressor.flush()))


def test_streams_that_were_flushed_come_back():
    data = image_bytes(RGB, "PNG")
    for mode in (zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH):
        stream = b"\x78\x9c" + flushed(rows_of(data), mode) + adler(rows_of(data))
        check(with_stream(data, stream))


def archive(data: bytes, model: Model) -> Entry:
    made = draft(Candidate(SourceFile("a", len(data), 0), data, 10**6, keep_file=True))
    return settle(
        made, [encode(picture, model=model) for picture in made.pictures], RunModels(model)
    )


def test_png_that_cannot_come_back_is_refused_and_stored(golden_model: Model):
    with pytest.raises(UnreadableImage, match="reproduced"):
        read_image(odd_png(3), keep_file=True)
    entry = archive(odd_png(3), golden_model)
    assert (entry.row.route, entry.row.reason) == (
        STORE,
        "PNG whose compression cannot be reproduced",
    )


@pytest.mark.parametrize("name", FILES)
def test_every_file_that_is_to_be_kept_comes_back_byte_for_byte(golden_model: Model, name: str):
    data = FILES[name]
    entry = archive(data, golden_model)
    models = {golden_model.id: golden_model}
    reading.check(entry.row, bytes(entry.payload), models)
    assert reading.restore(entry.row, bytes(entry.payload), models) == data
    assert len(entry.payload) + len(envelope_of(entry.row)) <= len(data)


def test_a_damaged_recipe_is_an_error_or_some_file():
    data = image_bytes(RGB, "PNG")
    composite = read_image(data, keep_file=True)
    rng = random.Random(0)
    for _ in range(200):
        changed = bytearray(composite.envelope)
        changed[rng.randrange(len(changed))] = rng.randrange(256)
        lie = ImageFile(composite.format, composite.rasters, bytes(changed))
        try:
            written = write_image(lie)
        except UnreadableImage:
            continue
        assert written.startswith(SIGNATURE)


def test_recipes_that_ask_for_much_are_refused():
    data = image_bytes(RGB, "PNG")
    header = read_header(data)
    rows = RGB.reshape(len(RGB), -1)
    sound = png_stream.find_recipe(header, parts(data, ())[1])
    head, rest, types = sound[:6], sound[6:], sound[6 : 6 + len(RGB)]
    assert png_stream.recompress(header, rows, sound)
    for recipe in (
        b"",
        b"\x78\x9c\xff\xff\xff\xff" + bytes(99),
        b"\x78\x9c\1\0\0\0\xff\xff\xff\xff" + rest,
        head + bytes([5]) * len(RGB) + rest[len(RGB) :],
        head + types[:-1],
        head + types,
        head + types + b"\xff" * 100,
    ):
        with pytest.raises(UnreadableImage):
            png_stream.recompress(header, rows, recipe)


def test_a_row_whose_file_is_another_one_is_a_mismatch():
    one, other = (archive(image_bytes(RGB, "PNG", compress_level=n), MODEL) for n in (5, 7))
    assert one.payload == other.payload
    lie = replace(one.row, samples=other.row.samples)
    with pytest.raises(DigestMismatch):
        reading.check(lie, bytes(one.payload), {MODEL.id: MODEL})
    sound = ImageFile("PNG", [pixel_raster(RGB)], envelope_of(one.row))
    assert write_image(sound).startswith(SIGNATURE)
