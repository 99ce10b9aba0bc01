"""List the jobs of a file, and how each stands: `seec jobs list FILE`."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.options import access_option
from seec.jobs.scheduled import reading
from seec.jobs.scheduled.check import next_runs
from seec.jobs.scheduled.options import file_argument
from seec.jobs.scheduled.states import States
from seec.schemas.job_state import JobState

_NEVER = "never"


@dataclass(frozen=True)
class Settings:
    """Which file."""

    file: Path


@dataclass(frozen=True)
class Standing:
    """How one job stands. next_runs: by part, in UTC; None without a schedule."""

    archive: str
    running: bool
    state: JobState
    next_runs: dict[str, str | None]

    @property
    def findings(self) -> int:
        """Of verifications, that are not mended."""
        return int(self.state.archive.get("findings", 0))


@dataclass(frozen=True)
class Summary:
    """All jobs of a file."""

    file: str
    jobs: dict[str, Standing]
    exit_code: int = ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """By name of a job. Times in UTC; null for what never was."""
        return {
            "file": self.file,
            "jobs": {
                name: {
                    "archive": one.archive,
                    "running": one.running,
                    "findings": one.findings,
                    "next_runs": one.next_runs,
                    "state": _plain(asdict(one.state)),
                }
                for name, one in self.jobs.items()
            },
        }

    def lines(self) -> Iterator[str]:
        """For people: a block for each job."""
        for name, one in self.jobs.items():
            state, size = one.state, one.state.archive
            yield f"{name}: {one.archive}{' (at work)' if one.running else ''}"
            code = "" if state.exit_code is None else f", exit code {state.exit_code}"
            yield f"  last run      {_time(state.ended)}{code}"
            yield f"  last success  {_time(state.succeeded)}"
            if state.failing_since is not None:
                yield f"  failing since {_time(state.failing_since)}"
            for part, ended in state.parts.items():
                if ended.error:
                    yield f"    {part}: {ended.error}"
            times = ", ".join(f"{part} {at}" for part, at in one.next_runs.items() if at)
            yield f"  next run      {times or 'only when asked for: no schedule'}"
            if size:
                yield (
                    f"  holds         {size['files']:,} files, {size['source_size_bytes']:,} -> "
                    f"{size['blob_size_bytes']:,} bytes"
                )
            if one.findings:
                yield f"  findings      {one.findings}: seec verify {one.archive} lists them"


def _time(moment: datetime | None) -> str:
    return _NEVER if moment is None else moment.isoformat(timespec="seconds")


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value.isoformat() if isinstance(value, datetime) else value


def run(settings: Settings) -> Summary:
    """Read how each job stands; opens no archive. Wrong use if the file is wrong."""
    file = reading.read(settings.file)
    with reading.stores_of(file):
        states = States(reading.state_of(file, settings.file))
        later = next_runs(file)
        jobs = {
            name: Standing(job.archive, states.is_held(name), states.get(name), later[name])
            for name, job in file.jobs.items()
        }
    return Summary(str(settings.file), jobs)


@command("jobs list", examples=["seec jobs list jobs.toml", "seec jobs list jobs.toml --json"])
@file_argument
@access_option
def main(**options: Any) -> Summary:
    """List the jobs of FILE: last run, last success, next run, sizes, findings.

    Times are in UTC.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
