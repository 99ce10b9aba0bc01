"""What is done after a run of a job, however it ended: the page, the metrics."""

from collections.abc import Callable
from pathlib import Path

from seec.jobs import metrics, report
from seec.jobs.interface import warn
from seec.jobs.scheduled.gauges import gauges
from seec.jobs.scheduled.running import Ran
from seec.jobs.scheduled.states import States
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


def deliver_metrics(file: JobsFile, states: States, path: Path) -> list[str]:
    """Write and push the metrics of all jobs of the file `path`; returns what went wrong.

    Also when nothing was due: a job that was added since has a time when it is due.
    """
    problems: list[str] = []
    for target, deliver in (
        (file.metrics, lambda place: metrics.write(gauges(file, states), Path(place))),
        (file.pushgateway, lambda url: metrics.push(gauges(file, states), url, path.name)),
    ):
        if target is not None:
            try:
                deliver(target)
            except (SeecError, OSError) as error:
                problems.append(f"no metrics: {error}")
                warn(problems[-1])
    return problems


def _report(archive: str, target: str) -> None:
    try:
        report.run(report.Settings(archive, target))
    except NotAnArchive:
        return  # the first run did not get that far, and says so itself
