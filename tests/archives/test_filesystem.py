"""An archive as a file system of fsspec, and programs that read through it."""

import errno
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from fsspec.tests.abstract import AbstractFixtures, AbstractGetTests
from PIL import Image

import seec
from seec.pipeline.reading.filesystem import OpenedFile, SeecFileSystem
from tests.archives import life
from tests.faults.filesystem import FaultyFileSystem
from tests.pictures import textured

PIXELS = textured(20, 30)


def make_table(rows: int, start: int) -> pa.Table:
    return pa.table({"number": list(range(start, start + rows)), "name": ["x"] * rows})


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures, tables, links and the trees of fsspec's own tests."""
    root = tmp_path_factory.mktemp("files") / "source"
    (root / "photos" / "animals").mkdir(parents=True)
    (root / "empty").mkdir()
    Image.fromarray(PIXELS).save(root / "photos" / "1.png")
    Image.fromarray(PIXELS[:10]).save(root / "photos" / "animals" / "cat.bmp")
    (root / "notes.txt").write_text("a line\nanother\n")
    (root / "table.csv").write_text("a,b\n1,2\n3,4\n")
    (root / "link.txt").symlink_to("notes.txt")
    (root / "photos" / "again.png").symlink_to("animals/../1.png")
    (root / "folder").symlink_to("photos")
    (root / "nowhere").symlink_to("/etc/passwd")
    (root / "circle").symlink_to("circle")
    for year in (2024, 2025):
        (root / "tables" / f"year={year}").mkdir(parents=True)
        pq.write_table(make_table(50, year), root / "tables" / f"year={year}" / "part.parquet")
    (root / "below" / "src").mkdir(parents=True)
    (root / "below" / "src" / "file").touch()
    base = AbstractFixtures()
    local = fsspec.filesystem("file", auto_mkdir=True)
    for name in ("bulk_operations_scenario_0", "glob_edge_cases_files"):
        getattr(base, f"_{name}")(local, os.path.join, str(root / name))
    for name in ("dir_and_file_with_same_name_prefix", "10_files_with_hashed_names"):
        getattr(base, f"_{name}")(local, os.path.join, str(root / name))
    return root


@pytest.fixture(scope="module")
def root(source: Path) -> Path:
    life.archive(source, source.parent / "archive", shard_files=5)
    return source.parent / "archive"


@pytest.fixture
def files(root: Path) -> SeecFileSystem:
    return fsspec.filesystem("seec", target=str(root), skip_instance_cache=True)


class TestGet(AbstractFixtures, AbstractGetTests):
    """fsspec's own tests of what a read-only file system does: copies to a local folder."""

    @pytest.fixture
    def fs(self, root: Path) -> SeecFileSystem:
        return fsspec.filesystem("seec", target=str(root))

    @pytest.fixture
    def fs_path(self) -> str:
        return "below"

    @pytest.fixture
    def fs_bulk_operations_scenario_0(self) -> str:
        return "bulk_operations_scenario_0/source"

    @pytest.fixture
    def fs_glob_edge_cases_files(self) -> str:
        return "glob_edge_cases_files/source"

    @pytest.fixture
    def fs_dir_and_file_with_same_name_prefix(self) -> str:
        return "dir_and_file_with_same_name_prefix/source"

    @pytest.fixture
    def fs_10_files_with_hashed_names(self) -> str:
        return "10_files_with_hashed_names/source"

    def test_get_directory_recursive(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        fs: SeecFileSystem,
        fs_join: Any,
        fs_path: str,
        local_fs: Any,
        local_join: Any,
        local_target: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # The test makes its folder and file itself; they are in the archive.
        monkeypatch.setattr(fs, "mkdir", lambda path: None)
        monkeypatch.setattr(fs, "touch", lambda path: None)
        super().test_get_directory_recursive(
            fs, fs_join, fs_path, local_fs, local_join, local_target
        )


def test_it_shows_the_files_that_were_archived(files: SeecFileSystem, source: Path) -> None:
    for folder, folders, names in os.walk(source):
        path = os.path.relpath(folder, source).removeprefix(".")
        found = {info["name"].rpartition("/")[2]: info for info in files.ls(path)}
        assert sorted(found) == sorted([*folders, *names])
        assert files.ls(path, detail=False) == [info["name"] for info in files.ls(path)]
        for name in folders:
            linked = (Path(folder) / name).is_symlink()
            assert found[name]["type"] == ("link" if linked else "directory")
    assert files.ls("notes.txt", detail=False) == ["notes.txt"]
    for missing in ("no", "photos/no", "notes.txt/no", "phot"):
        with pytest.raises(FileNotFoundError):
            files.ls(missing)
        assert not files.exists(missing)
    assert files.isdir("")
    assert files.isdir("photos")
    assert files.isdir("empty")
    assert not files.isfile("photos")
    assert files.isfile("photos/1.png")
    local = fsspec.filesystem("file")
    for pattern in ("*", "**", "photos/*.png", "**/*.parquet", "tables/year=202[45]/*"):
        expected = [str(Path(p).relative_to(source)) for p in local.glob(f"{source}/{pattern}")]
        assert sorted(files.glob(pattern)) == sorted(p for p in expected if p != "."), pattern
    assert files.find("photos") == ["photos/1.png", "photos/again.png", "photos/animals/cat.bmp"]
    assert files.find("photos", maxdepth=1) == ["photos/1.png", "photos/again.png"]
    assert files.find("notes.txt") == ["notes.txt"]
    assert files.find("no") == []
    walked = {path: names for path, _, names in files.walk("tables")}
    assert walked["tables/year=2024"] == ["part.parquet"]


def test_what_it_says_of_a_file(files: SeecFileSystem, source: Path) -> None:
    info = files.info("notes.txt")
    status = (source / "notes.txt").stat()
    assert (info["type"], info["size"], info["exact"]) == ("file", 15, True)
    assert info["mtime"] == files.modified("notes.txt") == files.created("notes.txt")
    assert abs(info["mtime"] - datetime.fromtimestamp(status.st_mtime, UTC)).total_seconds() < 0.01
    assert files.checksum("notes.txt") == files.checksum("link.txt")
    assert files.checksum("notes.txt") != files.checksum("table.csv")
    # Whether or not the very file comes back, the size is that of what is read.
    for path in files.find(""):
        if files.exists(path) and files.isfile(path):
            assert files.info(path)["size"] == len(files.cat(path)) == files.size(path), path
            if files.info(path)["exact"]:
                assert files.cat(path) == (source / path).read_bytes()


def test_links_are_followed_inside_the_archive(files: SeecFileSystem) -> None:
    assert files.cat("link.txt") == b"a line\nanother\n"
    assert files.info("link.txt")["destination"] == "notes.txt"
    assert files.info("link.txt")["name"] == "link.txt"
    assert files.cat("photos/again.png") == files.cat("photos/1.png")
    assert files.isdir("folder")
    assert not files.exists("nowhere")
    with pytest.raises(FileNotFoundError, match="not in the archive"):
        files.cat("nowhere")
    with pytest.raises(OSError, match="symbolic links"):
        files.cat("circle")


def test_files_open_seek_and_read_in_parts(files: SeecFileSystem) -> None:
    with cast(OpenedFile, files.open("notes.txt")) as file:
        assert file.readline() == b"a line\n"
        file.seek(-8, os.SEEK_END)
        again = pickle.loads(pickle.dumps(file))  # noqa: S301
        assert again.read() == file.read() == b"another\n"
        assert file.readable()
        assert file.seekable()
        assert not file.writable()
        assert (file.size, file.name, file.info()["size"]) == (15, "notes.txt", 15)
        with pytest.raises(io.UnsupportedOperation):
            file.write(b"x")
    with files.open("notes.txt", "r") as file:
        assert file.read().splitlines() == ["a line", "another"]
    assert files.cat_file("notes.txt", 2, 6) == b"line"
    assert files.cat_file("notes.txt", -8, -1) == b"another"
    ranges = files.cat_ranges(["notes.txt", "table.csv"], [0, 4], [6, 7])
    assert ranges == [b"a line", b"1,2"]
    several = cast(dict[str, bytes], files.cat(["notes.txt", "table.csv"]))
    assert several["table.csv"] == b"a,b\n1,2\n3,4\n"
    assert files.head("notes.txt", 3) == b"a l"
    assert files.tail("notes.txt", 3) == b"er\n"
    with pytest.raises(IsADirectoryError):
        files.open("photos")
    with pytest.raises(FileNotFoundError):
        files.open("photos/no.png")


WRITES: dict[str, Callable[[SeecFileSystem], Any]] = {
    "open": lambda files: files.open("new.txt", "wb"),
    "append": lambda files: files.open("notes.txt", "ab"),
    "pipe": lambda files: files.pipe("new.txt", b"x"),
    "rm": lambda files: files.rm("notes.txt"),
    "mkdir": lambda files: files.mkdir("new"),
    "makedirs": lambda files: files.makedirs("new/new"),
    "touch": lambda files: files.touch("notes.txt"),
    "mv": lambda files: files.mv("notes.txt", "new.txt"),
    "cp": lambda files: files.cp_file("notes.txt", "new.txt"),
}


@pytest.mark.parametrize("name", WRITES)
def test_it_is_read_only(files: SeecFileSystem, name: str) -> None:
    with pytest.raises(OSError, match="read-only") as error:
        WRITES[name](files)
    assert error.value.errno == errno.EROFS


def test_urls_are_chained(root: Path) -> None:
    with cast(Any, fsspec.open(f"seec://photos/1.png::{root}")) as file:
        assert np.array_equal(np.asarray(Image.open(file)).shape, PIXELS.shape)
    with cast(Any, fsspec.open(f"seec://table.csv::file://{root}", "r")) as file:
        assert file.read() == "a,b\n1,2\n3,4\n"
    fsspec.register_implementation("faulty", FaultyFileSystem, clobber=True)
    files, path = fsspec.url_to_fs(f"seec://photos::faulty://{root}")
    assert files.archive.url.startswith("faulty://")
    assert len(files.ls(path)) == 3
    with pytest.raises(ValueError, match="no archive"):
        fsspec.filesystem("seec")
    with pytest.raises(seec.StorageError):
        fsspec.filesystem("seec", target=str(root / "no"))


def test_pickles_and_threads_and_what_was_archived_since(tmp_path: Path) -> None:
    life.put_files(tmp_path / "source", a="one", b="two")
    life.archive(tmp_path / "source", tmp_path / "archive")
    files = fsspec.filesystem("seec", target=str(tmp_path / "archive"), cache=str(tmp_path / "c"))
    again = pickle.loads(pickle.dumps(files))  # noqa: S301
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(again.cat, ["a.txt"] * 20)) == {b"one"}
    life.put_files(tmp_path / "source", c="three")
    (tmp_path / "source" / "a.txt").unlink()
    life.archive(tmp_path / "source", tmp_path / "archive", prune_missing=True)
    assert files.find("") == ["a.txt", "b.txt"]
    files.invalidate_cache()
    assert files.find("") == files.ls("", detail=False) == ["b.txt", "c.txt"]
    assert not files.exists("a.txt")


def test_a_folder_whose_files_all_vanished_is_gone(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / "source" / folder).mkdir(parents=True)
        for number in range(4):
            (tmp_path / "source" / folder / f"{number}.txt").write_text(folder)
    life.archive(tmp_path / "source", tmp_path / "archive")
    for path in [*(tmp_path / "source" / "a").iterdir(), tmp_path / "source" / "a"]:
        path.unlink() if path.is_file() else path.rmdir()
    life.archive(tmp_path / "source", tmp_path / "archive", prune_missing=True)
    files = fsspec.filesystem("seec", target=str(tmp_path / "archive"))
    assert files.ls("", detail=False) == ["b"]
    assert not files.exists("a")
    assert len(files.find("")) == 4


def test_a_damaged_file_is_an_error_and_no_other_content(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "archive"
    shutil.copytree(root, copy)
    for blob in copy.glob("blobs/*/*"):
        data = blob.read_bytes()
        blob.chmod(0o644)
        blob.write_bytes(bytes(len(data)))
    files = fsspec.filesystem("seec", target=str(copy))
    with pytest.raises(seec.FixityError, match=r"notes\.txt"):
        files.cat("notes.txt")


def test_pandas_and_pyarrow_read_tables(root: Path, files: SeecFileSystem) -> None:
    pandas = pytest.importorskip("pandas")
    assert pandas.read_csv(f"seec://table.csv::{root}")["b"].tolist() == [2, 4]
    one = pandas.read_parquet(
        "seec://tables/year=2024/part.parquet", storage_options={"target": str(root)}
    )
    assert one["number"].tolist() == list(range(2024, 2074))
    dataset = pads.dataset("tables", filesystem=files, partitioning="hive", format="parquet")
    assert dataset.count_rows() == 100
    found = dataset.to_table(filter=pads.field("year") == 2025)
    assert found["number"].to_pylist() == list(range(2025, 2075))


def test_zarr_reads_a_tree(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    array = np.arange(400, dtype=np.int32).reshape(20, 20)
    group = zarr.open_group(str(tmp_path / "source" / "tree.zarr"), mode="w")
    made = group.create_array("numbers", shape=array.shape, chunks=(7, 7), dtype=array.dtype)
    made[:] = array
    life.archive(tmp_path / "source", tmp_path / "archive", shard_files=4)
    store = zarr.storage.FsspecStore.from_url(
        "seec://tree.zarr", storage_options={"target": str(tmp_path / "archive")}, read_only=True
    )
    read = zarr.open_group(store, mode="r")
    assert np.array_equal(read["numbers"][:], array)
    assert np.array_equal(read["numbers"][3:9, 15:], array[3:9, 15:])


def test_the_protocol_is_known_without_importing_seec(root: Path) -> None:
    code = (
        "import fsspec, json, sys\n"
        "with fsspec.open(sys.argv[1]) as file: size = len(file.read())\n"
        "print(json.dumps([size, [m for m in ('ray', 'torch', 'pandas') if m in sys.modules]]))"
    )
    command = [sys.executable, "-c", code, f"seec://notes.txt::{root}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [15, []]
