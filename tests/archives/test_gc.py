"""What no commit names is removed, and nothing else, whoever else is at work."""

import hashlib
import json
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest
from click.testing import CliRunner, Result

from seec.jobs import gc as gc_job
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.archive import Archive, gc
from seec.pipeline.archive.gc import remove, survey
from seec.pipeline.archive.runs import add_shard, open_run
from seec.pipeline.archive.shard import write_shard
from seec.pipeline.routes.writing import stored_entry
from seec.pipeline.storage import Store
from seec.pipeline.verify.records import check_records
from seec.schemas.archive import (
    FORMAT_MD,
    blob_name,
    commit_name,
    manifest_name,
    model_name,
    parse_name,
    plan_name,
    quarantine_name,
    shard_name,
)
from seec.schemas.commit import RunRecord, SourceRecord, model_record
from seec.schemas.errors import (
    BlobMissing,
    DigestMismatch,
    NotAnArchive,
    SectionCorrupt,
)
from seec.schemas.plan import PlanSettings, SourceFile
from seec.schemas.quarantine import QuarantineRow
from seec.schemas.routes import SEEC
from seec.schemas.rows import Entry, ImageFacts, SampleFacts

WEIGHTS = b"weights"
SETTINGS = PlanSettings(hashlib.sha256(WEIGHTS).hexdigest(), shard_files=2)
LATER_S = 3 * gc_job.DAY_S
FORMAT = b"how to read all of this"


@pytest.fixture(params=["local", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    urls = {"local": str(tmp_path / "archive"), "memory": f"memory://{uuid.uuid4()}"}
    s3 = request.param == "s3"
    url = f"{request.getfixturevalue('s3_url')}/{uuid.uuid4()}" if s3 else urls[request.param]
    yield Store(url)
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def local_store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "archive"))


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three days from now."""
    now = time.time
    monkeypatch.setattr(gc.time, "time", lambda: now() + LATER_S)


def entries(planned: list[SourceFile]) -> list[Entry]:
    """Of images, as far as rows tell: they need the model."""
    coded = [stored_entry(file, bytes(file.size_bytes), None) for file in planned]
    image, samples = ImageFacts(1, 1, "L", "PNG"), SampleFacts(bytes(32), 1)
    facts: dict[str, Any] = {"route": SEEC, "image": image, "samples": samples}
    return [replace(e, row=replace(e.row, **facts, model_id=SETTINGS.model_id)) for e in coded]


def begin(store: Store, count: int) -> tuple[Archive, RunRecord]:
    """An archive with one more run, of which no shard is written."""
    archive = Archive.open_or_create(store, FORMAT)
    files = [SourceFile(f"{index:04d}", index, 0) for index in range(count)]
    return archive, open_run(archive, SourceRecord("/source"), files, SETTINGS)


def write(archive: Archive, run: RunRecord, index: int, count: bool = True) -> list[str]:
    """Write a shard, and commit it if it shall count; its names."""
    planned = archive.plan(run).shard(index)
    failed = [QuarantineRow(f"q{index}", 1, None, "SourceError", "test", run.run_id)]
    name = shard_name(run.run_id, index)
    record = write_shard(archive.store, name, entries(planned), failed)
    if count:
        add_shard(archive, record, {SETTINGS.model_id: WEIGHTS})
    return [item.name for item in record.objects]


def whole(store: Store, count: int = 6) -> Archive:
    """An archive with one more complete run."""
    archive, run = begin(store, count)
    for index in range(run.shards):
        write(archive, run, index)
    return archive


def litter(store: Store) -> set[str]:
    """Put there what runs leave that are given up or lose a race; its names."""
    archive, run = begin(store, 7)
    left = write(archive, run, 1, count=False)
    name = shard_name(run.run_id, 1)
    other = write_shard(store, name, entries(archive.plan(run).shard(1)[:1]), [])
    left += [item.name for item in other.objects if item.name not in left]
    whole(store, 5)
    weights = b"weights of a run that never was"
    left += [plan_name("0003-0123456789abcdef"), plan_name("0002-0123456789abcdef")]
    left += [model_name(hashlib.sha256(weights).hexdigest())]
    for item in left[-3:]:
        store.put_new(item, weights)
    if store.is_local:
        partial = ["blobs/.partial-0123456789abcdef", ".partial-0123456789abcdef"]
        for item in partial:
            Path(store.path(item)).write_bytes(b"half")
        left += partial
    return set(left)


def names(store: Store) -> set[str]:
    return {item.name for item in store.listed()}


def collect(store: Store, older_than_s: float = 0) -> set[str]:
    """Remove all garbage; its names."""
    return {item.name for item in remove(store, survey(store, older_than_s).garbage)}


def test_an_archive_that_was_made_undisturbed_has_no_garbage(store: Store):
    whole(store, 50)  # more commits than there are from one recap to the next
    found = survey(store, 0)
    assert found == gc.Survey()
    assert remove(store, found.garbage) == []


def test_objects_that_no_commit_names_are_removed_and_all_others_stay(store: Store):
    left = litter(store)
    before, digest = names(store), Archive.open(store).digest()
    assert collect(store) == left
    assert names(store) == before - left
    assert Archive.open(store).digest() == digest
    kinds = {found.kind for item in check_records(store).checked for found in item.findings}
    assert kinds <= {"model-damaged"}  # these weights are none
    assert survey(store, 0) == gc.Survey()


def test_a_survey_says_kind_size_and_age_and_changes_nothing(store: Store):
    left = litter(store)
    before = names(store)
    found = survey(store, 0)
    assert {item.name for item in found.garbage} == left
    assert names(store) == before
    for item in found.garbage:
        assert item.kind == gc.PARTIAL or item.kind == (parse_name(item.name) or [""])[0]
        assert item.size_bytes == store.size(item.name)
        assert item.age_s is not None
        assert -5 < item.age_s < 300


def test_young_objects_stay_until_they_are_old(store: Store, request: pytest.FixtureRequest):
    left = litter(store)
    found = survey(store, gc_job.DAY_S)
    assert found.garbage == []
    assert {item.name for item in found.young} == left
    request.getfixturevalue("later")
    assert collect(store, gc_job.DAY_S) == left


def test_age_counts_from_when_the_store_wrote_it(local_store: Store):
    left = sorted(litter(local_store))
    old = time.time() - LATER_S
    os.utime(local_store.path(left[0]), (old, old))
    assert collect(local_store, gc_job.DAY_S) == {left[0]}


def test_without_a_time_nothing_is_old(local_store: Store, monkeypatch: pytest.MonkeyPatch):
    left = litter(local_store)
    listed = local_store._listed
    monkeypatch.setattr(
        local_store, "_listed", lambda path, size_bytes, _: listed(path, size_bytes, None)
    )
    assert len(survey(local_store, 1).young) == len(left)
    assert {item.name for item in survey(local_store, 0).garbage} == left


def test_objects_of_an_unfinished_run_stay_until_the_run_is_given_up(store: Store):
    archive, run = begin(store, 6)
    write(archive, run, 0)
    left = set(write(archive, run, 1, count=False))
    found = survey(store, 0)
    assert (found.garbage, found.unfinished_run) == ([], run.run_id)
    assert {item.name for item in found.unfinished} == left
    whole(store, 4)
    assert collect(store) == left
    counts = [shard.shard for shard in Archive.open(store).state.shards_of(run.run_id)]
    assert counts == [shard_name(run.run_id, 0)]


def test_an_unfinished_run_goes_on_after_gc(store: Store):
    archive, run = begin(store, 6)
    write(archive, run, 1, count=False)
    assert collect(store) == set()
    for index in range(3):
        write(archive, run, index)
    assert survey(store, 0) == gc.Survey()


def test_reports_stay_unless_they_are_asked_for(store: Store):
    whole(store)
    reports = {"reports/verify-1.parquet", "reports/0001/timing.parquet"}
    for name in reports:
        store.put_new(name, b"x")
    assert survey(store, 0).garbage == []
    assert survey(store, gc_job.DAY_S, reports=True).garbage == []
    found = survey(store, 0, reports=True)
    assert {item.name for item in remove(store, found.garbage)} == reports


def test_foreign_objects_stay(store: Store):
    whole(store)
    strangers = [
        "blobs/notes.txt",
        "blobs/0001-0123456789abcdef/000000.blob.bak",
        "commits/1.json",
        "commits/0000000001.json.orig",
        "holiday.jpg",
        "models/mine.safetensors",
        "models/README",
    ]
    for name in strangers:
        store.put_new(name, b"mine")
    found = survey(store, 0, reports=True)
    assert (found.garbage, found.strangers) == ([], sorted(strangers))


def test_objects_committed_after_the_listing_stay(store: Store, monkeypatch: pytest.MonkeyPatch):
    litter(store)
    archive, run = begin(store, 6)
    pending = [write_shard(store, shard_name(run.run_id, 0), [], [])]
    listed = store.listed

    def slow(prefix: str = "") -> Any:
        found = listed(prefix)
        while prefix == "" and pending:
            archive.commit(shards=(pending.pop(),))
            for index in range(1, run.shards):
                write(archive, run, index)
        return found

    monkeypatch.setattr(store, "listed", slow)
    removed = collect(store)
    assert not [name for name in removed if run.run_id in name]
    assert Archive.open(store).state.open_run is None
    assert_all_there(store)


def test_a_run_that_is_made_just_before_the_listing_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    left = litter(store)
    listed, waiting = store.listed, [6]

    def slow(prefix: str = "") -> Any:
        while prefix == "" and waiting:
            whole(store, waiting.pop())
        return listed(prefix)

    monkeypatch.setattr(store, "listed", slow)
    assert collect(store) == left
    assert_all_there(store)


def assert_all_there(store: Store) -> None:
    opened = Archive.open(store)
    for model_id in opened.state.models:
        assert opened.read(model_record(model_id)) == WEIGHTS
    for run in opened.state.runs.values():
        assert opened.plan(run).shards == run.shards
    for shard in opened.state.in_order():
        assert len(opened.rows(shard)) == shard.files
        assert len(opened.read(shard.blob)) == shard.blob.size_bytes


def left_over_run(store: Store) -> Archive:
    """A model and a plan that a run put there before it died; its archive."""
    archive = Archive.open_or_create(store, FORMAT)
    open_run(archive, *LEFT_OVER)
    store.put_new(model_name(SETTINGS.model_id), WEIGHTS)
    for item in list(store.listed("commits")):
        store.remove(item.name)
    return Archive.open(store)


def begin_on(archive: Archive) -> None:
    write(archive, open_run(archive, *LEFT_OVER), 0)


LEFT_OVER = SourceRecord("/source"), [SourceFile("a", 1, 1)], SETTINGS


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_model_and_a_plan_that_a_writer_takes_up_meanwhile_stay(
    store: Store, monkeypatch: pytest.MonkeyPatch, moment: str
):
    """The writer finds them there and commits just before, or after, gc removes one."""
    writer = left_over_run(Store(store.url))
    garbage = survey(store, 0).garbage
    assert {item.kind for item in garbage} == {"model", "plan"}
    erase, waiting = store.remove, [writer]

    def racing(name: str) -> None:
        if moment == "after":
            erase(name)
        while waiting:
            begin_on(waiting.pop())
        if moment == "before":
            erase(name)

    monkeypatch.setattr(store, "remove", racing)
    assert remove(store, garbage) == []
    assert_all_there(store)


def test_a_writer_puts_back_what_gc_removed_before_its_commit(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    writer = left_over_run(store)
    commit, removed = writer.commit, list[set[str]]()

    def racing(**what: Any) -> None:
        removed.append(collect(store))
        commit(**what)

    monkeypatch.setattr(writer, "commit", racing)
    begin_on(writer)
    (run,) = writer.state.runs.values()
    model = model_name(SETTINGS.model_id)
    assert removed == [{run.plan.name, model}, {model}]  # before the run, and before its shard
    assert_all_there(store)


def test_two_at_once_remove_what_one_would(store: Store, monkeypatch: pytest.MonkeyPatch):
    left = litter(store)
    expected = names(store) - left
    garbage = survey(store, 0).garbage
    erase, other = store.remove, Store(store.url)

    def racing(name: str) -> None:
        collect(other)
        erase(name)

    monkeypatch.setattr(store, "remove", racing)
    assert {item.name for item in remove(store, garbage)} <= left
    assert names(store) == expected


@pytest.mark.parametrize("sequence", [1, 15, 16, 20])
def test_a_damaged_commit_is_refused_and_nothing_removed(local_store: Store, sequence: int):
    whole(local_store, 30)
    litter(local_store)
    path = Path(local_store.path(commit_name(sequence)))
    sound, before = path.read_bytes(), names(local_store)
    damages: list[tuple[bytes | None, type[Exception]]] = [
        (sound.replace(b'"previous":"', b'"previous":"0'), DigestMismatch),
        (sound[:-1], SectionCorrupt),
        (None, BlobMissing),
    ]
    for damaged, error in damages:
        path.unlink()
        if damaged is not None:
            path.write_bytes(damaged)
        with pytest.raises(error):
            survey(local_store, 0)
        result = call(local_store, "--delete", "--older-than", "0")
        assert result.exit_code == ExitCode.DAMAGE, result.output
        assert names(local_store) | {commit_name(sequence)} == before
        path.write_bytes(sound)
    assert survey(local_store, 0).garbage


def test_a_commit_that_follows_another_history_is_refused(local_store: Store):
    whole(local_store, 4)
    other = Store(local_store.url + "-other")
    whole(other, 5)
    path = Path(local_store.path(commit_name(2)))
    path.write_bytes(other.get(commit_name(2)))
    with pytest.raises(SectionCorrupt, match="does not follow"):
        survey(local_store, 0)


def test_a_history_without_its_end_is_refused_and_nothing_removed(store: Store):
    whole(store, 4)
    last = max(store.names("commits"))
    whole(store, 6)
    for name in list(store.names("commits")):
        if name > last:
            store.remove(name)
    before = names(store)
    with pytest.raises(BlobMissing, match=r"blobs/0002-.*commits/0000000004\.json"):
        survey(store, 0)
    assert names(store) == before


def test_where_there_is_no_archive_there_is_no_garbage(store: Store):
    with pytest.raises(NotAnArchive):
        survey(store, 0)
    store.put_new("holiday.jpg", b"mine")
    with pytest.raises(NotAnArchive):
        survey(store, 0)
    assert names(store) == {"holiday.jpg"}


def test_every_name_of_an_archive_is_told_from_others():
    run, shard = "0001-0123456789abcdef", "0001-0123456789abcdef/000007"
    assert parse_name(blob_name(shard)) == ("blob", run)
    assert parse_name(manifest_name(shard)) == ("manifest", run)
    assert parse_name(quarantine_name(shard)) == ("quarantine", run)
    assert parse_name(f"blobs/{shard}-0123456789abcdef.blob") == ("blob", run)
    assert parse_name(plan_name("12345-0123456789abcdef")) == ("plan", "12345-0123456789abcdef")
    assert parse_name(model_name(SETTINGS.model_id)) == ("model", None)
    for name in ("archive.json", FORMAT_MD, commit_name(1), "reports/x.parquet", f"x/{shard}"):
        assert parse_name(name) is None


def call(store: Store, *options: str) -> Result:
    return CliRunner().invoke(gc_job.main, [store.url, *options])


def test_the_command_lists_by_default_and_removes_when_told(local_store: Store):
    left = litter(local_store)
    size_bytes = sum(local_store.size(name) for name in left)
    before = names(local_store)
    result = call(local_store)
    assert result.exit_code == ExitCode.OK
    assert f"{len(left)} objects ({size_bytes:,} bytes) stay for now" in result.stdout
    result = call(local_store, "--older-than", "0")
    assert all(name in result.stdout for name in left)
    assert result.stdout.endswith("may be removed: the same command with --delete does it\n")
    assert names(local_store) == before
    result = call(local_store, "--older-than", "0", "--delete", "--json")
    assert result.exit_code == ExitCode.OK
    value = json.loads(result.stdout)
    assert (value["deleted"], value["objects"], value["size_bytes"]) == (
        True,
        len(left),
        size_bytes,
    )
    assert {item["name"] for item in value["garbage"]} == left
    assert names(local_store) == before - left
    assert call(local_store, "--older-than", "0").stdout == "nothing to remove\n"


def test_the_command_says_what_stays_and_why(local_store: Store):
    archive, run = begin(local_store, 4)
    write(archive, run, 0, count=False)
    local_store.put_new("my\nnotes.txt", b"mine")
    result = call(local_store, "--older-than", "0", "--delete")
    assert f"stay for run {run.run_id}" in result.stdout
    assert "my\\nnotes.txt" in result.stdout


@pytest.mark.parametrize("wrong", ["", "5", "-1h", "nanh", "1w", "infd", "0.0", "1_h"])
def test_a_duration_that_is_none_is_wrong_use(local_store: Store, wrong: str):
    assert call(local_store, "--older-than", wrong).exit_code == ExitCode.USAGE


def test_the_command_ends_with_the_code_for_no_archive(local_store: Store):
    assert call(local_store).exit_code == ExitCode.NOT_AN_ARCHIVE
