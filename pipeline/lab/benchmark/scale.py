"""What grows with the file count: `python -m seec.pipeline.lab.benchmark.scale FOLDER ROWS...`.

For each number of rows two archives are made in FOLDER (kept, so that a second run only measures),
through the same functions as an archiving run but for Ray: one of that many tiny stored files, and
one of a single file in pieces with that many members. Then each operation runs in a process of its
own, and its time by the clock, its CPU time and its peak memory are printed. Those of a command
hold its start and imports, with compiled modules as they are after an installation. Linux only:
memory is read from /proc.
"""

import hashlib
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from seec.pipeline.archive.archive import Archive
from seec.pipeline.archive.catalogue import sorted_rows
from seec.pipeline.archive.known_files import known_files
from seec.pipeline.archive.pieces import pieces_in
from seec.pipeline.archive.planning import new_files, seen_files
from seec.pipeline.archive.runs import missing_shards, open_run
from seec.pipeline.archive.shard import write_shard
from seec.pipeline.codec import default_model
from seec.pipeline.lab.benchmark.markdown import table
from seec.pipeline.lab.benchmark.process import size_bytes, status
from seec.pipeline.reading import open_archive
from seec.pipeline.routes.writing import framed, stored_entry
from seec.pipeline.storage import Store
from seec.schemas.archive import shard_name
from seec.schemas.commit import RunRecord, SourceRecord
from seec.schemas.pieces import piece_with, serialise_pieces
from seec.schemas.plan import Plan, PlanSettings, SourceFile
from seec.schemas.routes import PIECES, SPANS
from seec.schemas.rows import Entry, Row
from seec.schemas.spans import serialise_gaps

_PER_FOLDER = 1000  # files of a folder of the synthetic source
_PER_PIECE = 1000  # members of a piece
_MEMBER_BYTES, _PIECE_BYTES = 16, 16 << 20
_LARGE = "large.tar"
_OF_MEMBERS = "-members"  # behind the name of the archive of files


def source_files(rows: int) -> list[SourceFile]:
    """The listing of a synthetic source: `000000/000000000.png` and on, sorted by path."""
    return [SourceFile(_path(i), 16, 1_700_000_000_000_000_000 + i) for i in range(rows)]


def _path(number: int) -> str:
    return f"{number // _PER_FOLDER:06d}/{number:09d}.png"


def make_archive(store: Store, rows: int) -> None:
    """Make an archive of so many files, or finish making it."""
    archive = Archive.open_or_create(store, b"A synthetic archive.\n")
    run = archive.state.last_run or _open_run(archive, rows)
    plan = archive.plan(run)
    for index in missing_shards(archive, run):
        entries = [
            stored_entry(file, f"{file.path[-16:]:>16}".encode(), "synthetic")
            for file in plan.shard(index)
        ]
        archive.commit(shards=(write_shard(store, shard_name(run.run_id, index), entries, ()),))


def _open_run(archive: Archive, rows: int) -> RunRecord:
    settings = PlanSettings(model_id=default_model().id)
    return open_run(archive, SourceRecord("/synthetic"), source_files(rows), settings)


def make_archive_of_members(store: Store, rows: int) -> None:
    """Make an archive of one file in pieces of 1000 members, or finish making it."""
    archive = Archive.open_or_create(store, b"A synthetic archive.\n")
    pieces = -(-rows // _PER_PIECE)
    run = archive.state.last_run
    if run is None:
        whole = SourceFile(_LARGE, pieces * _PIECE_BYTES, 1_700_000_000_000_000_000, pieces=pieces)
        files = [*(replace(whole, piece=number) for number in range(pieces)), whole]
        settings = PlanSettings(model_id=default_model().id)
        run = open_run(archive, SourceRecord("/synthetic"), files, settings)
    plan = archive.plan(run)
    for index in missing_shards(archive, run):
        entries = [
            _piece(file.piece) if file.piece is not None else _whole(archive, run, pieces)
            for file in plan.shard(index)
        ]
        archive.commit(shards=(write_shard(store, shard_name(run.run_id, index), entries, ()),))


def _piece(number: int) -> Entry:
    """A piece that is nothing but members."""
    names = (f"{_LARGE}/{number * _PER_PIECE + i:09d}.png" for i in range(_PER_PIECE))
    parts = [
        stored_entry(SourceFile(name, _MEMBER_BYTES, None), name[-_MEMBER_BYTES:].encode(), None)
        for name in names
    ]
    gaps = framed(serialise_gaps(b"", b""))
    members = tuple(
        replace(one.row, start=_MEMBER_BYTES * at, reason="synthetic")
        for at, one in enumerate(parts)
    )
    content = b"".join(bytes(one.payload) for one in parts)
    row = Row(
        path=_LARGE,
        source_size_bytes=len(content),
        source_mtime_ns=1_700_000_000_000_000_000,
        source_digest=hashlib.sha256(content).digest(),
        route=SPANS,
        length=len(gaps),
        blob_digest=hashlib.sha256(gaps).digest(),
        members=members,
        start=number * len(content),
        piece=number,
    )
    return Entry(row, gaps + content)


def _whole(archive: Archive, run: RunRecord, pieces: int) -> Entry:
    """The row of the file that all pieces make."""
    rows = [
        row
        for shard in archive.state.shards_of(run.run_id)
        for row in pieces_in(archive.store, shard, _LARGE)
    ]
    rows.sort(key=lambda row: row.piece or 0)
    sizes = [
        piece_with(row.shard, row.source_size_bytes, row.source_digest, row.member_names)
        for row in rows
    ]
    payload = serialise_pieces(sizes)
    row = Row(
        path=_LARGE,
        source_size_bytes=sum(piece.size_bytes for piece in sizes),
        source_mtime_ns=rows[0].source_mtime_ns,
        source_digest=bytes(32),  # nobody reads the whole file
        route=PIECES,
        length=len(payload),
        blob_digest=hashlib.sha256(payload).digest(),
    )
    return Entry(row, payload)


# ---------------------------------------------------------------- what is measured


def _open(url: str, rows: int) -> int:
    return len(Archive.open(Store(url)).state.shards)


def _plan(url: str, rows: int) -> int:
    """What a second run plans where one file in a thousand changed."""
    listing = [
        SourceFile(file.path, file.size_bytes, (file.mtime_ns or 0) + (i % 1000 == 0))
        for i, file in enumerate(source_files(rows))
    ]
    return len(new_files(listing, seen_files(Archive.open(Store(url))), {}, set()))


def _share(url: str, rows: int) -> int:
    """What a new file may share where all archived files have its size."""
    plan = Plan.of(PlanSettings(model_id=""), {0: [SourceFile("new", 16, None)]})
    found = known_files(Archive.open(Store(url)), "", plan, [0])
    return 0 if found is None else len(found.marks)


def _list(pattern: str) -> Callable[[str, int], int]:
    def run(url: str, rows: int) -> int:
        archive = Archive.open(Store(url))
        return sum(1 for _ in sorted_rows(archive, (pattern,)))

    return run


def _cat(url: str, rows: int) -> int:
    """One file by its path, in a process of its own, whose start counts."""
    return _cat_path(url, _path(rows // 2))


def _cat_member(url: str, rows: int) -> int:
    """One member of the file in pieces, likewise."""
    return _cat_path(f"{url}{_OF_MEMBERS}", f"{_LARGE}/{rows // 2:09d}.png")


def _cat_path(url: str, path: str) -> int:
    command = [sys.executable, "-m", "seec.jobs.cat", url, path]
    # Or else each start would compile all modules.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(command, check=True, capture_output=True, env=environment)
    return len(done.stdout)


def _read_files(url: str, rows: int) -> int:
    """A thousand files at random."""
    return _read_some(url, (_path(number) for number in _some(rows)))


def _read_members(url: str, rows: int) -> int:
    """A thousand members of the file in pieces."""
    names = (f"{_LARGE}/{number:09d}.png" for number in _some(rows))
    return _read_some(f"{url}{_OF_MEMBERS}", names)


def _some(rows: int) -> Sequence[int]:
    return random.Random(0).sample(range(rows), min(rows, 1000))


def _read_some(url: str, paths: Iterable[str]) -> int:
    archive = open_archive(url)
    return sum(len(archive.read(path)) for path in paths)


OPERATIONS: dict[str, Callable[[str, int], int]] = {
    "open": _open,
    "cat of one file": _cat,
    "cat of one member": _cat_member,
    "1,000 files at random": _read_files,
    "1,000 members at random": _read_members,
    "ls of one folder": _list("000003/*"),
    "ls of a name": _list("*/000000077.png"),
    "ls of a pattern": _list("*77.png"),
    "plan of the next run": _plan,
    "what the next run may share": _share,
}
HEADINGS = ("files", "to make", "commits", "manifest parts", "plans", *OPERATIONS)


def measure(name: str, url: str, rows: int) -> tuple[float, float, int, int]:
    """Seconds by the clock and of CPU time, peak memory in bytes and the result of an operation.

    In a process of its own, whose start and imports do not count.
    """
    command = [
        sys.executable,
        "-m",
        "seec.pipeline.lab.benchmark.scale",
        "--run",
        name,
        url,
        str(rows),
    ]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds, cpu_seconds, memory, result = output.split()
    return float(seconds), float(cpu_seconds), int(memory), int(result)


def _run(name: str, url: str, rows: str) -> None:
    start, cpu_start = time.perf_counter(), _cpu_seconds()
    result = OPERATIONS[name](url, int(rows))
    seconds, cpu_seconds = time.perf_counter() - start, _cpu_seconds() - cpu_start
    # getrusage would count what the parent took before, too.
    memory = size_bytes(status()["VmHWM"])
    sys.stdout.write(f"{seconds} {cpu_seconds} {memory} {result}\n")


def _cpu_seconds() -> float:
    """Of this process and those that it waited for."""
    return sum(os.times()[:4])


def _sizes(folder: Path) -> Iterator[str]:
    for part in ("commits", "manifest", "plans"):
        files = [p for p in (folder / part).rglob("*") if p.is_file()]
        yield f"{len(files)} in {sum(p.stat().st_size for p in files) / 1e6:,.1f} MB"


def rows_of(folder: Path, sizes: list[int]) -> Iterator[Sequence[str]]:
    """Make an archive of each size, and measure it; as `HEADINGS` says."""
    for size in sizes:
        place = folder / f"scale-{size}"
        start = time.perf_counter()
        make_archive(Store(str(place)), size)
        make_archive_of_members(Store(f"{place}{_OF_MEMBERS}"), size)
        cells = [f"{size:,}", f"{time.perf_counter() - start:.0f} s", *_sizes(place)]
        for name in OPERATIONS:
            seconds, cpu_seconds, memory, result = measure(name, str(place), size)
            times = f"{seconds:.2f} s, CPU {cpu_seconds:.2f} s"
            cells.append(f"{times}, {memory / 1e6:.0f} MB ({result:,})")
        yield cells


if __name__ == "__main__":
    if sys.argv[1] == "--run":
        _run(*sys.argv[2:])
    else:
        for line in table(HEADINGS, rows_of(Path(sys.argv[1]), list(map(int, sys.argv[2:])))):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
