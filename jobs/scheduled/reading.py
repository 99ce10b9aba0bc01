"""Read a jobs file, and say on which line something is wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import click

from seec.jobs import logs
from seec.pipeline.codec import packaged_profiles
from seec.pipeline.extras import missing
from seec.pipeline.segmentation import check_name
from seec.pipeline.storage import Store
from seec.pipeline.storage.access import Access, refuse_password, using
from seec.schemas.errors import StorageError
from seec.schemas.jobs_file import (
    MAX_FILE_BYTES,
    Job,
    JobsFile,
    LineProblem,
    read_jobs_file,
)
from seec.schemas.settings_file import Problem, nearest
from seec.schemas.toml_lines import lines_of


def check(path: Path) -> tuple[JobsFile | None, list[LineProblem]]:
    """The jobs of a file, and all that is wrong with it, by line. OSError if it cannot be read."""
    data = path.read_bytes()
    if len(data) > MAX_FILE_BYTES:
        return None, [LineProblem(1, f"more than {MAX_FILE_BYTES} bytes, which is no jobs file")]
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return None, [LineProblem(line, "not TOML: not UTF-8")]
    file, problems = read_jobs_file(text)
    if file is None:
        return None, problems
    found = [problem for name, job in file.jobs.items() for problem in _of_job(name, job)]
    found += _of_file(file)
    lines = lines_of(text, [problem.place for problem in found])
    problems = [LineProblem(lines[problem.place], problem.message) for problem in found]
    problems.sort(key=lambda problem: problem.line)
    return (None if problems else _placed(file, path.absolute().parent)), problems


def _placed(file: JobsFile, folder: Path) -> JobsFile:
    """The same jobs with relative paths made those from the folder of the file."""

    def place(text: str | None) -> str | None:
        if text is None or "://" in text:
            return text
        return str(folder / Path(text).expanduser())

    jobs = {
        name: replace(
            job,
            source=place(job.source),
            archive=place(job.archive) or "",
            model=place(job.model),
            report=place(job.report),
            copy=job.copy and replace(job.copy, target=place(job.copy.target) or ""),
            ping=job.ping and replace(job.ping, url_file=place(job.ping.url_file)),
        )
        for name, job in file.jobs.items()
    }
    return replace(
        file,
        jobs=jobs,
        state=place(file.state),
        stores=place(file.stores),
        metrics=place(file.metrics),
        notify=tuple(replace(one, url_file=place(one.url_file)) for one in file.notify),
    )


def read(path: Path) -> JobsFile:
    """The jobs of a file. Wrong use, with the first line that is wrong, if there is one."""
    file, problems = check(path)
    if file is None:
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise click.UsageError(
            f"{path}, line {first.line}: {logs.printable(first.message)}{more}; "
            f"seec jobs check {path} lists all"
        )
    return file


def chosen(file: JobsFile, path: Path, name: str) -> Job:
    """One job by its name; wrong use if there is none."""
    if name not in file.jobs:
        near = nearest(name, list(file.jobs))
        hint = f"did you mean {near!r}?" if near else f"there are {', '.join(file.jobs)}"
        raise click.UsageError(f"{path}: no job {name!r}; {hint}")
    return file.jobs[name]


def state_of(file: JobsFile, path: Path) -> Store:
    """Where it is kept how the jobs of a file stand."""
    return Store(file.state or f"{path.absolute()}.state")


@contextmanager
def stores_of(file: JobsFile) -> Iterator[None]:
    """Open stores with the options that the file names, or with those in use, in the block."""
    if file.stores is None:
        yield
        return
    with using(Access.read(Path(file.stores))):
        yield


def _of_job(name: str, job: Job) -> list[Problem]:
    """What the tables of names and the stores know."""
    found: list[Problem] = []

    def wrong(key: str, message: str, *below: str) -> None:
        found.append(Problem(("jobs", name, key, *below), f"{(key, *below)[-1]}: {message}"))

    if job.profile is not None and job.profile not in packaged_profiles():
        known = packaged_profiles()
        near = nearest(job.profile, known)
        hint = f"did you mean {near!r}?" if near else f"there are {', '.join(known)}"
        wrong("profile", f"no weights of {job.profile!r} are packaged; {hint}")
    if job.segmentation is not None:
        try:
            check_name(job.segmentation)
        except ValueError as error:
            wrong("segmentation", str(error))
    for place, *keys in (
        (job.source, "source"),
        (job.archive, "archive"),
        (job.report, "report"),
        (job.copy and job.copy.target, "copy", "target"),
    ):
        try:
            refuse_password(place or "")
        except StorageError as error:
            wrong(keys[0], str(error), *keys[1:])
    if job.name is not None and ("/" in job.name or job.name in (".", "..")):
        wrong("as", f"{job.name!r} is no name of a directory: no /, neither . nor ..")
    if job.report is not None and find_spec("jinja2") is None:
        wrong("report", str(missing("report", "a report", "jinja2")))
    return found


def _of_file(file: JobsFile) -> list[Problem]:
    found: list[Problem] = []
    for key in ("state", "stores", "pushgateway", "otlp"):
        try:
            refuse_password(getattr(file, key) or "")
        except StorageError as error:
            found.append(Problem((key,), f"{key}: {error}"))
    if file.otlp is not None and find_spec("opentelemetry") is None:
        found.append(Problem(("otlp",), f"otlp: {missing('otlp', 'OTLP', 'opentelemetry')}"))
    if file.notify and find_spec("apprise") is None:
        message = str(missing("notify", "notifications", "apprise"))
        found.append(Problem(("notify",), f"notify: {message}"))
    return found
