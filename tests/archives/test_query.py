"""The manifest as a table, in SQL and for other programs."""

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import seec
from seec.jobs import cli
from seec.pipeline.archive.catalogue import sorted_rows
from seec.pipeline.reading.filesystem import SeecFileSystem
from seec.pipeline.reading.tabulation import SCHEMA
from seec.schemas.manifest import MANIFEST, to_record
from tests.archives import life
from tests.pictures import textured
from tests.sources import image_bytes

# A second before 1970, one that needs more than 64 bits of nanoseconds, and one that is no year.
ODD_TIMES_S = {"a": -1, "b": 10**10, "c": 2**33}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive after three runs: files came, were replaced, and one vanished."""
    folder = tmp_path_factory.mktemp("queried")
    source = folder / "source"
    life.put_files(source, a="one", b="two", c="three", gone="soon")
    Image.fromarray(textured(20, 30)).save(source / "picture.png")
    (source / "link").symlink_to("a.txt")
    life.archive(source, folder / "archive")
    (source / "gone.txt").unlink()
    life.put_files(source, a="one, again")
    life.archive(source, folder / "archive", prune_missing=True)
    for name, seconds in ODD_TIMES_S.items():
        os.utime(source / f"{name}.txt", (seconds, seconds))
    life.archive(source, folder / "archive")
    return folder / "archive"


def query(root: Path, sql: str, *options: str, code: int = 0) -> Any:
    done = CliRunner().invoke(cli.main, ["query", str(root), sql, "--json", *options])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout) if code == 0 else done.output


def test_the_table_has_the_rows_that_count(root: Path) -> None:
    archive = seec.open(str(root))
    found = {row["path"]: row for row in archive.table().to_pylist()}
    expected = {row.path: row for row in sorted_rows(life.opened(root), envelopes=True)}
    assert (
        found.keys()
        == expected.keys()
        == {
            *("a.txt", "b.txt", "c.txt", "link", "picture.png"),
        }
    )
    for path, row in expected.items():
        record = to_record(row)
        for name in set(SCHEMA.names) - {"source_mtime"}:
            assert found[path][name] == record[name], (path, name)
    times = {path: row["source_mtime"] for path, row in found.items()}
    assert [times[f"{name}.txt"].timestamp() for name in ("a", "b", "c")] == [
        float(seconds) for seconds in ODD_TIMES_S.values()
    ]
    assert archive.table(["length", "path"], ["*.png"]).column_names == ["length", "path"]
    assert archive.table(["path"], ["*.png"]).num_rows == 1
    assert archive.table(["path"], ["no"]).num_rows == 0
    with pytest.raises(ValueError, match="no column nothing"):
        archive.table(["nothing"])


def test_the_columns_are_those_of_the_manifest() -> None:
    manifest = {column.name for column in MANIFEST.columns}
    times = {"source_mtime_s", "source_mtime_fraction_ns"}
    within = {"depth", "member", "packing", "piece", "start"}
    assert set(SCHEMA.names) == manifest - {"envelope"} - times - within | {"source_mtime"}


def test_files_that_hold_images_have_one_row(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for tar, first in (("a.tar", 0), ("c.tar", 4)):
        with tarfile.open(source / tar, "w") as made:
            for number in range(first, first + 3):
                data = image_bytes(textured(60, 80, number), "PNG")
                member = tarfile.TarInfo(f"{number}.png")
                member.size = len(data)
                made.addfile(member, io.BytesIO(data))
    life.put_files(source, b="between", d="behind")
    life.archive(source, tmp_path / "archive", model=None, profile="fast", shard_files=10)
    archive = seec.open(str(tmp_path / "archive"))
    found = {row["path"]: row for row in archive.table().to_pylist()}
    assert list(found) == ["a.tar", "b.txt", "c.tar", "d.txt"]
    assert found["c.tar"]["route"] == "spans"
    for path, row in found.items():
        info = archive.info(path)
        assert row["length"] == info.stored_bytes
        assert row["source_digest"].hex() == info.sha256
    assert dict(archive.iter()) == {path: (source / path).read_bytes() for path in found}
    files = SeecFileSystem(str(tmp_path / "archive"))
    assert files.find("") == list(found)
    assert files.cat("c.tar") == (source / "c.tar").read_bytes()
    with Image.open(io.BytesIO(files.cat_file("c.tar/5.png"))) as image:  # a member has a path, too
        assert np.array_equal(np.asarray(image), textured(60, 80, 5))
    assert archive.pixels("a.tar/1.png", region=(3, 4, 5, 6)).shape == (6, 5, 3)
    assert not files.exists("c.tar/no.png")


def test_sql_is_answered(root: Path) -> None:
    pytest.importorskip("duckdb")
    assert query(root, "select count(*) as files from files") == [{"files": 5}]
    [row] = query(root, "select * from files where path = 'a.txt'")
    assert row["source_size_bytes"] == len("one, again")
    assert row["source_digest"] == seec.open(str(root)).info("a.txt").sha256
    assert row["source_mtime"].startswith("1969-12-31T23:59:59")
    routes = query(
        root, "select route, sum(length) as total from files group by route order by route"
    )
    assert [row["route"] for row in routes] == ["seec", "store"]
    first = next(at for at in range(1, 30) if _files(root, at) == 6)
    assert query(root, "select 1 x from files where path = 'gone.txt'", "--at", str(first))
    text = CliRunner().invoke(cli.main, ["query", str(root), "select kind, path from files"]).stdout
    assert text.splitlines()[0] == "kind  path"
    assert "link  link" in text.splitlines()
    assert "DuckDB refuses" in query(root, "select no from files", code=2)
    assert query(root, "set threads = 1") == []


def _files(root: Path, at: int) -> int:
    try:
        return seec.open(str(root), at=at).table(["path"]).num_rows
    except seec.SeecError:
        return 0


def test_polars_and_pandas_take_the_table(root: Path) -> None:
    table = seec.open(str(root)).table()
    polars, pandas = pytest.importorskip("polars"), pytest.importorskip("pandas")
    frame = polars.from_arrow(table)
    assert frame.filter(polars.col("route") == "seec")["path"].to_list() == ["picture.png"]
    small = seec.open(str(root)).table(["path", "length"])
    assert pandas.DataFrame(small.to_pydict())["length"].sum() > 0
