"""A real S3 server behind a network that fails: what passes does not show, what stays is named."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from seec.jobs import archive as archive_job
from seec.jobs import ls
from seec.jobs import repair as repair_job
from seec.jobs import restore as restore_job
from seec.jobs import verify as verify_job
from seec.jobs.exit_codes import ExitCode, exit_code_of
from seec.pipeline.archive import Archive
from seec.pipeline.storage import Limits, Retry, Store, parts
from seec.pipeline.storage import retry as retry_module
from seec.schemas.errors import StorageError, StoreUnavailable
from seec.schemas.routes import SEEC_JPEG
from tests.faults import points, proxy
from tests.faults.fault_sweep import restore_in_process
from tests.faults.proxy import LASTING, PASSING, Plan, Proxy, always, some
from tests.jpegs import detailed, jpeg
from tests.sources import files_below, write_tiny_source

MIB = 1 << 20
QUICK = Retry(attempts=8, first_pause_s=0.01, longest_pause_s=0.1)
SHARE = 0.12


def _mostly_slow(faults: tuple[str, ...], *quick: str) -> list[Any]:
    return [f if f in quick else pytest.param(f, marks=pytest.mark.slow) for f in faults]


def _forget_clients() -> None:
    """Clients keep the address of the server that they were made for."""
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.fixture
def faulty(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy that all clients of this test, and of its children, go through."""
    with proxy.before(os.environ["AWS_ENDPOINT_URL"]) as (url, made):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        _forget_clients()
        yield made
    _forget_clients()


@pytest.fixture
def place(s3_url: str) -> str:
    return f"{s3_url}/{uuid.uuid4()}"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A few images, and files that make blobs of several parts."""
    write_tiny_source(tmp_path / "source", 4)
    noise = np.random.default_rng(5)
    for index in range(3):
        (tmp_path / "source" / f"noise-{index}.bin").write_bytes(noise.bytes(2_500_000))
    return tmp_path / "source"


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART_SIZE_BYTES", 5 * MIB)
    monkeypatch.setattr(parts, "LARGE_BYTES", 6 * MIB)


@pytest.mark.parametrize("fault", _mostly_slow(PASSING, proxy.LOST, proxy.CUT, proxy.SLOW_DOWN))
def test_a_fault_that_passes_does_not_show(fault: str, faulty: Proxy, place: str, in_parts: None):
    """Each first request of a method meets it."""
    store, seen = Store(place, QUICK), set[tuple[str, str]]()

    def first(request: proxy.Request) -> str | None:
        kind = (request.method, request.target.rpartition("?")[2][:8])
        if kind in seen:
            return None
        seen.add(kind)
        return fault

    small, large = b"small", np.random.default_rng(1).bytes(11 * MIB)
    faulty.plan = Plan(first)
    for name, data in {"a/small": small, "a/large": large}.items():
        store.put_new(name, data)
        assert store.get(name) == data
        assert store.get_range(name, 1, len(data) - 2) == data[1:-1]
        assert store.size(name) == len(data)
    assert list(store.names()) == ["a/large", "a/small"]
    store.remove("a/small")
    # Who was not told the name of an upload cannot give it up; it has no parts.
    untold = fault in (proxy.LOST, proxy.LOST_500, proxy.CUT)
    assert [upload.size_bytes for upload in store.uploads()] == [0] * untold
    assert faulty.plan.struck[fault] >= 6
    faulty.plan = Plan()
    assert list(store.names()) == ["a/large"]
    assert store.get("a/large") == large


def test_whole_runs_through_failing_networks_are_like_undisturbed_ones(
    faulty: Proxy, place: str, source: Path, tmp_path: Path, in_parts: None
):
    kept = f"{place}/photos"
    fsspec.filesystem("s3").put(f"{source}/", kept, recursive=True)

    def archive(name: str) -> archive_job.ArchiveSummary:
        settings = archive_job.Settings(kept, f"{place}/{name}", model=points.MODEL, shard_files=4)
        return points.archive_in_process(settings)

    undisturbed = archive("undisturbed")
    struck: set[str] = set()
    faulty.plan = Plan(some(SHARE, seed=1))
    disturbed = archive("disturbed")
    assert (disturbed.digest, disturbed.exit_code) == (undisturbed.digest, ExitCode.OK)
    struck |= set(faulty.plan.struck)
    faulty.plan = Plan(some(SHARE, seed=2))
    verified = points.verify_in_process(verify_job.Settings(f"{place}/disturbed"))
    assert (verified.findings, verified.exit_code) == ((), ExitCode.OK)
    struck |= set(faulty.plan.struck)
    faulty.plan = Plan(some(SHARE, seed=3))
    restored = restore_in_process(restore_job.Settings(f"{place}/disturbed", f"{place}/restored"))
    assert (restored.restored, restored.failed) == (7, [])
    struck |= set(faulty.plan.struck)
    assert struck == set(PASSING)
    faulty.plan = Plan()
    one, other = Store(f"{place}/undisturbed"), Store(f"{place}/disturbed")
    names = [name for name in one.names() if not name.startswith("reports/")]
    assert [name for name in other.names() if not name.startswith("reports/")] == names
    assert all(one.get(name) == other.get(name) for name in names)
    assert other.uploads() == []
    back = Store(f"{place}/restored")
    for file in source.glob("*.bin"):
        assert back.get(file.name) == file.read_bytes()


@pytest.mark.parametrize("fault", _mostly_slow(LASTING, "QuotaExceeded", "EntityTooLarge"))
def test_a_fault_that_stays_stops_a_run_at_once(
    fault: str, faulty: Proxy, place: str, tmp_path: Path
):
    write_tiny_source(tmp_path / "source", 12)
    settings = archive_job.Settings(
        str(tmp_path / "source"), place, model=points.MODEL, shard_files=2
    )
    faulty.plan = Plan(always(fault, "PUT", "/blobs/"))
    with pytest.raises(StorageError) as raised:
        points.archive_in_process(settings)
    assert exit_code_of(raised.value) == ExitCode.UNEXPECTED
    requests = faulty.plan.requests
    asked = [one for one in requests if one.method == "PUT" and "/blobs/" in one.target]
    # No blob twice, and of six shards those alone that were in work at that time.
    assert faulty.plan.struck == {fault: len(asked)}
    assert len({request.target for request in asked}) == len(asked) <= 2
    message = str(raised.value)
    assert message.startswith(f"write {place.removeprefix('s3://')}/blobs/")
    assert REMEDIES[fault] in message
    assert isinstance(raised.value, StoreUnavailable) == (fault not in OF_ONE_OBJECT)
    faulty.plan = Plan()
    assert points.archive_in_process(settings).exit_code == ExitCode.OK
    assert len(Archive.open(Store(place)).state.shards) == 6


@pytest.mark.parametrize(("part", "finding"), [("manifest", "manifest"), ("blob", "blob")])
@pytest.mark.parametrize(
    ("fault", "state"), [("AccessDenied", "unreadable"), ("NoSuchKey", "missing")]
)
def test_one_object_that_the_server_does_not_give_is_found_and_mended(
    fault: str, state: str, part: str, finding: str, faulty: Proxy, place: str, tmp_path: Path
):
    write_tiny_source(tmp_path / "source", 6)
    root, copy = f"{place}/archive", f"{place}/copy"
    points.archive_in_process(
        archive_job.Settings(str(tmp_path / "source"), root, model=points.MODEL, shard_files=2)
    )
    fsspec.filesystem("s3").copy(root, copy, recursive=True)
    shard = list(Archive.open(Store(root)).state.in_order())[1]
    name = getattr(shard, part).name
    mended = False

    def befalls(request: proxy.Request) -> str | None:
        nonlocal mended
        if f"/archive/{name}" not in request.target:
            return None
        mended = mended or request.method == "PUT"
        return None if mended else fault

    faulty.plan = Plan(befalls)
    verified = points.verify_in_process(verify_job.Settings(root))
    assert [(one.kind, one.object) for one in verified.findings] == [(f"{finding}-{state}", name)]
    restored = restore_in_process(restore_job.Settings(root, str(tmp_path / "out")))
    assert (restored.exit_code, restored.restored) == (ExitCode.DAMAGE, 4)
    listing = ls.listing(ls.Settings(root))
    assert len(listing.rows) == (4 if part == "manifest" else 6)
    assert listing.exit_code == (ExitCode.DAMAGE if part == "manifest" else ExitCode.OK)
    repaired = points.repair_in_process(repair_job.Settings(root, (copy,)))
    assert (repaired.exit_code, repaired.objects) == (ExitCode.OK, (name,))
    assert mended
    assert points.verify_in_process(verify_job.Settings(root)).findings == ()


OF_ONE_OBJECT = ("AccessDenied", "EntityTooLarge")
REMEDIES = {
    "AccessDenied": "check the credentials and what they may do",
    "InvalidAccessKeyId": "check the credentials",
    "QuotaExceeded": "make room, then run again",
    "NoSuchBucket": "create the bucket, or correct the URL",
    "EntityTooLarge": "the store takes no objects of this size",
    "InsufficientStorage": "make room, then run again",
}


def test_a_store_that_stays_away_is_asked_again_ever_later_and_not_in_step(
    faulty: Proxy, place: str, monkeypatch: pytest.MonkeyPatch
):
    store = Store(place, Retry(attempts=6, first_pause_s=0.1, longest_pause_s=1.0))
    store.put_new("a", b"data")
    pauses: list[list[float]] = [[], []]
    for kept in pauses:
        monkeypatch.setattr(retry_module.time, "sleep", kept.append)
        faulty.plan = Plan(always(proxy.DROPPED, "GET"))
        with pytest.raises(StorageError, match="run again once the store answers"):
            store.get("a")
        monkeypatch.undo()
    for kept in pauses:
        longest = [0.1, 0.2, 0.4, 0.8, 1.0]
        assert len(kept) == len(longest)
        assert all(most / 2 <= pause <= most for pause, most in zip(kept, longest, strict=True))
    assert pauses[0] != pauses[1]


def test_a_part_that_never_arrives_is_sent_as_often_as_a_whole_object(
    faulty: Proxy, place: str, in_parts: None
):
    store = Store(place, QUICK)
    faulty.plan = Plan(always(proxy.INTERNAL, "PUT", "partNumber=2"))
    with pytest.raises(StorageError, match=r"upload part .*/a: .* once the store answers"):
        store.put_new("a", bytes(12 * MIB))
    assert faulty.plan.struck == {proxy.INTERNAL: QUICK.attempts}
    assert (store.uploads(), list(store.names())) == ([], [])


def test_bytes_and_requests_through_the_proxy_keep_within_limits(
    faulty: Proxy, place: str, in_parts: None
):
    data = np.random.default_rng(2).bytes(12 * MIB)
    store = Store(place, QUICK, Limits(requests=2, bytes_per_s=8.0 * MIB))
    faulty.plan = plan = Plan(lambda request: proxy.LATE)
    start = time.monotonic()
    store.put_new("a", data)
    assert store.get_range("a", 0, len(data)) == data
    seconds = time.monotonic() - start
    assert plan.size_bytes >= 24 * MIB
    assert seconds >= 0.9 * plan.size_bytes / (8 * MIB)
    assert plan.most == 2


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_jobs_on_ray_bear_a_failing_network(
    faulty: Proxy, place: str, source: Path, tmp_path: Path
):
    def run_job(name: str, *arguments: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", f"seec.jobs.{name}", *arguments, "--json"],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            check=False,
        )
        assert done.returncode == 0, name
        return json.loads(done.stdout)

    model = ("--model", str(points.MODEL), "--shard-files", "2")
    undisturbed = run_job("archive", str(source), f"{place}/undisturbed", *model)
    faulty.plan = Plan(some(SHARE, seed=4))
    disturbed = run_job("archive", str(source), f"{place}/disturbed", *model)
    assert disturbed["digest"] == undisturbed["digest"]
    assert run_job("verify", f"{place}/disturbed")["findings"] == []
    run_job("restore", f"{place}/disturbed", str(tmp_path / "out"))
    assert set(faulty.plan.struck) == set(PASSING)
    noise = {name: data for name, data in files_below(source).items() if name.endswith(b".bin")}
    back = files_below(tmp_path / "out")
    assert {name: back[name] for name in noise} == noise


def test_each_shard_takes_twelve_requests(faulty: Proxy, place: str, tmp_path: Path):
    """The figures are those of docs/stores.md."""
    counts: list[Counter[str]] = []
    for shards in (1, 4):
        write_tiny_source(tmp_path / f"{shards}", 2 * shards)
        settings = archive_job.Settings(
            str(tmp_path / f"{shards}"), f"{place}/{shards}", model=points.MODEL, shard_files=2
        )
        faulty.plan = Plan()
        points.archive_in_process(settings)
        counts.append(Counter(request.method for request in faulty.plan.requests))
    per_shard = {method: (counts[1][method] - counts[0][method]) / 3 for method in counts[1]}
    assert per_shard == {"PUT": 3, "HEAD": 6, "GET": 3, "DELETE": 0}


def test_a_restore_of_one_jpeg_reads_only_its_range(faulty: Proxy, place: str, tmp_path: Path):
    folder = tmp_path / "jpegs"
    folder.mkdir()
    for number in range(9):
        (folder / f"{number}.jpg").write_bytes(jpeg(detailed(number)))
    settings = archive_job.Settings(str(folder), place, profile="fast", jpeg=archive_job.JPEG_SEEC)
    points.archive_in_process(settings)
    opened = Archive.open(Store(place))
    (shard,) = opened.state.in_order()
    row = next(row for row in opened.rows(shard) if row.path == "4.jpg")
    assert row.route == SEEC_JPEG
    faulty.plan = Plan()
    restore_in_process(restore_job.Settings(place, str(tmp_path / "out"), ("4.jpg",)))
    assert (tmp_path / "out" / "4.jpg").read_bytes() == (folder / "4.jpg").read_bytes()
    blobs = {
        method: size for (method, path), size in faulty.plan.sizes.items() if "/blobs/" in path
    }
    assert blobs.get("GET") == row.length < shard.blob.size_bytes / 4
