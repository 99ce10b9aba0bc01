"""Hostile and odd files, into an archive and back: `python -m tests.torture.gauntlet [DIR]`.

Each file is looked into, encoded and restored once in a process of its own, with bounds on time
and memory; then all are archived together, with a second source of the same names beside them.
"""

import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

import psutil
from PIL import Image

from seec.jobs import archive, ls, restore, verify
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.codec import Model, encode
from seec.pipeline.codec.model.packaged import packaged_model
from seec.pipeline.routes.reading import restore as restore_file
from seec.pipeline.routes.writing import Candidate, RunModels, draft, settle, work_of
from seec.pipeline.stages.batch import MAX_PASSING_BYTES
from seec.schemas.kinds import FILE
from seec.schemas.limits import MAX_PIXELS
from seec.schemas.names import escape, unescape
from seec.schemas.plan import SourceFile
from seec.schemas.rows import Row
from tests.torture import odd, tree
from tests.torture.comparison import came_back
from tests.trees import Node, draw, nodes

PROFILE = "fast"
SPECIAL = {"special/fifo", "special/socket"}
SECOND = "second card"
_TIMES_NS = (-(10**19), -(2**63), -1, 0, 1, 2**31 * 10**9, 2**63, 15 * 10**18, 10**22)

# Bounds of a file looked into, encoded and restored, far from what a machine at rest takes.
_CPU_S, _CPU_S_PER_MEGABYTE = 60, 10
_BYTES_PER_BYTE = 12  # of the file, on top of what any task may take


def write(root: Path, drawn: dict[str, bytes], *, sparse_bytes: int) -> None:
    """Write files below an empty folder, with all else that a file system has."""
    for name, data in drawn.items():
        _write(root / name, data)
    names = sorted(drawn)
    for name, mtime_ns in zip(names[:: len(names) // len(_TIMES_NS)], _TIMES_NS, strict=False):
        os.utime(root / name, ns=(0, mtime_ns))
    (root / "tree").mkdir()
    draw(root / "tree")
    (root / "tree/closed/no").chmod(0o400)
    special = root / "special"
    special.mkdir()
    os.mkfifo(special / "fifo")
    _listen(special, "socket")
    with (special / "sparse").open("wb") as file:
        file.truncate(sparse_bytes)
    (special / "loop a").symlink_to("loop b")
    (special / "loop b").symlink_to("loop a")
    (special / "empty").touch()
    os.link(special / "empty", special / "empty, other name")


def _listen(folder: Path, name: str) -> None:
    before = Path.cwd()
    os.chdir(folder)  # the names of sockets are short
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(name)
    finally:
        os.chdir(before)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def write_second(root: Path, first: Path, names: list[str]) -> None:
    """Another memory card: the same names, sizes and times, and other bytes."""
    for name in names:
        _write(root / name, bytes(byte ^ 255 for byte in (first / name).read_bytes()))
        os.utime(root / name, ns=(0, (first / name).stat().st_mtime_ns))


def run(folder: Path, drawn: dict[str, bytes], *, keep: str, sparse_bytes: int) -> list[str]:
    """Archive, verify and restore files, and compare. Returns what is wrong."""
    source, second, root, out = (folder / name for name in ("source", "second", "archive", "out"))
    source.mkdir()
    write(source, drawn, sparse_bytes=sparse_bytes)
    write_second(second, source, sorted(drawn)[:5])
    wrong = []
    for place, name in ((source, ""), (second, SECOND)):
        done = archive.run(archive.Settings(str(place), str(root), PROFILE, keep=keep, name=name))
        wrong += _unless(done.exit_code == ExitCode.INCOMPLETE, f"archive: {list(done.lines())}")
    listing = ls.run(ls.Settings(str(root)))
    rows = {unescape(row.path): row for row in listing.rows if row.kind == FILE}
    failed = {row.path for row in ls.run(ls.Settings(str(root), quarantine=True)).failed}
    wrong += _unless(failed == SPECIAL, f"in quarantine: {sorted(failed ^ SPECIAL)}")
    checked = verify.run(verify.Settings(str(root)))
    wrong += [f"verify: {one}" for one in checked.findings]
    done = restore.run(restore.Settings(str(root), str(out)))
    wrong += [f"restore: {one}" for one in done.failed]
    before = nodes(source)
    before |= {os.fsencode(SECOND) + b"/" + path: node for path, node in nodes(second).items()}
    after = nodes(out)
    after.pop(os.fsencode(SECOND), None)  # not a folder of either source
    return wrong + list(differences(before, after, rows, keep))


def differences(
    before: dict[bytes, Node], after: dict[bytes, Node], rows: dict[bytes, Row], keep: str
) -> Iterator[str]:
    """What came back otherwise than its route promises."""
    for path in sorted(before.keys() ^ after.keys()):
        yield f"{escape(path)}: {'lost' if path in before else 'from nowhere'}"
    for path in sorted(before.keys() & after.keys()):
        one, other = before[path], after[path]
        if (one.kind, one.permissions, one.mtime_ns, one.same_as) != (
            other.kind,
            other.permissions,
            other.mtime_ns,
            other.same_as,
        ):
            yield f"{escape(path)}: {one.kind} with other permissions, time or names"
        elif one.kind != "file":
            yield from _unless(one.content == other.content, f"{escape(path)}: points elsewhere")
        elif not came_back(rows[path], one.content, other.content, keep):
            yield f"{escape(path)}: other content, by route {rows[path].route}"


def _unless(holds: bool, text: str) -> list[str]:
    return [] if holds else [text]


def beyond_bounds(name: str, data: bytes, model: Model) -> list[str]:
    """What one file breaks when it is looked into, encoded and restored in its own process.

    Linux; no other thread may run.
    """
    candidate = Candidate(SourceFile(name, len(data), 0), data, MAX_PIXELS)
    cpu_s = _CPU_S + _CPU_S_PER_MEGABYTE * (len(data) + 3 * work_of(candidate).pixels) // 10**6
    at_start = psutil.Process().memory_info().rss
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
        signal.alarm(20 * cpu_s)  # one that only sleeps
        status = 1
        try:
            made = draft(candidate)
            codes = [encode(picture, model=model) for picture in made.pictures]
            entry = settle(made, codes, RunModels(model))
            restore_file(entry.row, bytes(entry.payload), {model.id: model})
            status = 0
        finally:
            if status:
                traceback.print_exc()
            os._exit(status)
    _, status, usage = os.wait4(child, 0)
    took = usage.ru_maxrss * 1024 - at_start
    may = max(MAX_PASSING_BYTES, work_of(candidate).passing_bytes) + _BYTES_PER_BYTE * len(data)
    spent = f"{usage.ru_utime + usage.ru_stime:.0f} s of CPU, {took >> 20} MiB"
    ends = os.waitstatus_to_exitcode(status)
    wrong = _unless(status == 0, f"{name}: ends with {ends}, {spent}")
    return wrong + _unless(took <= may, f"{name}: takes {spent}, may take {may >> 20} MiB")


def main(folder: Path) -> int:
    """Run all of it. Returns the number of faults."""
    drawn = odd.files(whole=True)
    drawn |= {name: data for name, data in tree.files().items() if name not in drawn}
    print(len(drawn), "files", flush=True)  # noqa: T201
    Image.MAX_IMAGE_PIXELS = None  # of the comparison in this process
    model = packaged_model(PROFILE)
    wrong = [fault for name in drawn for fault in beyond_bounds(name, drawn[name], model)]
    for keep in ("pixels", "file"):
        (folder / keep).mkdir()
        wrong += run(folder / keep, drawn, keep=keep, sparse_bytes=1 << 30)
        shutil.rmtree(folder / keep)
    print(*wrong, f"{len(wrong)} faults", sep="\n")  # noqa: T201
    return len(wrong)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if sys.argv[1:] else None) as scratch:
        sys.exit(main(Path(scratch)) > 0)
