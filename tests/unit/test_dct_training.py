"""Training of coefficient models: what is trained codes, and codes better for it."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from seec.jobs import train as train_job
from seec.pipeline.dct.native import Coder
from seec.pipeline.dct.packaged import packaged_model
from seec.pipeline.dct.weights import FEATURES, Layer, load_model
from seec.pipeline.lab.dct import ladder, loop, train
from seec.pipeline.lab.dct.decision_samples import DecisionSamples
from seec.pipeline.lab.dct.linear import fit_linear
from seec.pipeline.lab.dct.networks import train as train_network
from seec.pipeline.lab.dct.priming import Primer, Start, prime
from seec.schemas.errors import UnreadableImage
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


def test_a_network_learns_and_goes_on_where_it_was_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    primer = Primer(Start(draw_linear(), {}))
    parts = [primer.sample(draw("4-4-4", seed), 0.5, seed, 1000) for seed in range(40)]
    samples = DecisionSamples(np.concatenate(parts), 2)
    monkeypatch.setattr(loop, "_SAVED_S", 0.0)
    reports: list[str] = []

    def report(line: str) -> None:
        reports.append(line)
        if len(reports) == 5:
            raise KeyboardInterrupt

    def train() -> tuple[Layer, ...]:
        return train_network(samples, samples, 2, (16, 16), 1.5, tmp_path / "ac.pt", report)

    with pytest.raises(KeyboardInterrupt):
        train()
    layers = train()
    steps = [int(line.split()[0]) for line in reports[:-1]]
    assert steps == sorted(set(steps))
    bits = [float(line.split()[-2]) for line in reports]
    assert bits[-1] < bits[0]
    assert [layer.weight.shape for layer in layers] == [(16, FEATURES), (16, 16), (16, 16)]
    assert [len(layer.bias) for layer in layers] == [64, 1, 64]
    train()
    assert reports[-1] == reports[-2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    for number in range(8):
        place = folder / "more" if number % 2 else folder
        (place / f"{number}.jpg").write_bytes(jpeg(detailed(number), quality=60 + 4 * number))
    (folder / "notes.txt").write_text("no image")
    return folder


def test_the_ladder_names_each_part_and_its_size(folder: Path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["ladder", "--profile", "lite", str(folder)])
    ladder.main()
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines()[2:]]
    assert len(rows) == 5
    sizes = [int(row[1].replace(",", "")) for row in rows]
    assert sizes[-1] < sizes[0]


@pytest.mark.parametrize("profile", ["lite", "max"])
def test_the_command_trains_a_model_of_a_folder(folder: Path, tmp_path: Path, profile: str):
    out = tmp_path / "small.dct"
    options = ["--jpeg", str(out), "--profile", profile, "--budget-s", "1", "--json"]
    result = CliRunner().invoke(train_job.main, [*options, str(folder)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    model = load_model(out.read_bytes())
    assert (found["model_id"], found["size_bytes"]) == (model.id, out.stat().st_size)
    assert "luma.ac: " in result.stderr
    assert "bits" in result.stderr
    coder, components = Coder(model), draw("4-2-0")
    kept = [c.coefficients.copy() for c in components]
    coded = coder.encode(components)
    coder.decode(components, coded)
    for c, coefficients in zip(components, kept, strict=True):
        np.testing.assert_array_equal(c.coefficients, coefficients)


def test_networks_to_begin_with_are_kept_and_those_that_lack_are_trained(
    folder: Path, tmp_path: Path
):
    out, lite = tmp_path / "small.dct", packaged_model("lite")
    options = ["--jpeg", str(out), "--profile", "max", "--begin-with", "lite", "--budget-s", "1"]
    result = CliRunner().invoke(train_job.main, [*options, str(folder)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    model = load_model(out.read_bytes())
    np.testing.assert_array_equal(model.linear, lite.linear)
    assert len(model.networks["luma.ac"]) == 6
    for name, layers in model.networks.items():
        if name == "luma.ac":
            continue
        assert f"{name}: " not in result.stderr
        for one, two in zip(layers, lite.networks[name], strict=True):
            np.testing.assert_array_equal(one.weight, two.weight)
            np.testing.assert_array_equal(one.bias, two.bias)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["images"], "two arguments"),
        (["--jpeg", "a.dct", "nowhere"], "not a folder"),
        (["--jpeg", "a.dct", "images", "--steps", "5"], "--steps does not apply with --jpeg"),
        (["--jpeg", "a.dct", "images", "--profile", "paper"], "there are fast, lite, max"),
        (["--jpeg", "a.dct", "images", "--begin-with", "none"], "neither a packaged model nor"),
    ],
)
def test_options_that_make_no_sense_are_wrong_use(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], complaint: str
):
    monkeypatch.chdir(folder.parent)
    result = CliRunner().invoke(train_job.main, arguments)
    assert result.exit_code == 2
    assert complaint in result.stderr


def test_a_folder_without_enough_images_is_named(tmp_path: Path):
    with pytest.raises(UnreadableImage, match="0 images for training"):
        train.train_model([tmp_path], "fast", tmp_path, 1.0, {}, print)


def test_images_without_colours_cannot_teach_networks_of_chroma(tmp_path: Path):
    for number in range(8):
        gray = jpeg(detailed(number)[:, :, 0], quality=80)
        (tmp_path / f"{number}.jpg").write_bytes(gray)
    with pytest.raises(UnreadableImage, match=r"nothing that chroma\.last learns from"):
        train.train_model([tmp_path], "lite", tmp_path / "work", 1.0, {}, print)
