"""The metrics of all jobs of a file, from how they stand."""

from datetime import datetime

from seec.jobs import metrics
from seec.jobs.metrics import Metrics
from seec.jobs.scheduled.check import next_runs
from seec.jobs.scheduled.states import States
from seec.schemas.job_state import JobState
from seec.schemas.jobs_file import ARCHIVE, VERIFY, JobsFile


def gauges(file: JobsFile, states: States) -> Metrics:
    """Of every job, also of those that did not run now: a file of metrics is replaced as a whole.

    Raises StorageError if the states cannot be read.
    """
    made, later = Metrics(), next_runs(file)
    for name, job in file.jobs.items():
        due = [datetime.fromisoformat(at) for at in later[name].values() if at is not None]
        next_s = min(due).timestamp() if due else None
        made.set("seec_job_next_run_timestamp_seconds", next_s, name, job.archive)
        _of_job(made, states.get(name), name, job.archive)
    return made


def _of_job(made: Metrics, state: JobState, *labels: str) -> None:
    if state.exit_code is not None:
        made.set("seec_job_success", float(state.failing_since is None), *labels)
    took = state.started and state.ended and (state.ended - state.started).total_seconds()
    for gauge, value in (
        ("seec_job_exit_code", state.exit_code),
        ("seec_job_last_run_timestamp_seconds", _s(state.ended)),
        ("seec_job_last_success_timestamp_seconds", _s(state.succeeded)),
        ("seec_job_duration_seconds", took),
    ):
        made.set(gauge, value, *labels)
    for part, known in state.parts.items():
        seconds = (known.ended - known.started).total_seconds()
        made.set("seec_part_exit_code", known.exit_code, *labels, part)
        made.set("seec_part_duration_seconds", seconds, *labels, part)
        made.set("seec_part_last_success_timestamp_seconds", _s(known.succeeded), *labels, part)
        if part in (ARCHIVE, VERIFY):
            metrics.set_run(made, part, known.figures, *labels)
    metrics.set_archive(made, state.archive, *labels)


def _s(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
