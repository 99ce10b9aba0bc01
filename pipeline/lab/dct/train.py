"""A coefficient model from photographs and JPEG files; `seec train --jpeg` is the command."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seec.pipeline.dct.weights import NETWORKS, TRUNK_LAYERS, DctModel, Layer
from seec.pipeline.lab.dct.decision_samples import DecisionSamples, gather
from seec.pipeline.lab.dct.files import components_of, split
from seec.pipeline.lab.dct.linear import fit_linear
from seec.pipeline.lab.dct.networks import train
from seec.pipeline.lab.dct.priming import Primer, Start, prime
from seec.pipeline.lab.dct.trunk import train_trunk
from seec.schemas.errors import UnreadableImage

# The networks of each profile. In `max` that of luma's AC coefficients has a trunk.
_TRUNK = "luma.ac"
PROFILES: dict[str, tuple[str, ...]] = {"fast": (), "lite": NETWORKS, "max": NETWORKS}
_WITH_TRUNK = "max"
_HIDDEN = (128, 32)  # units of networks without a trunk
_SHARE = 0.25  # of decisions that are sampled
_PRIMED = 300  # files: with more, contexts know a little more, and model files grow
# Seconds of CPU for each network: three quarters of the bytes are luma's AC coefficients.
_SECONDS = {"last": 250.0, "dc": 250.0, "ac": 500.0, "luma.ac": 1800.0}
_TRUNK_SECONDS = 3500.0


def train_model(
    folders: Sequence[Path],
    profile: str,
    work: Path,
    budget_s: float | None,
    card: Mapping[str, Any],
    report: Callable[[str], None],
    begin_with: DctModel | None = None,
) -> DctModel:
    """A model of a profile from the images of folders.

    work: a folder for samples and checkpoints of networks, from which the same call goes on; made
    if the profile has networks. budget_s: CPU time of all networks; None is as much as packaged
    models had. report: takes lines, each with a network's bits a decision on the validation split.
    begin_with: a model whose linear predictions and networks, as far as the profile has such, are
    taken as they are. UnreadableImage if folders have no image for training, or none for
    validation.
    """
    training, validation = split(folders)
    if not training or not validation:
        raise UnreadableImage(
            f"{len(training)} images for training and {len(validation)} for validation, one in "
            "eight by file name: more images are needed"
        )
    linear = begin_with.linear if begin_with else fit_linear(components_of(training))
    given = _given(profile, begin_with)
    wanted = {n: _seconds(profile, n) for n in PROFILES[profile] if n not in given}
    pace = budget_s / sum(wanted.values()) if budget_s and wanted else 1.0
    start, networks = Start(linear, {}), dict[str, tuple[Layer, ...]]()
    for kind, name in enumerate(PROFILES[profile]):
        if name in given:
            networks[name] = given[name]
            continue
        work.mkdir(exist_ok=True)
        seconds = pace * wanted[name]

        def say(line: str, name: str = name) -> None:
            report(f"{name}: {line}")

        if _has_trunk(profile, name):
            networks[name] = train_trunk(work, linear, training, validation, seconds, say)
            continue
        seen, kept = (
            DecisionSamples(gather(work, part, Primer(start), images, _SHARE, say), kind)
            for part, images in (("training", training), ("validation", validation))
        )
        if not seen or not kept:
            raise UnreadableImage(
                f"images for training or for validation have nothing that {name} learns from: "
                "more images are needed, with colours"
            )
        checkpoint = work / f"{name}.pt"
        networks[name] = train(seen, kept, kind, _HIDDEN, seconds, checkpoint, say)
    return prime(Start(linear, networks), components_of(training[:_PRIMED]), card)


def _given(profile: str, model: DctModel | None) -> Mapping[str, tuple[Layer, ...]]:
    """The networks of a model that a profile has, too."""
    layers = model.networks if model else {}
    return {
        name: own
        for name, own in layers.items()
        if _has_trunk(profile, name) == (len(own) == len(TRUNK_LAYERS))
    }


def _has_trunk(profile: str, name: str) -> bool:
    return profile == _WITH_TRUNK and name == _TRUNK


def _seconds(profile: str, name: str) -> float:
    if _has_trunk(profile, name):
        return _TRUNK_SECONDS
    return _SECONDS.get(name) or _SECONDS[name.partition(".")[2]]
