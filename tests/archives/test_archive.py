"""Creating, opening and committing, without Ray."""

import hashlib
import pickle
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from seec.pipeline.archive import Archive, State
from seec.pipeline.archive.planning import Seen, cut_shards, new_files
from seec.pipeline.archive.runs import missing_shards, open_run
from seec.pipeline.archive.shard import payloads, write_shard
from seec.pipeline.routes.writing import stored_entry
from seec.pipeline.storage import Store
from seec.schemas.archive import ARCHIVE_JSON, commit_name
from seec.schemas.commit import ObjectRecord, RunRecord, ShardRecord, SourceRecord
from seec.schemas.errors import (
    ArchiveLocked,
    BlobMissing,
    DigestMismatch,
    NotAnArchive,
    SectionCorrupt,
    StorageError,
)
from seec.schemas.plan import PlanSettings, SourceFile
from seec.schemas.rows import Entry

SETTINGS = PlanSettings(hashlib.sha256(b"weights").hexdigest(), shard_files=2)
FORMAT = b"how to read all of this"


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    urls = {"local": str(tmp_path / "archive"), "memory": f"memory://{uuid.uuid4()}"}
    return Store(urls[request.param])


def files(count: int) -> list[SourceFile]:
    return [SourceFile(f"{index:04d}", index, 0) for index in range(count)]


def entries(planned: list[SourceFile]) -> list[Entry]:
    data = {file.path: bytes([len(file.path)]) * file.size_bytes for file in planned}
    return [stored_entry(file, data[file.path], "test") for file in planned]


def begin(store: Store, count: int) -> tuple[Archive, RunRecord]:
    archive = Archive.open_or_create(store, FORMAT)
    return archive, open_run(archive, SourceRecord("/source"), files(count), SETTINGS)


def shard(archive: Archive, run: RunRecord, index: int) -> ShardRecord:
    name = f"{run.run_id}/{index:06d}"
    return write_shard(archive.store, name, entries(archive.plan(run).shard(index)), [])


def test_committed_shards_are_there_when_opened_again(store: Store):
    archive, run = begin(store, 5)
    for index in (2, 0):
        archive.commit(shards=(shard(archive, run, index),))
    again = Archive.open(store)
    assert again.state == archive.state
    assert missing_shards(again, run) == [1]
    assert [row.path for s in again.state.in_order() for row in again.rows(s)] == [
        "0000",
        "0001",
        "0004",
    ]


def test_written_shards_do_not_count_before_their_commit(store: Store):
    archive, run = begin(store, 4)
    shard(archive, run, 0)
    assert Archive.open(store).state.shards == {}


def test_creating_twice_is_opening(store: Store):
    archive, _ = begin(store, 4)
    again = Archive.open_or_create(store, b"a newer description")
    assert again.state == archive.state
    assert store.get("FORMAT.md.gz") == FORMAT


def test_a_creation_that_was_interrupted_is_finished(store: Store):
    store.put_new("FORMAT.md.gz", FORMAT)
    assert Archive.open_or_create(store, FORMAT).state.sequence == 0


def test_a_creation_that_was_killed_while_it_wrote_is_finished(tmp_path: Path):
    (tmp_path / ".partial-0123456789abcdef").write_bytes(FORMAT[:5])
    assert Archive.open_or_create(Store(str(tmp_path)), FORMAT).state.sequence == 0


def test_no_archive_is_made_among_other_things(store: Store):
    store.put_new("holiday.jpg", b"")
    with pytest.raises(StorageError, match=r"holiday\.jpg"):
        Archive.open_or_create(store, FORMAT)


def test_a_place_without_an_archive_is_not_an_archive(store: Store):
    with pytest.raises(NotAnArchive):
        Archive.open(store)


def test_two_writers_of_one_run_end_with_the_same_archive(store: Store):
    one, run = begin(store, 6)
    other = Archive.open(store)
    records = [shard(one, run, index) for index in range(3)]
    one.commit(shards=(records[0],))
    other.commit(shards=(records[0], records[1]))
    one.commit(shards=(records[1], records[2]))
    other.commit(shards=(records[2],))
    assert one.state == other.state == Archive.open(store).state
    assert one.state.open_run is None


def test_a_writer_that_finds_another_run_steps_back(store: Store):
    one = Archive.open_or_create(store, FORMAT)
    other = Archive.open(store)
    open_run(one, SourceRecord("/source"), files(4), SETTINGS)
    with pytest.raises(ArchiveLocked):
        open_run(other, SourceRecord("/source"), files(5), SETTINGS)
    assert len(Archive.open(store).state.runs) == 1


def test_a_writer_that_finds_other_bytes_for_its_shard_steps_back(store: Store):
    one, run = begin(store, 4)
    other = Archive.open(store)
    record = shard(one, run, 0)
    one.commit(shards=(record,))
    with pytest.raises(ArchiveLocked):
        other.commit(shards=(replace(record, source_size_bytes=7),))


def test_no_shard_is_added_to_a_run_that_another_followed(store: Store):
    archive, run = begin(store, 4)
    record = shard(archive, run, 0)
    open_run(archive, SourceRecord("/source"), files(5), SETTINGS)
    with pytest.raises(ArchiveLocked):
        archive.commit(shards=(record,))
    assert Archive.open(store).state.shards == {}


def test_the_last_run_is_the_one_that_was_opened_last():
    record = ObjectRecord("name", 0, "")
    ids = ("9999-ffffffffffffffff", "10000-0000000000000000")
    runs = {name: RunRecord(name, record, SourceRecord("/source"), 1, 1, "0" * 64) for name in ids}
    assert State(2, "", runs).open_run == runs[ids[1]]
    assert State().open_run is None


def test_a_shard_written_twice_is_the_same_object(store: Store):
    archive, run = begin(store, 4)
    assert shard(archive, run, 0) == shard(archive, run, 0)


def test_other_bytes_left_by_an_interrupted_run_do_not_stand_in_the_way(store: Store):
    archive, run = begin(store, 4)
    name = f"{run.run_id}/000000"
    planned = archive.plan(run).shard(0)
    left = write_shard(store, name, entries(planned[:1]), [])
    record = write_shard(store, name, entries(planned), [])
    assert record.manifest.name != left.manifest.name
    archive.commit(shards=(record,))
    assert [row.path for row in archive.rows(record)] == ["0000", "0001"]
    assert archive.digest() != ""


def test_further_names_of_a_file_that_is_not_there_name_the_first_that_is(store: Store):
    (first,) = entries([SourceFile("a", 3, 0)])
    others = [Entry(replace(first.row, path=path, same_file="a"), first.payload) for path in "bcd"]
    changed = Entry(replace(others[2].row, source_mtime_ns=7), first.payload)
    archive, _ = begin(store, 1)
    for written, expected in (
        ([first, *others], [None, "a", "a", "a"]),
        (others, [None, "b", "b"]),
        ([first, *others[:2], changed], [None, "a", "a", None]),
        ([*others[:2], changed], [None, "b", None]),
    ):
        record = write_shard(store, f"r/{len(written)}{len(expected)}", written, [])
        rows = archive.rows(record)
        assert [row.same_file for row in rows] == expected
        assert {row.offset for row in rows} == {0}
        assert record.blob.size_bytes == 3


def test_entries_from_shared_memory_make_the_same_shard_without_a_copy(store: Store):
    made = entries(files(9))
    shared: list[pickle.PickleBuffer] = []
    sent = pickle.dumps(made, protocol=5, buffer_callback=shared.append)
    memory = [buffer.raw() for buffer in shared]
    received = pickle.loads(sent, buffers=memory)  # noqa: S301 - our own bytes
    for entry, kept in zip(received, memory, strict=True):
        assert isinstance(entry.payload, memoryview)
        assert entry.payload.obj is kept.obj
    record = write_shard(store, "r/000000", made, [])
    assert write_shard(store, "r/000000", received, []) == record
    assert pickle.loads(pickle.dumps(received, protocol=4)) == made  # noqa: S301 - our own bytes


def test_payloads_come_with_their_rows(store: Store):
    archive, run = begin(store, 2)
    planned = [replace(file, size_bytes=3) for file in archive.plan(run).shard(0)]
    record = write_shard(store, "r/000000", entries(planned), [])
    rows = archive.rows(record)
    assert [payload for _, payload in payloads(store, record.blob.name, rows)] == [b"\4" * 3] * 2
    assert [row for row, _ in payloads(store, record.blob.name, rows[1:])] == rows[1:]


def test_a_damaged_or_missing_commit_is_an_error_when_opened(tmp_path: Path):
    store = Store(str(tmp_path / "archive"))
    archive, run = begin(store, 6)
    for index in range(3):
        archive.commit(shards=(shard(archive, run, index),))
    path = Path(store.path(commit_name(2)))
    sound = path.read_bytes()
    path.write_bytes(sound.replace(b"000000", b"000007"))
    with pytest.raises(DigestMismatch):
        Archive.open(store)
    path.write_bytes(sound[:-1])
    with pytest.raises(SectionCorrupt):
        Archive.open(store)
    path.unlink()
    with pytest.raises(BlobMissing):
        Archive.open(store)
    path.write_bytes(sound)
    Path(store.path(ARCHIVE_JSON)).unlink()
    with pytest.raises(NotAnArchive):
        Archive.open(store)


def test_plans_cut_by_number_and_by_size():
    settings = PlanSettings("m", shard_files=3, shard_size_bytes=10)
    sizes = [4, 4, 4, 1, 1, 1, 1, 50, 1]
    planned = [SourceFile(str(i), size, 0) for i, size in enumerate(sizes)]
    cut = [[f.size_bytes for f in part] for part in cut_shards(planned, settings)]
    assert cut == [[4, 4], [4, 1, 1], [1, 1], [50], [1]]


def test_only_new_changed_and_retried_files_are_planned():
    listing = [SourceFile(name, 1, 5) for name in "abcd"]
    seen = {"a": Seen(1, 5, ""), "b": Seen(1, 4, ""), "d": Seen(1, 5, "")}
    assert [file.path for file in new_files(listing, seen, {}, {"d"})] == ["b", "c", "d"]
