"""Train a coefficient model of JPEG files: `python -m seec.jobs.train --jpeg OUT FOLDER...`."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from seec.jobs.exit_codes import ExitCode
from seec.jobs.model_options import read_jpeg_model
from seec.jobs.summary import figures
from seec.pipeline.dct.packaged import packaged_model, packaged_profiles
from seec.pipeline.dct.weights import DctModel
from seec.pipeline.lab.dct.train import PROFILES, train_model


@dataclass(frozen=True)
class Settings:
    """out: the model file. folders: of images. profile: one of PROFILES.

    begin_with: a packaged profile or a model file whose networks are taken, see train_model.
    budget_s: CPU time of the networks; None is as much as packaged models had. name, data_source:
    what the model's card says of it and of its images.
    """

    out: Path
    folders: tuple[Path, ...]
    profile: str = "lite"
    begin_with: str | None = None
    budget_s: float | None = None
    name: str = "model"
    data_source: str = ""

    @property
    def work(self) -> Path:
        """Where samples and checkpoints are kept: beside the model file."""
        return self.out.with_name(f"{self.out.stem}.{self.profile}.work")


@dataclass(frozen=True)
class Summary:
    """The model. seconds: by the clock."""

    out: str
    model_id: str
    size_bytes: int
    seconds: float
    exit_code: int = ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """All figures by name."""
        return figures(self)

    def lines(self) -> Iterator[str]:
        """Two lines."""
        yield f"{self.out}: {self.size_bytes:,} bytes in {self.seconds:.0f} s"
        yield f"model {self.model_id}"


def run(settings: Settings) -> Summary:
    """Train to the end, from the checkpoints if there are any. Raises UnreadableImage, OSError."""
    started = time.monotonic()
    if settings.profile not in PROFILES:
        raise click.UsageError(
            f"--profile {settings.profile}: with --jpeg there are {', '.join(sorted(PROFILES))}"
        )
    card = {
        "name": settings.name,
        "profile": settings.profile,
        "data_source": settings.data_source,
    }
    model = train_model(
        settings.folders,
        settings.profile,
        settings.work,
        settings.budget_s,
        card,
        lambda line: click.echo(line, err=True),
        _known_model(settings.begin_with) if settings.begin_with else None,
    )
    settings.out.write_bytes(model.payload)
    seconds = time.monotonic() - started
    return Summary(str(settings.out), model.id, len(model.payload), round(seconds, 1))


def _known_model(name: str) -> DctModel:
    if name in packaged_profiles():
        return packaged_model(name)
    if not Path(name).is_file():
        raise click.UsageError(f"--begin-with {name}: neither a packaged model nor a file")
    return read_jpeg_model(Path(name))
