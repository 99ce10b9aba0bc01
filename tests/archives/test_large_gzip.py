"""Compressed tar files that are too large to be taken whole come back from their parts."""

import gzip
import zlib
from pathlib import Path

import pytest

import seec
from seec.pipeline.archive import Archive, pieces
from seec.pipeline.containers import gzips
from seec.pipeline.storage import Store
from seec.schemas.routes import PIECES, SEEC_JPEG
from tests.archives import plain_reader
from tests.archives.life import findings
from tests.archives.test_format import decode_with
from tests.archives.test_members import archived, members, restored, rows_of
from tests.containers import tar
from tests.jpegs import detailed
from tests.sources import files_below, image_bytes

PIECE_BYTES = 20_000


def photographs(count: int, height: int = 96) -> dict[str, bytes]:
    """JPEG files by their names."""
    return {
        f"photos/{number:02d}.jpg": image_bytes(detailed(number)[:height, :128], "JPEG", quality=95)
        for number in range(count)
    }


def compressed(files: dict[str, bytes]) -> bytes:
    """A tar by gzip with a small window and small blocks, so that small parts pay."""
    coder = zlib.compressobj(6, zlib.DEFLATED, 16 + 9, 4)
    return coder.compress(tar(files.items())) + coder.flush()


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(gzips, "MOST_WHOLE_BYTES", PIECE_BYTES)
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def packings(root: Path) -> set[str | None]:
    store = Store(str(root))
    shards = Archive.open(store).state.in_order()
    rows = [row for shard in shards for row in pieces.pieces_in(store, shard, "photos.tar.gz")]
    return {one.packing for row in rows for one in row.members}


def test_their_images_are_coded_and_the_files_come_back(source: Path, tmp_path: Path):
    files, root = photographs(20), tmp_path / "archive"
    data = compressed(files)
    (source / "photos.tar.gz").write_bytes(data)
    (source / "damaged.tar.gz").write_bytes(data[:60_000] + bytes(9) + data[60_000:])
    (source / "text.gz").write_bytes(gzip.compress(data))
    archived(source, root, piece_size_bytes=PIECE_BYTES)
    assert {row.route for row in rows_of(root).values()} == {PIECES}
    assert packings(root) == {"gzip-part"}
    found = {path for path, row in members(root).items() if row.route == SEEC_JPEG}
    whole = {path for path in found if path.startswith("photos.tar.gz/")}
    assert whole == {f"photos.tar.gz/{name}" for name in files}
    assert any(path.startswith("damaged.tar.gz/") for path in found)
    assert findings(root) == []
    assert restored(root, tmp_path / "out") == files_below(source)
    name = "photos/01.jpg"
    assert seec.open(str(root)).read(f"photos.tar.gz/{name}") == files[name]


def test_a_plain_reader_puts_them_together(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(gzips, "MOST_WHOLE_BYTES", 2500)
    root = tmp_path / "archive"
    (source / "photos.tar.gz").write_bytes(compressed(photographs(8, 24)))
    archived(source, root, piece_size_bytes=2500)
    assert packings(root) == {"gzip-part"}
    assert dict(plain_reader.restored(root, decode_with)) == files_below(source)
