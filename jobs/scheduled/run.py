"""Run the jobs of a file that are due: `seec jobs run FILE [NAME]`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.messages import inform
from seec.jobs.options import access_option
from seec.jobs.scheduled import reading
from seec.jobs.scheduled.aftermath import after, before, deliver_metrics
from seec.jobs.scheduled.options import file_argument
from seec.jobs.scheduled.parts import Outcome, execute
from seec.jobs.scheduled.running import Ran, gravest, run_job
from seec.jobs.scheduled.states import States
from seec.pipeline.archive.lease import Terms
from seec.schemas.errors import ArchiveLocked

# Whoever finds the job at work comes again in a few minutes.
_TERMS = Terms(attempts=2)


@dataclass(frozen=True)
class Settings:
    """Which file, and which job of it; None is all. due: of a job that is named, only what is due.

    Without a name only what is due runs in any case.
    """

    file: Path
    name: str | None = None
    due: bool = False


@dataclass(frozen=True)
class Summary:
    """The jobs that ran; those that another process runs now; what went wrong after jobs."""

    file: str
    ran: tuple[Ran, ...]
    busy: tuple[str, ...]
    problems: tuple[str, ...]
    exit_code: int

    def as_dict(self) -> dict[str, Any]:
        """Of each job its exit code, and of each of its parts exit code, error and figures."""
        return {
            "file": self.file,
            "busy": list(self.busy),
            "problems": list(self.problems),
            "jobs": {
                ran.name: {
                    "started": ran.started.isoformat(),
                    "ended": ran.ended.isoformat(),
                    "exit_code": int(ran.exit_code),
                    "held": ran.held,
                    "parts": {
                        part: {
                            "exit_code": outcome.exit_code,
                            "error": outcome.error,
                            "figures": outcome.figures,
                        }
                        for part, outcome in ran.outcomes.items()
                    },
                }
                for ran in self.ran
            },
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        for ran in self.ran:
            for part, outcome in ran.outcomes.items():
                how = "well" if outcome.well else f"exit code {outcome.exit_code}, {outcome.error}"
                yield f"{ran.name}: {part}: {how}"
            for part, why in ran.held.items():
                yield f"{ran.name}: {part}: not run: {why}"
        yield from self.problems
        for name in self.busy:
            yield f"{name}: another process runs it"
        if not self.ran and not self.busy:
            yield "nothing is due"


def run(settings: Settings, execute: Callable[..., Outcome] = execute) -> Summary:
    """Run what is due, one job after the other.

    Wrong use if the file is wrong; StorageError if the place of the states does not answer;
    ArchiveLocked if a job that was named is run by another process.
    """
    file = reading.read(settings.file)
    names = list(file.jobs)
    if settings.name is not None:
        reading.chosen(file, settings.file, settings.name)
        names = [settings.name]
    asked = settings.name is not None and not settings.due
    ran: list[Ran] = []
    busy: list[str] = []
    problems: list[str] = []
    with reading.stores_of(file):
        states = States(reading.state_of(file, settings.file))
        for name in names:
            try:
                with states.held(name, _TERMS):
                    begin = partial(before, name, file.jobs[name])
                    done = run_job(
                        file, name, states, now_asked=asked, begin=begin, execute=execute
                    )
                    problems += [] if done is None else after(file, done)
            except ArchiveLocked as error:
                if asked:
                    raise ArchiveLocked(f"job {name} is at work: {error}") from None
                inform(f"job {name} is at work in another process")
                busy.append(name)
            else:
                ran += [] if done is None else [done]
        problems += deliver_metrics(file, states, settings.file)
    codes = [one.exit_code for one in ran]
    if problems:
        codes.append(ExitCode.UNEXPECTED)
    return Summary(str(settings.file), tuple(ran), tuple(busy), tuple(problems), gravest(codes))


@command(
    "jobs run",
    examples=["seec jobs run jobs.toml", "seec jobs run jobs.toml photos --log-format json"],
)
@file_argument
@click.argument("name", required=False)
@click.option("--due", is_flag=True, help="Of job NAME, run only what is due.")
@access_option
def main(**options: Any) -> Summary:
    """Run the jobs of FILE that are due; or job NAME now, whatever its schedule.

    You can run this every five minutes from cron, a systemd timer or anything else: a job is due
    once for each time of its schedule, also if that passed while the machine was off. A job that
    never ran is due at once. A job that another process runs is left alone.

    The exit code is that of the gravest part of all jobs.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
