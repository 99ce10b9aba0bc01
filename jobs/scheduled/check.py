"""Check a jobs file: `seec jobs check FILE`."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seec.jobs import clock
from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.scheduled import reading
from seec.jobs.scheduled.options import file_argument
from seec.jobs.scheduled.timing import next_slot
from seec.schemas.jobs_file import JobsFile, LineProblem


@dataclass(frozen=True)
class Settings:
    """Which file."""

    file: Path


@dataclass(frozen=True)
class Summary:
    """What is wrong with a file, by line; or when each part of each job is due next."""

    file: str
    problems: tuple[LineProblem, ...]
    next_runs: dict[str, dict[str, str | None]]

    @property
    def exit_code(self) -> ExitCode:
        """USAGE if anything is wrong."""
        return ExitCode.USAGE if self.problems else ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """Times in UTC, null for parts without a schedule."""
        return {**self.__dict__, "problems": [asdict(problem) for problem in self.problems]}

    def lines(self) -> Iterator[str]:
        """For people."""
        for problem in self.problems:
            yield f"{self.file}, line {problem.line}: {problem.message}"
        for name, parts in self.next_runs.items():
            for part, moment in parts.items():
                yield f"{name}: {part} next at {moment or 'no time: no schedule'}"
        if not self.problems:
            yield f"{self.file}: {len(self.next_runs)} jobs, nothing wrong"


def run(settings: Settings) -> Summary:
    """Check a file. OSError if it cannot be read."""
    file, problems = reading.check(settings.file)
    return Summary(str(settings.file), tuple(problems), {} if file is None else next_runs(file))


def next_runs(file: JobsFile) -> dict[str, dict[str, str | None]]:
    """When each part of each job is due next, as text in UTC; None without a schedule."""
    now = clock.now()
    found: dict[str, dict[str, str | None]] = {}
    for name, job in file.jobs.items():
        found[name] = {}
        for part, own in job.parts.items():
            schedule = own or job.schedule
            slot = None if schedule is None else next_slot(schedule, file.zone(job), now)
            found[name][part] = None if slot is None else slot.isoformat(timespec="minutes")
    return found


@command("jobs check", examples=["seec jobs check jobs.toml"])
@file_argument
def main(**options: Any) -> Summary:
    """Check a jobs file: name each line that is wrong, and say what was meant.

    If nothing is wrong, check lists when each part of each job is due next. check opens no store.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
