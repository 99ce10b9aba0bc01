"""Kill an archiving run at each of its write points: `python -m tests.faults.sweep`.

After each kill the archive opens and is sound, and a rerun ends with the digest and the objects of
an undisturbed run once gc has removed what was left: also if gc ran between kill and rerun.
"""

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

from jobs import gc
from jobs.interface import ExitCode, progress
from pipeline.archive import Archive
from pipeline.codec import load_model
from pipeline.storage import Store
from pipeline.verify.records import check_records
from pipeline.verify.shards import check_images, check_shard
from schemas.errors import NotAnArchive
from schemas.manifest import JPEGXL_JPEG, SEEC, STORE
from tests.faults import points
from tests.jpegs import detailed, jpeg
from tests.pictures import gray, textured
from tests.sources import image_bytes


@dataclass(frozen=True)
class Undisturbed:
    """An archive as it must be in the end. labels: of the points of the run that made it."""

    source: Path
    digest: str
    names: list[str]
    labels: list[str]


@dataclass(frozen=True)
class Failure:
    """What a kill did that it must not."""

    point: int
    label: str
    reason: str


def write_source(root: Path) -> None:
    """Ten files for five shards: all codecs, and one file that goes to quarantine."""
    root.mkdir()
    for index in range(4):
        (root / f"{index}.bin").write_bytes(bytes(range(index, index + 200)))
    (root / "1.bin").write_bytes(b"compressible " * 100)
    (root / "4.jpg").write_bytes(jpeg(detailed()[:72, :90]))
    (root / "5.png").write_bytes(image_bytes(textured(16, 20), "PNG"))
    os.mkfifo(root / "6.png")
    (root / "7.png").write_bytes(image_bytes(gray(16, 20), "PNG"))
    (root / "8.bmp").write_bytes(image_bytes(textured(12, 16, 8), "BMP"))
    (root / "9.txt").write_bytes(b"")


def undisturbed(folder: Path) -> Undisturbed:
    """Make the source and its archive. folder: an empty one."""
    source, root = folder / "source", folder / "undisturbed"
    write_source(source)
    code, labels = points.archive(source, root)
    assert code == ExitCode.QUARANTINE
    assert findings(root) == []
    opened = Archive.open(Store(str(root)))
    codecs = Counter(row.codec for shard in opened.state.in_order() for row in opened.rows(shard))
    assert codecs == {SEEC: 3, JPEGXL_JPEG: 1, STORE: 5}, codecs
    assert opened.state.sequence > points.CHECKPOINT_EVERY
    assert gc.run(gc.Settings(str(root), older_than_s=0)).garbage == ()
    return Undisturbed(source, opened.digest(), objects(root), labels)


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


def findings(root: Path | str) -> list[str]:
    """What `seec verify` would find, every image decoded, without Ray."""
    store = Store(str(root))
    records = check_records(store)
    models = {run.model.name: store.get(run.model.name) for run in records.state.runs.values()}
    loaded = {model.id: model for model in map(load_model, models.values())}
    checked = list(records.checked)
    for shard in records.shards:
        check = check_shard(store, shard)
        checked += [*check.checked, check_images(store, shard.blob.name, check.sound, loaded)]
    return [f"{item.object}: {found.kind}" for item in checked for found in item.findings]


def kill_at(point: int, expected: Undisturbed, folder: Path) -> str | None:
    """Kill a run there and finish it, without and with gc in between. What is wrong, if anything.

    folder: a new one, removed in the end.
    """
    killed, collected = folder / "killed", folder / "collected"
    try:
        code, _ = points.archive(expected.source, killed, point)
        if code != -signal.SIGKILL:
            return f"ended with {code} before it was killed"
        if _opens(killed) and (found := findings(killed)):
            return f"damaged when it was killed: {found}"
        killed.mkdir(parents=True, exist_ok=True)
        shutil.copytree(killed, collected)
        if _opens(collected):
            code, _ = points.gc(collected)
            if code != ExitCode.OK:
                return f"gc between kill and rerun ended with {code}"
        return _finish(killed, expected) or _finish(collected, expected, "after gc: ")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _opens(root: Path) -> bool:
    try:
        Archive.open(Store(str(root)))
    except NotAnArchive:
        return False
    return True


def _finish(root: Path, expected: Undisturbed, when: str = "") -> str | None:
    code, _ = points.archive(expected.source, root)
    if code != ExitCode.QUARANTINE:
        return f"{when}the rerun ended with {code}"
    if Archive.open(Store(str(root))).digest() != expected.digest:
        return f"{when}another digest"
    gc.run(gc.Settings(str(root), delete=True, older_than_s=0))
    if found := findings(root):
        return f"{when}damaged in the end: {found}"
    if difference := set(objects(root)) ^ set(expected.names):
        return f"{when}missing or left over: {sorted(difference)}"
    return None


def sweep(
    expected: Undisturbed,
    chosen: Iterable[int],
    folder: Path,
    on_point: Callable[[], None] = lambda: None,
) -> list[Failure]:
    """Kill a run at each of these points. folder: for the archives that this makes."""
    failures: list[Failure] = []
    for point in chosen:
        wrong = kill_at(point, expected, folder / f"{point:04d}")
        if wrong is not None:
            failures.append(Failure(point, expected.labels[point], wrong))
        on_point()
    return failures


@click.command()
@click.option("--sample", type=int, help="Only so many points, picked by --seed.")
@click.option("--seed", type=int, default=0)
def main(sample: int | None, seed: int) -> None:
    """Kill an archiving run at each of its write points, and prove that nothing is lost."""
    start = time.monotonic()
    with memory_folder() as folder:
        expected = undisturbed(folder)
        chosen = range(len(expected.labels))
        if sample is not None:
            chosen = sorted(random.Random(seed).sample(chosen, sample))
        with progress("sweep", len(chosen), "points") as shown:
            failures = sweep(expected, chosen, folder, shown.advance)
    for failure in failures:
        click.echo(f"point {failure.point}, {failure.label}: {failure.reason}")
    steps = Counter(label.rpartition(" ")[0] for label in expected.labels)
    click.echo(", ".join(f"{count} {step}" for step, count in sorted(steps.items())))
    click.echo(
        f"{len(expected.labels)} write points, killed at {len(chosen)} of them, "
        f"{len(failures)} failures, in {time.monotonic() - start:.0f} s"
    )
    click.echo(f"archive digest {expected.digest}")
    sys.exit(bool(failures))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
