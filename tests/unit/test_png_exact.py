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
from seec.schemas.errors import DigestMismatch, SeecError, UnreadableImage
from seec.schemas.manifest import Entry
from seec.schemas.plan import SourceFile
from seec.schemas.routes import SEEC, STORE
from tests.pictures import gray, textured
from tests.rows import envelope_of
from tests.sources import coded_files, image_bytes, jpeg_files, plane_files, stored_files

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
    "options", [{}, {"optimize": True}, *({"compress_level": n} for n in range(1, 10))]
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


def check(data: bytes) -> None:
    composite = read_image(data, keep_file=True)
    assert is_exact(composite.envelope)
    assert write_image(composite) == data
    assert len(composite.envelope) < 400 + len(data) // 20


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
    rows = zlib.decompress(b"".join(stream_parts(parts(data, ())[1])))
    compressor = zlib.compressobj(level, zlib.DEFLATED, window_bits, memory_level, strategy)
    check(with_stream(data, compressor.compress(rows) + compressor.flush()))


def unusual() -> bytes:
    """A sound file with a stream that zlib writes with no settings: flushed in the middle."""
    data = image_bytes(RGB, "PNG")
    rows = zlib.decompress(b"".join(stream_parts(parts(data, ())[1])))
    compressor = zlib.compressobj(6)
    stream = compressor.compress(rows[:5000]) + compressor.flush(zlib.Z_SYNC_FLUSH)
    return with_stream(data, stream + compressor.compress(rows[5000:]) + compressor.flush())


def archive(data: bytes, model: Model) -> Entry:
    made = draft(Candidate(SourceFile("a", len(data), 0), data, 10**6, keep_file=True))
    return settle(
        made, [encode(picture, model=model) for picture in made.pictures], RunModels(model)
    )


def test_png_that_cannot_come_back_is_refused_and_stored(golden_model: Model):
    with pytest.raises(UnreadableImage, match="reproduced"):
        read_image(unusual(), keep_file=True)
    entry = archive(unusual(), golden_model)
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


def test_a_file_of_another_zlib_is_a_mismatch_and_never_written(
    monkeypatch: pytest.MonkeyPatch,
):
    entry = archive(image_bytes(RGB, "PNG"), MODEL)
    assert entry.row.route == SEEC

    class OtherSettings(png_stream._Settings):
        def compressor(self):
            return zlib.compressobj(1)

    monkeypatch.setattr(png_stream, "_Settings", OtherSettings)
    for use in (reading.check, reading.restore):
        with pytest.raises(SeecError, match="zlib"):
            use(entry.row, bytes(entry.payload), {MODEL.id: MODEL})


def test_a_damaged_recipe_is_an_error_or_another_file():
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
        assert written != data or bytes(changed) == composite.envelope


def test_recipes_that_ask_for_much_are_refused():
    header = read_header(image_bytes(RGB, "PNG"))
    rows = RGB.reshape(len(RGB), -1)
    for recipe in (
        b"",
        zlib.compress(bytes(50 << 20)),
        zlib.compress(b"\6\10\0\17\x78\x9c\xff\xff\xff\xff" + bytes(99)),
        zlib.compress(b"\6\10\0\17\x78\x9c\0\0\0\0" + bytes(len(RGB))),
        zlib.compress(b"\6\x63\0\17\x78\x9c\1\0\0\0\1\0\0\0" + bytes(len(RGB))),
        zlib.compress(b"\6\10\0\17\x78\x9c\1\0\0\0\1\0\0\0" + bytes([5]) * len(RGB)),
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
