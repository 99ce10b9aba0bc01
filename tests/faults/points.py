"""Jobs in a process of their own that dies at a given write point; without Ray.

A write point lies before and after each step by which the local store changes the file system: a
directory made, a file opened, written (and half written), synced, linked, replaced, unlinked. The
steps are those of the real store, seen through a stand-in for the modules that it calls.
"""

import io
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

from seec.jobs import archive as archive_job
from seec.jobs import compact as compact_job
from seec.jobs import copy as copy_job
from seec.jobs import gc as gc_job
from seec.jobs import parity as parity_job
from seec.jobs import repair as repair_job
from seec.jobs import verify as verify_job
from seec.pipeline.archive.models import archived_model
from seec.pipeline.storage import local
from tests.in_process import execution

RECAP_EVERY = 4
MODEL = Path(__file__).parents[1] / "vectors" / "tiny.safetensors"
_PARTIAL = f"{local.PARTIAL_PREFIX}*"
_SPAWN = multiprocessing.get_context("forkserver")
_SPAWN.set_forkserver_preload([__name__])


class Points:
    """Counts write points below a root, and kills this process at one of them."""

    def __init__(self, root: Path, kill_at: int | None) -> None:
        self._root, self._kill_at = root, kill_at
        self.labels: list[str] = []

    def reach(self, label: str, path: Any) -> None:
        """One more point; the end if it is the one. Points are numbered from 0."""
        where = Path(os.fsdecode(path))
        name = _PARTIAL if where.name.startswith(local.PARTIAL_PREFIX) else where.name
        if len(self.labels) == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
            signal.pause()
        self.labels.append(f"{label} {(where.parent / name).relative_to(self._root)}")

    def around(self, verb: str, action: Callable[..., Any], *arguments: Any, at: Any) -> Any:
        """Do one step between two points."""
        self.reach(f"before {verb}", at)
        result = action(*arguments)
        self.reach(f"after {verb}", at)
        return result


class _Os:
    """`os`, with the steps that change a file system between points."""

    def __init__(self, points: Points) -> None:
        self._points = points
        self._paths: dict[int, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: str, flags: int) -> int:
        descriptor = os.open(path, flags)
        self._paths[descriptor] = path
        return descriptor

    def opened(self, path: str | int, mode: str, **how: Any) -> Any:
        """What the built-in `open` does."""
        if mode == "rb":
            return open(path, mode, **how)  # noqa: PTH123, it stands in for it
        assert mode == "xb"
        assert isinstance(path, str)
        file = self._points.around("open", _Written, path, mode, at=path)
        file.points, file.path = self._points, path
        self._paths[file.fileno()] = path
        return file

    def makedirs(self, path: str, exist_ok: bool) -> None:
        if not os.path.isdir(path):  # noqa: PTH112, as above
            self._points.around("mkdir", lambda: os.makedirs(path, exist_ok=exist_ok), at=path)  # noqa: PTH103

    def fsync(self, descriptor: int) -> None:
        self._points.around("fsync", os.fsync, descriptor, at=self._paths[descriptor])

    def link(self, path: str, new: str, **_: Any) -> None:
        self._points.around("link", os.link, path, new, at=new)

    def replace(self, path: str, new: str) -> None:
        self._points.around("replace", os.replace, path, new, at=new)

    def unlink(self, path: str) -> None:
        self._points.around("unlink", os.unlink, path, at=path)


class _Written(io.FileIO):
    """A file that reaches points while it is written."""

    points: Points
    path: str

    def write(self, data: Any) -> int:
        half = len(data) // 2
        self.points.reach("before write", self.path)
        super().write(data[:half])
        self.points.reach("half of write", self.path)
        super().write(data[half:])
        self.points.reach("after write", self.path)
        return len(data)


def archive(
    source: Path, root: Path, kill_at: int | None = None, **options: bool
) -> tuple[int, list[str]]:
    """`seec archive` in a process that dies at a write point; its exit code and the points.

    The exit code is that of the job, or the negative number of the signal that ended it; there
    are no points if one did.
    """
    shard: Any = {"shard_files": 2, **options}
    settings = archive_job.Settings(str(source), str(root), model=MODEL, **shard)
    return _in_child(archive_in_process, settings, root, kill_at)


def compact(root: Path, kill_at: int | None = None) -> tuple[int, list[str]]:
    """`seec compact`, of shards of `archive`, in such a process."""
    settings = compact_job.Settings(str(root), shard_files=6)
    return _in_child(compact_job.run, settings, root, kill_at)


def copy(root: Path, target: Path, kill_at: int | None = None) -> tuple[int, list[str]]:
    """`seec copy` in a process that dies at a write point of the target."""
    settings = copy_job.Settings(str(root), str(target))
    return _in_child(copy_job.run, settings, target, kill_at)


def parity(root: Path, share: int, kill_at: int | None = None) -> tuple[int, list[str]]:
    """`seec parity` in such a process."""
    return _in_child(parity_job.run, parity_job.Settings(str(root), share), root, kill_at)


def repair(
    root: Path, source: Path, copy: Path, kill_at: int | None = None
) -> tuple[int, list[str]]:
    """`seec repair --from --source` in such a process."""
    settings = repair_job.Settings(str(root), (str(copy),), str(source))
    return _in_child(repair_in_process, settings, root, kill_at)


def gc(
    root: Path, kill_at: int | None = None, keep_commits: int | None = None
) -> tuple[int, list[str]]:
    """`seec gc --delete --older-than 0` in such a process."""
    settings = gc_job.Settings(str(root), delete=True, older_than_s=0, keep_commits=keep_commits)
    return _in_child(gc_job.run, settings, root, kill_at)


def archive_in_process(settings: archive_job.Settings) -> archive_job.ArchiveSummary:
    """`seec archive` without Ray; archives that it creates have a recap every few commits."""
    with (
        patch.object(archive_job, "execution", execution),
        patch("seec.pipeline.archive.archive.RECAP_EVERY", RECAP_EVERY),
    ):
        return archive_job.run(settings)


def verify_in_process(settings: verify_job.Settings) -> verify_job.VerifySummary:
    """`seec verify` without Ray."""
    archived_model.cache_clear()
    with patch.object(verify_job, "execution", execution):
        return verify_job.run(settings)


def repair_in_process(settings: repair_job.Settings) -> repair_job.RepairSummary:
    """`seec repair` without Ray."""
    archived_model.cache_clear()
    with patch.object(repair_job, "execution", execution):
        return repair_job.run(settings)


def _in_child(
    job: Callable[[Any], Any], settings: Any, root: Path, kill_at: int | None
) -> tuple[int, list[str]]:
    labels = root.with_name(f"{root.name}.points")
    labels.unlink(missing_ok=True)
    process = _SPAWN.Process(target=_run, args=(job, settings, root, kill_at, labels))
    process.start()
    process.join()
    assert process.exitcode is not None
    reached = json.loads(labels.read_text()) if labels.exists() else []
    return process.exitcode, reached


def _run(
    job: Callable[[Any], Any], settings: Any, root: Path, kill_at: int | None, labels: Path
) -> None:
    points = Points(root, kill_at)
    stand_in = _Os(points)
    with (
        patch.object(local, "os", stand_in),
        patch.object(local, "open", stand_in.opened, create=True),
    ):
        summary = job(settings)
    labels.write_text(json.dumps(points.labels))
    sys.exit(int(summary.exit_code))
