"""Two processes that archive into one place at the same time; real ones, without Ray."""

import multiprocessing
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seec.jobs import archive as archive_job
from seec.jobs.exit_codes import ExitCode, exit_code_of
from seec.pipeline.archive import Archive
from seec.pipeline.archive.catalogue import current_rows
from seec.pipeline.storage import Store
from seec.schemas.errors import SeecError
from tests.faults import filesystem, points
from tests.faults.filesystem import Plan
from tests.faults.sweep import findings
from tests.faults.swept import write_source

_SPAWN = multiprocessing.get_context("spawn")
FILES = 10


def _write(source: str, url: str, careless: bool, barrier: Any, sink: Any) -> None:
    """A process that archives; sends its exit code and, if it failed, why."""
    settings = archive_job.Settings(source, url, model=points.MODEL, shard_files=1)
    barrier.wait()
    with filesystem.plan(Plan(careless=careless)):
        try:
            summary = points.archive_in_process(settings)
        except SeecError as error:
            sink.put((int(exit_code_of(error)), str(error)))
        else:
            sink.put((int(summary.exit_code), ""))


def both(source: Path, urls: list[str], careless: bool = False) -> list[tuple[int, str]]:
    """Exit codes and messages of processes that begin at the same moment, one for each URL."""
    barrier, sink = _SPAWN.Barrier(len(urls)), _SPAWN.Queue()
    processes = [
        _SPAWN.Process(target=_write, args=(str(source), url, careless, barrier, sink))
        for url in urls
    ]
    for process in processes:
        process.start()
    ended = [sink.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    return sorted(ended)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("two") / "source"
    write_source(root)
    return root


@pytest.fixture(scope="module")
def digest(source: Path) -> str:
    """Of the archive that one writer makes."""
    url = str(source.with_name("alone"))
    assert both(source, [url]) == [(ExitCode.INCOMPLETE, "")]
    return Archive.open(Store(url)).digest()


def expect_whole(url: str, ended: list[tuple[int, str]], digest: str) -> None:
    """Each writer has finished, or stopped since there was another; nothing lost or twice."""
    codes = [code for code, _ in ended]
    assert codes[0] == ExitCode.INCOMPLETE, ended
    for code, message in ended[1:]:
        assert code == ExitCode.INCOMPLETE or (code == ExitCode.LOCKED and "writ" in message), ended
    opened = Archive.open(Store(url))
    assert opened.digest() == digest
    assert opened.state.open_run is None
    paths = [row.path for _, rows in current_rows(opened) for row in rows]
    assert len(paths) == len(set(paths)) == FILES - 1
    assert len(opened.state.runs) == 1
    assert findings(url) == []


@pytest.mark.parametrize("kind", ["local", pytest.param("far", marks=pytest.mark.slow), "s3"])
def test_two_writers_lose_nothing_and_write_nothing_twice(
    kind: str, source: Path, digest: str, tmp_path: Path, request: pytest.FixtureRequest
):
    make: dict[str, Callable[[], str]] = {
        "local": lambda: str(tmp_path / "archive"),
        "far": lambda: f"faulty://{tmp_path}/archive",
        "s3": lambda: f"{request.getfixturevalue('s3_url')}/{uuid.uuid4()}",
    }
    url = make[kind]()
    expect_whole(url, both(source, [url, url]), digest)


def test_on_a_store_that_replaces_silently_one_of_two_writers_gives_way(
    source: Path, digest: str, tmp_path: Path
):
    url = f"faulty://{tmp_path}/archive"
    ended = both(source, [url, url, url], careless=True)
    expect_whole(url, ended, digest)
    assert list(Store(url).names("locks")) == []
