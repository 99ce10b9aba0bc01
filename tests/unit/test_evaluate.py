"""What `seec evaluate` promises: figures of real bytes, kept as soon as they are known."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from seec.jobs import evaluate
from seec.pipeline.codec import Encoder, default_model, load_model
from seec.pipeline.codec.model.profile import LITE_SIC, PAPER
from seec.pipeline.images.split import is_validation
from seec.pipeline.lab.benchmark.ablation import ablation_lines, codings
from seec.pipeline.lab.benchmark.codecs import CODEC_NAMES
from seec.pipeline.lab.benchmark.cost import multiplications, parameters
from seec.pipeline.lab.benchmark.markdown import evaluation_lines
from seec.pipeline.lab.benchmark.plot import plot_ablation
from seec.pipeline.lab.training.loop import Trainer
from tests.pictures import textured

LAB = Path(__file__).parents[2] / "docs" / "lab"


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for seed in range(12):
        Image.fromarray(textured(96, 96, seed)).save(folder / f"image_{seed}.png")
    return folder


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("evaluation")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(evaluate.main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def ablation(photographs: Path, evaluation: Path) -> dict:
    test_set = photographs.parent / "test"
    test_set.mkdir()
    Image.fromarray(textured(40, 50, 9)).save(test_set / "a.png")
    result = call(photographs, test_set, "--table", "ablation", "--rows", "one,k2", "--budget-s",
                  "0.2", "--resume", evaluation, "--json")  # fmt: skip
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_rates_are_those_of_the_models_that_it_leaves(ablation: dict, evaluation: Path):
    one, k2 = ablation["ablation"]["lines"]
    assert (one["name"], k2["name"]) == ("one", "k2")
    model = load_model((evaluation / "k2.safetensors").read_bytes())
    image = textured(40, 50, 9)
    encoder = Encoder(model, colour_set="none", screen=False)
    (blob,) = encoder.encode_batch([image], [None])
    assert k2["bpsp"]["test"] == round(8 * len(blob) / image.size, 4)
    assert k2["parameters"] == parameters(model)
    assert one["change_percent"] == {"validation": 0.0, "test": 0.0}
    assert k2["change_percent"]["test"] == pytest.approx(
        100 * (k2["bpsp"]["test"] / one["bpsp"]["test"] - 1), abs=0.01
    )


def test_known_figures_are_not_measured_again(
    ablation: dict, photographs: Path, evaluation: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Trainer, "advance", None)
    monkeypatch.setattr(evaluate, "measure_folder", None)
    again = call(photographs, photographs.parent / "test", "--table", "ablation", "--rows",
                 "one,k2", "--budget-s", "0.2", "--resume", evaluation, "--json")  # fmt: skip
    assert json.loads(again.stdout)["ablation"] == ablation["ablation"]


def test_a_folder_of_another_evaluation_is_wrong_use(
    ablation: dict, photographs: Path, evaluation: Path
):
    result = call(photographs, "--resume", evaluation, "--budget-s", "0.2")
    assert result.exit_code == 2
    assert "another evaluation" in result.stderr


def test_photographs_without_a_validation_split_are_wrong_use(tmp_path: Path):
    Image.fromarray(textured(96, 96)).save(tmp_path / "image_0.png")
    assert "sets aside" in call(tmp_path).stderr


def test_unknown_rows_and_equal_names_are_wrong_use(photographs: Path):
    assert "no row three" in call(photographs, "--rows", "one,three").stderr
    twice = call(photographs, photographs, photographs)
    assert (twice.exit_code, "same name" in twice.stderr) == (2, True)


def test_the_text_is_markdown_with_every_line_and_change(ablation: dict):
    text = "\n".join(evaluation_lines(ablation))
    assert "### What each part brings" in text
    one, k2 = ablation["ablation"]["lines"]
    assert f"| {one['title']} |" in text
    assert f"({k2['change_percent']['test']:+.2f} %)" in text


def test_the_codec_table_covers_every_codec_and_set(photographs: Path):
    result = call(photographs, "--table", "codecs")
    held_out = sum(is_validation(p.name) for p in photographs.iterdir())
    assert f"| validation: {held_out} images" in result.stdout
    assert "| jpegxl-e9 |" in result.stdout
    assert "100.0%" in result.stdout


def test_the_label_table_adds_up_images_of_both_sources(photographs: Path):
    result = call(photographs, "--table", "labels", "--json")
    rows = json.loads(result.stdout)["labels"]
    held_out = sum(is_validation(p.name) for p in photographs.iterdir())
    assert [row["source"] for row in rows] == ["salient+rate", "rate"]
    for row in rows:
        assert (row["maps"], row["blocks"]) == (held_out, held_out * 36)
        assert row["size_bytes"] > 0
    assert "| validation |" in "\n".join(evaluation_lines({"labels": rows}))


def test_the_segmentation_table_measures_the_test_split(photographs: Path, tmp_path: Path):
    for kind, suffix in (("images", "jpg"), ("masks", "png")):
        (tmp_path / kind).mkdir()
        for seed in range(203):
            drawn = Image.new("L", (24, 24), 255 * (kind == "masks"))
            drawn.save(tmp_path / kind / f"{seed}.{suffix}")
    result = call(photographs, "--table", "segmentation", "--masked", tmp_path, "--json")
    (row,) = json.loads(result.stdout)["segmentation"]
    assert (row["source"], row["images"]) == ("salient", 100)
    assert "| salient | 100 |" in "\n".join(evaluation_lines({"segmentation": [row]}))


def test_the_segmentation_table_needs_masks_and_all_tables_do_not(photographs: Path):
    assert "--masked" in call(photographs, "--table", "segmentation").stderr
    assert evaluate._tables("all", None) == (
        "codecs",
        "ablation",
        "labels",
        "crops",
        "colours",
        "drawings",
    )


def test_the_table_of_drawings_measures_every_codec(
    photographs: Path, monkeypatch: pytest.MonkeyPatch
):
    icon = evaluate.drawings.draw_all()["icon-32"]
    monkeypatch.setattr(evaluate.drawings, "draw_all", lambda _: {"icon": icon, "again": icon})
    text = call(photographs, "--table", "drawings").stdout
    assert "### Drawings" in text
    assert "| drawings: 2 images, 0.0 MP |" in text
    for name in CODEC_NAMES:
        assert f"| {name} |" in text


def test_models_of_four_entropy_models_are_also_coded_with_labels_by_region():
    model = default_model()
    card = {"title": "t", "segmentation": "rate", "steps": 1, "seconds": 1, "validation_bpsp": 3.0}
    known = type(model)(model.id, model.payload, model.profile, card, model.layers, model.tables)
    lines = codings({"rate4": known})
    assert [c.segmentation for c in lines] == ["rate", "none+rate", "salient+rate"]
    bpsp = {c.name: {"set": 2.5} for c in lines}
    assert ablation_lines(lines, bpsp)[0]["change_percent"] == {}


PLAIN = replace(LITE_SIC, side=None)


def test_multiplications_count_one_entropy_model():
    assert multiplications(PLAIN) == 72 * 96 + 96 * 96 + 96 * 64 + 64 * 60


def test_side_information_costs_what_its_layers_ask_for():
    side, attending = LITE_SIC.side, PAPER.side
    assert side is not None
    assert attending is not None
    # g_s.6 gives four pixels for each of its places.
    last = 4 * side.features * 9 * side.transform / 4
    fusion = side.features * LITE_SIC.fused
    assert multiplications(LITE_SIC) > multiplications(PLAIN) + fusion + last
    without = replace(PAPER, side=replace(attending, heads=0))
    assert multiplications(PAPER) > multiplications(without)


def test_the_ablation_can_be_drawn(ablation: dict, tmp_path: Path):
    pytest.importorskip("matplotlib")
    plot_ablation(ablation["ablation"]["lines"], tmp_path / "ablation.svg")
    text = (tmp_path / "ablation.svg").read_text()
    assert "</svg>" in text


def test_the_page_shows_the_figures_that_were_measured():
    figures = json.loads((LAB / "evaluation.json").read_text())
    page = (LAB / "parts.md").read_text()
    _, *table = evaluation_lines({"ablation": figures["ablation"]})
    for line in table:
        assert line in page
