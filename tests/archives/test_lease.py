"""Writers of an archive on a store that replaces objects silently."""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seec.pipeline.archive import Archive
from seec.pipeline.archive.gc import survey
from seec.pipeline.archive.lease import Lease, Terms, writer
from seec.pipeline.storage import Listed, Store
from seec.schemas.archive import LOCKS, commit_name, plan_name
from seec.schemas.commit import ObjectRecord, RunRecord, SourceRecord
from seec.schemas.errors import ArchiveLocked, StorageError
from tests.faults import filesystem
from tests.faults.filesystem import Plan
from tests.trees import no_hard_links

FORMAT = b"how to read this"
LONG = Terms(attempts=1)
SHORT = Terms(lease_s=1.0, margin_s=0.2, attempts=1)
LONGER_S = 1.4  # than a short lease and its margin


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store that replaces silently."""
    with filesystem.plan(Plan(careless=True)):
        yield Store(f"faulty://{tmp_path}/place")


def run(number: int) -> RunRecord:
    name = f"{number:04d}-{'0' * 16}"
    plan = ObjectRecord(plan_name(name), 1, "0" * 64)
    return RunRecord(name, plan, SourceRecord("source"), 1, 1, "0" * 64)


def test_the_probe_tells_stores_that_replace_silently(tmp_path: Path, store: Store):
    assert not store.refuses_to_replace(LOCKS)
    with filesystem.plan(Plan()):
        assert store.refuses_to_replace(LOCKS)
    assert Store(str(tmp_path)).refuses_to_replace(LOCKS)
    assert Store("memory://place").refuses_to_replace(LOCKS)
    assert list(store.names()) == []


def test_file_systems_that_look_before_they_write_do_not_count_as_exclusive(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    cls = filesystem.FaultyFileSystem
    monkeypatch.delattr(cls, "pipe_file")
    monkeypatch.setattr(cls, "_open", lambda self, path, mode, **_: Path(path).open(mode))  # noqa: SIM115
    with filesystem.plan(Plan()):
        assert not store.refuses_to_replace(LOCKS)


def test_a_store_that_keeps_writers_apart_itself_needs_no_lease(tmp_path: Path, store: Store):
    for exclusive in (Store(str(tmp_path / "local")), store):
        with filesystem.plan(Plan()), writer(exclusive) as lease:
            assert lease is None
            assert list(exclusive.names()) == []


def test_without_hard_links_a_rename_that_replaces_nothing_keeps_writers_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with no_hard_links(monkeypatch, exclusive_renames=True), writer(Store(str(tmp_path))) as lease:
        assert lease is None
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_that_only_replaces_takes_a_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    place = Store(str(tmp_path / "place"))
    with no_hard_links(monkeypatch, exclusive_renames=False):
        with Archive.writing(place, FORMAT, LONG) as archive:
            archive.commit(runs=(run(1),))
            with (
                pytest.raises(ArchiveLocked, match="is writing"),
                Archive.writing(place, FORMAT, LONG),
            ):
                pass
        assert Archive.open(place).state.sequence == 1
    assert not any(item.partial or item.name.startswith(LOCKS) for item in place.listed())


def test_the_second_writer_is_told_of_the_first(store: Store):
    with writer(store, LONG) as lease:
        assert lease is not None
        assert list(store.names()) == [lease.name]
        with (
            pytest.raises(ArchiveLocked, match=r"process \d+ on .* is writing"),
            writer(store, LONG),
        ):
            pass
        assert list(store.names()) == [lease.name]
        lease.check()
    assert list(store.names()) == []
    with writer(store, LONG):
        pass


def test_a_lease_is_renewed_while_its_writer_is_at_work(store: Store):
    with writer(store, SHORT) as lease:
        assert lease is not None
        first = lease.name
        end = time.monotonic() + 2
        while time.monotonic() < end:
            with pytest.raises(ArchiveLocked):
                Lease(store, SHORT).acquire()
        assert lease.name != first
        lease.check()
        assert len(list(store.names())) == 2
    assert list(store.names()) == []


def test_a_lease_that_ended_is_taken_over_and_its_writer_stops(store: Store):
    killed, successor = Lease(store, SHORT), Lease(store, SHORT)
    killed.acquire()
    with pytest.raises(ArchiveLocked):
        successor.acquire()
    time.sleep(LONGER_S)
    successor.acquire()
    with pytest.raises(ArchiveLocked, match="took over"):
        killed.check()
    successor.check()
    assert list(store.names()) == [successor.name]


def test_a_writer_that_slept_and_was_not_followed_goes_on(store: Store):
    lease = Lease(store, SHORT)
    lease.acquire()
    time.sleep(LONGER_S)
    lease.check()
    lease.release()
    assert list(store.names()) == []


def test_a_writer_that_wakes_up_while_another_begins_stops(store: Store):
    asleep, successor = Lease(store, SHORT), Lease(store, LONG)
    asleep.acquire()
    time.sleep(LONGER_S)
    exists = store.exists

    def slow(name: str) -> bool:
        """Between the look and the write that follows, the other takes over."""
        found = exists(name)
        store.exists = exists  # pyright: ignore[reportAttributeAccessIssue]
        Lease(store, SHORT).acquire()
        return found

    store.exists = slow  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ArchiveLocked):
        asleep.check()
    assert len(list(store.names())) == 1
    with pytest.raises(ArchiveLocked):
        successor.acquire()


def test_of_many_that_come_at_once_at_most_one_holds_the_lease(store: Store):
    terms = replace(LONG, attempts=6, pause_s=0.3)
    holding: list[int] = []
    most: list[int] = []
    held: list[int] = []

    def work(number: int) -> None:
        try:
            with writer(store, terms):
                holding.append(number)
                most.append(len(holding))
                time.sleep(0.05)
                holding.remove(number)
                held.append(number)
        except ArchiveLocked:
            pass

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held
    assert max(most) == 1
    assert list(store.names()) == []


def test_without_times_of_the_store_a_lease_does_not_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    Lease(store, SHORT).acquire()
    listed = store.listed

    def timeless(prefix: str) -> list[Listed]:
        return [replace(item, modified_s=None) for item in listed(prefix)]

    monkeypatch.setattr(store, "listed", timeless)
    time.sleep(LONGER_S)
    with pytest.raises(ArchiveLocked, match=r"its lock locks/\w+\.json"):
        Lease(store, SHORT).acquire()


def test_a_store_that_does_not_list_what_was_written_is_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(store, "listed", lambda _: [])
    with pytest.raises(StorageError, match="use another"), writer(store, LONG):
        pass


def test_an_archive_is_made_and_opened_under_a_lease(store: Store):
    with Archive.writing(store, FORMAT, LONG) as archive:
        archive.commit(runs=(run(1),))
        with pytest.raises(ArchiveLocked), Archive.writing(store, FORMAT, LONG):
            pass
    with Archive.writing(store, FORMAT, LONG) as archive:
        archive.commit(runs=(run(2),))
    assert list(Archive.open(store).state.runs) == [run(1).run_id, run(2).run_id]
    assert list(store.names(LOCKS)) == []


def test_a_writer_without_its_lease_does_not_replace_a_commit(store: Store):
    with Archive.writing(store, FORMAT, LONG) as archive:
        for name in store.names(LOCKS):
            store.remove(name)  # as a successor does
        with Archive.writing(store, FORMAT, LONG) as successor:
            successor.commit(runs=(run(1),))
        data = store.get(commit_name(1))
        with pytest.raises(ArchiveLocked):
            archive.commit(runs=(run(1),))
    assert store.get(commit_name(1)) == data


def test_locks_of_killed_writers_are_garbage_once_they_are_old(store: Store):
    Archive.open_or_create(store, FORMAT)
    lease = Lease(store, LONG)
    lease.acquire()
    store.put_new(f"{LOCKS}/{'0' * 16}.probe", b"first")
    found: Any = survey(store, older_than_s=3600)
    assert ([item.kind for item in found.young], found.garbage) == (["lock", "lock"], [])
    assert [item.kind for item in survey(store, older_than_s=0).garbage] == ["lock", "lock"]
