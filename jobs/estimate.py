"""Estimate what archiving will take, before it is done: `seec estimate SRC`."""

import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.messages import inform
from seec.jobs.model_options import chosen_model, model_options
from seec.jobs.options import store_options
from seec.jobs.planning import bytes_worth, jpeg_bytes, worthwhile
from seec.jobs.progress import progress
from seec.jobs.summary import figures
from seec.pipeline.dct.packaged import models_for
from seec.pipeline.routes.writing import RunModels
from seec.pipeline.stages.estimating import Amount, Trials, strata, totals
from seec.pipeline.stages.once_jpeg import AS_JPEG
from seec.pipeline.stages.slices import Indexes, files_with_index, read_indexes, sliced
from seec.pipeline.storage import Limits, Source
from seec.schemas.errors import StorageError
from seec.schemas.kinds import FILE
from seec.schemas.plan import KEEPS, PlanSettings, SourceFile
from seec.schemas.routes import ROUTES

_DEFAULTS = PlanSettings(model_id="")
SAMPLE_FILES, SAMPLE_BYTES = 400, 64_000_000
# Requests of S3: of each file of the source, of each shard of the archive.
_PER_FILE, _PER_SHARD = 2, 12
_CPU_BYTES = 2 << 30
# Of the bytes that are read, for indexes of large files, at most.
_INDEXES = 1 / 8
THIS = "this machine"


@dataclass(frozen=True)
class Settings:
    """What is estimated. storage_price: of a GB-month; cpu_price: of a CPU-hour.

    nodes: a TOML file with a table for each type of node: speed (this machine is 1) and price.
    """

    source: str
    profile: str | None = None
    model: Path | None = None
    keep: str = _DEFAULTS.keep
    sample_files: int = SAMPLE_FILES
    sample_bytes: int = SAMPLE_BYTES
    seed: int = 0
    storage_price: float | None = None
    cpu_price: float | None = None
    nodes: Path | None = None
    limits: Limits | None = None


@dataclass(frozen=True)
class Summary:
    """What archiving is expected to take; intervals are of 95 %.

    sampled_files, sampled_bytes: what was read, and no more. memory_bytes: of the largest file of
    the sample while it is looked into. nodes: CPU-hours and price by type of node. saved_month,
    paid_after_months: None without prices; negative if nothing is saved.
    """

    source: str
    files: int
    source_bytes: int
    sampled_files: int
    sampled_bytes: int
    seed: int
    stored: Amount
    routes: dict[str, tuple[Amount, Amount]]
    unsampled_bytes: int
    cpu_hours: Amount
    memory_bytes: int
    requests: int
    nodes: dict[str, dict[str, float | None]]
    saved_month: float | None
    paid_after_months: float | None
    exit_code: int = ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """All figures by name; amounts as value, low and high."""
        return {
            **figures(self),
            "stored": _plain(self.stored),
            "cpu_hours": _plain(self.cpu_hours),
            "routes": {
                route: {"files": _plain(files), "stored": _plain(sizes)}
                for route, (files, sizes) in self.routes.items()
            },
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        yield (
            f"{self.files:,} files, {self.source_bytes:,} bytes; read for this: "
            f"{self.sampled_files:,} files, {self.sampled_bytes:,} bytes"
        )
        share = 100 / max(1, self.source_bytes)
        yield (
            f"archive      {self.stored.value:,.0f} bytes ({share * self.stored.value:.1f} %), "
            f"{self.stored.low:,.0f} to {self.stored.high:,.0f} with 95 % confidence"
        )
        for route, (files, sizes) in self.routes.items():
            yield (
                f"  {route:<12} {files.value:,.0f} files, {sizes.value:,.0f} bytes "
                f"(+- {sizes.error:,.0f})"
            )
        if self.unsampled_bytes:
            yield f"  {self.unsampled_bytes:,} bytes of kinds and sizes without a sample"
        yield "  equal files are stored once, which no sample shows: it may be less"
        low, high = self.cpu_hours.low, self.cpu_hours.high
        yield f"CPU-hours    {self.cpu_hours.value:.3g} ({low:.3g} to {high:.3g}) on this machine"
        for name, node in self.nodes.items():
            price = "" if node["price"] is None else f", price {node['price']:,.2f}"
            yield f"  {name}: {node['cpu_hours']:.3g} CPU-hours{price}"
        yield (
            f"memory       {_CPU_BYTES >> 30} GiB for each CPU; the largest file of the sample "
            f"takes {self.memory_bytes / 2**20:,.0f} MiB"
        )
        yield f"requests     {self.requests:,}, if source and archive are on S3"
        if self.saved_month is not None:
            yield f"saved        {self.saved_month:,.2f} a month"
        if self.paid_after_months is not None:
            if self.saved_month and self.saved_month > 0:
                yield f"paid after   {self.paid_after_months:,.1f} months"
            else:
                yield "paid after   never: nothing is saved"


def _plain(amount: Amount) -> dict[str, float]:
    return {"value": amount.value, "low": amount.low, "high": amount.high}


def run(settings: Settings) -> Summary:
    """List the source, code a sample, and scale it up. Raises StorageError or ModelError."""
    nodes = _nodes(settings)
    model = chosen_model(settings.model, settings.profile)
    source = Source(settings.source, settings.limits)
    listing = source.files()
    files = [file for file in listing if file.kind == FILE and file.problem is None]
    indexes = _indexes(source, files, settings)
    groups = strata(
        sliced(files, indexes),
        settings.sample_files,
        settings.sample_bytes - indexes.read_bytes,
        settings.seed,
    )
    chosen = [file for group in groups for file in group.sample]
    size = sum(file.size_bytes for file in chosen) + indexes.read_bytes
    parts = sum(file.piece is not None for file in chosen)
    sampled = len({file.path for file in chosen})
    within = f", of {parts:,} slices of large ones" if parts else ""
    inform(f"reads {sampled:,} of {len(files):,} files{within}, {size:,} bytes")
    trials = Trials(source, model)
    models = models_for(settings.profile)
    jpegs = jpeg_bytes(files) + trials.jpeg_bytes(groups)
    worth = bytes_worth(models)
    if jpegs < max(worth):
        jpegs += AS_JPEG * trials.decoded_bytes(groups)
    used = worthwhile(models, worth, jpegs)
    plan = PlanSettings(
        model_id=model.id,
        jpeg_model_id=used and used.id,
        keep=settings.keep,
    )
    with progress("estimate", len(chosen), "files") as shown:
        found = trials.of(chosen, plan, RunModels(model, used), shown.advance)
    made = totals(groups, found)
    hours = Amount(made.cpu_s.value / 3600, made.cpu_s.error / 3600)
    whole = sum(file.size_bytes for file in files)
    saved = None
    if settings.storage_price is not None:
        saved = (whole - made.stored.value) / 1e9 * settings.storage_price
    cost = None if settings.cpu_price is None else hours.value * settings.cpu_price
    order = [*ROUTES, *(route for route in made.routes if route not in ROUTES)]
    shards = max(-(-whole // _DEFAULTS.shard_size_bytes), -(-len(listing) // _DEFAULTS.shard_files))
    return Summary(
        source=source.url,
        files=len(files),
        source_bytes=whole,
        sampled_files=sampled,
        sampled_bytes=size,
        seed=settings.seed,
        stored=made.stored,
        routes={route: made.routes[route] for route in order if route in made.routes},
        unsampled_bytes=made.unsampled_bytes,
        cpu_hours=hours,
        memory_bytes=max((trial.passing_bytes for trial in found.values()), default=0),
        requests=_PER_FILE * len(files) + _PER_SHARD * shards,
        nodes={
            name: {
                "cpu_hours": hours.value / speed,
                "price": None if price is None else hours.value / speed * price,
            }
            for name, (speed, price) in nodes.items()
        },
        saved_month=saved,
        paid_after_months=cost / saved if cost is not None and saved and saved > 0 else None,
    )


def _indexes(source: Source, files: list[SourceFile], settings: Settings) -> Indexes:
    """The indexes of large files of tables and arrays, within what may be read."""
    indexed = files_with_index(files)
    if not indexed:
        return Indexes()
    most = int(_INDEXES * settings.sample_bytes)
    inform(f"reads indexes of {len(indexed):,} large files first, {most:,} bytes at most")
    return read_indexes(source, indexed, most, settings.seed)


def _nodes(settings: Settings) -> dict[str, tuple[float, float | None]]:
    """Speed and price of a CPU-hour by type of node."""
    found: dict[str, tuple[float, float | None]] = {}
    if settings.cpu_price is not None:
        found[THIS] = (1.0, settings.cpu_price)
    if settings.nodes is None:
        return found
    try:
        tables = tomllib.loads(settings.nodes.read_text("utf-8"))
        for name, table in tables.items():
            unknown = Counter(table.keys()) - Counter(("speed", "price"))
            if unknown or not table["speed"] > 0:
                raise ValueError(f"[{name}] needs speed, and may have price")
            found[name] = (float(table["speed"]), table.get("price"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"{settings.nodes}: no table of nodes: {error}") from None
    return found


@command(
    "estimate",
    examples=[
        "seec estimate photos/",
        "seec estimate s3://bucket/photos --profile fast --storage-price 0.023 --cpu-price 0.04",
        "seec estimate photos/ --sample-files 1000 --sample-bytes 500000000",
    ],
)
@click.argument("source", metavar="SRC")
@model_options
@click.option("--keep", type=click.Choice(KEEPS), default=_DEFAULTS.keep, help="As seec archive.")
@click.option(
    "--sample-files",
    type=click.IntRange(min=1),
    default=SAMPLE_FILES,
    help="Read at most so many files.",
)
@click.option(
    "--sample-bytes",
    type=click.IntRange(min=1),
    default=SAMPLE_BYTES,
    help="Read at most so many bytes.",
)
@click.option("--seed", type=int, default=0, help="Seed of the choice of files.")
@click.option("--storage-price", type=float, help="Price of a GB-month, to say what is saved.")
@click.option("--cpu-price", type=float, help="Price of a CPU-hour, to say when it is paid.")
@click.option(
    "--nodes",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="TOML file with a table for each type of node: speed (this machine is 1), and price of a "
    "CPU-hour.",
)
@store_options
def main(**options: Any) -> Summary:
    """Estimate what archiving SRC will take: bytes by route, CPU-hours, memory, requests, money.

    estimate lists SRC, codes a random sample by kind and size on one core, and scales it up. Of
    large files that hold others, such as tar, zip and Parquet, it samples slices. It says before
    what it reads, and reads no more.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
