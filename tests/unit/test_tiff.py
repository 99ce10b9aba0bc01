"""TIFF files of many writers: taken apart, put together, and read by others."""

import io
import random
import struct
from contextlib import suppress

import numpy as np
import pytest
import tifffile
from PIL import Image

from seec.pipeline.images import _pieces
from seec.pipeline.images.files import is_exact, read_header, read_image, write_image
from seec.pipeline.images.formats import codings, spliced
from seec.pipeline.images.formats.tiff_regions import read_page
from seec.pipeline.images.other_readers import difference
from seec.pipeline.images.ranges import Held
from seec.pipeline.images.raster import raster_digest
from seec.schemas.errors import UnreadableImage
from tests.archives import plain_spliced
from tests.archives.plain_fax import fax
from tests.pictures import textured
from tests.sources import image_bytes
from tests.tiffs import DEEP, RGB, compressed_files, exact_files, pyramid, written

EXACT, COMPRESSED = exact_files(), compressed_files()


def by_plain_reader(data: bytes, keep_file: bool = False) -> bytes:
    image = read_image(data, keep_file=keep_file)
    samples = [raster.samples for raster in image.rasters]
    depths = [raster.depth for raster in image.rasters]
    return plain_spliced.spliced(samples, depths, image.envelope[1:], image.envelope[0])


@pytest.mark.parametrize("name", EXACT)
def test_files_come_back_byte_for_byte(name: str):
    image = read_header(EXACT[name]).read(keep_file=True)
    assert is_exact(image.envelope)
    assert write_image(image) == EXACT[name]
    assert by_plain_reader(EXACT[name], keep_file=True) == EXACT[name]
    taken = sum(raster.samples.nbytes for raster in image.rasters)
    assert taken > 0.8 * sum(page.nbytes for page in all_pages(EXACT[name]))


def digests(data: bytes) -> list[bytes]:
    """Of rasters, which may have other places in a file with other bytes."""
    return sorted(raster_digest([raster]) for raster in read_image(data).rasters)


def all_pages(data: bytes) -> list[tifffile.TiffPage]:
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        pages = [page.aspage() for page in file.pages]
        return pages + [below.aspage() for page in pages for below in page.pages or ()]


@pytest.mark.parametrize("name", COMPRESSED)
def test_compressed_files_keep_their_method_and_all_else(name: str):
    data = COMPRESSED[name]
    image = read_header(data).read(for_archive=True)
    assert not is_exact(image.envelope)
    for back in (write_image(image), by_plain_reader(data)):
        assert difference("TIFF", data, back, 10**6) is None
        assert len(back) < 2 * len(data) + 2000
        before, after = all_pages(data), all_pages(back)
        assert [page.compression for page in before] == [page.compression for page in after]
        for one, other in zip(before, after, strict=True):
            assert one.shape == other.shape
        assert digests(back) == digests(data)


def test_every_level_of_a_pyramid_is_a_raster():
    for data in (pyramid(), pyramid(compression="zstd")):
        image = read_image(data)
        assert len(image.rasters) == 3
        with tifffile.TiffFile(io.BytesIO(write_image(image))) as file:
            assert np.array_equal(file.series[0].levels[1].asarray(), DEEP[::2, ::2])


def test_numbers_of_64_bits_are_two_samples():
    (raster,) = read_image(EXACT["doubles"]).rasters
    assert (raster.shape.samples, raster.depth) == (2, 32)


def test_pictures_that_nothing_is_known_of_stay_in_the_envelope():
    sink = io.BytesIO()
    with tifffile.TiffWriter(sink) as file:
        file.write(RGB, photometric="rgb")
        file.write(RGB, photometric="rgb", compression="jpeg2000")
    image = read_image(sink.getvalue())
    assert [raster.shape.samples for raster in image.rasters] == [3]
    assert write_image(image) == sink.getvalue()


def test_tiles_that_are_not_there_are_left_out():
    data = bytearray(written(DEEP, tile=(32, 32)))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tags = [file.pages.first.tags[code] for code in (324, 325)]
    for tag in tags:
        size = tag.valuebytecount // tag.count
        data[tag.valueoffset + 2 * size : tag.valueoffset + 3 * size] = bytes(size)
    (raster,) = read_image(bytes(data)).rasters
    assert raster.shape.height == 32 * (len(DEEP) // 32 * 4 + 4 - 1)
    assert write_image(read_image(bytes(data))) == data


def test_two_directories_of_the_same_samples_are_one_raster():
    data = image_bytes(RGB, "TIFF")
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    directory = data[at : at + 2 + 12 * count]
    link = at + 2 + 12 * count
    both = data[:link] + struct.pack("<I", len(data)) + data[link + 4 :] + directory + bytes(4)
    assert len(read_image(both).rasters) == 1
    assert write_image(read_image(both)) == both


def test_what_gdal_says_of_its_layout_is_taken_back():
    said = "LAYOUT=IFDS_BEFORE_DATA\nKNOWN_INCOMPATIBLE_EDITION=NO\n "
    data = written(RGB, photometric="rgb", compression="zstd", description=said)
    back = write_image(read_image(data))
    assert b"EDITION=YES\n" in back
    assert np.array_equal(tifffile.imread(io.BytesIO(back)), RGB)


@pytest.mark.parametrize("name", [*EXACT, *COMPRESSED])
def test_damaged_files_are_refused_or_come_back(name: str):
    rng = random.Random(name)
    data = (EXACT | COMPRESSED)[name]
    for _ in range(40):
        damaged = bytearray(data)
        for _ in range(rng.choice((1, 1, 4))):
            near = rng.randrange(min(400, len(data)))
            damaged[near if rng.random() < 0.7 else rng.randrange(len(data))] = rng.randrange(256)
        try:
            header = read_header(bytes(damaged))
            if sum(shape.size_bytes for shape in header.shapes) > 1 << 24:
                continue
            image = header.read()
        except UnreadableImage:
            continue
        back = write_image(image)
        if is_exact(image.envelope):
            assert back == damaged
        else:
            assert digests(back) == digests(bytes(damaged))


@pytest.mark.parametrize("name", ["lzw-rgb-predicted-<", "packbits-deep", "pyramid-zstd"])
def test_envelopes_that_lie_are_refused_or_written(name: str):
    rng = random.Random(name)
    image = read_image((EXACT | COMPRESSED)[name])
    for _ in range(300):
        envelope = bytearray(image.envelope)
        for _ in range(rng.choice((1, 3))):
            envelope[rng.randrange(min(300, len(envelope)))] = rng.randrange(256)
        with suppress(UnreadableImage):
            back = write_image(type(image)("TIFF", image.rasters, bytes(envelope)))
            assert isinstance(back, bytes)


def test_a_raster_that_says_to_take_gigabytes_is_refused():
    image = read_image(COMPRESSED["xz"])
    envelope = bytearray(image.envelope)
    struct.pack_into("<I", envelope, 1 + 4 + 2 + 8, (1 << 32) - 1)
    with pytest.raises(UnreadableImage, match="larger than their samples"):
        write_image(type(image)("TIFF", image.rasters, bytes(envelope)))


def test_streams_of_any_bytes_are_refused_or_written_again():
    rng = random.Random(0)
    for _ in range(3000):
        stream = rng.randbytes(rng.randrange(1, 60))
        for read, write in (
            (_pieces.lzw_read, lambda plain, *how: _pieces.lzw_write(plain, *how)),
            (_pieces.packbits_read, lambda plain, heads: _pieces.packbits_write(plain, 9, heads)),
            (
                lambda stream, size: _pieces.fax_read(stream, 1, size, 8 * size - 5),
                lambda plain, tail: _pieces.fax_write(plain, len(plain), 8 * len(plain) - 5, tail),
            ),
        ):
            size = rng.randrange(1, 300)
            try:
                plain, *how = read(stream, size)
            except ValueError:
                continue
            assert len(plain) == size
            assert write(plain, *how)[:1]


def test_streams_come_back_for_any_samples():
    rng = np.random.default_rng(0)
    for size in (1, 2, 127, 128, 129, 3000, 70_000):
        for most in (1, 2, 4, 256):
            plain = rng.integers(0, most, size, np.uint8).tobytes()
            coded = _pieces.lzw_write(plain, None, None)
            assert _pieces.lzw_read(coded, size)[0] == plain
            assert _pieces.lzw_write(plain, *_pieces.lzw_read(coded, size)[1:]) == coded
            if size < 4000:
                assert plain_spliced.lzw(plain, b"") == coded
            rows = [plain[i : i + 500] for i in range(0, size, 500)]
            for rule in (0, 1):
                packed = _pieces.packbits_write(plain, 500, rule)
                assert _pieces.packbits_read(packed, size)[0] == plain
                assert plain_spliced.compressed(rows, 2, bytes([rule])) == packed


@pytest.mark.parametrize("width", [1, 7, 64, 333, 9000])
def test_facsimiles_come_back_for_any_bits(width: int):
    rng = np.random.default_rng(width)
    noise = rng.random((40, width)) < rng.random((40, 1)) ** 3
    runs = np.arange(width) < np.arange(0, 40, dtype=float)[:, None] * width / 37
    for bits in (noise, ~noise, runs, np.zeros_like(noise), np.ones_like(noise)):
        plain = np.packbits(bits, axis=1).tobytes()
        row_bytes = len(plain) // 40
        coded = _pieces.fax_write(plain, row_bytes, width, None)
        assert _pieces.fax_read(coded, 40, row_bytes, width)[0] == plain
        rows = [plain[i : i + row_bytes] for i in range(0, len(plain), row_bytes)]
        assert width > 999 or fax(rows, width, b"") == coded
        by_libtiff = image_bytes(Image.fromarray(bits), "TIFF", compression="group4")
        assert coded in by_libtiff


def test_zstd_that_gives_more_than_its_rows_is_refused():
    coding = codings.Coding(4, 1, 10, 1, 1)
    row = codings.Row(10, 10, 8)
    bomb = codings.METHODS[4].write(bytes(1 << 22), row, b"")
    with pytest.raises(UnreadableImage, match="another size"):
        codings.decoded([bomb], coding, 10, row, True)


def test_pieces_that_overlap_are_refused():
    place = spliced.Place(
        read_header(image_bytes(textured(4, 4), "BMP")).shapes[0],
        spliced.Packing(),
        ((0, 24), (20, 24)),
    )
    with pytest.raises(UnreadableImage, match="overlap"):
        spliced.check_places([place], 100)


def test_a_page_is_read_without_the_directories_behind_it():
    data = bytearray(
        written(np.stack([DEEP, DEEP // 2, DEEP // 3]), metadata=None, photometric="minisblack")
    )
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        last = file.pages[2].offset
    struct.pack_into("<H", data, last, 0xFFFF)
    assert np.array_equal(read_page(Held(bytes(data)), 1), DEEP // 2)
    for page in (2, -1):
        with pytest.raises((UnreadableImage, IndexError), match=r"damaged|page -1"):
            read_page(Held(bytes(data)), page)
