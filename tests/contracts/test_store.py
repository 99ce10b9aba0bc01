"""What every store must do, whatever file system serves it."""

import errno
import gc
import os
import pickle
import threading
import time
import uuid
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from seec.pipeline.storage import Retry, Store
from seec.pipeline.storage.local import Pieces
from seec.pipeline.storage.retry import classify
from seec.schemas.errors import (
    LimitExceeded,
    ObjectExists,
    ObjectMissing,
    ObjectUnreadable,
    StorageError,
    StoreUnavailable,
    TransientStorageError,
)
from tests.trees import no_hard_links

QUICK = Retry(attempts=3, first_pause_s=0.001, longest_pause_s=0.002)


@pytest.fixture(params=["local", "no-hard-links", "file-url", "memory", "s3"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    urls = {
        "local": str(tmp_path / "a place"),
        "no-hard-links": str(tmp_path / "a place"),
        "file-url": f"file://{tmp_path}/place",
        "memory": f"memory://{uuid.uuid4()}/place",
    }
    s3 = request.param == "s3"
    url = f"{request.getfixturevalue('s3_url')}/{uuid.uuid4()}/place" if s3 else urls[request.param]
    if request.param == "no-hard-links":
        with no_hard_links(monkeypatch, exclusive_renames=True):
            yield Store(url, QUICK)
    else:
        yield Store(url, QUICK)
    fsspec.filesystem("memory").store.clear()


def test_get_returns_the_bytes_that_were_put(store: Store):
    for name, data in {"a": b"", "b/c/d.bin": bytes(range(256)), "e f": b"x" * 100_000}.items():
        store.put_new(name, data)
        assert store.get(name) == data
        assert store.size(name) == len(data)
        assert store.exists(name)


def test_pieces_come_to_lie_one_after_the_other(store: Store):
    pieces = (b"first", memoryview(b" second"), b"", b" third")
    store.put_new("new", *pieces)
    store.put("replaced", b"before")
    store.put("replaced", *pieces)
    assert store.get("new") == store.get("replaced") == b"first second third"
    assert store.put_same("new", b"first second", b" third")
    assert not store.put_same("new", b"first", b" third")


def test_an_object_is_never_replaced(store: Store):
    store.put_new("a/b", b"first")
    for data in (b"second", b"first"):
        with pytest.raises(ObjectExists, match="a/b"):
            store.put_new("a/b", data)
    assert store.get("a/b") == b"first"


def test_put_same_accepts_the_same_bytes_only(store: Store):
    assert store.put_same("a", b"first")
    assert store.put_same("a", b"first")
    assert not store.put_same("a", b"other")
    assert store.get("a") == b"first"


def test_put_replaces(store: Store):
    store.put("a/b", b"first")
    store.put("a/b", b"second")
    assert store.get("a/b") == b"second"


def test_of_many_writers_of_one_name_one_wins(store: Store):
    outcomes: list[str] = []

    def write(index: int) -> None:
        try:
            store.put_new("commits/1", b"%d" % index)
            outcomes.append(str(index))
        except ObjectExists:
            pass

    threads = [threading.Thread(target=write, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [store.get("commits/1").decode()]


def test_ranges(store: Store):
    store.put_new("a", bytes(range(100)))
    assert store.get_range("a", 10, 5) == bytes(range(10, 15))
    assert store.get_range("a", 0, 100) == bytes(range(100))
    assert store.get_range("a", 95, 50) == bytes(range(95, 100))
    assert store.get_range("a", 50, 0) == b""


def test_reading_a_missing_object_is_an_error(store: Store):
    assert not store.exists("a")
    for action in (
        lambda: store.get("a"),
        lambda: store.get_range("a", 0, 1),
        lambda: store.size("a"),
    ):
        with pytest.raises(ObjectMissing, match="a"):
            action()


def test_a_directory_is_not_an_object(store: Store):
    store.put_new("a/b", b"")
    assert not store.exists("a")


def test_listings(store: Store):
    assert list(store.names()) == []
    assert store.top_level() == []
    for name in ("b", "a/2", "a/1", "a/sub/3", "ab/4"):
        store.put_new(name, b"x")
    assert list(store.names("a")) == ["a/1", "a/2", "a/sub/3"]
    assert list(store.names()) == ["a/1", "a/2", "a/sub/3", "ab/4", "b"]
    assert list(store.names("none")) == []
    assert store.top_level() == ["a", "ab", "b"]


def test_listings_say_size_and_time(store: Store):
    before = time.time()
    for name, size in {"b": 0, "a/sub/3": 7, "a/1": 100_000}.items():
        store.put_new(name, bytes(size))
    listed = store.listed()
    assert [(item.name, item.size_bytes, item.partial) for item in listed] == [
        ("a/1", 100_000, False),
        ("a/sub/3", 7, False),
        ("b", 0, False),
    ]
    for item in listed:
        assert item.modified_s is not None
        assert before - 5 < item.modified_s < time.time() + 5
    assert [item.name for item in store.listed("a/sub")] == ["a/sub/3"]
    assert store.listed("none") == []


def test_a_removed_object_is_gone(store: Store):
    for name in ("a/b", "a/c"):
        store.put_new(name, b"data")
    store.remove("a/b")
    assert not store.exists("a/b")
    assert list(store.names()) == ["a/c"]
    store.put_new("a/b", b"other")
    assert store.get("a/b") == b"other"


def test_removing_what_is_not_there_changes_nothing(store: Store):
    store.put_new("a/b", b"data")
    for name in ("a/c", "none/there"):
        store.remove(name)
    assert list(store.names()) == ["a/b"]


def test_objects_of_another_writer_are_seen(store: Store):
    other = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own bytes
    assert list(store.names("commits")) == []
    other.put_new("commits/1", b"x")
    assert list(store.names("commits")) == ["commits/1"]
    assert store.exists("commits/1")


def test_a_store_pickles_as_its_url(store: Store):
    copy = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own bytes
    assert copy.url == store.url
    assert copy.retry == store.retry


def fail_once(store: Store, monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    """Make the next write fail with a lost connection, before or after it took effect."""
    create, failures = store._create, iter([True])

    def failing(name: str, pieces: Pieces) -> None:
        fail = next(failures, False)
        if after or not fail:
            create(name, pieces)
        if fail:
            raise ConnectionResetError(errno.ECONNRESET, "reset by peer")

    monkeypatch.setattr(store, "_create", failing)


@pytest.mark.parametrize("after", [False, True])
def test_a_write_whose_answer_is_lost_succeeds(
    store: Store, monkeypatch: pytest.MonkeyPatch, after: bool
):
    fail_once(store, monkeypatch, after)
    store.put_new("a", b"data")
    assert store.get("a") == b"data"


def test_transient_errors_end_when_the_attempts_do(store: Store, monkeypatch: pytest.MonkeyPatch):
    calls: list[str] = []

    def failing(name: str) -> bytes:
        calls.append(name)
        raise TimeoutError

    monkeypatch.setattr(store, "_read", failing)
    with pytest.raises(TransientStorageError):
        store.get("a")
    assert len(calls) == QUICK.attempts


def test_permanent_errors_are_not_retried(store: Store, monkeypatch: pytest.MonkeyPatch):
    calls: list[str] = []

    def failing(name: str) -> bytes:
        calls.append(name)
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(store, "_read", failing)
    with pytest.raises(ObjectUnreadable, match="Permission denied"):
        store.get("a")
    assert len(calls) == 1


def test_no_more_of_an_object_is_read_than_is_asked_for(store: Store):
    store.put_new("a", bytes(range(100)))
    store.put_new("empty", b"")
    assert store.get("a", 100) == bytes(range(100))
    assert store.get("empty", 0) == store.get("empty", 10) == b""
    with pytest.raises(LimitExceeded, match="more than the 99 bytes"):
        store.get("a", 99)
    with pytest.raises(ObjectMissing):
        store.get("b", 10)
    # A length in a record may be anything.
    assert store.get_range("a", 98, 2**62) == b"bc"


def test_what_is_no_file_is_not_waited_for(tmp_path: Path):
    store = Store(str(tmp_path), QUICK)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    for name in ("fifo", "zero", "folder"):
        for read in (store.get, lambda name: store.get_range(name, 0, 10)):
            with pytest.raises(ObjectUnreadable, match="not a regular file"):
                read(name)
        with pytest.raises(ObjectExists):
            store.put_new(name, b"data")
        assert not store.put_same(name, b"data")
        store.put(name, b"data")
        assert store.get(name) == b"data"
    assert (tmp_path / "zero").is_symlink() is False


def test_nothing_is_written_through_a_link_out_of_the_store(tmp_path: Path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "place").mkdir()
    (tmp_path / "link").symlink_to("place")  # on the way to the store it may be
    store = Store(str(tmp_path / "link"), QUICK)
    store.put_new("a/b", b"data")
    (tmp_path / "place" / "reports").symlink_to("../outside")
    for write in (store.put_new, store.put):
        with pytest.raises(StorageError, match="leads out of"):
            write("reports/verify", b"data")
    assert list((tmp_path / "outside").iterdir()) == []


def test_an_error_keeps_nothing_of_its_callers_alive(tmp_path: Path):
    class Held:
        pass

    def caller() -> "weakref.ref[Held]":
        held = Held()
        with pytest.raises(StorageError):
            store.get("none")
        assert not store.exists("none")
        return weakref.ref(held)

    store = Store(str(tmp_path), QUICK)
    gc.collect()
    gc.disable()
    try:
        assert caller()() is None
    finally:
        gc.enable()


def test_a_full_disk_leaves_nothing_visible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    store = Store(str(tmp_path), QUICK)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        store.put_new("a/b", b"data")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_half_written_files_are_not_listed(tmp_path: Path):
    store = Store(str(tmp_path), QUICK)
    store.put_new("a/b", b"data")
    (tmp_path / "a" / ".partial-0123").write_bytes(b"da")
    assert list(store.names()) == ["a/b"]


def test_half_written_files_are_told_from_objects(tmp_path: Path):
    store = Store(str(tmp_path), QUICK)
    store.put_new("a/b", b"data")
    left = [".partial-0123", "a/.partial-4567"]
    for name in left:
        (tmp_path / name).write_bytes(b"da")
    assert [(item.name, item.partial) for item in store.listed()] == [
        (".partial-0123", True),
        ("a/.partial-4567", True),
        ("a/b", False),
    ]
    assert store.top_level() == ["a"]
    for name in left:
        store.remove(name)
    assert [item.name for item in store.listed()] == ["a/b"]


def test_a_directory_that_cannot_be_listed_is_an_error_and_not_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = Store(str(tmp_path), QUICK)
    for name in ("a/b", "c/d"):
        store.put_new(name, b"data")
    scandir = os.scandir

    def refuses(path: str) -> Any:
        if str(path).endswith("/a"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuses)
    for prefix in ("", "a"):
        with pytest.raises(StorageError, match="Permission denied"):
            list(store.names(prefix))


def test_a_file_that_goes_away_while_it_is_listed_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = Store(str(tmp_path), QUICK)
    for name in ("a/b", "a/c"):
        store.put_new(name, b"data")
    scandir = os.scandir

    def slow(path: str) -> Any:
        entries = list(scandir(path))
        (tmp_path / "a" / "b").unlink(missing_ok=True)
        return entries

    monkeypatch.setattr(os, "scandir", slow)
    assert list(store.names()) == ["a/c"]


def test_links_are_listed_and_not_followed(tmp_path: Path):
    store = Store(str(tmp_path / "store"), QUICK)
    store.put_new("a", b"data")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_bytes(b"mine")
    (tmp_path / "store" / "out").symlink_to(tmp_path / "other")
    assert list(store.names()) == ["a", "out"]
    store.remove("out")
    assert (tmp_path / "other" / "file").read_bytes() == b"mine"


def test_an_unknown_protocol_is_an_error_that_names_it():
    with pytest.raises(StorageError, match="gopher"):
        Store("gopher://x/y")


def test_errors_say_what_and_where():
    error = classify("read /a/b", PermissionError(errno.EACCES, "Permission denied"))
    assert str(error) == "read /a/b: Permission denied"
    assert not isinstance(error, TransientStorageError)
    assert isinstance(classify("read", OSError(errno.EBUSY, "slow down")), TransientStorageError)


def test_a_bucket_that_is_not_there_is_named_as_such(s3_url: str):
    store = Store(f"s3://none-{uuid.uuid4()}/place", QUICK)
    for action in (lambda: store.get("a"), lambda: list(store.names())):
        with pytest.raises(StoreUnavailable, match="create the bucket, or correct the URL"):
            action()


def test_a_key_that_is_wrong_is_named_and_not_tried_again(
    s3_url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    try:
        store = Store(f"{s3_url}/{uuid.uuid4()}", Retry(attempts=3, first_pause_s=600))
        with pytest.raises(StoreUnavailable, match="check the credentials"):
            list(store.names())
        with pytest.raises(StorageError, match="check the credentials"):
            store.get("a")
    finally:
        fsspec.get_filesystem_class("s3").clear_instance_cache()
