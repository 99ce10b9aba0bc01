"""Equal files, wherever they lie, come into one shard, which keeps them once."""

import random
import uuid
from collections.abc import Iterable
from pathlib import Path

import fsspec
import pytest

from seec.jobs import archive, ls, restore
from seec.pipeline.archive.duplicates import MIN_SIZE_BYTES, comparable, gathered, signs
from seec.pipeline.archive.planning import cut_shards
from seec.pipeline.storage import Source
from seec.schemas.plan import PlanSettings, SourceFile
from seec.schemas.rows import Row
from tests.sources import files_below

BIG = random.Random(0).randbytes(3 * MIN_SIZE_BYTES)
FILES = {
    "a/1": BIG,
    "a/2": b"2" + BIG[1:],
    "b/1": BIG[::-1],
    "b/copy of a 1": BIG,
    "c/1": BIG[:-1] + b"1",
    "c/2": b"same" * (MIN_SIZE_BYTES // 4),
    "c/longer": BIG + b"1",
    "d/copy of a 1": BIG,
    "d/copy of a 2": b"2" + BIG[1:],
    "d/small": b"small",
    "e/copy of c 2": b"same" * (MIN_SIZE_BYTES // 4),
    "e/small": b"small",
}


@pytest.fixture(params=["local", "memory", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place of each kind with these files."""
    name = uuid.uuid4().hex
    if request.param == "s3":
        root = f"{request.getfixturevalue('s3_url')}/{name}"
    else:
        root = {"local": str(tmp_path), "memory": f"memory://{name}"}[request.param]
    for path, data in FILES.items():
        with fsspec.open(f"{root}/{path}", "wb", auto_mkdir=True) as handle:
            handle.write(data)  # pyright: ignore[reportAttributeAccessIssue]
    return root


def plan(source: Source, shard_files: int) -> list[list[str]]:
    files = [file for file in source.files() if file.kind == "file"]
    compared = comparable(files)
    assert {file.path for file in compared} == set(FILES) - {"c/longer", "d/small", "e/small"}
    seen: list[None] = []
    gather = gathered(files, signs(source, compared, lambda: seen.append(None)))
    assert len(seen) == len(compared)
    assert sorted(gather, key=lambda file: file.path) == files
    shards = cut_shards(gather, PlanSettings("m", shard_files=shard_files))
    return [[file.path for file in shard] for shard in shards]


def test_probable_copies_lie_side_by_side(url: str):
    shards = plan(Source(url), shard_files=3)
    assert shards == [
        ["a/1", "b/copy of a 1", "d/copy of a 1"],
        ["a/2", "b/1", "d/copy of a 2"],
        ["c/1", "c/2", "e/copy of c 2"],
        ["c/longer", "d/small", "e/small"],
    ]
    assert plan(Source(url), shard_files=3) == shards


def test_a_file_that_cannot_be_read_stays_where_it_is(tmp_path: Path):
    files = [SourceFile(name, MIN_SIZE_BYTES, 0) for name in ("gone", "here", "gone, too")]
    (tmp_path / "here").write_bytes(bytes(MIN_SIZE_BYTES))
    assert gathered(files, signs(Source(str(tmp_path)), comparable(files))) == files


@pytest.mark.parametrize("dedupe", ["source", "shard"])
@pytest.mark.usefixtures("ray_cluster")
def test_copies_are_stored_once_and_come_back(tmp_path: Path, dedupe: str):
    source, root, out = (tmp_path / name for name in ("source", "archive", "out"))
    for path, data in FILES.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(data)
    archive.run(archive.Settings(str(source), str(root), shard_files=4, dedupe=dedupe))
    rows = ls.run(ls.Settings(str(root))).rows
    places = {(row.shard, row.offset) for row in rows if row.source_digest == digest_of(rows)}
    assert len(places) == (1 if dedupe == "source" else 3)
    assert restore.run(restore.Settings(str(root), str(out))).exit_code == 0
    assert files_below(out) == files_below(source)


def digest_of(rows: Iterable[Row]) -> bytes:
    return next(row.source_digest for row in rows if row.path == "a/1")
