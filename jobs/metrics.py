"""Metrics of jobs and archives, for Prometheus: a file for node_exporter, or a push.

The text is OpenMetrics, of gauges alone: the same bytes are the older text format, which the
textfile collector of node_exporter reads. Times are Unix times, so that ages grow by themselves.
"""

import os
import tempfile
import urllib.error
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
from prometheus_client import CollectorRegistry, push_to_gateway
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest

from seec.jobs import clock, otlp
from seec.jobs.exit_codes import ExitCode, exit_code_of
from seec.jobs.interruption import signal_of
from seec.jobs.messages import warn
from seec.jobs.summary import Summary
from seec.pipeline.archive import Archive
from seec.pipeline.standing.checks import standing
from seec.pipeline.storage import Store
from seec.schemas.errors import SeecError

F = TypeVar("F", bound=Callable[..., Any])
_PUSH_TIMEOUT_S = 20.0
_JOB, _PART = ("name", "archive"), ("name", "archive", "part")
# By name: labels, and what the figure is.
_GAUGES: dict[str, tuple[tuple[str, ...], str]] = {
    "seec_job_success": (_JOB, "1 if the last run ended well, else 0."),
    "seec_job_exit_code": (_JOB, "Exit code of the last run."),
    "seec_job_last_run_timestamp_seconds": (_JOB, "When the last run ended."),
    "seec_job_last_success_timestamp_seconds": (_JOB, "When a run last ended well."),
    "seec_job_next_run_timestamp_seconds": (_JOB, "When the next run is due, as of the last."),
    "seec_job_duration_seconds": (_JOB, "What the last run took."),
    "seec_part_exit_code": (_PART, "Exit code of the last run of a part."),
    "seec_part_duration_seconds": (_PART, "What the last run of a part took."),
    "seec_part_last_success_timestamp_seconds": (_PART, "When a part last ended well."),
    "seec_run_added_files": (_JOB, "Files that the last run archived."),
    "seec_run_read_bytes": (_JOB, "Bytes of the source that the last run archived."),
    "seec_run_written_bytes": (_JOB, "Bytes that the last run added to the archive."),
    "seec_archive_files": (_JOB, "Files in the archive, with older versions."),
    "seec_archive_source_bytes": (_JOB, "Bytes of these files in their source."),
    "seec_archive_stored_bytes": (_JOB, "Bytes of the blobs of the archive."),
    "seec_archive_commits": (_JOB, "Commits of the archive."),
    "seec_archive_shards": (_JOB, "Shards of the archive."),
    "seec_quarantined_files": (_JOB, "Files of the source that could not be archived."),
    "seec_lost_files": (_JOB, "Files that a repair found nowhere."),
    "seec_findings": (_JOB, "Findings of verifications that are not mended."),
    "seec_never_checked_shards": (_JOB, "Shards that no verification has read."),
    "seec_oldest_check_timestamp_seconds": (_JOB, "The oldest of the last checks of all shards."),
}


@dataclass(eq=False)
class Metrics:
    """Values of gauges by name and labels; None values are left out."""

    values: dict[str, dict[tuple[str, ...], float]] = field(
        default_factory=dict[str, dict[tuple[str, ...], float]]
    )

    def set(self, gauge: str, value: float | None, *labels: str) -> None:
        """One value. labels: in the order of the gauge's."""
        assert len(_GAUGES[gauge][0]) == len(labels), gauge
        if value is not None:
            self.values.setdefault(gauge, {})[labels] = float(value)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """What a registry of prometheus_client asks for."""
        for name, values in self.values.items():
            labels, help_text = _GAUGES[name]
            family = GaugeMetricFamily(name, help_text, labels=labels)
            for key, value in values.items():
                family.add_metric(key, value)
            yield family

    def registry(self) -> CollectorRegistry:
        """A registry of these values alone."""
        registry = CollectorRegistry()
        registry.register(self)  # pyright: ignore[reportArgumentType]
        return registry

    def text(self) -> bytes:
        """OpenMetrics."""
        return generate_latest(self.registry())


def archive_figures(archive: str) -> dict[str, Any]:
    """What an archive says of itself and its checks, for `set_archive`.

    Raises SeecError if it cannot be read.
    """
    opened = Archive.open(Store(archive))
    shards = list(opened.state.in_order())
    checks = standing(opened.store, shards)
    moments = [moment for moment in checks.read.values() if moment is not None]
    return {
        "digest": opened.digest(),
        "commits": opened.state.sequence,
        "shards": len(shards),
        "files": sum(shard.files for shard in shards),
        "source_size_bytes": sum(shard.source_size_bytes for shard in shards),
        "blob_size_bytes": sum(shard.blob.size_bytes for shard in shards),
        "findings": len(checks.findings),
        "never_checked": checks.never_read,
        "oldest_check_s": min(moments).timestamp() if moments else None,
    }


def set_archive(metrics: Metrics, figures: Mapping[str, Any], *labels: str) -> None:
    """The gauges of an archive, from `archive_figures`."""
    for gauge, key in (
        ("seec_archive_files", "files"),
        ("seec_archive_source_bytes", "source_size_bytes"),
        ("seec_archive_stored_bytes", "blob_size_bytes"),
        ("seec_archive_commits", "commits"),
        ("seec_archive_shards", "shards"),
        ("seec_findings", "findings"),
        ("seec_never_checked_shards", "never_checked"),
        ("seec_oldest_check_timestamp_seconds", "oldest_check_s"),
    ):
        metrics.set(gauge, figures.get(key), *labels)


def set_run(metrics: Metrics, part: str, figures: Mapping[str, Any], *labels: str) -> None:
    """The gauges of what a command did, from the figures of its summary."""
    if part == "archive":
        for gauge, key in (
            ("seec_run_added_files", "files_added"),
            ("seec_run_read_bytes", "source_size_bytes"),
            ("seec_run_written_bytes", "blob_size_bytes"),
            ("seec_quarantined_files", "quarantined_now"),
        ):
            metrics.set(gauge, figures.get(key), *labels)
    if part == "verify":
        metrics.set("seec_lost_files", figures.get("files_lost"), *labels)


def write(metrics: Metrics, target: Path) -> None:
    """Replace a file at once, so that a collector never reads half of one. Raises OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    # The collector reads *.prom alone.
    with tempfile.NamedTemporaryFile(
        dir=target.parent, prefix=f".{target.name}.", delete=False
    ) as file:
        file.write(metrics.text())
    Path(file.name).chmod(0o644)
    os.replace(file.name, target)  # noqa: PTH105, as atomic as the system has it


def push(metrics: Metrics, url: str, group: str) -> None:
    """Replace the metrics of a group at a Pushgateway. Raises OSError."""
    try:
        push_to_gateway(
            url,
            job="seec",
            registry=metrics.registry(),
            grouping_key={"group": group},
            timeout=_PUSH_TIMEOUT_S,
        )
    except (urllib.error.URLError, ValueError) as error:
        raise OSError(f"{url}: {error}") from None


@dataclass(frozen=True)
class Targets:
    """Where metrics go: a file, a Pushgateway, a collector of OpenTelemetry; any of these."""

    file: Path | None = None
    pushgateway: str | None = None
    otlp: str | None = None


def deliver(metrics: Metrics, targets: Targets, group: str) -> list[str]:
    """Write and send metrics wherever they go; what went wrong, in words."""
    problems: list[str] = []
    for target, send in (
        (targets.file, lambda: write(metrics, Path(targets.file or ""))),
        (targets.pushgateway, lambda: push(metrics, targets.pushgateway or "", group)),
        (targets.otlp, lambda: otlp.push(metrics, targets.otlp or "")),
    ):
        if target is not None:
            try:
                send()
            except (SeecError, OSError) as error:
                problems.append(f"no metrics: {error}")
    return problems


def metrics_options(part: str) -> Callable[[F], F]:
    """--metrics, --pushgateway and --otlp, for a command about ARCHIVE that ends with a summary."""

    def wrap(function: Callable[..., Summary]) -> Any:
        @wraps(function)
        def measured(
            *, metrics: Path | None, pushgateway: str | None, otlp: str | None, **options: Any
        ) -> Summary:
            begin = clock.now()
            targets = Targets(metrics, pushgateway, otlp)
            if targets == Targets():
                return function(**options)
            archive = options["archive"]
            with _failure_told(part, archive, targets):
                summary = function(**options)
            made = _of_command(part, archive, summary, begin.timestamp())
            for problem in deliver(made, targets, f"{part} {archive}"):
                warn(problem)
            return summary

        file = click.option(
            "--metrics",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Write metrics of the run into this file, which ends in .prom, for the textfile "
            "collector of node_exporter.",
        )
        gateway = click.option(
            "--pushgateway", metavar="URL", help="Push metrics of the run to this Pushgateway."
        )
        collector = click.option(
            "--otlp", metavar="URL", help="Send metrics of the run to this OpenTelemetry collector."
        )
        return file(gateway(collector(measured)))

    return wrap


def _of_command(part: str, archive: str, summary: Summary, begin_s: float) -> Metrics:
    metrics, end_s = Metrics(), clock.now().timestamp()
    labels = ("", archive)
    well = summary.exit_code in (0, 3)
    for gauge, value in (
        ("seec_part_exit_code", float(summary.exit_code)),
        ("seec_part_duration_seconds", end_s - begin_s),
        ("seec_part_last_success_timestamp_seconds", end_s if well else None),
    ):
        metrics.set(gauge, value, *labels, part)
    set_run(metrics, part, summary.as_dict(), *labels)
    try:
        set_archive(metrics, archive_figures(archive), *labels)
    except SeecError as error:
        warn(f"no metrics of {archive}: {error}")
    return metrics


@contextmanager
def _failure_told(part: str, archive: str, targets: Targets) -> Iterator[None]:
    """Metrics with the exit code of the error if the block raises."""
    try:
        yield
    except BaseException as error:
        code = int(ExitCode.UNEXPECTED)
        if isinstance(error, SeecError):
            code = exit_code_of(error)
        elif isinstance(error, KeyboardInterrupt):
            code = 128 + signal_of(error)
        metrics = Metrics()
        metrics.set("seec_part_exit_code", code, "", archive, part)
        for problem in deliver(metrics, targets, f"{part} {archive}"):
            warn(problem)
        raise
