"""What each part of a coefficient model brings, as a table.

    python -m seec.pipeline.lab.dct.ladder --profile lite FOLDER...

Models that have ever more parts of the packaged one learn from the folders' training files and
code their validation files, of both the upper rows. Sizes are of coded coefficients alone.
"""

import argparse
from pathlib import Path

import numpy as np

from seec.pipeline.dct.native import Coder
from seec.pipeline.dct.packaged import packaged_model
from seec.pipeline.dct.weights import DctModel, Layer
from seec.pipeline.lab.dct.files import components_of, split
from seec.pipeline.lab.dct.priming import Primer, Start


def main() -> None:
    """Measure the parts of the profile that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="lite")
    parser.add_argument("--files", type=int, default=100, help="that models learn from")
    parser.add_argument("--limit", type=int, default=40, help="files that are coded")
    parser.add_argument("folders", nargs="+", type=Path)
    asked = parser.parse_args()
    training, validation = split(asked.folders)
    learnt = list(components_of(training[: asked.files]))
    coded = list(components_of(validation[: asked.limit]))
    print("| parts | bytes | less than before |")  # noqa: T201
    print("| --- | --- | --- |")  # noqa: T201
    before = 0
    for name, start, primed in _rungs(packaged_model(asked.profile)):
        primer = Primer(start)
        for components in learnt if primed else ():
            primer.add(components)
        coder = Coder(primer.finish({}))
        size = sum(len(coder.encode(components)) for components in coded)
        less = f"{100 - 100 * size / before:.2f} %" if before else ""
        print(f"| {name} | {size:,} | {less} |", flush=True)  # noqa: T201
        before = size


def _rungs(model: DctModel) -> list[tuple[str, Start, bool]]:
    """Name, what learning begins with, and whether anything is learnt."""
    nothing = np.zeros_like(model.linear)
    rungs = [
        ("contexts that begin knowing nothing", Start(nothing, {}), False),
        ("what contexts and mixing weights know", Start(nothing, {}), True),
        ("linear predictions", Start(model.linear, {}), True),
    ]
    if model.networks:
        silent = {name: _silent(layers) for name, layers in model.networks.items()}
        names = sorted(model.networks, key=lambda name: name != "luma.ac")
        for chosen in (names[:1], names):
            networks = {n: model.networks[n] if n in chosen else silent[n] for n in silent}
            name = "network of luma's AC" if len(chosen) == 1 else "the other networks"
            rungs.append((name, Start(model.linear, networks), True))
    return rungs


def _silent(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """A network whose outputs are all 0."""
    return tuple(Layer(np.zeros_like(one.weight), np.zeros_like(one.bias)) for one in layers)


if __name__ == "__main__":
    main()
