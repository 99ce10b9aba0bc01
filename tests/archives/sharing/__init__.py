"""A source with files of every kind, and what its archive holds of them, run by run."""

import random
from pathlib import Path
from typing import Any

import seec
from seec.jobs.archive import ArchiveSummary
from seec.schemas.commit import ShardRecord
from seec.schemas.rows import Row
from tests.archives.life import archive, opened
from tests.containers import tar
from tests.jpegs import jpeg
from tests.pictures import gray, textured
from tests.sources import files_below, image_bytes, same_image

PIECE_BYTES = 1 << 16
PHOTO = jpeg(textured(48, 56, 1))
LARGE = random.Random(3).randbytes(3 * PIECE_BYTES + 5)
TINY = {f"tiny/{n}.png": image_bytes(gray(10 + n % 3, 12, n), "PNG") for n in range(6)}
FILES = TINY | {
    "deep/photo.jpg": PHOTO,
    "drawing.bmp": image_bytes(textured(80, 90, 2), "BMP"),
    "larger when coded.png": image_bytes(textured(80, 90, 2), "PNG"),
    "large.bin": LARGE,
    "pictures.tar": tar([("a.jpg", PHOTO), ("b.png", image_bytes(textured(30, 30, 4), "PNG"))]),
    "words.txt": b"no image, and some words more " * 9,
}
COUNT = sum(map(len, FILES.values()))


def run(source: Path, root: Path, **options: Any) -> ArchiveSummary:
    settings: dict[str, Any] = {"shard_files": 100, "piece_size_bytes": PIECE_BYTES, "jpeg": "seec"}
    return archive(source, root, **settings | {"moved": root.exists()} | options)


def shards(root: Path) -> list[ShardRecord]:
    """Those of the last run."""
    state = opened(root).state
    assert state.last_run is not None
    return state.shards_of(state.last_run.run_id)


def rows(root: Path) -> dict[str, Row]:
    """Those of the last run, by label."""
    return {row.label: row for shard in shards(root) for row in opened(root).rows(shard)}


def blobs(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in (root / "blobs").rglob("*.blob")}


def rename(source: Path) -> None:
    (source / "photos").rename(source / "renamed")


def comes_back(root: Path | str, source: Path) -> None:
    """All of the source can be read, and verification finds nothing."""
    reader = seec.open(str(root))
    for name, data in files_below(source).items():
        found = reader.read(name.decode())
        assert found == data or same_image(found, data), name
    assert list(reader.verify()) == []
