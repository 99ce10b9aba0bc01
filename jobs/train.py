"""Train a model and export its integers: `python -m seec.jobs.train DATA CHECKPOINT`."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import torch
from click.core import ParameterSource

from seec.jobs import train_jpeg
from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.model_options import read_model
from seec.jobs.progress import progress
from seec.jobs.summary import figures
from seec.pipeline.codec import Model, load_model, packaged_model, packaged_profiles
from seec.pipeline.codec.model.profile import LITE, PROFILES, Profile
from seec.pipeline.codec.training.export import export_model
from seec.pipeline.lab.training.adaptive import load_data
from seec.pipeline.lab.training.loop import Progress, Trainer, TrainingSettings
from seec.pipeline.segmentation import make_segmenter

# Options that training of JPEG files has, too.
_OF_BOTH = {"profile", "begin_with", "budget_s", "name", "data_source"}


@dataclass(frozen=True)
class Settings:
    """data: a folder of images. checkpoint: continued from if it exists.

    begin_with: packaged weights of a profile, or a model file, to begin with if it does not.
    budget_s, budget_wall_s: CPU time of the training thread, or time by the clock, after which
    the run ends, if steps do not first. compiled: whether torch compiles steps.
    export: where the model file goes, its card beside it as .json; curve: a CSV of
    validations. name: what the card calls the model. data_source: where it says that the
    images come from, licences included.
    """

    data: Path
    checkpoint: Path
    profile: str = LITE.name
    begin_with: str | None = None
    segmentation: str = "rate"
    device: str = "cpu"
    batch: int = TrainingSettings.batch
    steps: int = 20_000
    budget_s: float | None = None
    budget_wall_s: float | None = None
    compiled: bool = False
    validate_every: int = 1_000
    threads: int = 1
    name: str = "model"
    data_source: str = ""
    export: Path | None = None
    curve: Path | None = None


@dataclass(frozen=True)
class Summary:
    """How the training ended."""

    steps: int
    validation_bpsp: float
    seconds: float
    model_id: str | None
    exit_code: int = ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """All figures by name."""
        return figures(self)

    def lines(self) -> Iterator[str]:
        """One line, two with an export."""
        yield (
            f"{self.steps} steps in {self.seconds:.0f} s: code length {self.validation_bpsp:.4f} "
            f"bpsp on the validation split"
        )
        if self.model_id:
            yield f"model {self.model_id}"


def run(settings: Settings) -> Summary:
    """Train to the end, from the checkpoint if there is one. Raises ModelError, OSError."""
    torch.set_num_threads(settings.threads)
    profile = PROFILES[settings.profile]
    plan = TrainingSettings.of(
        profile,
        steps=settings.steps,
        budget_s=settings.budget_s,
        budget_wall_s=settings.budget_wall_s,
        validate_every=settings.validate_every,
        batch=settings.batch,
        compiled=settings.compiled,
    )
    segmenter = make_segmenter(settings.segmentation)
    cache = settings.checkpoint.with_suffix(".tiles")
    data = load_data(settings.data, segmenter, profile, cache)
    trainer = Trainer(profile, plan, data, settings.device)
    if settings.checkpoint.exists():
        trainer.load(settings.checkpoint)
    elif settings.begin_with is not None:
        trainer.begin_with(_known_model(settings.begin_with))
    with progress("train", 100, "%") as shown:
        for validations in trainer.run(settings.checkpoint):
            shown.update(round(100 * trainer.progress))
            for seen in validations:
                click.echo(_line(seen), err=True)
    last = trainer.history[-1]
    model = _export(settings, profile, trainer) if settings.export else None
    if settings.curve:
        _write_curve(settings.curve, trainer.history)
    return Summary(last.step, last.validation_bpsp, last.seconds, model.id if model else None)


def _known_model(name: str) -> Model:
    if name in packaged_profiles():
        return packaged_model(name)
    if not Path(name).is_file():
        raise click.UsageError(f"--begin-with {name}: neither packaged weights nor a file")
    return read_model(Path(name))


def _line(seen: Progress) -> str:
    shares = " ".join(f"{s:.2f}" for s in seen.label_shares)
    return (
        f"step {seen.step}: code length {seen.training_bpsp:.4f} training, "
        f"{seen.validation_bpsp:.4f} validation bpsp; entropy models {shares}; {seen.seconds:.0f} s"
    )


def _export(settings: Settings, profile: Profile, trainer: Trainer) -> Model:
    assert settings.export is not None
    last = trainer.history[-1]
    card = {
        "name": settings.name,
        "codec": "SEEC (arXiv 2509.07704), context, fusion, SMEM and MCDLM in integers",
        "data": (
            f"{trainer.data.training_images} images, validated on "
            f"{trainer.data.validation_images} others"
        ),
        "data_source": settings.data_source,
        "steps": last.step,
        "seconds": round(last.seconds),
        "validation_bpsp": round(last.validation_bpsp, 4),
        "training": asdict(trainer.settings),
        "parameters": sum(p.numel() for p in trainer.network.parameters()),
        "profile": profile.as_dict(),
        **({"continues": trainer.continues} if trainer.continues else {}),
    }
    model = load_model(export_model(trainer.average, card))
    settings.export.write_bytes(model.payload)
    settings.export.with_suffix(".json").write_text(
        json.dumps({"id": model.id, **model.card}, indent=1) + "\n", encoding="utf-8"
    )
    return model


def _write_curve(path: Path, history: Sequence[Progress]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["step", "training_bpsp", "validation_bpsp", "seconds"])
        for p in history:
            figures = (p.training_bpsp, p.validation_bpsp)
            rows.writerow([p.step, *(f"{f:.5f}" for f in figures), round(p.seconds)])


@command(
    "train",
    examples=[
        "seec train photographs lite.checkpoint --steps 20000 --export lite.safetensors",
        "seec train photographs lite.checkpoint",
        "seec train scans scans.checkpoint --begin-with lite --export scans.safetensors",
        (
            "seec train photographs paper.checkpoint --profile paper --segmentation salient "
            "--device cuda --batch 128 --steps 2000000 --export paper.safetensors"
        ),
        "seec train --jpeg camera.dct camera/ phone/",
        "seec train --jpeg max.dct camera/ phone/ --profile max --begin-with lite",
    ],
)
@click.argument(
    "places",
    nargs=-1,
    required=True,
    metavar="DATA CHECKPOINT | FOLDER...",
    type=click.Path(path_type=Path),
)
@click.option(
    "--jpeg",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="OUT.dct",
    help="Train a coefficient model of JPEG files on all FOLDERs and write the model to this file, "
    "for seec archive --jpeg-model.",
)
@click.option(
    "--profile",
    type=click.Choice(sorted(PROFILES)),
    default=LITE.name,
    show_default=True,
    help="Sizes of the network to train.",
)
@click.option(
    "--begin-with",
    metavar="PROFILE|FILE",
    help="Begin with packaged weights or a weights file instead of random weights. The new "
    "network may be wider. With --jpeg, keep its networks and train those that it lacks.",
)
@click.option(
    "--segmentation",
    default="rate",
    show_default=True,
    help="Source of label maps. rate: entropy models specialise by code length.",
)
@click.option(
    "--device", default="cpu", show_default=True, help="Device as torch names it: cpu, cuda ..."
)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    default=TrainingSettings.batch,
    show_default=True,
    help="Patches of 32 x 32 pixels in a step. With SIC, the same pixels in patches of 64 x 64.",
)
@click.option("--steps", type=click.IntRange(min=1), default=20_000, help="Total number of steps.")
@click.option(
    "--budget-s",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop after this much CPU time of the training thread.",
)
@click.option(
    "--budget-wall-s",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop after this much wall-clock time.",
)
@click.option(
    "--compile",
    "compiled",
    is_flag=True,
    help="Compile steps with torch first. Some processors train faster with this option, some "
    "slower.",
)
@click.option(
    "--validate-every", type=click.IntRange(min=1), default=1_000, help="Steps between validations."
)
@click.option("--threads", type=click.IntRange(min=1), default=1, help="Number of threads.")
@click.option("--name", default="model", help="Name of the model in its card.")
@click.option("--data-source", default="", help="Origin of the images, for the card.")
@click.option(
    "--export",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the weights to this file, with a model card beside it.",
)
@click.option(
    "--curve",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write losses and validation rates to this CSV file.",
)
def main(
    places: tuple[Path, ...], jpeg: Path | None, **options: Any
) -> Summary | train_jpeg.Summary:
    """Train weights on the images of folder DATA. One image in eight is for validation only.

    train writes CHECKPOINT every few minutes. Run the same command to continue after an
    interruption. Predictions are cached in a folder beside CHECKPOINT with the suffix .tiles; you
    may delete this folder when training has ended. --export proves that the integer network is
    exact before it writes the weights.

    With --jpeg, all arguments are folders of images. JPEG files are taken as they are; other images
    become JPEG files of many qualities. Of the options, --profile, --begin-with, --budget-s, --name
    and --data-source apply. Samples and checkpoints are in a folder beside OUT.dct with the suffix
    .PROFILE.work; run the same command to continue, and delete this folder when training has ended
    or to begin anew.
    """
    if jpeg is None:
        if len(places) != 2:
            raise click.UsageError("two arguments are needed: DATA and CHECKPOINT")
        data, checkpoint = places
        _check_folders(data)
        if checkpoint.is_dir():
            raise click.UsageError(f"CHECKPOINT {checkpoint} is a directory; name a file")
        return run(Settings(data, checkpoint, **options))
    _check_folders(*places)
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) == ParameterSource.COMMANDLINE
        if given and name in options and name not in _OF_BOTH:
            raise click.UsageError(f"{parameter.opts[0]} does not apply with --jpeg; leave it out")
    chosen = {name: options[name] for name in _OF_BOTH}
    return train_jpeg.run(train_jpeg.Settings(jpeg, places, **chosen))


def _check_folders(*places: Path) -> None:
    for place in places:
        if not place.is_dir():
            raise click.UsageError(f"{place} is not a folder of images")


if __name__ == "__main__":
    main()
