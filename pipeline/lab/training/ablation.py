"""The models of the ablation: the same training with one part of the codec changed at a time."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from seec.pipeline.codec import Model, load_model
from seec.pipeline.codec.model.profile import LITE_SIC, Profile
from seec.pipeline.codec.training.export import export_model
from seec.pipeline.lab.training.data import TrainingData
from seec.pipeline.lab.training.loop import Trainer, TrainingSettings
from seec.pipeline.lab.training.rounds import train_in_rounds
from seec.pipeline.segmentation import make_segmenter

BUDGET_S = 1200.0
# Without SIC and predictors: the context model, fusion, SMEM and MCDLM of the paper.
_PLAIN = replace(LITE_SIC, name="plain", side=None)
_ONE = replace(_PLAIN, entropy_models=1)
_NO_LIMIT = 10**9  # steps: the budget ends a run


@dataclass(frozen=True)
class AblationRow:
    """One model, trained from scratch with the same budget as the others.

    profile: its sizes. segmentation: where the labels come from, in training and coding.
    coefficients: whether beta feeds decoded channels into the next ones.
    """

    name: str
    title: str
    profile: Profile
    segmentation: str = "rate"
    coefficients: bool = True


ROWS = {
    row.name: row
    for row in (
        AblationRow("one", "one entropy model", _ONE),
        AblationRow("rate4", "4 entropy models by code length", _PLAIN),
        AblationRow("rate8", "8 entropy models by code length", replace(_PLAIN, entropy_models=8)),
        AblationRow(
            "mask2",
            "2 entropy models by salient object",
            replace(_PLAIN, entropy_models=2),
            "salient",
        ),
        AblationRow("sic", "one entropy model with SIC", replace(LITE_SIC, entropy_models=1)),
        AblationRow(
            "nocoef", "one entropy model, no channel coefficients", _ONE, coefficients=False
        ),
        AblationRow("k2", "one entropy model, 2 mixture components", replace(_ONE, mixtures=2)),
    )
}


def train_rows(
    rows: Sequence[AblationRow],
    photographs: Path,
    folder: Path,
    budget_s: float,
    advance: Callable[[float], None] = lambda _: None,
) -> dict[str, Model]:
    """The trained model of each row, by name.

    photographs: a folder of images. folder: where checkpoints and finished models are kept;
    what is there is not trained again. budget_s: CPU time of the training thread for each row.
    advance: called after each slice of time with the share that is done.
    """
    files = {row.name: folder / f"{row.name}.safetensors" for row in rows}
    missing = [row for row in rows if not files[row.name].exists()]
    trainers = _trainers(missing, photographs, budget_s)
    for _ in train_in_rounds(trainers, folder):
        advance(sum(t.progress for t in trainers.values()) / len(trainers))
    for row in missing:
        partial = files[row.name].with_suffix(".partial")
        partial.write_bytes(_export(row, trainers[row.name]))
        partial.replace(files[row.name])
    return {name: load_model(file.read_bytes()) for name, file in files.items()}


def _trainers(
    rows: Sequence[AblationRow], photographs: Path, budget_s: float
) -> dict[str, Trainer]:
    sources = dict.fromkeys(row.segmentation for row in rows)
    data = {name: TrainingData(photographs, make_segmenter(name)) for name in sources}
    return {
        row.name: Trainer(row.profile, _settings(row, budget_s), data[row.segmentation])
        for row in rows
    }


def _settings(row: AblationRow, budget_s: float) -> TrainingSettings:
    return TrainingSettings(
        steps=_NO_LIMIT, budget_s=budget_s, coefficients=row.coefficients, validate_every=2_000
    )


def _export(row: AblationRow, trainer: Trainer) -> bytes:
    last = trainer.history[-1]
    card = {
        "name": row.name,
        "title": row.title,
        "segmentation": row.segmentation,
        "steps": last.step,
        "seconds": round(last.seconds),
        "validation_bpsp": round(last.validation_bpsp, 4),
        "label_shares": [round(share, 3) for share in last.label_shares],
        "training": asdict(trainer.settings),
    }
    return export_model(trainer.average, card)
