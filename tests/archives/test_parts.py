"""Large objects in a bucket: written in parts, whole or not at all, and nothing left over."""

import multiprocessing
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from seec.jobs import archive as archive_job
from seec.jobs import gc as gc_job
from seec.jobs import restore as restore_job
from seec.jobs import verify as verify_job
from seec.pipeline.archive import Archive
from seec.pipeline.storage import Limits, Retry, Store, parts
from seec.schemas.errors import ObjectExists, StorageError
from tests.faults import points
from tests.faults.fault_sweep import restore_in_process

QUICK = Retry(attempts=3, first_pause_s=0.001, longest_pause_s=0.002)
MIB = 1 << 20
PART = 5 * MIB  # the least that S3 allows
DATA = np.random.default_rng(7).bytes(2 * PART + 1000)
COMPLETE = "complete_multipart_upload"
FORMAT = b"how to read this"


@pytest.fixture
def store(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An empty place in a bucket; objects of 6 MiB and more are large."""
    monkeypatch.setattr(parts, "PART_SIZE_BYTES", PART)
    monkeypatch.setattr(parts, "LARGE_BYTES", 6 * MIB)
    parts._proven.clear()
    yield Store(f"{s3_url}/{uuid.uuid4()}", QUICK)
    parts._proven.clear()


Call = Callable[..., Any]


def around(store: Store, monkeypatch: pytest.MonkeyPatch, wrapper: Callable[[Call], Call]) -> None:
    """Let what the store asks of its S3 client go through a wrapper of `call_s3`."""
    monkeypatch.setattr(store._fs, "call_s3", wrapper(store._fs.call_s3))


def parts_of(store: Store, name: str) -> int:
    """How many parts an object was written in; S3 tells by its entity tag."""
    tag = store.info(name)["ETag"].strip('"')
    return int(tag.partition("-")[2] or 0)


def test_an_upload_in_parts_is_one_object(store: Store):
    store.put_new("a/b", DATA)
    assert parts_of(store, "a/b") == 3
    assert store.get("a/b") == DATA
    assert store.size("a/b") == len(DATA)
    for start, length in ((PART - 3, 7), (0, len(DATA)), (2 * PART, 5000), (PART, PART)):
        assert store.get_range("a/b", start, length) == DATA[start : start + length]
    assert [item.name for item in store.listed()] == ["a/b"]
    assert store.uploads() == []


def test_pieces_become_parts_of_which_two_are_in_memory_at_a_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    cuts = [0, 0, 1, PART - 5, PART + 5, 2 * PART, len(DATA)]
    pieces = [memoryview(DATA)[start:end] for start, end in pairwise(cuts)]
    guard, in_memory, most = threading.Lock(), 0, 0

    def counting(call: Call) -> Call:
        def counted(method: str, *arguments: Any, **options: Any) -> Any:
            nonlocal in_memory, most
            size = len(options.get("Body", b""))
            with guard:
                in_memory += size
                most = max(most, in_memory)
            try:
                return call(method, *arguments, **options)
            finally:
                with guard:
                    in_memory -= size

        return counted

    around(store, monkeypatch, counting)
    for put in (store.put_new, store.put):
        most = 0
        put("a", *pieces)
        assert (store.get("a"), parts_of(store, "a")) == (DATA, 3)
        assert PART <= most <= 2 * PART


def test_what_is_made_while_it_is_written_is_in_memory_a_part_at_a_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("seec.pipeline.storage.store.PART_SIZE_BYTES", PART)
    written: list[int] = []

    def opening(call: Call) -> Call:
        def opened(*arguments: Any, **options: Any) -> Any:
            file = call(*arguments, **options)
            write = file.write
            file.write = lambda data: written.append(len(data)) or write(data)
            return file

        return opened

    monkeypatch.setattr(store._fs, "open", opening(store._fs.open))
    store.write_chunks("a", [DATA, b"end"], len(DATA) + 3)
    assert store.get("a") == DATA + b"end"
    assert max(written) == PART


def test_an_object_in_parts_is_never_replaced(store: Store):
    store.put_new("a", DATA)
    with pytest.raises(ObjectExists):
        store.put_new("a", DATA[::-1])
    assert store.put_same("a", DATA)
    assert not store.put_same("a", DATA[::-1])
    assert store.get("a") == DATA
    store.put("a", DATA[::-1])
    assert (store.get("a"), parts_of(store, "a")) == (DATA[::-1], 3)
    assert store.uploads() == []


def test_of_two_that_write_at_once_one_stays_whole(store: Store, monkeypatch: pytest.MonkeyPatch):
    both = threading.Barrier(2)

    def together(call: Call) -> Call:
        def wrapped(method: str, **arguments: Any) -> Any:
            if method == COMPLETE:
                both.wait(60)
            return call(method, **arguments)

        return wrapped

    assert store._parts is not None
    assert store._parts._completes_only_new(store.path("a"))
    around(store, monkeypatch, together)
    outcomes: list[bytes] = []

    def write(data: bytes) -> None:
        try:
            store.put_new("a", data)
            outcomes.append(data)
        except ObjectExists:
            pass

    writers = [threading.Thread(target=write, args=(d,)) for d in (DATA, DATA[::-1])]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    # This server compares and completes in two steps: the last of two that meet there may stay.
    assert outcomes
    assert store.get("a") in (DATA, DATA[::-1])
    assert store.uploads() == []


def ignoring_conditions(call: Call) -> Call:
    """A store that completes uploads whatever is there, as some do that refuse a plain put."""

    def wrapped(method: str, **arguments: Any) -> Any:
        if method == COMPLETE:
            arguments.pop("IfNoneMatch", None)
        return call(method, **arguments)

    return wrapped


def test_where_completion_replaces_objects_they_are_written_in_one_piece(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    around(store, monkeypatch, ignoring_conditions)
    monkeypatch.setattr(store, "exists", lambda _: False)  # as for who comes a moment too late
    store.put_new("a/b", DATA)
    assert parts_of(store, "a/b") == 0
    with pytest.raises(ObjectExists):
        store.put_new("a/b", DATA[::-1])
    assert store.get("a/b") == DATA
    assert [item.name for item in store.listed()] == ["a/b"]
    assert store.uploads() == []


@pytest.mark.parametrize("failing", ["upload_part", COMPLETE])
def test_an_upload_that_fails_is_given_up(
    store: Store, monkeypatch: pytest.MonkeyPatch, failing: str
):
    store.put_new("first", DATA)

    def refuses(call: Call) -> Call:
        def wrapped(method: str, **arguments: Any) -> Any:
            if method == failing and arguments.get("PartNumber", 2) == 2:
                raise PermissionError("not allowed")
            return call(method, **arguments)

        return wrapped

    around(store, monkeypatch, refuses)
    with pytest.raises(StorageError, match="/a/b: not allowed"):
        store.put_new("a/b", DATA)
    assert not store.exists("a/b")
    assert store.uploads() == []


@pytest.mark.parametrize("again", [False, True], ids=["once", "and the client asks again"])
def test_a_completion_whose_answer_is_lost_succeeds(
    store: Store, monkeypatch: pytest.MonkeyPatch, again: bool
):
    store.put_new("first", DATA)
    lost = iter([True])

    def loses(call: Call) -> Call:
        def wrapped(method: str, **arguments: Any) -> Any:
            answer = call(method, **arguments)
            if method == COMPLETE and next(lost, False):
                if again:
                    return call(method, **arguments)
                raise ConnectionResetError("reset by peer")
            return answer

        return wrapped

    around(store, monkeypatch, loses)
    store.put_new("a/b", DATA)
    assert store.get("a/b") == DATA
    assert store.uploads() == []


def test_an_upload_that_another_gives_up_begins_anew(store: Store, monkeypatch: pytest.MonkeyPatch):
    store.put_new("first", DATA)
    once = iter([True])

    def gives_up(call: Call) -> Call:
        def wrapped(method: str, **arguments: Any) -> Any:
            if method == COMPLETE and next(once, False):
                for upload in Store(store.url, QUICK).uploads():
                    store.abort(upload.name, upload.id)
            return call(method, **arguments)

        return wrapped

    around(store, monkeypatch, gives_up)
    store.put_new("a/b", DATA)
    assert store.get("a/b") == DATA
    assert store.uploads() == []


def test_no_more_parts_are_in_flight_than_allowed(store: Store, monkeypatch: pytest.MonkeyPatch):
    limited = Store(store.url, QUICK, Limits(requests=2))
    in_flight, most, guard = 0, 0, threading.Lock()

    def counts(call: Call) -> Call:
        def wrapped(method: str, **arguments: Any) -> Any:
            nonlocal in_flight, most
            with guard:
                in_flight += 1
                most = max(most, in_flight)
            time.sleep(0.05)
            try:
                return call(method, **arguments)
            finally:
                with guard:
                    in_flight -= 1

        return wrapped

    around(limited, monkeypatch, counts)
    limited.put_new("a", DATA * 2)
    assert (most, parts_of(store, "a")) == (2, 5)


def write_and_die(url: str) -> None:
    """Die by kill -9 with one part sent and another one on its way."""
    parts.PART_SIZE_BYTES, parts.LARGE_BYTES = PART, 6 * MIB
    store = Store(url, QUICK, Limits(requests=1))
    call = store._fs.call_s3

    def dies(method: str, **arguments: Any) -> Any:
        if method == "upload_part" and arguments["PartNumber"] == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(method, **arguments)

    store._fs.call_s3 = dies
    store.put_new("blobs/0001-0123456789abcdef/00000.blob", DATA)


def test_uploads_of_a_killed_writer_are_listed_and_removed_by_gc(store: Store):
    Archive.open_or_create(store, FORMAT)
    Store(f"{store.url}-beside").put_new("other", b"of another archive")
    left = store._fs.call_s3("create_multipart_upload", **bucket_and_key(store, "-beside/not-mine"))
    process = multiprocessing.get_context("spawn").Process(target=write_and_die, args=(store.url,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    (upload,) = store.uploads()
    assert (upload.name, upload.size_bytes) == ("blobs/0001-0123456789abcdef/00000.blob", PART)

    settings = gc_job.Settings(store.url)
    assert [item.name for item in gc_job.run(settings).young] == [upload.name]
    settings = gc_job.Settings(store.url, older_than_s=0)
    (found,) = gc_job.run(settings).garbage
    assert (found.name, found.kind, found.size_bytes) == (upload.name, "upload", PART)
    assert found.age_s is not None
    assert -5 < found.age_s < 600
    assert len(store.uploads()) == 1
    removed = gc_job.run(gc_job.Settings(store.url, delete=True, older_than_s=0)).garbage
    assert [item.name for item in removed] == [upload.name]
    assert store.uploads() == []
    assert gc_job.run(settings).garbage == ()
    beside = Store(f"{store.url}-beside")
    assert [(item.name, item.id) for item in beside.uploads()] == [("not-mine", left["UploadId"])]


def bucket_and_key(store: Store, name: str) -> dict[str, str]:
    bucket, key, _ = store._fs.split_path(store.root + name)
    return {"Bucket": bucket, "Key": key}


def test_a_user_without_the_right_to_list_uploads_can_collect_the_rest(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    Archive.open_or_create(store, FORMAT)
    store.put_new("plans/0001-0123456789abcdef.parquet", b"left")

    def denies(call: Call) -> Call:
        def wrapped(method: str, **arguments: Any) -> Any:
            if method == "list_multipart_uploads":
                raise PermissionError("access denied")
            return call(method, **arguments)

        return wrapped

    around(store, monkeypatch, denies)
    summary = gc_job.run(gc_job.Settings(store.url, older_than_s=0))
    assert [item.kind for item in summary.garbage] == ["plan"]
    assert any("access denied" in line for line in summary.lines())


def test_an_archive_with_an_object_of_parts_verifies_and_restores(store: Store, tmp_path: Path):
    source = tmp_path / "source"
    source.mkdir()
    noise = np.random.default_rng(3)
    for index in range(4):
        (source / f"{index}.bin").write_bytes(noise.bytes(3_000_000 + index))
    points.archive_in_process(
        archive_job.Settings(str(source), store.url, model=points.MODEL, shard_files=4)
    )
    (shard,) = Archive.open(store).state.in_order()
    assert parts_of(store, shard.blob.name) == 3
    assert points.verify_in_process(verify_job.Settings(store.url)).exit_code == 0
    restored = restore_in_process(restore_job.Settings(store.url, str(tmp_path / "out")))
    assert restored.restored == 4
    for file in source.iterdir():
        assert (tmp_path / "out" / file.name).read_bytes() == file.read_bytes()

    data = bytearray(store.get(shard.blob.name))
    data[6 * MIB] ^= 1
    store.put(shard.blob.name, bytes(data))
    (finding,) = points.verify_in_process(verify_job.Settings(store.url)).findings
    assert (finding.kind, finding.paths) == ("blob-damaged", ("2.bin",))


@pytest.mark.parametrize("kind", ["local", "memory"])
def test_other_stores_have_no_parts(kind: str, tmp_path: Path):
    url = str(tmp_path) if kind == "local" else f"memory://{uuid.uuid4()}"
    assert Store(url).uploads() == []
    fsspec.filesystem("memory").store.clear()
