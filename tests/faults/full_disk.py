"""Archive, verify and restore on a disk that is full.

Mounts a small file system in memory, so it needs a name space of its own, in which it may: run it
by `unshare -rm`. Grows it step by step, each time a job has ended for want of room.
"""

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from seec.jobs import archive as archive_job
from seec.jobs import restore as restore_job
from seec.jobs import verify as verify_job
from seec.pipeline.archive import Archive
from seec.pipeline.storage import Store
from seec.schemas.errors import NotAnArchive, StoreUnavailable
from tests.faults import points
from tests.faults.fault_sweep import restore_in_process
from tests.faults.sweep import findings
from tests.faults.swept import write_source

STEP_KIB = 12


def _mount(disk: Path, size_kib: int, *options: str) -> None:
    option = ",".join([f"size={size_kib}k", *options])
    subprocess.run(["mount", "-t", "tmpfs", "-o", option, "none", str(disk)], check=True)


def _grow(disk: Path, job: Any) -> tuple[Any, list[str]]:
    """Do a job again and again with more room each time; its summary, and why it failed."""
    failures: list[str] = []
    size_kib = STEP_KIB
    _mount(disk, size_kib)
    while True:
        try:
            return job(), failures
        except StoreUnavailable as error:
            failures.append(str(error))
        _expect_sound(disk)
        size_kib += STEP_KIB
        _mount(disk, size_kib, "remount")


def _expect_sound(disk: Path) -> None:
    with suppress(NotAnArchive):
        Archive.open(Store(str(disk / "archive")))
        assert findings(disk / "archive") == []


def main(folder: Path) -> None:
    """Print how often each job found the disk full, and what it made in the end."""
    source, disk, target = folder / "source", folder / "disk", folder / "target"
    for path in (disk, target):
        path.mkdir()
    write_source(source)

    def settings(root: Path) -> archive_job.Settings:
        return archive_job.Settings(str(source), str(root), model=points.MODEL, shard_files=2)

    undisturbed = points.archive_in_process(settings(folder / "undisturbed"))
    root = disk / "archive"
    archived, archive_failures = _grow(disk, lambda: points.archive_in_process(settings(root)))
    with suppress(OSError), (disk / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))
    verified = points.verify_in_process(verify_job.Settings(str(root)))
    restoring = restore_job.Settings(str(root), str(target / "restored"))
    restored, restore_failures = _grow(target, lambda: restore_in_process(restoring))
    result = {
        "same digest": archived.digest == undisturbed.digest,
        "archive failures": archive_failures,
        "files": undisturbed.files_added,
        "verify": [int(verified.exit_code), verified.report],
        "restore": [int(restored.exit_code), restored.restored + restored.links + restored.kept],
        "restore failures": restore_failures,
    }
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
