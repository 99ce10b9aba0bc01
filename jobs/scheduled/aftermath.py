"""What is done after a run of a job, however it ended: the page."""

from collections.abc import Callable

from seec.jobs import report
from seec.jobs.interface import warn
from seec.jobs.scheduled.running import Ran
from seec.schemas.errors import NotAnArchive, SeecError
from seec.schemas.jobs_file import JobsFile


def after(file: JobsFile, ran: Ran) -> list[str]:
    """Do all of it; what goes wrong is warned of, and ends nothing. Returns what went wrong."""
    problems: list[str] = []

    def attempt(what: str, action: Callable[[], object]) -> None:
        try:
            action()
        except (SeecError, OSError, ValueError) as error:
            problems.append(f"{what}: {error}")
            warn(f"job {ran.name}: {problems[-1]}")

    job = file.jobs[ran.name]
    if job.report is not None:
        target = job.report
        attempt("no report", lambda: _report(job.archive, target))
    return problems


def _report(archive: str, target: str) -> None:
    try:
        report.run(report.Settings(archive, target))
    except NotAnArchive:
        return  # the first run did not get that far, and says so itself
