"""A tar of any size in a bucket, into an archive beside it and back, by jobs that are killed.

`python -m tests.torture.large_tar MEGABYTES [DIR]` starts an S3 server with its data in DIR and
sends it a tar of films and images, which is never on disk or in memory as a whole. A job that is
killed twice by SIGKILL, and run again, archives the tar. The archive is verified, one member is
read out of it, and it is restored into the bucket. Then another job archives the tar undisturbed:
both archives must have the same digest. The memory of all processes of each job is measured as it
runs. Linux only. The bucket takes four times the size of the tar.
"""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from unittest.mock import patch

import fsspec
import numpy as np
import psutil
from PIL import Image

from seec.jobs.exit_codes import ExitCode
from seec.pipeline.archive import Archive
from seec.pipeline.archive.planning import quarantined_files
from seec.pipeline.lab.benchmark.markdown import table
from seec.pipeline.storage import Store
from seec.schemas.plan import PlanSettings
from tests.jpegs import detailed
from tests.object_store import BUCKET, s3_server

HEADINGS = ("step", "s", "driver, MB", "a worker, MB", "Ray itself, MB", "all together, MB")
MOST_BYTES = 1_500_000_000  # of the driver, and of each worker
NAME = "films.tar"
# A film of the third size is larger than a piece, one of the last than any member that stays whole.
_FILM_BYTES = (2 << 20, 9 << 20, 30 << 20, 90 << 20)
_JPEGS, _PNGS = 6, 1  # behind each film
_CHUNK_BYTES = 8 << 20
_POLL_S = 0.5
_RAY = ("raylet", "gcs_server", "ray/dashboard", "ray/_private", "ray/core")
_READ = """
import sys, time
start = time.perf_counter()
import seec
data = seec.open(sys.argv[1]).read(sys.argv[2])
print(len(data), time.perf_counter() - start)
"""


# ---------------------------------------------------------------- the tar


def images(film: int) -> Iterator[tuple[str, bytes]]:
    """Images of a film: the same picture, each time a little brighter, moved or noisier."""
    rng = np.random.default_rng(film)
    base = np.tile(detailed(film % 7), (2, 2, 1)).astype(np.int16)
    for number in range(_JPEGS + _PNGS):
        moved = np.roll(base, 5 * number + film, axis=(0, 1))
        noise = rng.integers(-number, number + 1, base.shape)
        picture = np.clip(moved + noise + film % 32, 0, 255).astype(np.uint8)
        is_png = number >= _JPEGS
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG" if is_png else "JPEG", quality=90)
        yield f"{film:05d}/{number:02d}.{'png' if is_png else 'jpg'}", file.getvalue()


def tar_chunks(size_bytes: int) -> Iterator[bytes]:
    """A tar of about this size, the same for the same size; at most 8 MiB at a time."""
    sent = film = 0
    while sent < size_bytes:
        length = min(_FILM_BYTES[film % len(_FILM_BYTES)], size_bytes - sent)
        for chunk in _film(film, length):
            sent += len(chunk)
            yield chunk
        for name, data in images(film):
            sent += len(data)
            yield _header(name, len(data)) + data + bytes(-len(data) % tarfile.BLOCKSIZE)
        film += 1
    yield bytes(2 * tarfile.BLOCKSIZE)


def _film(number: int, length: int) -> Iterator[bytes]:
    yield _header(f"{number:05d}/film.mp4", length)
    rng = np.random.default_rng(1_000_000 + number)
    for start in range(0, length, _CHUNK_BYTES):
        yield rng.bytes(min(_CHUNK_BYTES, length - start))
    yield bytes(-length % tarfile.BLOCKSIZE)


def _header(name: str, size_bytes: int) -> bytes:
    one = tarfile.TarInfo(name)
    one.size = size_bytes
    return one.tobuf()


def send(url: str, size_bytes: int) -> str:
    """Write the tar to an object, part by part. Returns its SHA-256, in hex."""
    whole = hashlib.sha256()
    fs: Any = fsspec.filesystem("s3")
    with fs.open(url, "wb", block_size=4 * _CHUNK_BYTES) as target:
        for chunk in tar_chunks(size_bytes):
            whole.update(chunk)
            target.write(chunk)
    return whole.hexdigest()


def digest_of(store: Store, name: str) -> str:
    """The SHA-256 of an object, in hex; read in parts."""
    whole, size_bytes = hashlib.sha256(), store.size(name)
    for start in range(0, size_bytes, _CHUNK_BYTES):
        whole.update(store.get_range(name, start, min(_CHUNK_BYTES, size_bytes - start)))
    return whole.hexdigest()


# ---------------------------------------------------------------- a job, measured


@dataclass
class Peaks:
    """The most memory, in bytes, of a job so far.

    driver, ray: resident; ray is the largest process that Ray needs for itself. worker: what the
    largest worker shares with no other: the rest is Ray's store of objects, which each of them
    maps. together: of all processes, with what they share counted once.
    """

    driver: int = 0
    worker: int = 0
    ray: int = 0
    together: int = 0

    def look(self, driver: psutil.Process) -> None:
        """Take note of what a process and all that descend from it take now."""
        together = 0
        for process in family(driver):
            with suppress(psutil.Error):
                memory, command = process.memory_full_info(), " ".join(process.cmdline())
                together += memory.pss
                if process == driver:
                    self.driver = max(self.driver, memory.rss)
                elif any(part in command for part in _RAY):
                    self.ray = max(self.ray, memory.rss)
                else:
                    self.worker = max(self.worker, memory.uss)
        self.together = max(self.together, together)

    def cells(self) -> Sequence[str]:
        """As the last of `HEADINGS`, in megabytes."""
        sizes = (self.driver, self.worker, self.ray, self.together)
        return [f"{size / 1e6:,.0f}" for size in sizes]


def family(process: psutil.Process) -> list[psutil.Process]:
    """A process and all that descend from it."""
    with suppress(psutil.Error):
        return [process, *process.children(recursive=True)]
    return []


@dataclass(frozen=True)
class Step:
    """What came of a process. exit_code: negative where it was killed."""

    name: str
    exit_code: int
    output: str
    seconds: float
    peaks: Peaks

    def row(self) -> Sequence[str]:
        """As `HEADINGS` says."""
        return self.name, f"{self.seconds:,.0f}", *self.peaks.cells()


def run(
    name: str,
    arguments: Sequence[str],
    kill: Callable[[psutil.Process], bool] = lambda driver: False,
) -> Step:
    """Run Python with arguments, and measure it. kill: whether it killed the process by now."""
    start, peaks = time.monotonic(), Peaks()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen([sys.executable, *arguments], stdout=output)
        driver = psutil.Process(process.pid)
        while process.poll() is None:
            peaks.look(driver)
            if kill(driver):
                break
            time.sleep(_POLL_S)
        exit_code = process.wait()
        output.seek(0)
        text = output.read().decode()
    return Step(name, exit_code, text, time.monotonic() - start, peaks)


def kill_driver(driver: psutil.Process) -> None:
    """Kill a driver alone, and wait until what it started has noticed."""
    others = family(driver)[1:]
    driver.kill()
    psutil.wait_procs(others, timeout=120)


def kill_all(driver: psutil.Process) -> None:
    """Kill a driver and all that it started, as a machine does that loses power."""
    for process in family(driver):
        with suppress(psutil.Error):
            process.kill()


class AtCommit:
    """Kills a job once its archive has so many commits."""

    def __init__(self, url: str, commits: int, kill: Callable[[psutil.Process], None]) -> None:
        self._url, self._commits, self._kill = url, commits, kill

    def __call__(self, driver: psutil.Process) -> bool:
        """As `kill` of `run`."""
        if _commits(self._url) < self._commits:
            return False
        self._kill(driver)
        return True


def _commits(url: str) -> int:
    return sum(1 for _ in Store(url).names("commits/"))


# ---------------------------------------------------------------- all of it


def steps(url: str, size_bytes: int, wrong: list[str]) -> Iterator[Step]:
    """Each step as it is done; what is not as it has to be goes into `wrong`."""
    source, restored = Store(f"{url}/source"), Store(f"{url}/restored")
    plain, killed = f"{url}/undisturbed", f"{url}/killed"
    start = time.monotonic()
    digest = send(f"{source.url}/{NAME}", size_bytes)
    yield Step("send the tar", 0, "", time.monotonic() - start, Peaks())

    def job(
        step: str,
        name: str,
        *arguments: str,
        kill: Callable[[psutil.Process], bool] = lambda driver: False,
        ends_with: int = ExitCode.OK,
    ) -> Step:
        done = run(step, ["-m", f"seec.jobs.{name}", *arguments], kill)
        if done.exit_code != ends_with:
            wrong.append(f"{step}: ended with {done.exit_code}, not {ends_with}")
        return done

    def archive(step: str, target: str, **options: Any) -> Step:
        how = ("--profile", "fast", "--jpeg", "seec")
        return job(step, "archive", source.url, target, *how, **options)

    shards = source.size(NAME) // PlanSettings(model_id="").shard_size_bytes
    for number, kill in enumerate((kill_driver, kill_all), 1):
        commits = max(1 + _commits(killed), number * shards // 3)
        at = AtCommit(killed, commits, kill)
        yield archive(f"archive, killed at {number}/3", killed, kill=at, ends_with=-9)
    yield archive("archive, the rest", killed)
    wrong += [f"in quarantine: {path}" for path in quarantined_files(Archive.open(Store(killed)))]
    yield job("verify", "verify", killed)
    yield _member_read(killed, wrong)
    yield job("restore", "restore", killed, restored.url)
    if digest_of(restored, NAME) != digest:
        wrong.append("the tar came back as another file")
    yield archive("archive, undisturbed", plain)
    one, other = (Archive.open(Store(place)).digest() for place in (plain, killed))
    if one != other:
        wrong.append("the two archives have different digests")


def _member_read(archive: str, wrong: list[str]) -> Step:
    name, data = next(one for one in images(1) if one[0].endswith(".png"))
    done = run("read one member", ["-c", _READ, archive, f"{NAME}/{name}"])
    size, seconds = done.output.split() or ("0", "0")
    if int(size) != len(data):
        wrong.append(f"read one member: {size} bytes, not {len(data)}")
    return Step(done.name, done.exit_code, done.output, float(seconds), done.peaks)


def main(folder: Path, size_bytes: int, tell: Callable[[str], None]) -> list[str]:
    """Do all of it with a server in a folder. tell: gets lines of a table. Returns what is wrong.

    `PlanSettings.piece_size_bytes` decides how many pieces the tar has.
    """
    wrong: list[str] = []
    with s3_server(folder) as clients, patch.dict(os.environ, clients):
        pieces = -(-size_bytes // PlanSettings(model_id="").piece_size_bytes)
        tell(f"a tar of {size_bytes:,} bytes in {pieces} pieces\n")
        for line in table(HEADINGS, rows(steps(f"s3://{BUCKET}", size_bytes, wrong), wrong)):
            tell(line)
    return wrong


def rows(taken: Iterable[Step], wrong: list[str]) -> Iterator[Sequence[str]]:
    """Rows of a table with HEADINGS; `wrong` gets the processes that took too much memory."""
    for step in taken:
        for what, most in (("driver", step.peaks.driver), ("a worker", step.peaks.worker)):
            if most > MOST_BYTES:
                wrong.append(f"{step.name}: {what} takes {most:,} bytes")
        yield step.row()


def start(job: Callable[[Path, int, Callable[[str], None]], list[str]]) -> NoReturn:
    """Run a `main` with the arguments MEGABYTES and DIR, and exit; 1 if anything is wrong."""
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    finish(folder, lambda place, tell: job(place, int(sys.argv[1]) * 10**6, tell))


def finish(
    folder: Path | None, job: Callable[[Path, Callable[[str], None]], list[str]]
) -> NoReturn:
    """Run a job in a folder, and exit; 1 if anything is wrong. None: in one that does not last.

    job: gets the folder, and what prints a line; returns what is wrong.
    """
    with tempfile.TemporaryDirectory() as place:
        kept = folder or Path(place)
        kept.mkdir(parents=True, exist_ok=True)
        found = job(kept, _print)
    _print("\n".join(["", *found]) if found else "\nall as it has to be")
    sys.exit(bool(found))


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    start(main)
