"""Image data of PNG files: read whole or not at all, and the same way whatever its size."""

import zlib

import numpy as np
import pytest

from seec.pipeline.images.formats import png_file
from seec.pipeline.images.formats.png_file import (
    Header,
    chunk,
    decode,
    parts,
    read_header,
    stream_parts,
)
from seec.schemas.errors import UnreadableImage
from tests.pictures import gray, textured
from tests.sources import image_bytes

RGB = textured(37, 53)
PICTURES = {
    "RGB": RGB,
    "L": gray(37, 53),
    "LA": np.dstack([gray(37, 53), 255 - gray(37, 53)]),
    "RGBA": np.dstack([RGB, gray(37, 53)]),
    "one pixel": RGB[:1, :1],
}


def taken(picture: np.ndarray) -> tuple[Header, bytes]:
    """Header and zlib stream of a file."""
    data = image_bytes(picture, "PNG")
    _, image_data, _ = parts(data, ())
    return read_header(data), b"".join(stream_parts(image_data))


@pytest.fixture(params=["kept", "too large to keep"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "too large to keep":
        monkeypatch.setattr(png_file, "_KEPT_BYTES", 0)
    return request.param


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.usefixtures("way")
def test_image_data_in_any_number_of_chunks(name: str):
    header, stream = taken(PICTURES[name])
    for size in (1, 7, len(stream)):
        pieces = (stream[i : i + size] for i in range(0, len(stream), size))
        image_data = b"".join(chunk(b"IDAT", piece) for piece in pieces)
        assert (decode(header, image_data) == PICTURES[name]).all()


@pytest.mark.usefixtures("way")
def test_a_damaged_or_second_stream_is_refused():
    header, stream = taken(RGB)
    rows = zlib.decompress(stream)
    wrong_filter = zlib.compress(b"\x05" + rows[1:])
    for damaged in (
        b"",
        stream[:-1],
        stream[: len(stream) // 2],
        stream + b"\0",
        stream + stream,
        stream[:-1] + bytes([stream[-1] ^ 1]),
        zlib.compress(rows[:-1]),
        zlib.compress(rows + b"\0"),
        wrong_filter,
    ):
        with pytest.raises(UnreadableImage, match="damaged PNG file"):
            decode(header, chunk(b"IDAT", damaged))


def test_refusals_do_not_depend_on_the_way(monkeypatch: pytest.MonkeyPatch):
    """They go into the archive."""
    header, stream = taken(RGB)
    rng = np.random.default_rng(5)
    for _ in range(200):
        damaged = bytearray(stream)
        damaged[int(rng.integers(len(stream)))] ^= 1 << int(rng.integers(8))
        monkeypatch.undo()
        first = _outcome(header, bytes(damaged))
        monkeypatch.setattr(png_file, "_KEPT_BYTES", 0)
        assert _outcome(header, bytes(damaged)) == first


def _outcome(header: Header, stream: bytes) -> bytes | str:
    try:
        return decode(header, chunk(b"IDAT", stream)).tobytes()
    except UnreadableImage as error:
        return str(error)
