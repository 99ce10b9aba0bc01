"""What is done beside a run of a job, however it ends: pings, messages, page, metrics."""

from collections.abc import Callable
from pathlib import Path

from seec.jobs import metrics, report
from seec.jobs.messages import warn
from seec.jobs.scheduled import notifying
from seec.jobs.scheduled.gauges import gauges
from seec.jobs.scheduled.running import Ran
from seec.jobs.scheduled.states import States
from seec.schemas.errors import NotAnArchive, SeecError
from seec.schemas.jobs_file import Job, JobsFile


def after(file: JobsFile, ran: Ran) -> list[str]:
    """Do all of it; what goes wrong is warned of, and ends nothing. Returns what went wrong."""
    job = file.jobs[ran.name]
    problems: list[str] = []
    if job.report is not None:
        target = job.report
        problems += _attempt(ran.name, "no report", lambda: _report(job.archive, target))
    for place in file.notify:
        problems += _attempt(
            ran.name, "nobody was notified", lambda place=place: notifying.notify(place, job, ran)
        )
    if job.ping is not None:
        place, event = job.ping, notifying.SUCCESS if ran.well else notifying.FAIL
        problems += _attempt(ran.name, "no ping", lambda: notifying.ping(place, event, ran))
    return problems


def before(name: str, job: Job) -> None:
    """Tell the watchdog that a run begins; what goes wrong is warned of."""
    place = job.ping
    if place is not None:
        _attempt(name, "no ping", lambda: notifying.ping(place, notifying.START))


def _attempt(name: str, what: str, action: Callable[[], object]) -> list[str]:
    try:
        action()
    except (SeecError, OSError) as error:
        problem = f"{name}: {what}: {error}"
    except Exception as error:  # noqa: BLE001, of a plugin of Apprise, say: the job itself has ended
        # The text of such an error may hold a secret.
        problem = f"{name}: {what}: {type(error).__name__}"
    else:
        return []
    warn(f"job {problem}")
    return [problem]


def deliver_metrics(file: JobsFile, states: States, path: Path) -> list[str]:
    """Write and push the metrics of all jobs of the file `path`; returns what went wrong.

    Also when nothing was due: a job that was added since has a time when it is due.
    """
    place = None if file.metrics is None else Path(file.metrics)
    targets = metrics.Targets(place, file.pushgateway, file.otlp)
    if targets == metrics.Targets():
        return []
    try:
        problems = metrics.deliver(gauges(file, states), targets, path.name)
    except SeecError as error:  # the states cannot be read
        problems = [f"no metrics: {error}"]
    for problem in problems:
        warn(problem)
    return problems


def _report(archive: str, target: str) -> None:
    try:
        report.run(report.Settings(archive, target))
    except NotAnArchive:
        return  # the first run did not get that far, and says so itself
