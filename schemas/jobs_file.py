"""The jobs file: what is archived and verified when, under which limits, and who is told.

The dataclasses below are the one definition: of the values, of the checks, of the JSON Schema.
"""

import tomllib
import zoneinfo
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cronsim import CronSim, CronSimError

from seec.schemas.plan import DEDUPES, KEEPS
from seec.schemas.quantities import parse_rate
from seec.schemas.report import MODES
from seec.schemas.settings_file import (
    Choice,
    Count,
    Duration,
    Flag,
    ListOf,
    Named,
    Problem,
    Table,
    Text,
    nearest,
    setting,
)
from seec.schemas.toml_lines import lines_of

# In the order in which they run: what compact makes is verified and copied before gc removes the
# old shards, and what the archive gives up with gc, the next copy gives up.
ARCHIVE, COMPACT, VERIFY, COPY, GC = PARTS = ("archive", "compact", "verify", "copy", "gc")
FAILURE, FINDING, RECOVERY, ALWAYS = OCCASIONS = ("failure", "finding", "recovery", "always")
MAX_FILE_BYTES = 256 << 10
_ANY_MOMENT = datetime(2026, 1, 1)  # noqa: DTZ001, only the expression is looked at
_CRON_EXAMPLES = ("15 2 * * *", "0 5 * * MON", "0 4 1 * *")
_CRON_FIELDS = "five fields: minute, hour, day of the month, month, day of the week"


def _check_cron(text: str) -> None:
    try:
        CronSim(text, _ANY_MOMENT)
    except CronSimError as error:
        examples = " or ".join(f'"{example}"' for example in _CRON_EXAMPLES)
        raise ValueError(
            f"{text!r} is no cron expression ({error}): give {_CRON_FIELDS}, such as {examples}"
        ) from None
    if len(text.split()) != 5:
        raise ValueError(f"{text!r} has seconds; give {_CRON_FIELDS}")


def _check_zone(text: str) -> None:
    known = zoneinfo.available_timezones()
    if text not in known:
        last = {zone.rpartition("/")[2]: zone for zone in sorted(known)}
        near = nearest(text, sorted(known), 0.8) or nearest(text.replace(" ", "_"), list(last), 0.8)
        meant = (
            f"did you mean {last.get(near, near)!r}?" if near else 'give "Europe/Berlin" or "UTC"'
        )
        raise ValueError(f"{text!r} is no time zone; {meant}")


_CRON = Text(_CRON_EXAMPLES, _check_cron, r"^\S+( +\S+){4}$")
_RATE = Text(("50MB/s", "8MiB/s"), parse_rate)
_ZONE = Text(("UTC", "Europe/Berlin"), _check_zone)
# Settings, by their keys, that need a source.
_OF_SOURCE = ("as", "prune-missing", "follow-links", "check-content", "profile", "model")
_FIELDS = {"as": "name"} | {key: key.replace("-", "_") for key in _OF_SOURCE if "-" in key}
_OWN_SCHEDULE = "When, as a cron expression. Without one, in each run of the job."


@dataclass(frozen=True)
class VerifyPart:
    """`seec verify` of the archive."""

    schedule: str | None = setting(_CRON, _OWN_SCHEDULE)
    mode: str = setting(Choice(MODES), "How thoroughly, as --mode.", default="decode")
    max_duration: float | None = setting(
        Duration(),
        "Begin no further shard after this time; the shards verified longest ago come first.",
    )


@dataclass(frozen=True)
class CompactPart:
    """`seec compact` of the archive."""

    schedule: str | None = setting(_CRON, _OWN_SCHEDULE)


@dataclass(frozen=True)
class CopyPart:
    """`seec copy` of the archive."""

    target: str = setting(
        Text(("/mnt/second/photos.archive", "s3://second/archive")),
        "Where the copy is: a path or URL.",
        default=...,
    )
    schedule: str | None = setting(_CRON, _OWN_SCHEDULE)
    bandwidth: str | None = setting(
        _RATE, "Average rate of transfers of the copy. Without it, that of the job."
    )


@dataclass(frozen=True)
class GcPart:
    """`seec gc --delete` of the archive; never while damage is known."""

    schedule: str | None = setting(_CRON, _OWN_SCHEDULE)
    keep_commits: int | None = setting(
        Count(), "Keep the states of the last so many commits, as --keep-commits."
    )
    keep_for: float | None = setting(
        Duration(), 'Keep the states of this time, up to now, such as "365d".'
    )
    older_than: float = setting(
        Duration(),
        "Keep objects that were written, or dropped by a commit, less than this time ago.",
        default=86_400.0,
        written="24h",
    )
    reports: bool = setting(Flag(), "Also delete old reports.", default=False)


@dataclass(frozen=True)
class Place:
    """Where a secret URL is kept: in a variable or in a file, never in the jobs file."""

    url_env: str | None = setting(
        Text(("SEEC_PING_URL",)), "The variable of the environment that holds the URL."
    )
    url_file: str | None = setting(
        Text(("/etc/seec/ping.url",)), "The file that holds the URL; keep it from other users."
    )

    def contradictions(self) -> list[str]:
        """What is wrong with settings that are right one by one."""
        if (self.url_env is None) == (self.url_file is None):
            return ["give one of url-env and url-file: the variable or the file with the URL"]
        return []


@dataclass(frozen=True)
class Notify(Place):
    """Whom to tell, by Apprise, and when: mail, Slack, webhooks and a hundred others by URL."""

    on: tuple[str, ...] = setting(
        ListOf(Choice(OCCASIONS)),
        "When: failure, finding (of a verification), recovery (success after failure), always.",
        default=(FAILURE, FINDING, RECOVERY),
        written=[FAILURE, FINDING, RECOVERY],
    )
    attach_report: bool = setting(
        Flag(), "Attach the page of the job, if it has one in a folder.", default=False
    )


@dataclass(frozen=True)
class Job:
    """One archive: what goes into it, what follows, and when."""

    archive: str = setting(
        Text(("/srv/photos.archive", "s3://vault/archive")),
        "The archive: a path or URL.",
        default=...,
    )
    source: str | None = setting(
        Text(("/srv/photos", "s3://bucket/photos")),
        "The folder or URL to archive. Without it, the job only does what follows.",
    )
    schedule: str | None = setting(
        _CRON,
        "When the job is due, as a cron expression. Without one, `seec jobs run FILE NAME` alone "
        "runs the job.",
    )
    timezone: str | None = setting(_ZONE, "Of the schedules. Without it, that of the file.")
    profile: str | None = setting(
        Text(("fast", "lite", "max")), "Packaged weights, as --profile of seec archive."
    )
    model: str | None = setting(Text(), "A weights file, as --model of seec archive.")
    keep: str | None = setting(Choice(KEEPS), "What comes back, as --keep of seec archive.")
    segmentation: str | None = setting(
        Text(("rate", "none", "salient")), "Source of label maps, as --segmentation."
    )
    jpeg: str | None = setting(
        Choice(("auto", "seec", "jpegxl")), "What codes JPEG files, as --jpeg."
    )
    dedupe: str | None = setting(Choice(DEDUPES), "As --dedupe of seec archive.")
    name: str | None = setting(
        Text(), "The directory of the archive below which the source goes, as --as.", key="as"
    )
    prune_missing: bool = setting(
        Flag(), "Files that vanished from the source do not count any more.", default=False
    )
    follow_links: bool = setting(Flag(), "As --follow-links of seec archive.", default=False)
    check_content: bool = setting(Flag(), "As --check-content of seec archive.", default=False)
    verify: VerifyPart | None = setting(Table(VerifyPart), "Verify the archive after that.")
    compact: CompactPart | None = setting(Table(CompactPart), "Merge small shards after that.")
    copy: CopyPart | None = setting(Table(CopyPart), "Bring a second copy up to date after that.")
    gc: GcPart | None = setting(Table(GcPart), "Remove what no state that is kept needs.")
    report: str | None = setting(
        Text(("/srv/www/photos.html",)),
        "Where `seec report` writes its page after each run: a path or URL.",
    )
    ping: Place | None = setting(
        Table(Place), "A watchdog, such as Healthchecks, that is pinged at start, success and fail."
    )
    time_limit: float | None = setting(
        Duration(), "Interrupt the job after this time; the next run goes on where it was."
    )
    retries: int = setting(
        Count(0, 20), "How often a part is tried again after an error that may pass.", default=3
    )
    retry_pause: float = setting(
        Duration(),
        "Before the first of these tries; each further pause is twice as long, up to 30m.",
        default=60.0,
        written="1m",
    )
    cpus: int | None = setting(Count(), "Number of CPUs to use, as --cpus.")
    bandwidth: str | None = setting(_RATE, "Average rate of transfers, as --bandwidth.")
    store_concurrency: int | None = setting(Count(), "As --store-concurrency.")
    ray_address: str | None = setting(Text(("auto",)), "A running Ray cluster, as --ray-address.")

    def contradictions(self) -> list[str]:
        """What is wrong with settings that are right one by one."""
        found: list[str] = []
        if self.source is None and not self.parts:
            found.append("does nothing: give source, or a table of verify, compact, copy or gc")
        if self.profile is not None and self.model is not None:
            found.append("profile and model exclude each other: both choose the weights")
        if self.copy is not None and self.copy.target == self.archive:
            found.append("target of copy is the archive itself: a copy needs a place of its own")
        if self.source is None:
            given = [key for key in _OF_SOURCE if getattr(self, _FIELDS.get(key, key))]
            if given:
                found.append(f"{given[0]} is about a source, and the job has none: give source")
        return found

    @property
    def parts(self) -> dict[str, str | None]:
        """What the job does, in this order, each with its own schedule if it has one."""
        found: dict[str, str | None] = {} if self.source is None else {ARCHIVE: None}
        for name in (COMPACT, VERIFY, COPY, GC):
            part = getattr(self, name)
            if part is not None:
                found[name] = part.schedule
        return found


@dataclass(frozen=True)
class JobsFile:
    """All jobs of a file, and what they share."""

    jobs: dict[str, Job] = setting(Named(Job), "The jobs by name.", default=...)
    timezone: str = setting(_ZONE, "Of all schedules of the file.", default="UTC")
    state: str | None = setting(
        Text(("/var/lib/seec/jobs", "s3://vault/jobs")),
        "Where it is kept when each job ran and how it ended: a path or URL, which all machines "
        "that run these jobs share. Without it, a folder beside the file.",
    )
    stores: str | None = setting(
        Text(("/etc/seec/stores.toml",)), "Options of stores, as --stores."
    )
    notify: tuple[Notify, ...] = setting(
        ListOf(Table(Notify)), "Whom to tell how jobs end: a [[notify]] for each.", default=()
    )
    metrics: str | None = setting(
        Text(("/var/lib/prometheus/node-exporter/seec.prom",)),
        "A file that gets metrics of all jobs after each run, for node_exporter.",
    )
    pushgateway: str | None = setting(
        Text(("http://localhost:9091",)), "A Pushgateway that gets the same metrics."
    )
    otlp: str | None = setting(
        Text(("http://localhost:4318",)),
        "An OpenTelemetry collector that gets the same metrics, by OTLP over HTTP.",
    )

    def zone(self, job: Job) -> str:
        """The time zone of a job's schedules."""
        return job.timezone or self.timezone


@dataclass(frozen=True)
class LineProblem:
    """A problem of a file, and the line, from 1, that it is on."""

    line: int
    message: str


def read_jobs_file(text: str) -> tuple[JobsFile | None, list[LineProblem]]:
    """The jobs that a text defines, or None and all that is wrong with it, by line."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return None, [_not_toml(text, error)]
    problems: list[Problem] = []
    made = Table(JobsFile).convert(values, (), problems)
    lines = lines_of(text, [problem.place for problem in problems])
    found = [LineProblem(lines[problem.place], problem.message) for problem in problems]
    return (None if found else made), sorted(found, key=lambda problem: problem.line)


def _not_toml(text: str, error: tomllib.TOMLDecodeError) -> LineProblem:
    message, _, where = str(error).partition(" (at ")
    number = where.removeprefix("line ").partition(",")[0]
    line = int(number) if number.isdecimal() else max(1, len(text.splitlines()))  # at its end
    return LineProblem(line, f"not TOML: {message}")


def json_schema() -> dict[str, Any]:
    """What editors complete and check a jobs file by; JSON Schema, draft 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Jobs of seec",
        **Table(JobsFile).schema(),
    }
