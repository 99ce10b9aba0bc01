"""Large TIFF files are coded in pieces, come back byte for byte, and are read in parts."""

import filecmp
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

import seec
from seec.pipeline.archive import Archive, pieces
from seec.pipeline.routes import reading
from seec.pipeline.routes.reading import restore_member
from seec.pipeline.storage import Store
from seec.schemas.routes import PIECES, SEEC_JPEG, SEEC_PLANES, SPANS
from seec.schemas.rows import Row
from tests.archives import plain_reader
from tests.archives.life import findings
from tests.archives.test_format import decode_with
from tests.archives.test_members import archived, members, restored, rows_of
from tests.pictures import textured
from tests.sources import files_below, image_bytes
from tests.tiffs import written

PIECE_BYTES = 1 << 16
PLANE = textured(120, 200)[:, :, 0].astype(np.uint16) * 9
STACK = np.stack([np.roll(PLANE, i, axis=0) + i for i in range(7)])


def noisy(height: int, width: int) -> NDArray[np.uint8]:
    """A picture that takes some room when it is compressed."""
    noise = np.random.default_rng(1).integers(0, 8, (height, width, 3), np.uint8)
    return textured(height, width) ^ noise


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(pieces, "MAX_WHOLE_STRIPS_BYTES", PIECE_BYTES)
    folder = tmp_path / "source"
    folder.mkdir()
    tifffile.imwrite(folder / "stack.tif", STACK, bigtiff=True, metadata={"axes": "ZYX"})
    picture = noisy(300, 400)
    (folder / "tiles.tif").write_bytes(
        written(picture, tile=(64, 64), compression="deflate", photometric="rgb")
    )
    (folder / "slide.tif").write_bytes(image_bytes(picture, "TIFF", compression="jpeg"))
    return folder


def test_their_strips_and_tiles_are_coded_and_the_files_come_back(source: Path, tmp_path: Path):
    root = tmp_path / "archive"
    archived(source, root, piece_size_bytes=PIECE_BYTES)
    found = rows_of(root)
    assert found["stack.tif"].route == found["tiles.tif"].route == PIECES
    assert found["slide.tif"].route == SPANS  # of JPEG strips, whatever its size
    routes = {
        path.split("/")[0]: row.route for path, row in members(root).items() if not row.members
    }
    assert routes == {"stack.tif": SEEC_PLANES, "tiles.tif": SEEC_PLANES, "slide.tif": SEEC_JPEG}
    assert findings(root) == []
    assert restored(root, tmp_path / "out") == files_below(source)


def test_a_plain_reader_puts_them_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pieces, "MAX_WHOLE_STRIPS_BYTES", 1 << 13)
    root, source = tmp_path / "archive", tmp_path / "small"
    source.mkdir()
    noise = np.random.default_rng(1).integers(0, 64, (2, 50, 90), np.uint16)
    (source / "stack.tif").write_bytes(written(STACK[:2, :50, :90] + noise, metadata=None))
    archived(source, root, piece_size_bytes=1 << 13)
    assert rows_of(root)["stack.tif"].route == PIECES
    assert SEEC_PLANES in {row.route for row in members(root).values()}
    assert dict(plain_reader.restored(root, decode_with)) == files_below(source)


def test_a_plane_and_a_tile_are_read_alone(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = tmp_path / "archive"
    archived(source, root, piece_size_bytes=PIECE_BYTES)
    opened = seec.open(str(root))
    decoded: list[str] = []

    def restored_member(row: Row, *what: Any) -> bytes:
        decoded.append(row.path)
        return restore_member(row, *what)

    monkeypatch.setattr(reading, "restore_member", restored_member)
    with tifffile.TiffFile(source / "tiles.tif") as file:
        whole = file.pages.first.asarray()
    assert np.array_equal(opened.pixels("stack.tif", page=3), STACK[3])
    planes = len(decoded)
    x, y, width, height = region = (70, 10, 50, 40)
    tile = opened.pixels("tiles.tif", region, page=0)
    assert np.array_equal(tile, whole[y : y + height, x : x + width])
    images = [path for path, row in members(root).items() if not row.members]
    assert planes < sum("stack.tif" in path for path in images)
    assert len(decoded) - planes < sum("tiles.tif" in path for path in images)
    # Of a file that is no TIFF in pieces, and what is not there.
    slide = opened.pixels("slide.tif", (0, 0, 20, 10), page=0)
    with Image.open(source / "slide.tif") as image:
        assert np.array_equal(slide, np.asarray(image)[:10, :20])
    with pytest.raises(IndexError, match="page 7"):
        opened.pixels("stack.tif", page=7)
    with pytest.raises(ValueError, match="inside"):
        opened.pixels("stack.tif", (0, 0, 1000, 1), page=0)


def test_directories_between_planes_are_read_without_decoding_these(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pieces, "MAX_WHOLE_STRIPS_BYTES", PIECE_BYTES)
    source, root = tmp_path / "source", tmp_path / "archive"
    source.mkdir()
    noise = np.random.default_rng(1).integers(0, 64, (30, 50, 90), np.uint16)
    planes = PLANE[:50, :90] + noise
    with tifffile.TiffWriter(source / "stack.tif", bigtiff=True) as file:
        for plane in planes:
            file.write(plane, metadata=None)
    archived(source, root, piece_size_bytes=PIECE_BYTES)
    decoded: list[str] = []

    def restored_member(row: Row, *what: Any) -> bytes:
        decoded.append(row.path)
        return restore_member(row, *what)

    monkeypatch.setattr(reading, "restore_member", restored_member)
    opened = seec.open(str(root))
    everything: list[str] = []
    for page in range(30):
        decoded.clear()
        assert np.array_equal(opened.pixels("stack.tif", page=page), planes[page])
        assert 1 <= len(decoded) <= 2
        everything += decoded
    assert len(set(everything)) > 3


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_stack_of_hundreds_of_megabytes_is_never_in_memory_as_a_whole(tmp_path: Path):
    path, root, out = tmp_path / "source" / "stack.tif", tmp_path / "archive", tmp_path / "out"
    path.parent.mkdir()
    rng = np.random.default_rng(1)
    plane = moved = textured(1100, 1100)[:, :, 0].astype(np.uint16) * 9
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for i in range(90):
            moved = np.roll(plane, i, axis=0) + rng.integers(0, 32, plane.shape, np.uint16)
            file.write(moved, metadata=None)
    assert path.stat().st_size > 200_000_000
    archived(path.parent, root)
    store = Store(str(root))
    shards = Archive.open(store).state.in_order()
    cut = [row for shard in shards for row in pieces.pieces_in(store, shard, "stack.tif")]
    assert max(row.source_size_bytes for row in cut) < 17 << 20
    assert sum(row.tree_length for row in cut) < path.stat().st_size / 2
    restored(root, out)
    assert filecmp.cmp(path, out / "stack.tif", shallow=False)
    assert np.array_equal(seec.open(str(root)).pixels("stack.tif", page=89), moved)
