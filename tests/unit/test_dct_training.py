"""Training of coefficient models: what is trained codes, and codes better for it."""

from pathlib import Path

import numpy as np
import pytest

from seec.pipeline.dct.native import Coder
from seec.pipeline.dct.weights import FEATURES, load_model
from seec.pipeline.lab.dct import ladder, train
from seec.pipeline.lab.dct.linear import fit_linear
from seec.pipeline.lab.dct.networks import samples_of
from seec.pipeline.lab.dct.networks import train as train_network
from seec.pipeline.lab.dct.priming import Primer, Start, prime
from tests.jpegs import detailed, jpeg
from tests.vectors.drawn_dct import draw, draw_linear
from tests.vectors.plain_dct_contexts import ZIGZAG


def test_priming_makes_files_smaller():
    files = [draw("4-2-0", seed) for seed in range(30)]
    start = Start(draw_linear(), {})
    primed, plain = prime(start, files, {}), Primer(start).finish({})
    unseen = draw("4-2-0", 99)
    assert len(Coder(primed).encode(unseen)) < len(Coder(plain).encode(unseen))


def test_a_position_is_predicted_from_higher_frequencies_of_its_block_alone():
    linear = fit_linear([draw("4-4-4", seed) for seed in range(20)]).reshape(2, 2, 5, 64, 64)
    for k, z in enumerate(ZIGZAG):
        assert not linear[:, :, 0, ZIGZAG[: k + 1], z].any()
    assert linear.any()


def test_a_network_learns_and_goes_on_from_its_checkpoint(tmp_path: Path):
    primer = Primer(Start(draw_linear(), {}))
    parts = [primer.sample(draw("4-4-4", seed), 0.5, seed, 1000) for seed in range(40)]
    samples = samples_of(np.concatenate(parts), 2)
    reports: list[str] = []
    for _ in range(2):
        layers = train_network(
            samples, samples, 2, (16, 16), 1.0, tmp_path / "ac.pt", reports.append
        )
    bits = [float(line.split()[-2]) for line in reports]
    assert bits[-1] < bits[0]
    assert [layer.weight.shape for layer in layers] == [(16, FEATURES), (16, 16), (16, 16)]
    assert [len(layer.bias) for layer in layers] == [64, 1, 64]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(8):
        (folder / f"{number}.jpg").write_bytes(jpeg(detailed(number), quality=60 + 4 * number))
    return folder


def test_the_ladder_names_each_part_and_its_size(folder: Path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["ladder", "--profile", "lite", str(folder)])
    ladder.main()
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines()[2:]]
    assert len(rows) == 5
    sizes = [int(row[1].replace(",", "")) for row in rows]
    assert sizes[-1] < sizes[0]


def test_the_command_trains_a_model_of_a_folder(folder: Path, tmp_path: Path, monkeypatch):
    out = tmp_path / "small.dct"
    arguments = ["--profile", "lite", "--work", str(tmp_path / "work"), "--scale", "0.002"]
    monkeypatch.setattr("sys.argv", ["train", *arguments, str(out), str(folder)])
    train.main()
    coder, components = Coder(load_model(out.read_bytes())), draw("4-2-0")
    kept = [c.coefficients.copy() for c in components]
    coded = coder.encode(components)
    coder.decode(components, coded)
    for c, coefficients in zip(components, kept, strict=True):
        np.testing.assert_array_equal(c.coefficients, coefficients)
