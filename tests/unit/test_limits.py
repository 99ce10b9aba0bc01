"""What is asked of stores: requests in flight, bytes a second, and how commands are told."""

import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

from seec.jobs import archive, compact, copy, gc, ls, parity, repair, restore, verify
from seec.jobs.options import Rate
from seec.pipeline.storage import Limits, Source, Store, Target
from seec.pipeline.storage.limits import Gate
from tests.faults import filesystem, points
from tests.faults.filesystem import READ, Plan
from tests.sources import write_tiny_source

COMMANDS = {
    "archive": (archive, "run", ("a", "b")),
    "compact": (compact, "run", ("a",)),
    "copy": (copy, "run", ("a", "b")),
    "gc": (gc, "run", ("a",)),
    "ls": (ls, "listing", ("a",)),
    "parity": (parity, "run", ("a",)),
    "repair": (repair, "run", ("a",)),
    "restore": (restore, "run", ("a", "b")),
    "verify": (verify, "run", ("a",)),
}


class Clock:
    """Time that passes when something sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def gated(bytes_per_s: float) -> tuple[Clock, Gate]:
    clock = Clock()
    return clock, Gate(Limits(4, bytes_per_s), clock, clock.sleep)


def test_sent_and_received_bytes_take_their_time():
    clock, gate = gated(1_000_000)
    assert gate.let(lambda: None, 2_000_000) is None
    assert clock.now_s == pytest.approx(2)
    assert gate.let(lambda: bytes(3_000_000)) == bytes(3_000_000)
    assert clock.now_s == pytest.approx(5)


def test_a_store_that_is_slower_than_the_limit_is_not_waited_for():
    clock, gate = gated(1_000_000)

    def slow() -> bytes:
        clock.now_s += 10
        return bytes(1_000_000)

    gate.let(slow)
    assert clock.now_s == pytest.approx(10)
    clock.now_s += 100
    gate.let(lambda: bytes(1_000_000))
    assert clock.now_s == pytest.approx(111)


def test_small_requests_count_and_do_not_wait():
    clock, gate = gated(1_000_000)
    for _ in range(50):
        gate.let(lambda: bytes(60_000))
    assert clock.now_s == 0
    gate.let(lambda: bytes(1_000_000))
    assert clock.now_s == pytest.approx(4)


def test_bytes_of_a_failed_request_count():
    clock, gate = gated(1_000_000)
    with pytest.raises(ConnectionError):
        gate.let(_lose, 2_000_000)
    gate.let(lambda: bytes(1_000_000))
    assert clock.now_s == pytest.approx(3)


def _lose() -> None:
    raise ConnectionError


def test_requests_side_by_side_share_the_line():
    gate = Gate(Limits(4, 10_000_000))
    start = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: gate.let(lambda: bytes(1_000_000)), range(8)))
    assert 0.8 <= time.monotonic() - start < 8


def test_processes_that_share_a_limit_keep_within_it_together():
    limits, share = Limits(7, 100.0), Limits(7, 25.0)
    assert limits.shared_by(4) == share
    assert Limits(7).shared_by(4) == Limits(7)
    stores = (
        Store("memory://a", limits=limits).shared_by(4),
        Source("memory://a", limits).shared_by(4).store,
        Target("memory://a", limits).shared_by(4).store,
    )
    for store in stores:
        assert store.limits == share
        assert pickle.loads(pickle.dumps(store)).limits == share  # noqa: S301 - our own bytes


@pytest.mark.parametrize(("requests", "threads"), [(1, 6), (3, 12), (16, 4)])
def test_no_more_requests_are_in_flight_than_allowed(
    requests: int, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    in_flight, most, guard = 0, 0, threading.Lock()
    answer = filesystem.FaultyFileSystem._answer

    def counted(fs: Any, *arguments: Any) -> Any:
        nonlocal in_flight, most
        with guard:
            in_flight += 1
            most = max(most, in_flight)
        time.sleep(0.02)
        try:
            return answer(fs, *arguments)
        finally:
            with guard:
                in_flight -= 1

    monkeypatch.setattr(filesystem.FaultyFileSystem, "_answer", counted)
    # Two stores of one place are one store: a process opens it more than once.
    stores = [Store(f"faulty://{tmp_path}", limits=Limits(requests)) for _ in range(2)]

    def use(number: int) -> None:
        store = stores[number % 2]
        store.put_new(f"a/{number}", b"x" * number)
        assert store.get(f"a/{number}") == b"x" * number
        assert store.get_range(f"a/{number}", 0, 1) == b"x"[:number]
        store.listed("a")
        store.remove(f"a/{number}")

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(use, range(threads)))
    assert most == min(requests, threads)


def test_a_whole_verification_keeps_within_its_limit(tmp_path: Path):
    write_tiny_source(tmp_path / "source", 4)
    for index in range(4):
        noise = np.random.default_rng(index).bytes(600_000)
        (tmp_path / "source" / f"{index}.bin").write_bytes(noise)
    settings = archive.Settings(
        str(tmp_path / "source"), str(tmp_path / "archive"), model=points.MODEL, shard_files=2
    )
    points.archive_in_process(settings)
    rate_bytes_per_s = 2_000_000.0
    limited = verify.Settings(
        f"faulty://{tmp_path}/archive", limits=Limits(bytes_per_s=rate_bytes_per_s)
    )
    with filesystem.plan(Plan()) as plan:
        start = time.monotonic()
        assert points.verify_in_process(limited).exit_code == 0
        seconds = time.monotonic() - start
    size_bytes = sum(_size_bytes(request) for request in plan.requests if request.verb == READ)
    assert size_bytes > rate_bytes_per_s
    assert seconds >= 0.9 * size_bytes / rate_bytes_per_s


def _size_bytes(request: filesystem.Request) -> int:
    size = Path(request.path).stat().st_size
    return size if request.end is None else min(size, request.end) - (request.start or 0)


@pytest.mark.parametrize("name", COMMANDS)
def test_flag_environment_and_file_set_the_limits(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    module, function, arguments = COMMANDS[name]
    seen: list[Limits] = []

    def run(settings: Any) -> Any:
        seen.append(settings.limits)
        raise click.UsageError("far enough")

    monkeypatch.setattr(module, function, run)
    config = tmp_path / "seec.toml"
    config.write_text('store-concurrency = 3\nbandwidth = "1MiB/s"\n')
    prefix = f"SEEC_{name.upper()}"

    def limits(*more: str, **environment: str) -> Limits:
        CliRunner().invoke(module.main, [*arguments, *more], env=environment)
        return seen.pop()

    assert limits() == Limits()
    assert limits("--config", str(config)) == Limits(3, 2.0**20)
    environment = {f"{prefix}_STORE_CONCURRENCY": "4", f"{prefix}_BANDWIDTH": "2.5 MB/s"}
    assert limits("--config", str(config), **environment) == Limits(4, 2_500_000.0)
    flags = ("--store-concurrency", "5", "--bandwidth", "1GB/s")
    assert limits(*flags, **environment) == Limits(5, 1e9)


@pytest.mark.parametrize("text", ["", "7", "MB/s", "0MB/s", "-1MB/s", "1.5.2MB/s", "1MB", "x1kB/s"])
def test_other_text_than_a_rate_is_wrong_use(text: str):
    result = CliRunner().invoke(verify.main, ["a", "--bandwidth", text])
    assert result.exit_code == 2
    assert "is not a number and one of kB/s, MB/s" in result.stderr
    assert Rate().convert("100kB/s", None, None) == 100_000
