"""One object that cannot be read is a finding: the others count, and a copy mends it."""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from unittest.mock import patch

import pytest
from click.testing import CliRunner

from seec.jobs import compact, gc, ls
from seec.jobs import repair as repair_job
from seec.jobs import restore as restore_job
from seec.jobs import verify as verify_job
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.reading import open_archive
from seec.pipeline.storage import local
from seec.schemas.archive import commit_name
from seec.schemas.errors import (
    BlobUnreadable,
    DigestMismatch,
    ObjectUnreadable,
    SectionCorrupt,
    StoreUnavailable,
    UnsupportedVersion,
)
from seec.schemas.limits import MAX_COMMIT_BYTES
from seec.schemas.sealed import seal
from tests.archives.life import archive, opened, put_files, texts
from tests.faults.fault_sweep import restore_in_process
from tests.faults.points import repair_in_process, verify_in_process

FILES = {name: f"what {name} holds" for name in "abcdef"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three shards of two files, in four commits."""
    put_files(tmp_path / "source", **FILES)
    archive(tmp_path / "source", tmp_path / "archive")
    shutil.copytree(tmp_path / "archive", tmp_path / "copy")
    shutil.rmtree(tmp_path / "source")
    return tmp_path / "archive"


@contextmanager
def bad_sector(path: Path, number: int = errno.EIO) -> Iterator[None]:
    """A disk on which this file cannot be read; one that is written anew lies elsewhere."""
    read, inode = local.read, path.stat().st_ino

    def fails(name: str, start: int = 0, most: int | None = None) -> bytes:
        if Path(name) == path and path.stat().st_ino == inode:
            raise OSError(number, os.strerror(number))
        return read(name, start, most)

    with patch.object(local, "read", fails):
        yield


@contextmanager
def missing_right(path: Path) -> Iterator[None]:
    """A file of someone else; root may read it all the same, so that the disk has to refuse."""
    path.chmod(0)
    with bad_sector(path, errno.EACCES) if os.geteuid() == 0 else nullcontext():
        yield


@contextmanager
def fifo(path: Path) -> Iterator[None]:
    path.unlink()
    os.mkfifo(path)
    yield


@contextmanager
def folder(path: Path) -> Iterator[None]:
    path.unlink()
    (path / "of someone").mkdir(parents=True)
    yield


WAYS = {"bad sector": bad_sector, "missing right": missing_right, "FIFO": fifo, "folder": folder}
KINDS = {
    "archive.json": "archive-json",
    "FORMAT.md.gz": "format-md",
    "commits": "commit",
    "plans": "plan",
    "manifest": "manifest",
    "blobs": "blob",
}


def object_of(root: Path, kind: str) -> Path:
    """An object in the middle: there are others before and behind it."""
    if (root / kind).is_file():
        return root / kind
    found = sorted(path for path in (root / kind).rglob("*") if path.is_file())
    return found[len(found) // 2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", WAYS)
def test_it_is_found_and_mended_from_a_copy(root: Path, way: str, kind: str):
    path = object_of(root, kind)
    name = str(path.relative_to(root))
    with WAYS[way](path):
        found = verify_in_process(verify_job.Settings(str(root))).findings
        gone = way == "folder" and kind in ("blobs", "commits")  # it has no name of an object
        expected = f"{KINDS[kind]}-{'missing' if gone else 'unreadable'}"
        assert [(one.kind, one.object) for one in found] == [(expected, name)]
        copy = str(root.with_name("copy"))
        summary = repair_in_process(repair_job.Settings(str(root), (copy,)))
        assert (summary.exit_code, summary.objects) == (ExitCode.OK, (name,))
        assert verify_in_process(verify_job.Settings(str(root))).findings == ()
    assert path.read_bytes() == (root.with_name("copy") / name).read_bytes()


@pytest.mark.parametrize("kind", ["manifest", "blobs"])
@pytest.mark.parametrize("way", WAYS)
def test_what_does_not_depend_on_it_is_restored(root: Path, way: str, kind: str):
    with WAYS[way](object_of(root, kind)):
        out = root.with_name("out")
        summary = restore_in_process(restore_job.Settings(str(root), str(out)))
        assert summary.exit_code == ExitCode.DAMAGE
        assert summary.failed
        assert {path.stem: path.read_text() for path in out.iterdir()} == {
            name: text for name, text in FILES.items() if name not in "cd"
        }


def test_without_a_list_of_removed_files_all_others_are_restored(root: Path):
    source = root.with_name("source")
    put_files(source, a=FILES["a"], g="new")
    archive(source, root, prune_missing=True)
    (removed,) = (path for path in (root / "removed").iterdir())
    with bad_sector(removed):
        (found,) = verify_in_process(verify_job.Settings(str(root))).findings
        assert found.kind == "removed-unreadable"
        out = root.with_name("out")
        summary = restore_in_process(restore_job.Settings(str(root), str(out)))
        assert [item.path.partition(" ")[0] for item in summary.failed] == ["which"]
        assert {"a.txt", "g.txt"} <= {path.name for path in out.iterdir()}


def test_a_blob_of_which_a_part_cannot_be_read_gives_the_rest(root: Path):
    shard = next(opened(root).state.in_order())
    first, second = opened(root).rows(shard)
    path, read = root / shard.blob.name, local.read

    def fails(name: str, start: int = 0, most: int | None = None) -> bytes:
        if Path(name) == path and start <= second.offset < start + (most or 1 << 20):
            raise OSError(errno.EIO, "Input/output error")
        return read(name, start, most)

    with patch.object(local, "read", fails):
        (found,) = verify_in_process(verify_job.Settings(str(root))).findings
        assert (found.kind, found.paths) == ("blob-unreadable", (second.path,))
        out = root.with_name("out")
        summary = restore_in_process(restore_job.Settings(str(root), str(out)))
        assert [item.path for item in summary.failed] == [second.path]
        assert (out / first.path).read_text() == FILES["a"]
        # No copy has it: the sound part stays.
        summary = repair_in_process(repair_job.Settings(str(root)))
        assert summary.lost == (second.path,)
        assert verify_in_process(verify_job.Settings(str(root))).findings == ()


@pytest.mark.parametrize("kind", ["manifest", "blobs"])
def test_programs_read_what_can_be_read(root: Path, kind: str):
    with bad_sector(object_of(root, kind)):
        reader = open_archive(str(root))
        assert reader.read("a.txt") == FILES["a"].encode()
        assert reader.read("f.txt") == FILES["f"].encode()
        with pytest.raises((BlobUnreadable, ObjectUnreadable), match="Input/output error"):
            reader.read("c.txt")


def test_nothing_is_removed_while_a_commit_cannot_be_read(root: Path):
    before = sorted(root.rglob("*"))
    with (
        bad_sector(object_of(root, "commits")),
        pytest.raises(BlobUnreadable, match="Input/output error"),
    ):
        gc.run(gc.Settings(str(root), delete=True, older_than_s=0))
    assert sorted(root.rglob("*")) == before


def listed(root: Path) -> tuple[list[str], ls.Listing]:
    found = ls.listing(ls.Settings(str(root)))
    return [row.path for row in found.rows], found


@pytest.mark.parametrize("way", WAYS)
def test_what_other_parts_tell_is_listed(root: Path, way: str):
    path = object_of(root, "manifest")
    with WAYS[way](path):
        paths, found = listed(root)
        assert paths == ["a.txt", "b.txt", "e.txt", "f.txt"]
        assert found.exit_code == ExitCode.DAMAGE
        (line,) = (line for line in found.lines() if line.startswith("not listed"))
        assert "2 files of shard" in line
        assert str(path.relative_to(root)) in line
        result = CliRunner().invoke(ls.main, [str(root), "--json"])
        assert result.exit_code == ExitCode.DAMAGE
        assert [one["path"] for one in json.loads(result.stdout)["files"]] == paths
        assert json.loads(result.stdout)["unread"] == found.unread


def test_files_of_a_part_that_cannot_be_read_are_archived_again(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    source = root.with_name("source")
    # Of c there are two versions: that of the part which cannot be read is the one that counts.
    put_files(source, **FILES | {"c": "another"})
    archive(source, root, check_content=True)
    path = root / list(opened(root).state.in_order())[-1].manifest.name
    put_files(source, **FILES)
    with bad_sector(path):
        summary = archive(source, root, check_content=True)
        assert (summary.files_added, summary.exit_code) == (1, ExitCode.DAMAGE)
        assert list(summary.unread) == [f"1 files of shard {shard_of(root, path)}"]
        assert str(path.relative_to(root)) in capsys.readouterr().err
        assert "seec verify" in "\n".join(summary.lines())
        again = archive(source, root, check_content=True)
        assert (again.files_added, again.exit_code) == (0, ExitCode.DAMAGE)
    assert texts(root) == FILES
    assert archive(source, root).exit_code == ExitCode.OK


def shard_of(root: Path, manifest: Path) -> str:
    name = str(manifest.relative_to(root))
    return next(s.shard for s in opened(root).state.in_order() if s.manifest.name == name)


def test_a_file_may_be_removed_and_back_while_that_cannot_be_read(root: Path):
    """Which files were removed decides what is new: nothing is archived without."""
    source = root.with_name("source")
    put_files(source, a=FILES["a"])
    archive(source, root, prune_missing=True)
    (removed,) = (path for path in (root / "removed").iterdir())
    put_files(source, b=FILES["b"])
    with bad_sector(removed), pytest.raises(BlobUnreadable, match=r"removed/.*seec verify"):
        archive(source, root)


@pytest.mark.parametrize("way", ["bad sector", "missing right", "FIFO"])
def test_what_sound_commits_tell_is_restored_and_not_called_whole(
    root: Path, way: str, capsys: pytest.CaptureFixture[str]
):
    last = opened(root).state.links[-1].sequence  # that of the last shard
    name = commit_name(last)
    path = root / name
    out = root.with_name("out")
    with WAYS[way](path):
        summary = restore_in_process(restore_job.Settings(str(root), str(out)))
        assert summary.exit_code == ExitCode.DAMAGE
        assert [item.path for item in summary.failed] == [f"what {name} says"]
        assert "not the whole archive" in capsys.readouterr().err
        paths, found = listed(root)
        assert found.exit_code == ExitCode.DAMAGE
        assert list(found.unread) == [name]
        assert sorted(path.name for path in out.iterdir()) == paths
        assert paths == ["a.txt", "b.txt", "c.txt", "d.txt"]
        for path in out.iterdir():
            assert path.read_text() == FILES[path.stem]
        with pytest.raises(BlobUnreadable):
            restore_in_process(restore_job.Settings(str(root), str(out), at=last))
        with pytest.raises(DigestMismatch):
            restore_in_process(restore_job.Settings(str(root), str(out), expect="0" * 64))


def test_programs_open_what_sound_commits_tell_and_are_warned(root: Path):
    last = opened(root).state.links[-1].sequence
    assert open_archive(str(root)).findings == ()
    with bad_sector(root / commit_name(last)):
        with pytest.warns(UserWarning, match=rf"not the whole archive: .*{commit_name(last)}"):
            reader = open_archive(str(root))
        assert [(one.kind, one.object) for one in reader.findings] == [
            ("commit-unreadable", commit_name(last))
        ]
        assert list(reader.paths()) == ["a.txt", "b.txt", "c.txt", "d.txt"]
        assert reader.read("c.txt") == FILES["c"].encode()
        with pytest.raises(BlobUnreadable):
            open_archive(str(root), at=last)


@pytest.mark.parametrize("name", ["archive.json", commit_name(4)])
def test_a_record_of_no_sensible_length_is_damage_for_every_command(root: Path, name: str):
    os.truncate(root / name, MAX_COMMIT_BYTES + 1)
    for command, arguments in (
        (ls.main, ()),
        (ls.main, ("--commits",)),
        (ls.main, ("--at", "2")),
        (gc.main, ()),
        (compact.main, ()),
    ):
        result = CliRunner().invoke(command, [str(root), *arguments])
        assert result.exit_code == ExitCode.DAMAGE, (arguments, result.output)
        assert name in result.output
    with pytest.raises(SectionCorrupt, match="seec verify"):
        archive(root.with_name("copy"), root)


def test_a_list_of_failures_that_cannot_be_read_leaves_its_files_to_the_next_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    source, root = tmp_path / "source", tmp_path / "archive"
    put_files(source, a="small", b="b" * 50, c="c" * 50)
    first = archive(source, root, max_file_size_bytes=20, shard_files=3)
    assert (first.files_quarantined, first.exit_code) == (2, ExitCode.INCOMPLETE)
    (path,) = (root / "quarantine").rglob("*.parquet")
    with bad_sector(path):
        again = archive(source, root)  # they are new, by what can be known
        assert (again.files_added, again.exit_code) == (2, ExitCode.DAMAGE)
        (told,) = again.unread
        assert told.startswith("2 files in quarantine of shard ")
        assert str(path.relative_to(root)) in capsys.readouterr().err
    assert set(texts(root)) == {"a", "b", "c"}
    assert archive(source, root).exit_code == ExitCode.OK


def test_an_archive_of_a_later_version_is_not_restored_in_part(root: Path):
    path = root / "archive.json"
    body = json.loads(path.read_text())
    known = {
        key: value for key, value in body.items() if key not in ("sha256", "format", "version")
    }
    path.write_bytes(seal(body["format"], body["version"] + 1, known))
    with pytest.raises(UnsupportedVersion):
        restore_in_process(restore_job.Settings(str(root), str(root.with_name("out"))))


def test_other_shards_are_compacted_and_those_of_a_bad_one_later(root: Path):
    settings = compact.Settings(str(root), shard_files=4)
    put_files(root.with_name("source"), g="one more")
    archive(root.with_name("source"), root)
    with bad_sector(object_of(root, "blobs")), pytest.raises(ObjectUnreadable, match="blobs/"):
        compact.run(settings)
    assert set(texts(root)) == {*FILES, "g"}
    compact.run(settings)
    assert len(opened(root).state.shards) == 2
    assert texts(root) == {**FILES, "g": "one more"}


def test_a_store_that_does_not_answer_ends_the_run(root: Path):
    def fails(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    ls_of = "fsspec.implementations.local.LocalFileSystem.ls"
    with (
        patch.object(local, "read", fails),
        patch(ls_of, fails),
        pytest.raises(StoreUnavailable, match="Input/output error"),
    ):
        verify_in_process(verify_job.Settings(str(root)))


def test_it_is_listed_all_the_same(root: Path):
    with bad_sector(object_of(root, "blobs")):
        assert len(ls.run(ls.Settings(str(root))).rows) == len(FILES)
