"""Images in Parquet files are found in the pages of their columns, under column and row."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from datasets import Dataset, Features, Image, Sequence, Value, disable_progress_bars

from seec.pipeline import deflate
from seec.pipeline.containers import PACKINGS, Held, cut, find, is_container
from seec.schemas.errors import SectionCorrupt, UnreadableImage
from tests.containers import found, in_pieces, named_pictures, parquet
from tests.jpegs import jpeg
from tests.pictures import textured
from tests.sources import image_bytes

disable_progress_bars()

CODECS = ["none", "snappy", *(["gzip"] if deflate.is_available() else [])]
EXTENSIONS = {"ppm": "pnm"}


def photos(count: int) -> list[bytes]:
    return [jpeg(textured(40 + i, 50)) for i in range(count)]


def named(
    column: str, images: Iterable[bytes | None], *, first: int = 0
) -> list[tuple[str, bytes]]:
    return [
        (f"{column}/{first + i:06}.jpg", image)
        for i, image in enumerate(images)
        if image is not None
    ]


def of_rows(data: bytes) -> list[tuple[str | None, bytes]]:
    """What is found under a row; statistics hold copies of the smallest and the largest image."""
    return [(name, image) for name, image in found(data) if name is not None]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [False, True])
def test_images_are_found_under_their_rows(codec: str, version: str, dictionary: bool):
    images = [None if i % 5 == 2 else image for i, image in enumerate(photos(30))]
    data = parquet(
        {"label": list(range(30)), "image": images, "text": ["some text " * 9] * 30},
        compression=codec,
        data_page_version=version,
        use_dictionary=dictionary,
        row_group_size=12,
    )
    assert is_container(data[:4096])
    assert of_rows(data) == named("image", images)


@pytest.mark.parametrize("codec", CODECS)
def test_images_of_every_format_are_found(codec: str):
    files = named_pictures()
    data = parquet({"image": list(files.values())}, compression=codec, use_dictionary=False)
    suffixes = [EXTENSIONS.get(name[-3:], name.split(".")[-1]) for name in files]
    names = [f"image/{i:06}.{suffix}" for i, suffix in enumerate(suffixes)]
    assert of_rows(data) == list(zip(names, files.values(), strict=True))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size_bytes", [1, 5000, 30_000, 1 << 20])
def test_pieces_of_any_size_hold_the_same_members(codec: str, size_bytes: int):
    data = parquet(
        {"image": photos(60), "text": ["a text"] * 60},
        compression=codec,
        use_dictionary=False,
        row_group_size=25,
        data_page_size=4000,
        write_batch_size=4,
    )
    assert in_pieces(data, size_bytes) == found(data)
    assert of_rows(data) == named("image", photos(60))


def test_a_cut_is_before_a_page_or_outside_of_images():
    data = parquet(
        {"image": photos(60)},
        compression="snappy",
        use_dictionary=False,
        data_page_size=4000,
        write_batch_size=4,
    )
    spans = [span for span in find(data, 0, Held(data)) if span.packing]
    assert len(spans) > 8
    places = [cut(Held(data), position) for position in range(0, len(data), 501)]
    assert places == sorted(places)
    assert all(not span.start < place < span.end for place in places for span in spans)


@pytest.mark.parametrize("codec", CODECS)
def test_values_of_a_dictionary_are_named_by_their_first_row(codec: str):
    one, two, three = photos(3)
    images = [one, None, two, one, two, three, three, one] * 50
    data = parquet({"image": images}, compression=codec, use_dictionary=True)
    assert of_rows(data) == [
        ("image/000000.jpg", one),
        ("image/000002.jpg", two),
        ("image/000005.jpg", three),
    ]


@pytest.mark.parametrize("codec", CODECS)
def test_a_dictionary_that_gets_too_large_goes_on_as_plain_pages(codec: str):
    rng = np.random.default_rng(1)
    images = [jpeg(rng.integers(0, 256, (64, 96, 3), np.uint8)) for _ in range(30)]
    data = parquet(
        {"image": images * 3},
        compression=codec,
        use_dictionary=True,
        dictionary_pagesize_limit=100_000,
        write_batch_size=4,
    )
    names = dict(named("image", images * 3))
    rows = of_rows(data)
    assert {image for _, image in rows} == set(images)
    assert all(name is not None and names[name] == image for name, image in rows)


@pytest.mark.parametrize("codec", CODECS)
def test_lists_of_images_are_named_by_row_and_place(codec: str):
    a, b, c, d = photos(4)
    rows = [[a, b], [], None, [c, None, d]]
    data = parquet({"pages": rows}, compression=codec, use_dictionary=False)
    names = ["pages/000000-0.jpg", "pages/000000-1.jpg", "pages/000003-0.jpg", "pages/000003-2.jpg"]
    assert of_rows(data) == list(zip(names, [a, b, c, d], strict=True))


def test_datasets_of_hugging_face_are_opened(tmp_path: Path):
    images = photos(250)
    rows = [
        {"image": {"bytes": one, "path": f"{i}.jpg"}, "label": i} for i, one in enumerate(images)
    ]
    features = Features({"image": Image(), "label": Value("int64")})
    path = tmp_path / "train.parquet"
    Dataset.from_list(rows, features=features).to_parquet(path, batch_size=100)
    data = path.read_bytes()
    assert pq.ParquetFile(path).metadata.num_row_groups > 1
    assert of_rows(data) == named("image", images)


def test_lists_of_images_of_hugging_face_are_opened(tmp_path: Path):
    a, b, c = photos(3)
    rows = [{"views": [{"bytes": a, "path": None}, {"bytes": b, "path": None}]}, {"views": []}]
    rows += [{"views": [{"bytes": c, "path": None}]}]
    path = tmp_path / "views.parquet"
    Dataset.from_list(rows, features=Features({"views": Sequence(Image())})).to_parquet(path)
    names = ["views/000000-0.jpg", "views/000000-1.jpg", "views/000002-0.jpg"]
    assert of_rows(path.read_bytes()) == list(zip(names, [a, b, c], strict=True))


def test_pixels_of_hugging_face_are_png_files(tmp_path: Path):
    from PIL import Image as Pictures

    features = Features({"img": Image()})
    rows = {"img": [Pictures.fromarray(textured(32, 32, i)) for i in range(20)]}
    path = tmp_path / "cifar.parquet"
    Dataset.from_dict(rows, features=features).to_parquet(path)
    data = path.read_bytes()
    assert [name for name, _ in of_rows(data)] == [f"img/{i:06}.png" for i in range(20)]


@pytest.mark.parametrize("codec", ["brotli", "lz4"])
def test_pages_of_other_codecs_are_left_alone(codec: str):
    data = parquet({"image": photos(10)}, compression=codec, use_dictionary=False)
    assert of_rows(data) == []


def noisy_pngs(count: int) -> list[bytes]:
    rng = np.random.default_rng(5)
    return [image_bytes(rng.integers(0, 256, (64, 90, 3), np.uint8), "PNG") for _ in range(count)]


def test_pages_of_zstd_are_opened_where_it_found_nothing_to_compress():
    images = noisy_pngs(20)
    data = parquet({"image": images}, compression="zstd", use_dictionary=False)
    assert [image for _, image in of_rows(data)] == images
    assert sum(len(span.recipe) for span in find(data, 0, Held(data))) < 0.02 * len(data)


def test_pages_of_zstd_that_are_compressed_are_left_alone():
    data = parquet({"image": photos(5) * 9}, compression="zstd", use_dictionary=False)
    assert of_rows(data) == []


@pytest.mark.parametrize("level", [1, 3, 19, -5])
@pytest.mark.parametrize("checksum", [False, True])
def test_frames_of_zstd_come_back(level: int, checksum: bool):
    noise = np.random.default_rng(2).integers(0, 256, 400_000, np.uint8).tobytes()
    encoder = zstandard.ZstdCompressor(level=level, write_checksum=checksum)
    for content in (noise, noise[:5], bytes(9), noise + bytes(5000) + noise[:9], b""):
        frame = encoder.compress(content)
        back, recipe = PACKINGS["zstd"].unpack(frame, 1 << 20)
        assert back == content
        assert PACKINGS["zstd"].pack(content, recipe) == frame
        with pytest.raises(UnreadableImage):
            PACKINGS["zstd"].unpack(frame + b"more", 1 << 20)
        with pytest.raises(SectionCorrupt):
            PACKINGS["zstd"].pack(content + b"more", recipe)


def test_a_file_without_its_footer_is_carved():
    images = photos(10)
    data = parquet({"image": images}, compression="none", use_dictionary=False)
    assert {image for _, image in found(data[:-8])} == set(images)


def test_a_footer_that_lies_gives_no_other_images():
    """Its numbers are altered one by one: chunks overlap, or lead out of the file."""
    images = photos(3)
    data = parquet(
        {"image": images, "other": images},
        compression="snappy",
        use_dictionary=False,
        write_statistics=False,
        store_schema=False,
    )
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    assert len(data) - footer < 400
    for at in range(footer, len(data) - 8):
        for value in (1, 0x7F, data[at] ^ 0x80):
            altered = data[:at] + bytes([value]) + data[at + 1 :]
            assert {image for _, image in found(altered)} <= set(images)


def snappy_blocks() -> dict[str, bytes]:
    """Blocks that an encoder writes, and tokens that none does."""
    encode = pa.compress
    noise = np.random.default_rng(2).integers(0, 256, 70_000, np.uint8).tobytes()
    inputs = {"empty": b"", "text": b"a text " * 20, "noise": noise, "photo": jpeg() * 6}
    made = {name: encode(data, "snappy", asbytes=True) for name, data in inputs.items()}
    made["literal with a length of 4 bytes"] = b"\5" + b"\xfc\4\0\0\0" + b"hello"
    made["copy with an offset of 4 bytes"] = b"\x0a" + b"\x10hello" + b"\x13\5\0\0\0"
    made["copy of itself"] = b"\x0d" + b"\0a" + b"\x1d\1" + b"\0b"
    return made


@pytest.mark.parametrize("name", snappy_blocks())
def test_snappy_blocks_come_back(name: str):
    block = snappy_blocks()[name]
    content, recipe = PACKINGS["snappy"].unpack(block, 1 << 20)
    assert content == pa.decompress(block, len(content), "snappy", asbytes=True)
    assert PACKINGS["snappy"].pack(content, recipe) == block


def test_pages_of_photos_take_small_recipes():
    data = parquet({"image": photos(50)}, compression="snappy", use_dictionary=False)
    spans = [span for span in find(data, 0, Held(data)) if span.packing]
    assert sum(len(span.recipe) for span in spans) < 0.06 * len(data)


def test_statistics_in_headers_do_not_hide_pages():
    tiny = [image_bytes(textured(28, 28, i), "PNG") for i in range(40)]
    for codec in CODECS:
        data = parquet({"image": tiny}, compression=codec, use_dictionary=False)
        assert [image for _, image in of_rows(data)] == tiny
