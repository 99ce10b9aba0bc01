"""Image files that are no single 8-bit picture: taken apart, cut into planes, put together."""

import io
import random
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from seec.pipeline.images.files import ImageFile, is_exact, read_header, read_image
from seec.pipeline.images.files import write_image as write
from seec.pipeline.images.formats import png_filters, spliced
from seec.pipeline.images.formats import tiff_pages as tiff
from seec.pipeline.images.formats.png_file import SIGNATURE, chunk, parts, stream_parts
from seec.pipeline.images.formats.png_file import read_header as read_png_header
from seec.pipeline.images.planes import join, split
from seec.pipeline.images.raster import Packing, pack, raster_digest, unpack
from seec.schemas.errors import UnreadableImage
from seec.schemas.limits import MAX_RASTERS
from seec.schemas.planes import Shape
from tests.pictures import gray, textured
from tests.sources import coded_files, image_bytes, jpeg_files, metadata, plane_files, stored_files
from tests.torture.drawn import interlaced

PLANES, STORED = plane_files(), jpeg_files() | stored_files()
BYTE_FOR_BYTE = [
    name
    for name in PLANES
    if name.endswith(("bmp", "pbm", "pgm", "pam", "pfm", "qoi", "gif", "tiff"))
]
SHOWN_BY_PILLOW = [name for name in PLANES if not name.endswith("pam")]


@pytest.mark.parametrize("name", SHOWN_BY_PILLOW)
def test_samples_and_metadata_of_every_page_survive(name: str):
    written = write(read_image(PLANES[name]))
    before, after = (Image.open(io.BytesIO(data)) for data in (PLANES[name], written))
    assert before.format == after.format
    assert getattr(before, "n_frames", 1) == getattr(after, "n_frames", 1)
    for page in range(getattr(before, "n_frames", 1)):
        before.seek(page)
        after.seek(page)
        assert before.mode == after.mode
        assert np.array_equal(np.asarray(before), np.asarray(after))
        assert metadata(before) == metadata(after)


def test_all_sixteen_bits_survive():
    for name in ("sixteen-rgb.png", "sixteen-rgba.png"):
        written = write(read_image(PLANES[name]))
        before, after = (imagecodecs.png_decode(data) for data in (PLANES[name], written))
        assert before.dtype == np.uint16
        assert np.array_equal(before, after)


@pytest.mark.parametrize("name", BYTE_FOR_BYTE)
def test_samples_that_are_kept_as_they_are_come_back_byte_for_byte(name: str):
    composite = read_image(PLANES[name])
    assert is_exact(composite.envelope)
    assert write(composite) == PLANES[name]


@pytest.mark.parametrize("name", [name for name in PLANES if name not in BYTE_FOR_BYTE])
def test_a_file_that_is_written_anew_is_marked_and_reads_the_same(name: str):
    composite = read_image(PLANES[name])
    assert not is_exact(composite.envelope)
    again = read_image(write(composite))
    assert raster_digest(again.rasters) == raster_digest(composite.rasters)
    assert again.envelope == composite.envelope


@pytest.mark.parametrize("name", STORED)
def test_all_else_is_refused_with_a_reason(name: str):
    with pytest.raises(UnreadableImage, match=r"\w"):
        read_image(STORED[name])


@pytest.mark.parametrize("name", PLANES)
def test_planes_give_the_rasters_back(name: str):
    rasters = read_image(PLANES[name]).rasters
    planes = list(split(rasters))
    again = join([raster.shape for raster in rasters], planes)
    assert raster_digest(again) == raster_digest(rasters)
    assert all(pixels is None or pixels.dtype == np.uint8 for _, pixels in planes)


def test_a_plane_of_one_value_takes_no_file():
    (_, alpha) = split(read_image(PLANES["opaque.png"]).rasters)
    assert (alpha[0].value, alpha[1]) == (255, None)
    (_, low) = split(read_image(PLANES["sixteen-from-eight.png"]).rasters)
    assert (low[0].value, low[0].difference) == (0, True)


def test_colours_under_no_alpha_are_kept():
    rgba = np.dstack([textured(20, 30), np.zeros((20, 30), np.uint8)])
    for data in (
        image_bytes(rgba, "PNG"),
        image_bytes(rgba, "WEBP", lossless=True, exact=True),
        image_bytes(rgba, "TIFF"),
    ):
        written = write(read_image(data))
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(written))), rgba)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("width", [1, 3, 8, 13])
def test_rows_are_packed_as_they_were(depth: int, width: int):
    rng = np.random.default_rng(depth * width)
    shape = Shape(width, 5, 3, depth)
    for packing in (Packing(), Packing(little=True, align=4), Packing(align=2)):
        dtype = {1: np.uint8, 2: np.uint16, 4: np.uint32}[shape.sample_bytes]
        samples = rng.integers(0, 1 << depth, (5, width, 3), dtype)
        data = pack(samples, shape, packing)
        assert len(data) == packing.size_bytes(shape)
        assert np.array_equal(unpack(data, shape, packing), samples)


def test_filters_are_those_of_png():
    """Rows that are filtered here, each type in turn, are read by libpng as they were."""
    rng = np.random.default_rng(0)
    for channels, color in ((1, 0), (2, 4), (3, 2), (4, 6)):
        samples = rng.integers(0, 256, (25, 17, channels), np.uint8)
        rows = samples.reshape(25, -1)
        types = np.arange(25, dtype=np.uint8) % 5
        for filtered in (png_filters.apply_types(rows, channels, types),):
            decoded = np.asarray(Image.open(io.BytesIO(png_file(17, 25, color, filtered))))
            assert np.array_equal(decoded.reshape(samples.shape), samples)


def png_file(width: int, height: int, color: int, filtered: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    image_data = chunk(b"IDAT", zlib.compress(filtered))
    return SIGNATURE + chunk(b"IHDR", header) + image_data + chunk(b"IEND", b"")


def test_bytes_behind_a_qoi_picture_are_kept():
    data = coded_files()["rgb.qoi"]
    for other in (data + PLANES["alpha.qoi"], data[:-8] + b"\xfe\1\2\3" + data[-8:]):
        with pytest.raises(UnreadableImage, match="reference"):
            read_image(other)


def test_interlaced_files_are_read():
    pixels: NDArray[np.uint8] = np.dstack([textured(21, 34), gray(21, 34)])
    plain, data = image_bytes(pixels, "PNG"), interlaced(pixels)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), pixels)
    one, other = read_image(plain), read_image(data)
    assert raster_digest(one.rasters) == raster_digest(other.rasters)


def test_image_data_that_readers_show_though_it_is_wrong_is_refused():
    for pixels in (textured(20, 30), np.dstack([textured(20, 30), gray(20, 30)])):
        data = image_bytes(pixels, "PNG")
        header = read_png_header(data)
        _, image_data, _ = parts(data, ())
        stream = b"".join(stream_parts(image_data))
        rows = zlib.decompress(stream)
        for wrong in (
            zlib.compress(rows + bytes(99)),
            zlib.compress(rows[:-1]),
            stream[:-1] + bytes([stream[-1] ^ 1]),
            stream[:-4],
            stream + b"behind",
        ):
            file = chunk(b"IHDR", header.body()) + chunk(b"IDAT", wrong) + chunk(b"IEND", b"")
            with pytest.raises(UnreadableImage):
                read_image(SIGNATURE + file)


def test_tiles_and_planar_samples_of_tiff_come_back_byte_for_byte():
    rgb = textured(40, 56)
    tiles = [rgb[y : y + 16, x : x + 16] for y in (0, 16) for x in (0, 16, 32)]
    data = tiff_file(
        {256: 48, 257: 32, 258: 8, 259: 1, 262: 2, 277: 3, 322: 16, 323: 16},
        tiff.TILES,
        [tile.tobytes() for tile in tiles],
    )
    planar = tiff_file(
        {256: 56, 257: 40, 258: 8, 259: 1, 262: 2, 277: 3, 278: 40, 284: 2},
        tiff.STRIPS,
        [np.ascontiguousarray(rgb[..., i]).tobytes() for i in range(3)],
    )
    for file, count in ((data, 1), (planar, 3)):
        composite = read_image(file)
        assert len(composite.rasters) == count
        assert write(composite) == file


def tiff_file(tags: dict[int, int], where: int, pieces: list[bytes], order: str = "<") -> bytes:
    """A file with these tags and pieces of samples; tags of one number each."""
    start = 8 + 2 + 12 * (len(tags) + 2) + 4
    listed = 8 * len(pieces) if len(pieces) > 1 else 0
    offsets = [start + listed + sum(map(len, pieces[:i])) for i in range(len(pieces))]
    lengths = [len(piece) for piece in pieces]
    sizes_tag = {tiff.STRIPS: tiff.STRIP_BYTES, tiff.TILES: tiff.TILE_BYTES}[where]
    entries = {tag: (1, value) for tag, value in tags.items()}
    if len(pieces) == 1:
        entries |= {where: (1, offsets[0]), sizes_tag: (1, lengths[0])}
    else:
        entries |= {where: (len(pieces), start), sizes_tag: (len(pieces), start + 4 * len(pieces))}
    data = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(entries))
    for tag, (count, value) in sorted(entries.items()):
        data += struct.pack(order + "HHII", tag, 4, count, value)
    lists = struct.pack(f"{order}{2 * len(pieces)}I", *offsets, *lengths)
    return data + bytes(4) + lists[:listed] + b"".join(pieces)


def test_big_endian_prediction_is_undone():
    deep = gray(24, 40).astype(np.uint16) * 77
    predicted = np.diff(deep, axis=1, prepend=np.uint16(0)).astype(">u2")
    data = tiff_file(
        {256: 40, 257: 24, 258: 16, 259: 8, 262: 1, 277: 1, 278: 24, 317: 2},
        tiff.STRIPS,
        [zlib.compress(predicted.tobytes())],
        order=">",
    )
    (raster,) = read_image(data).rasters
    assert np.array_equal(raster.samples[:, :, 0], deep)


def test_a_tiff_with_a_loop_of_directories_is_refused():
    data = bytearray(PLANES["sixteen.tiff"])
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    struct.pack_into("<I", data, at + 2 + 12 * count, at)
    with pytest.raises(UnreadableImage, match="loop"):
        read_image(bytes(data))


@pytest.mark.parametrize(
    "head",
    [
        b"P4 999999999 999999999\n",
        b"P7\nWIDTH 999999999\nHEIGHT 999999999\nDEPTH 4\nMAXVAL 255\nENDHDR\n",
        b"P6 99999 99999 65535\n",
        b"qoif" + struct.pack(">IIBB", 1 << 31, 1 << 31, 4, 0),
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
        + struct.pack(">IIBBBBB", 1 << 30, 1 << 30, 16, 6, 0, 0, 0),
    ],
)
def test_a_bomb_is_seen_in_its_header(head: bytes):
    with pytest.raises(UnreadableImage):
        read_header(head + bytes(64))


def test_rows_filled_up_with_something_are_refused():
    data = bytearray(PLANES["bits.bmp"])
    data[-1] = 1
    with pytest.raises(UnreadableImage, match="filled up"):
        read_image(bytes(data))


@pytest.mark.parametrize("name", PLANES)
def test_damaged_files_are_refused_or_read_never_a_crash(name: str):
    rng = random.Random(name)
    data = PLANES[name]
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(rng.choice((1, 1, 4))):
            # Headers are where damage can do most.
            place = rng.randrange(min(200, len(data))) if rng.random() < 0.7 else -1
            damaged[place if place >= 0 else rng.randrange(len(data))] = rng.randrange(256)
        damaged = damaged[: rng.choice((len(data), rng.randrange(len(data))))]
        try:
            if sum(shape.size_bytes for shape in read_header(bytes(damaged)).shapes) > 1 << 24:
                continue
            composite = read_image(bytes(damaged))
        except UnreadableImage:
            continue
        again = read_image(write(composite))
        assert raster_digest(again.rasters) == raster_digest(composite.rasters)


@pytest.mark.parametrize("name", PLANES)
def test_an_envelope_that_does_not_fit_is_an_error(name: str):
    composite = read_image(PLANES[name])
    envelope = composite.envelope
    rng = random.Random(name)
    others = [b"", b"\2", envelope[:1], envelope[:4], envelope[: len(envelope) // 2]]
    for _ in range(20):
        changed = bytearray(envelope)
        changed[rng.randrange(min(40, len(changed)))] ^= 1 << rng.randrange(8)
        others.append(bytes(changed))
    for other in others:
        try:
            data = write(ImageFile(composite.format, composite.rasters, other))
        except UnreadableImage:
            continue
        assert isinstance(data, bytes)


def test_an_envelope_of_too_many_pictures_is_refused():
    with pytest.raises(UnreadableImage):
        spliced.splice([], struct.pack("<I", MAX_RASTERS + 1) + bytes(1 << 14))
