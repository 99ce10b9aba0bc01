"""Small images of one width share a payload, and each of them can be had, checked and mended."""

import io
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

import seec
from seec.jobs import compact
from seec.pipeline.archive.catalogue import current_rows
from seec.pipeline.images.raster import Meaning
from seec.pipeline.routes.writing import Small, cut_stacks
from seec.pipeline.routes.writing.stacks import MOST_IMAGES, MOST_PIXELS, Kind
from seec.schemas.limits import MAX_STACK_PIXELS
from seec.schemas.rows import Row
from tests.archives import plain_reader
from tests.archives.life import archive, findings, held, opened
from tests.archives.test_format import decode_with
from tests.archives.test_repair import mend
from tests.pictures import gray, textured
from tests.sources import files_below, image_bytes, same_image

GRAY = {f"gray/{n}.png": image_bytes(gray(10 + n % 3, 12, n), "PNG") for n in range(6)}
COLOUR = {f"rgb/{n}.bmp": image_bytes(textured(9, 12, n), "BMP") for n in range(3)}
CLEAR = {
    f"clear/{n}.png": image_bytes(np.dstack([textured(8, 20, n), gray(8, 20, n)]), "PNG")
    for n in range(3)
}
SMALL = GRAY | COLOUR | CLEAR
ALONE = {
    "alone.png": image_bytes(gray(10, 40), "PNG"),
    "large.png": image_bytes(gray(70, 70), "PNG"),
    "words.txt": b"no image",
}


@pytest.fixture(scope="module", params=["pixels", "file"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stacks")
    write(folder / "source", SMALL | ALONE)
    archive(folder / "source", folder / "archive", shard_files=100, keep=request.param)
    return folder


def write(root: Path, files: dict[str, bytes]) -> None:
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)


def rows(root: Path) -> dict[str, Row]:
    return {row.path: row for _, some in current_rows(opened(root)) for row in some}


def top(row: Row) -> int | None:
    return row.samples and row.samples.top


def test_images_of_one_width_and_kind_share_a_payload(made: Path):
    found = rows(made / "archive")
    for alike in (GRAY, COLOUR, CLEAR):
        some = [found[path] for path in sorted(alike)]
        assert len({(row.offset, row.blob_digest, row.model_id) for row in some}) == 1
        heights = [row.image.height for row in some if row.image]
        assert [top(row) for row in some] == [sum(heights[:n]) for n in range(len(some))]
    assert len({found[path].offset for path in SMALL}) == 3
    assert [top(found[path]) for path in ALONE] == [None] * 3


def test_every_image_comes_back(made: Path):
    root, before = made / "archive", SMALL | ALONE
    after = held(root)
    for path, data in before.items():
        assert after[path] == data or same_image(after[path], data), path
    assert findings(root) == []


def test_a_plain_reader_finds_each_image_in_its_stack(made: Path):
    after = dict(plain_reader.restored(made / "archive", decode_with))
    for path, data in (SMALL | ALONE).items():
        assert after[path.encode()] == data or same_image(after[path.encode()], data), path


def test_pixels_and_rectangles_are_those_of_the_image(made: Path):
    reader = seec.open(str(made / "archive"))
    for path in SMALL:
        with Image.open(io.BytesIO(SMALL[path])) as image:
            pixels = np.asarray(image)
        assert np.array_equal(reader.pixels(path), pixels)
        assert np.array_equal(reader.pixels(path, region=(3, 2, 5, 4)), pixels[2:6, 3:8])
    with pytest.raises(ValueError, match="not inside an image of 12 x 10 pixels"):
        reader.pixels("gray/0.png", region=(0, 5, 12, 6))


def test_damage_to_a_stack_names_its_images_and_is_mended(made: Path, tmp_path: Path):
    root = tmp_path / "archive"
    write(root, {name.decode(): data for name, data in files_below(made / "archive").items()})
    (shard,) = opened(root).state.in_order()
    blob, place = root / shard.blob.name, rows(root)["gray/2.png"]
    data = bytearray(blob.read_bytes())
    data[place.offset + place.length // 2] ^= 4
    blob.write_bytes(data)
    (found,) = [one for one in findings(root) if one.paths]
    assert set(found.paths) == set(GRAY)
    mend(root, made / "source")
    assert findings(root) == []
    after = held(root)
    assert all(same_image(after[path], data) for path, data in SMALL.items())


def test_a_compaction_keeps_stacks(made: Path, tmp_path: Path):
    source, root = tmp_path / "source", tmp_path / "archive"
    for number in range(3):
        write(source, {f"{number}-{path.replace('/', '-')}": d for path, d in GRAY.items()})
        archive(source, root, shard_files=100)
    before = held(root)
    compact.run(compact.Settings(str(root)))
    assert len(list(opened(root).state.in_order())) == 1
    assert held(root) == before
    assert findings(root) == []


def test_equal_images_are_in_a_stack_once(tmp_path: Path):
    copies = {f"copy-{path.replace('/', '-')}": data for path, data in GRAY.items()}
    write(tmp_path / "source", GRAY | copies)
    archive(tmp_path / "source", tmp_path / "archive", shard_files=100)
    found = rows(tmp_path / "archive")
    for path in GRAY:
        copy = found[f"copy-{path.replace('/', '-')}"]
        assert (found[path].offset, top(found[path])) == (copy.offset, top(copy))
    assert {row.samples.size_bytes for row in found.values() if row.samples} == {12 * 66}


def test_stacks_do_not_depend_on_the_order_and_keep_their_bounds():
    kinds = [Kind("seec", width, 1, 8, Meaning.COLOUR) for width in (1, 28, 64)]
    images = [
        Small(f"{number:05d}", kind, MOST_PIXELS // kind.width if kind.width > 1 else 1, bytes([n]))
        for number, (n, kind) in enumerate((n, kind) for n in range(200) for kind in kinds * 2)
    ]
    stacks = cut_stacks(images)
    known = {one.path: one for one in images}
    assert sorted(path for stack in stacks for path in stack) == sorted(known)
    for stack in stacks:
        some = {known[path].digest: known[path] for path in stack}
        assert len({one.kind for one in some.values()}) == 1
        pixels = sum(one.height * one.kind.width for one in some.values())
        assert pixels <= MAX_STACK_PIXELS
        assert len(some) <= MOST_IMAGES
    Random(0).shuffle(images)
    assert cut_stacks(images) == stacks
