"""Several runs in one process, a slice of time each in turn, so that noise falls on all alike."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from seec.pipeline.lab.training.loop import Trainer

SLICE_S = 30.0


def train_in_rounds(trainers: Mapping[str, Trainer], folder: Path) -> Iterator[str]:
    """Train all runs to their ends, yielding the name of a run after each of its slices.

    folder: where the checkpoint of each run is written after its slice, and where runs that
    were interrupted continue from. Raises OSError.
    """
    checkpoints = {name: folder / f"{name}.checkpoint" for name in trainers}
    for name, trainer in trainers.items():
        if checkpoints[name].exists():
            trainer.load(checkpoints[name])
    while waiting := {name: t for name, t in trainers.items() if not t.done}:
        for name, trainer in waiting.items():
            trainer.advance(SLICE_S)
            trainer.save(checkpoints[name])
            yield name
