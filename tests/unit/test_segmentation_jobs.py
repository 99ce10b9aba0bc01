"""Label maps through commands and benchmarks."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from seec.jobs.cli import main
from seec.pipeline.codec import decode, default_model
from seec.pipeline.lab.benchmark import label_maps, saliency
from seec.pipeline.segmentation import make_segmenter
from seec.pipeline.segmentation.saliency import SaliencySegmenter
from tests.pictures import textured


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for name, seed in (("a.png", 1), ("sub/b.png", 2)):
        Image.fromarray(textured(48, 64, seed)).save(folder / name)
    return folder


def run(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    return result.exit_code, result.stdout, result.stderr


def test_written_maps_go_back_in_as_masks(photos: Path, tmp_path: Path):
    maps = tmp_path / "maps"
    assert run("segment", photos, maps, "--segmentation", "rate")[0] == 0
    assert np.asarray(Image.open(maps / "sub" / "b.png")).shape == (48, 64)
    one, other = tmp_path / "rate.seec", tmp_path / "masks.seec"
    assert run("encode", photos / "a.png", one)[0] == 0
    assert run("encode", photos / "a.png", other, "--segmentation", f"masks:{maps}")[0] == 0
    assert one.read_bytes() == other.read_bytes()
    assert np.array_equal(decode(one.read_bytes()), np.asarray(Image.open(photos / "a.png")))


def test_a_file_that_is_no_image_fails_alone(photos: Path, tmp_path: Path):
    (photos / "note.txt").write_text("no image")
    code, out, _ = run("segment", photos, tmp_path / "maps", "--json")
    assert code == 1
    summary = json.loads(out)
    assert summary["maps"] == 2
    assert [line.partition(":")[0] for line in summary["failed"]] == ["note.txt"]


def test_a_single_image_and_visible_labels(photos: Path, tmp_path: Path):
    code, _, _ = run("segment", photos / "a.png", tmp_path, "--segmentation", "rate", "--visible")
    assert code == 0
    seen = np.asarray(Image.open(tmp_path / "a.png"))
    assert seen.max() > 15 or not seen.any()


def test_an_unknown_source_is_wrong_use(photos: Path, tmp_path: Path):
    code, _, err = run("encode", photos / "a.png", tmp_path / "a.seec", "--segmentation", "magic")
    assert code == 2
    assert "masks:DIR" in err


def test_proposed_regions_cost_no_more_than_one_label():
    image = textured(64, 96, 3)
    blocks = label_maps.chosen_blocks(
        image, np.zeros((64, 96), np.uint8), default_model(), regions=True
    )
    assert blocks.shape == (4, 6)
    assert (blocks == blocks[0, 0]).all()


def test_label_maps_are_counted_as_files_hold_them():
    figures = label_maps.measure(make_segmenter("rate"), [textured(64, 96, 3), textured(32, 32)])
    assert (figures.maps, figures.blocks) == (2, 24 + 4)
    assert 0 < figures.size_bytes < figures.jpegxl_size_bytes


def test_a_perfect_segmenter_measures_as_one():
    mask = np.zeros((32, 32), bool)
    mask[8:24, 8:24] = True
    image = np.repeat(mask[..., None].astype(np.uint8) * 255, 3, 2)
    perfect = SaliencySegmenter("perfect", 32, lambda pixels: np.ascontiguousarray(pixels[0]))
    figures = saliency.measure(perfect, [image], [mask])
    assert figures.iou == 1
    assert figures.max_f == pytest.approx(1)


def test_overlap_and_f_measure_by_hand():
    mask = np.array([[True, True, False, False]])
    assert saliency.intersection_over_union(np.array([[True, False, True, False]]), mask) == 1 / 3
    # At every threshold up to 1 all four pixels are found or, above 0, only the last.
    maps = [np.array([[0, 0, 0, 1]], np.float32)]
    assert saliency.max_f_measure(maps, [mask]) == pytest.approx(1.3 * 0.5 * 1 / (0.3 * 0.5 + 1))
