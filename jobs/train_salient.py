"""Train the network behind `salient`: `python -m seec.jobs.train_salient DATA CHECKPOINT`."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import torch

from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.progress import progress
from seec.jobs.summary import figures
from seec.pipeline.lab.benchmark.saliency import SaliencyFigures, measure
from seec.pipeline.lab.training.salient import (
    Trainer,
    TrainingSettings,
    choose_threshold,
    export_network,
)
from seec.pipeline.lab.training.salient_data import SalientData, load_pairs, split
from seec.pipeline.segmentation.salient import load_salient

_SIZE = 208  # at which it looks at pictures; a little above what it was trained at last
_LIMITS = (
    "Trained on 800 photographs with one clear object each. Not good at scenes without an object "
    "or with many, at small objects, and at pictures that are no photographs. No mask for cutting "
    "objects out: it is there to name regions."
)


@dataclass(frozen=True)
class Settings:
    """data: a folder with images/*.jpg and masks/*.png. checkpoint: continued from if it exists.

    export: where the weights go, their card beside them as .json. budget_s: seconds of training.
    """

    data: Path
    checkpoint: Path
    steps: int = TrainingSettings.steps
    budget_s: float | None = None
    threads: int = 1
    export: Path | None = None


@dataclass(frozen=True)
class Summary:
    """How the training ended; iou and max_f on the test split."""

    steps: int
    seconds: float
    iou: float
    max_f: float
    exit_code: int = ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """All figures by name."""
        return figures(self)

    def lines(self) -> Iterator[str]:
        """One line."""
        yield (
            f"{self.steps} steps in {self.seconds:.0f} s: mean IoU {self.iou:.3f}, max F "
            f"{self.max_f:.3f} on the test split"
        )


def run(settings: Settings) -> Summary:
    """Train to the end, from the checkpoint if there is one. Raises OSError."""
    torch.set_num_threads(settings.threads)
    sides = split(settings.data)
    plan = TrainingSettings(steps=settings.steps, budget_s=settings.budget_s)
    trainer = Trainer(plan, SalientData(settings.data, sides.training))
    if settings.checkpoint.exists():
        trainer.load(settings.checkpoint)
    with progress("train", plan.steps, "steps") as shown:
        for seen in trainer.run(settings.checkpoint):
            shown.update(seen.step)
            click.echo(f"step {seen.step}: loss {seen.loss:.4f}; {seen.seconds:.0f} s", err=True)
    card: dict[str, Any] = {"size": _SIZE}
    card["threshold"] = choose_threshold(
        load_salient(export_network(trainer.average, card | {"threshold": 0.5})),
        *load_pairs(settings.data, sides.validation),
    )
    payload = export_network(trainer.average, card)
    found = {
        side: measure(load_salient(payload), *load_pairs(settings.data, names))
        for side, names in (("validation", sides.validation), ("test", sides.test))
    }
    if settings.export:
        _export(settings.export, trainer, card, found)
    return Summary(trainer.step, trainer.seconds, found["test"].iou, found["test"].max_f)


def _export(
    path: Path, trainer: Trainer, card: dict[str, Any], found: dict[str, SaliencyFigures]
) -> None:
    """The weights with their card, and the card again as a file to read."""
    full = card | {
        "name": path.stem,
        "what": "U-Net with attention and hand-made contrast maps: where a picture stands out",
        "data": "ECSSD (Yan et al., CVPR 2013), 1000 photographs with salient-object masks",
        "split": "800 / 100 / 100 for training, validation, test, by rank of the names' SHA-256",
        "training": asdict(trainer.settings),
        "steps": trainer.step,
        "seconds": round(trainer.seconds),
        "parameters": sum(p.numel() for p in trainer.network.parameters()),
        "figures": {
            side: {"images": f.images, "iou": round(f.iou, 4), "max_f": round(f.max_f, 4)}
            for side, f in found.items()
        },
        "threshold_chosen_on": "validation",
        "limits": _LIMITS,
    }
    path.write_bytes(export_network(trainer.average, full))
    card_text = json.dumps(full, indent=1) + "\n"
    path.with_suffix(".json").write_text(card_text, encoding="utf-8")


@command(
    "train-salient",
    examples=[
        "python -m seec.jobs.train_salient ecssd salient.checkpoint --export salient.safetensors"
    ],
)
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("checkpoint", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--steps", type=click.IntRange(min=1), default=Settings.steps, help="In all.")
@click.option("--budget-s", type=click.FloatRange(min=0), help="Seconds of training, at most.")
@click.option("--threads", type=click.IntRange(min=1), default=1)
@click.option("--export", type=click.Path(dir_okay=False, path_type=Path), help="Weights file.")
def main(**options: Any) -> Summary:
    """Train the packaged segmentation network on photographs with salient-object masks.

    DATA holds images/NAME.jpg and masks/NAME.png, as ECSSD does. Resumes from CHECKPOINT. The
    threshold is chosen on the validation split; the figures are of the test split.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
