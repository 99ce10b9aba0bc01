"""Run a job: what is due of it, in order, under a lease, within its time, again after errors."""

import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from seec.jobs import clock, logs
from seec.jobs.exit_codes import ExitCode
from seec.jobs.metrics import archive_figures
from seec.jobs.scheduled.parts import Outcome, command_of, execute
from seec.jobs.scheduled.states import States
from seec.jobs.scheduled.timing import last_slot
from seec.schemas.errors import SeecError
from seec.schemas.job_state import JobState, PartState
from seec.schemas.jobs_file import COMPACT, GC, VERIFY, Job, JobsFile

LONGEST_PAUSE_S = 1800.0
# What an exit code of one part means for the whole: the first of these that occurs.
_GRAVEST_FIRST = (
    ExitCode.TERMINATED,
    ExitCode.INTERRUPTED,
    ExitCode.HUNG_UP,
    ExitCode.DAMAGE,
    ExitCode.NOT_AN_ARCHIVE,
    ExitCode.USAGE,
    ExitCode.UNEXPECTED,
    ExitCode.LOCKED,
    ExitCode.REFUSED,
    ExitCode.UNMATCHED,
    ExitCode.INCOMPLETE,
)


@dataclass(frozen=True)
class Ran:
    """How a run of a job went: the parts it ran, in order, and those that it held back, and why."""

    name: str
    started: datetime
    ended: datetime
    outcomes: dict[str, Outcome]
    held: dict[str, str]
    before: JobState
    after: JobState

    @property
    def exit_code(self) -> int:
        """That of the gravest part."""
        return gravest(outcome.exit_code for outcome in self.outcomes.values())

    @property
    def well(self) -> bool:
        """Whether all parts that ran did their work."""
        return all(outcome.well for outcome in self.outcomes.values())


def gravest(codes: Iterable[int]) -> int:
    """The exit code of several commands together; unknown codes are the gravest."""
    ranks = {code: rank for rank, code in enumerate(_GRAVEST_FIRST)} | {0: len(_GRAVEST_FIRST)}
    return min(codes, key=lambda code: ranks.get(code, -1), default=ExitCode.OK)


def due_parts(file: JobsFile, job: Job, state: JobState, now: datetime) -> dict[str, datetime]:
    """The parts that are due, and the time of the schedule that each is due for.

    A part is due once for each time of its schedule; times that passed while nothing ran are one.
    """
    found: dict[str, datetime] = {}
    for part, own in job.parts.items():
        schedule = own or job.schedule
        slot = schedule and last_slot(schedule, file.zone(job), now)
        if not slot:
            continue
        known = state.parts.get(part)
        if known is None or known.started < slot:
            found[part] = slot
    return found


def run_job(
    file: JobsFile,
    name: str,
    states: States,
    *,
    now_asked: bool,
    begin: Callable[[], object] = lambda: None,
    execute: Callable[..., Outcome] = execute,
    sleep: Callable[[float], None] = time.sleep,
) -> Ran | None:
    """Run what is due of a job, or all of it if that is asked; None if nothing is due.

    The caller holds the lease of the job. begin: called before the first part. Each part's end is
    kept at once. What is interrupted or killed has no end, and so stays due.
    """
    job, before, now = file.jobs[name], states.get(name), clock.now()
    due = due_parts(file, job, before, now)
    parts = list(job.parts) if now_asked else [part for part in job.parts if part in due]
    if not parts:
        return None
    begin()
    log = logs.current()
    log.event(logs.INFO, "job-start", f"seec: job {name}: {', '.join(parts)}", job=name)
    state = replace(before, run_id=log.run_id, started=now)
    end = None if job.time_limit is None else time.monotonic() + job.time_limit
    outcomes: dict[str, Outcome] = {}
    held: dict[str, str] = {}
    for part in parts:
        if part in (COMPACT, GC) and state.damaged:
            held[part] = "damage is known: nothing is moved or deleted before it is mended"
            log.event(logs.WARNING, "part-held", f"seec: job {name}: {part} held: {held[part]}")
            continue
        started = clock.now()
        outcome = _persistently(job, command_of(part, job, file, started), end, execute, sleep)
        outcomes[part] = outcome
        ended = _ended(due.get(part), started, outcome, state.parts.get(part))
        state = state.with_part(part, ended)
        if part == VERIFY and (outcome.well or outcome.exit_code == ExitCode.DAMAGE):
            state = _with_figures(state, job)  # what is found now is what gc must know
        states.put(name, state)
        _log_end(log, name, part, outcome)
        if not outcome.well and outcome.exit_code != ExitCode.DAMAGE:
            left = parts[parts.index(part) + 1 :]
            held |= dict.fromkeys(left, f"{part} failed before it")
            break
    ran = Ran(name, now, clock.now(), outcomes, held, before, state)
    ran = replace(ran, after=_after(job, ran))
    states.put(name, ran.after)
    log.event(
        logs.INFO if ran.well else logs.ERROR,
        "job-end",
        f"seec: job {name}: {'well' if ran.well else 'failed'}, exit code {ran.exit_code}",
        job=name,
        exit_code=int(ran.exit_code),
        seconds=(ran.ended - ran.started).total_seconds(),
    )
    return ran


def _persistently(
    job: Job,
    words: list[str],
    end: float | None,
    execute: Callable[..., Outcome],
    sleep: Callable[[float], None],
) -> Outcome:
    """Run a command, and again after errors that may pass, with growing pauses."""
    pause_s = job.retry_pause
    for left in reversed(range(job.retries + 1)):
        outcome = execute(words, end)
        wait_s = random.uniform(pause_s / 2, pause_s)
        over = end is not None and time.monotonic() + wait_s >= end
        if outcome.well or not outcome.transient or not left or over:
            return outcome
        logs.current().event(
            logs.WARNING,
            "retry",
            f"seec: {words[0]} is tried again in {wait_s:.0f} s, {left} times at most: "
            f"{outcome.error}",
            part=words[0],
            pause_s=round(wait_s, 3),
        )
        sleep(wait_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
    raise AssertionError("at least one attempt")


def _ended(
    slot: datetime | None, started: datetime, outcome: Outcome, known: PartState | None
) -> PartState:
    ended = clock.now()
    return PartState(
        slot=slot,
        started=started,
        ended=ended,
        exit_code=outcome.exit_code,
        error=outcome.error,
        figures=outcome.figures,
        findings=outcome.findings,
        succeeded=ended if outcome.well else known and known.succeeded,
    )


def _after(job: Job, ran: Ran) -> JobState:
    """The state at the end of a run, with what the archive says of itself if it answers."""
    state = replace(
        ran.after,
        ended=ran.ended,
        exit_code=int(ran.exit_code),
        succeeded=ran.ended if ran.well else ran.before.succeeded,
        failing_since=None if ran.well else ran.before.failing_since or ran.ended,
    )
    if ran.well or ran.exit_code == ExitCode.DAMAGE:
        state = _with_figures(state, job)
    return state


def _with_figures(state: JobState, job: Job) -> JobState:
    """The state with what the archive says of itself now; as it was if the archive is not read."""
    try:
        return replace(state, archive=archive_figures(job.archive))
    except SeecError as error:
        logs.current().event(logs.WARNING, "message", f"seec: warning: {error}")
        return state


def _log_end(log: logs.Log, name: str, part: str, outcome: Outcome) -> None:
    how = "ended well" if outcome.well else f"ended with exit code {outcome.exit_code}"
    log.event(
        logs.INFO if outcome.well else logs.ERROR,
        "part-end",
        f"seec: job {name}: {part} {how}{outcome.error and f': {outcome.error}'}",
        job=name,
        part=part,
        exit_code=outcome.exit_code,
        figures=outcome.figures,
    )
