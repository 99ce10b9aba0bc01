"""Let each request of whole jobs fail in each way it can: `python -m tests.faults.fault_sweep`.

A fault that passes must not show. One that stays ends the job with an error of ours that names what
failed, or shows in nothing that counts. Nothing visible is damaged; the job done again, without
faults, ends as if nothing had been.
"""

import os
import random
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click

from seec.jobs import archive as archive_job
from seec.jobs import gc as gc_job
from seec.jobs import restore as restore_job
from seec.jobs import verify as verify_job
from seec.jobs.exit_codes import ExitCode, exit_code_of
from seec.jobs.progress import progress
from seec.pipeline.archive import Archive
from seec.pipeline.archive.catalogue import sorted_rows
from seec.pipeline.archive.models import archived_model
from seec.pipeline.storage import Retry, Store
from seec.schemas.errors import NotAnArchive, SeecError
from tests.faults import filesystem, points
from tests.faults.filesystem import ABSENT, DENIED, FLIPPED, LASTING, POSSIBLE, TRANSIENT, Plan
from tests.faults.sweep import findings, memory_folder, objects
from tests.faults.swept import write_source
from tests.in_process import execution
from tests.sources import files_below

_PROMPT = partial(Retry, first_pause_s=0.0, attempts=3)
_MAX_FILE_SIZE_BYTES = 10_000
# Exit codes that a fault may end a job with, beside that of the undisturbed job.
_FAILED = {ExitCode.UNEXPECTED}
_NOTICED = {ExitCode.UNEXPECTED, ExitCode.DAMAGE, ExitCode.NOT_AN_ARCHIVE}


@dataclass(frozen=True)
class Outcome:
    """How a job ended: its exit code, its summary or the text of its error."""

    code: int
    summary: Any = None
    error: str = ""


@dataclass(frozen=True)
class Expected:
    """What jobs make undisturbed. source, archive, restored: folders that stay as they are.

    begun: the archive when some of the files of the source were not there yet. The others have
    bytes of those, and the archive has them from another run.
    """

    source: Path
    begun: Path
    archive: Path
    restored: Path
    digest: str


@dataclass(frozen=True)
class Case:
    """One fault of one request of a job."""

    job: "Job"
    at: int
    fault: str


@dataclass(frozen=True)
class Failure:
    """What a fault did that it must not."""

    case: Case
    reason: str

    def __str__(self) -> str:
        request = self.case.job.requests[self.case.at]
        return (
            f"{self.case.job.name}, request {self.case.at}, {request.verb} {request.path}, "
            f"{self.case.fault}: {self.reason}"
        )


@dataclass
class Job:
    """A job whose one store is at fault.

    run: does it in a new folder. check: what is wrong with what the folder holds after it went
    well, and, if not, after it failed. lied_to: the same if the store lied; None is as `check`.
    """

    name: str
    code: int
    run: Callable[[Path], Any]
    check: Callable[[Path, bool], str | None]
    lied_to: Callable[[Path, bool], str | None] | None = None
    skipped: tuple[str, ...] = ()
    requests: tuple[filesystem.Request, ...] = ()

    def attempt(self, folder: Path, plan: Plan) -> Outcome:
        """Do it by a plan of faults."""
        with filesystem.plan(plan), patch("seec.pipeline.storage.store.Retry", _PROMPT):
            try:
                summary = self.run(folder)
            except SeecError as error:
                return Outcome(int(exit_code_of(error)), error=str(error))
        return Outcome(int(summary.exit_code), summary)

    def cases(self) -> list[Case]:
        """Every fault of every request."""
        return [
            Case(self, number, fault)
            for number, request in enumerate(self.requests)
            for fault in POSSIBLE[request.verb]
            if fault not in self.skipped
        ]


def restore_in_process(settings: restore_job.Settings) -> restore_job.RestoreSummary:
    """`seec restore`, whose tasks run when they are sent, in this process."""
    archived_model.cache_clear()
    with patch.object(restore_job, "execution", execution):
        return restore_job.run(settings)


def jobs(expected: Expected, folder: Path) -> list[Job]:
    """The jobs, each done once without faults. folder: an empty one."""

    def far(path: Path) -> str:
        return f"{filesystem.PROTOCOL}://{path}"

    def archiving(source: str, root: str) -> Any:
        return points.archive_in_process(_settings(source, root))

    def restoring_to(root: str, target: str) -> Any:
        return restore_in_process(restore_job.Settings(root, target))

    def going_on(at: Path) -> Any:
        if not (at / "archive").exists():
            shutil.copytree(expected.begun, at / "archive")
        return archiving(str(expected.source), far(at / "archive"))

    def of_one_run(source: str, name: str) -> Callable[[Path, bool], str | None]:
        root = folder / name / "archive"
        archiving(source, str(root))
        digest = Archive.open(Store(str(root))).digest()
        return partial(check_archive, replace(expected, archive=root, digest=digest))

    # A source far away has no permissions to record, so its archive is another one.
    archived = of_one_run(str(expected.source), "at once")
    archived_from_far = of_one_run(far(expected.source), "from far")
    restored = partial(check_restored, expected)
    made = [
        Job(
            "archive to it",
            ExitCode.INCOMPLETE,
            lambda at: archiving(str(expected.source), far(at / "archive")),
            archived,
        ),
        Job(
            "archive more to it",
            ExitCode.INCOMPLETE,
            going_on,
            partial(check_archive, expected),
            # What of the archive is not what it was, or not there, nothing shares.
            partial(check_held, expected),
        ),
        Job(
            "archive from it",
            ExitCode.INCOMPLETE,
            lambda at: archiving(far(expected.source), str(at / "archive")),
            archived_from_far,
            # Nothing tells that a source lies; a file that is not there goes to quarantine.
            skipped=(FLIPPED, ABSENT),
        ),
        Job(
            "verify",
            ExitCode.INCOMPLETE,
            lambda _: points.verify_in_process(verify_job.Settings(far(expected.archive))),
            lambda _, __: check_archive(expected, expected.archive.parent, True),
        ),
        Job(
            "restore from it",
            ExitCode.INCOMPLETE,
            lambda at: restoring_to(far(expected.archive), str(at / "restored")),
            restored,
        ),
        Job(
            "restore to it",
            ExitCode.INCOMPLETE,
            lambda at: restoring_to(str(expected.archive), far(at / "restored")),
            restored,
        ),
    ]
    for job in made:
        plan = Plan()
        outcome = job.attempt(folder / job.name, plan)
        assert outcome.code == job.code, (job.name, outcome)
        assert job.check(folder / job.name, True) is None
        job.requests = tuple(plan.requests)
    return made


def undisturbed(folder: Path) -> Expected:
    """The source, its archive and what comes back of it. folder: an empty one."""
    source, begun, archive, restored = (
        folder / name for name in ("source", "begun", "archive", "restored")
    )
    write_source(source)
    # Stores far away have no links, and times in whole seconds.
    (source / "6.png").unlink()
    (source / "6.png").write_bytes(bytes(_MAX_FILE_SIZE_BYTES + 1))
    names = ("0.bin", "1.bin", "4.jpg", "5.png", "8.bmp")
    for copies in ((), names):
        for name in copies:
            shutil.copyfile(source / name, source / f"copy of {name}")
        for path in source.iterdir():
            os.utime(path, (1_000_000_000, 1_000_000_000))
        points.archive_in_process(_settings(str(source), str(archive)))
        if not copies:
            shutil.copytree(archive, begun)
    assert any(shard.referenced for shard in Archive.open(Store(str(archive))).state.in_order())
    restore_in_process(restore_job.Settings(str(archive), str(restored)))
    return Expected(source, begun, archive, restored, Archive.open(Store(str(archive))).digest())


def _settings(source: str, root: str) -> archive_job.Settings:
    return archive_job.Settings(
        source,
        root,
        model=points.MODEL,
        shard_files=2,
        max_file_size_bytes=_MAX_FILE_SIZE_BYTES,
    )


def check_archive(expected: Expected, folder: Path, whole: bool) -> str | None:
    """What is wrong with an archive; if not whole, it may be unfinished or not there."""
    root = folder / "archive"
    try:
        digest = Archive.open(Store(str(root))).digest()
    except NotAnArchive:
        return "no archive" if whole else None
    except SeecError as error:
        return f"cannot be opened: {error}"
    if found := findings(root):
        return f"damaged: {found}"
    if not whole:
        return None
    if digest != expected.digest:
        return "another digest"
    gc_job.run(gc_job.Settings(str(root), delete=True, older_than_s=0))
    difference = set(objects(root)) ^ set(objects(expected.archive))
    return f"missing or left over: {sorted(difference)}" if difference else None


def check_held(expected: Expected, folder: Path, whole: bool) -> str | None:
    """As `check_archive`, of an archive that may have stored again what was there."""
    if (reason := check_archive(expected, folder, whole)) != "another digest":
        return reason
    roots = (folder / "archive", expected.archive)
    found, wanted = (set(_held(root)) for root in roots)
    return f"other files: {sorted(found ^ wanted)}" if found != wanted else None


def _held(root: Path) -> Iterator[tuple[str, bytes]]:
    archived = Archive.open(Store(str(root)))
    return ((row.path, row.source_digest) for row in sorted_rows(archived))


def check_restored(expected: Expected, folder: Path, whole: bool) -> str | None:
    """What is wrong with restored files; if not whole, some may be missing."""
    found, wanted = files_below(folder / "restored"), files_below(expected.restored)
    wrong = [name for name, data in found.items() if wanted.get(name) != data]
    if wrong:
        return f"other files than before: {wrong}"
    return f"missing: {sorted(wanted.keys() - found)}" if whole and found != wanted else None


def wrong_with(case: Case, folder: Path) -> str | None:
    """Do a job with one fault, then without. What is wrong, if anything.

    folder: a new one, removed in the end.
    """
    job = case.job
    check = (job.lied_to if case.fault in (FLIPPED, ABSENT) else None) or job.check
    try:
        plan = Plan(case.fault, case.at)
        outcome = job.attempt(folder, plan)
        if not plan.struck:
            return "did not come to it"
        if outcome.code == job.code:
            if reason := check(folder, True):
                return f"went well, but {reason}"
        elif case.fault in TRANSIENT:
            return f"ended with {outcome.code}: {outcome.error or list(outcome.summary.lines())}"
        else:
            allowed = _FAILED if case.fault in LASTING else _NOTICED
            # May be about some files only, which the summary names.
            if case.fault in (DENIED, ABSENT):
                allowed = allowed | {ExitCode.DAMAGE, ExitCode.REFUSED}
            if outcome.code not in allowed:
                return f"ended with {outcome.code}: {outcome.error}"
            if case.fault in LASTING and not _says_why(outcome, case.fault):
                return f"does not say what failed: {outcome}"
            if reason := check(folder, False):
                return f"after the fault: {reason}"
        again = job.attempt(folder, Plan())
        if again.code != job.code:
            return f"done again, it ended with {again.code}: {again.error}"
        return check(folder, True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _says_why(outcome: Outcome, fault: str) -> bool:
    """Whether an error names an object and the reason."""
    reason = {
        filesystem.DOWN: "connection refused",
        filesystem.DENIED: "access denied",
        filesystem.FULL: "no space left",
        filesystem.QUOTA: "quota exceeded",
    }[fault]
    failed = getattr(outcome.summary, "failed", [])
    text = outcome.error or " ".join(item.reason for item in failed)
    return reason in text and re.search(r"(read|write|look up|list|remove) /.+: ", text) is not None


def sweep(
    cases: Iterable[Case], folder: Path, on_case: Callable[[], None] = lambda: None
) -> list[Failure]:
    """Let each of these happen. folder: for what the jobs make."""
    failures: list[Failure] = []
    for case in cases:
        if reason := wrong_with(case, folder / f"{case.job.name}-{case.at}-{case.fault}"):
            failures.append(Failure(case, reason))
        on_case()
    return failures


@click.command()
@click.option("--sample", type=int, help="Only so many faults, picked by --seed.")
@click.option("--seed", type=int, default=0)
def main(sample: int | None, seed: int) -> None:
    """Let each request of whole jobs fail in each way it can, and prove that nothing is lost."""
    start = time.monotonic()
    with memory_folder() as folder:
        expected = undisturbed(folder)
        made = jobs(expected, folder / "undisturbed")
        cases = [case for job in made for case in job.cases()]
        count = len(cases)
        if sample is not None:
            cases = random.Random(seed).sample(cases, sample)
        with progress("faults", len(cases), "faults") as shown:
            failures = sweep(cases, folder, shown.advance)
    for failure in failures:
        click.echo(str(failure))
    for job in made:
        kinds = Counter(case.fault for case in cases if case.job is job)
        listed = ", ".join(f"{number} {fault}" for fault, number in sorted(kinds.items()))
        click.echo(f"{job.name}: {len(job.requests)} requests; {listed}")
    click.echo(
        f"{count} faults, {len(cases)} of them tried, {len(failures)} failures, "
        f"in {time.monotonic() - start:.0f} s"
    )
    sys.exit(bool(failures))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
