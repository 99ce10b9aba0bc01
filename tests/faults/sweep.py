"""Kill jobs at each of their write points: `python -m tests.faults.sweep`.

After each kill the archive opens and is no more damaged than before, and a rerun ends with the
objects of an undisturbed job, byte for byte, once gc has removed what was left: also if gc ran
between kill and rerun.
"""

import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from seec.jobs import gc
from seec.jobs.exit_codes import ExitCode
from seec.jobs.progress import progress
from seec.pipeline.archive.gc import survey
from seec.pipeline.codec import load_model
from seec.pipeline.storage import Store
from seec.pipeline.verify.records import check_records
from seec.pipeline.verify.shards import check_images, check_shard
from seec.schemas.archive import model_name
from seec.schemas.errors import FixityError, FormatError, NotAnArchive
from tests.faults import points
from tests.faults.swept import JOBS, Job


@dataclass(frozen=True)
class Undisturbed:
    """A job, what must lie in its archive in the end, as of `contents`, and its points."""

    job: Job
    contents: dict[str, str]
    labels: list[str]


@dataclass(frozen=True)
class Failure:
    """What a kill did that it must not."""

    point: int
    label: str
    reason: str


def undisturbed(job: Job, folder: Path) -> Undisturbed:
    """Do a job. folder: an empty one."""
    root = folder / "undisturbed"
    job.begin(root)
    code, labels = job.run(root, None)
    assert code in job.codes, code
    assert points.gc(root)[0] == ExitCode.OK
    assert findings(root) == []
    job.check(root)
    return Undisturbed(job, contents(root), labels)


@contextmanager
def memory_folder() -> Iterator[Path]:
    """A folder in memory where there is such, else on disk: gone after the block.

    A killed process loses nothing that it wrote, synced or not, so both are the same here.
    """
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


def objects(root: Path) -> list[str]:
    """Names of all that lies in an archive, reports aside."""
    names = (item.name for item in Store(str(root)).listed())
    return [name for name in names if not name.startswith("reports/")]


def contents(root: Path) -> dict[str, str]:
    """Hex SHA-256 of each of these, by name."""
    return {n: hashlib.sha256((root / n).read_bytes()).hexdigest() for n in objects(root)}


def findings(root: Path | str) -> list[str]:
    """What `seec verify` would find, every image decoded, without Ray."""
    store = Store(str(root))
    records = check_records(store)
    names = map(model_name, {name for shard in records.shards for name in shard.models})
    models = [store.get(name) for name in names if store.exists(name)]
    loaded = {model.id: model for model in map(load_model, models)}
    checked = list(records.checked)
    for shard in records.shards:
        check = check_shard(store, shard)
        ready = [row for row in check.sound if row.model_id is None or row.model_id in loaded]
        checked += [*check.checked, check_images(store, shard.blob.name, ready, loaded)]
    return [f"{item.object}: {found.kind}" for item in checked for found in item.findings]


def kill_at(point: int, expected: Undisturbed, folder: Path) -> str | None:
    """Kill a job there and finish it, without and with gc in between. What is wrong, if anything.

    folder: a new one, removed in the end.
    """
    killed, collected = folder / "killed", folder / "collected"
    folder.mkdir()
    try:
        expected.job.begin(killed)
        code, _ = expected.job.run(killed, point)
        if code != -signal.SIGKILL:
            return f"ended with {code} before it was killed"
        if _exists(killed):
            found = [text for text in findings(killed) if _object(text) not in expected.job.damaged]
            if found:
                return f"damaged when it was killed: {found}"
        killed.mkdir(parents=True, exist_ok=True)
        shutil.copytree(killed, collected)
        if _can_collect(collected):
            code, _ = points.gc(collected)
            if code != ExitCode.OK:
                return f"gc between kill and rerun ended with {code}"
        return _finish(killed, expected) or _finish(collected, expected, "after gc: ")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _object(finding: str) -> str:
    return finding.partition(": ")[0]


def _exists(root: Path) -> bool:
    try:
        check_records(Store(str(root)))
    except NotAnArchive:
        return False
    return True


def _can_collect(root: Path) -> bool:
    """Whether gc may run: it refuses where a commit is damaged."""
    try:
        survey(Store(str(root)), older_than_s=0)
    except (NotAnArchive, FormatError, FixityError):
        return False
    return True


def _finish(root: Path, expected: Undisturbed, when: str = "") -> str | None:
    code, _ = expected.job.run(root, None)
    if code not in expected.job.codes:
        return f"{when}the rerun ended with {code}"
    gc.run(gc.Settings(str(root), delete=True, older_than_s=0))
    if found := findings(root):
        return f"{when}damaged in the end: {found}"
    if difference := contents(root).items() ^ expected.contents.items():
        return f"{when}missing, left over or different: {sorted(difference)}"
    return None


def sweep(
    expected: Undisturbed,
    chosen: Iterable[int],
    folder: Path,
    on_point: Callable[[], None] = lambda: None,
) -> list[Failure]:
    """Kill a job at each of these points. folder: for the archives that this makes."""
    failures: list[Failure] = []
    for point in chosen:
        wrong = kill_at(point, expected, folder / f"{point:04d}")
        if wrong is not None:
            failures.append(Failure(point, expected.labels[point], wrong))
        on_point()
    return failures


def _sweep_job(name: str, folder: Path, sample: int | None, seed: int) -> tuple[int, int]:
    """Sweep one job and print what came of it; how many kills, and how many failures."""
    start = time.monotonic()
    folder.mkdir()
    expected = undisturbed(JOBS[name](folder), folder)
    chosen = range(len(expected.labels))
    if sample is not None:
        chosen = sorted(random.Random(seed).sample(chosen, min(sample, len(chosen))))
    with progress(name, len(chosen), "points") as shown:
        failures = sweep(expected, chosen, folder, shown.advance)
    for failure in failures:
        click.echo(f"{name}, point {failure.point}, {failure.label}: {failure.reason}")
    steps = Counter(label.rpartition(" ")[0] for label in expected.labels)
    click.echo(", ".join(f"{count} {step}" for step, count in sorted(steps.items())))
    click.echo(
        f"{name}: {len(expected.labels)} write points, killed at {len(chosen)} of them, "
        f"{len(failures)} failures, in {time.monotonic() - start:.0f} s"
    )
    return len(chosen), len(failures)


@click.command()
@click.argument("jobs", nargs=-1, type=click.Choice(list(JOBS)))
@click.option("--sample", type=int, help="Only so many points of each job, picked by --seed.")
@click.option("--seed", type=int, default=0)
def main(jobs: tuple[str, ...], sample: int | None, seed: int) -> None:
    """Kill JOBS, by default all, at each of their write points, and prove that nothing is lost."""
    with memory_folder() as folder:
        done = [_sweep_job(name, folder / name, sample, seed) for name in jobs or JOBS]
    kills, failures = map(sum, zip(*done, strict=True))
    click.echo(f"{kills} kills, {failures} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
