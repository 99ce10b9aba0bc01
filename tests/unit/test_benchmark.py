import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from jobs import bench
from pipeline.benchmark.codecs import CODEC_NAMES, Codec, make_codecs
from pipeline.benchmark.measure import FolderResult, Sample, image_paths, measure_image
from pipeline.benchmark.plot import plot
from pipeline.benchmark.table import table_lines
from pipeline.codec import default_model
from pipeline.images.split import is_validation
from schemas.errors import DigestMismatch
from tests.pictures import gray, textured

KEYS = ["folder", "codec", "images", "megapixels", "bpsp", "encode_mp_per_s", "decode_mp_per_s"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(textured(24, 40)).save(folder / "a.png")
    Image.fromarray(gray(24, 40)).save(folder / "b.png")
    Image.new("RGBA", (9, 9)).save(folder / "c.png")
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.mark.parametrize("name", CODEC_NAMES)
@pytest.mark.parametrize("pixels", [textured(17, 23), gray(17, 23)], ids=["rgb", "gray"])
def test_every_codec_gives_the_pixels_back(name: str, pixels: np.ndarray) -> None:
    (codec,) = make_codecs((name,), default_model())
    sample = measure_image(codec, "x", pixels)
    assert sample.rate_bpsp == 8 * sample.size_bytes / pixels.size


def test_a_codec_that_loses_a_bit_is_found_out() -> None:
    lossy = Codec("lossy", lambda p: p.tobytes(), lambda _: np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(DigestMismatch, match=r"x: lossy"):
        measure_image(lossy, "x", textured(4, 4))


def test_json_is_a_list_of_rows_with_fixed_keys(photos: Path) -> None:
    result = CliRunner().invoke(bench.main, [str(photos), "--json"])
    rows = json.loads(result.stdout)
    assert [row["codec"] for row in rows] == list(CODEC_NAMES)
    for row in rows:
        assert list(row) == KEYS
        assert (row["folder"], row["images"], row["megapixels"]) == ("photos", 2, 2 * 24 * 40 / 1e6)
        assert min(row["bpsp"], row["encode_mp_per_s"], row["decode_mp_per_s"]) > 0


def test_table_names_the_worst_image_and_what_was_skipped(photos: Path) -> None:
    text = CliRunner().invoke(bench.main, [str(photos), "--codecs", "seec,jpegxl-e9"]).stdout
    assert "photos: 2 images" in text
    assert "seec is smaller than jpegxl-e9 on" in text
    assert "skipped c.png: mode RGBA" in text
    assert "skipped notes.txt" in text


def sample(image: str, codec: str, size_bytes: int, channels: int = 3) -> Sample:
    return Sample(image, codec, 10, 10, channels, size_bytes, encode_s=1e-5, decode_s=1e-4)


def test_bpsp_is_the_mean_over_images_and_speed_that_of_all_pixels() -> None:
    result = FolderResult("f", (sample("a", "png", 300), sample("b", "png", 50, channels=1)), ())
    (row,) = result.rows()
    assert row.bpsp == pytest.approx((8.0 + 4.0) / 2)
    assert row.encode_mp_per_s == pytest.approx(10)
    assert row.decode_mp_per_s == pytest.approx(1)
    assert result.worst("png").image == "a"
    assert result.total_bytes("png") == 350


def test_table_compares_total_size_with_the_strongest_peer() -> None:
    samples = (sample("a", "seec", 90), sample("b", "seec", 120), sample("a", "jpegxl-e9", 100))
    samples += (sample("b", "jpegxl-e9", 100),)
    text = "\n".join(table_lines([FolderResult("f", samples, ())]))
    assert "105.0%" in text
    assert "seec is smaller than jpegxl-e9 on 1 of 2 images" in text
    assert "b, 120.0% of its size" in text


def test_a_folder_without_images_gives_no_rows(tmp_path: Path) -> None:
    assert CliRunner().invoke(bench.main, [str(tmp_path), "--json"]).stdout == "[]\n"
    result = CliRunner().invoke(bench.main, [str(tmp_path)])
    assert result.exit_code == 0
    assert "no images" in result.stdout


def test_limit_and_split_choose_files_by_name(tmp_path: Path) -> None:
    names = [f"{i:03d}.png" for i in range(64)]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / ".hidden.png").touch()
    assert [p.name for p in image_paths(tmp_path, limit=3)] == names[:3]
    chosen = [p.name for p in image_paths(tmp_path, is_validation)]
    assert chosen == [name for name in names if is_validation(name)]
    assert 0 < len(chosen) < 20


def test_the_split_never_changes() -> None:
    names = [f"image_{i}" for i in range(40)]
    assert [n for n in names if is_validation(n)] == ["image_3", "image_26", "image_31", "image_37"]


def test_unknown_codecs_are_wrong_use(photos: Path) -> None:
    result = CliRunner().invoke(bench.main, [str(photos), "--codecs", "seec,gif"])
    assert result.exit_code == 2
    assert "gif" in result.stderr
    with pytest.raises(ValueError, match="gif"):
        make_codecs(("gif",), default_model())


def test_plot_draws_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    samples = (sample("a", "seec", 90), sample("a", "png", 120))
    results = [FolderResult(name, samples, ()) for name in ("one", "two")]
    plot([row for result in results for row in result.rows()], tmp_path / "rate.png")
    with Image.open(tmp_path / "rate.png") as image:
        assert image.width > 1000


def test_plot_without_matplotlib_says_what_to_install(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = CliRunner().invoke(bench.main, [str(photos), "--plot", "x.png"])
    assert result.exit_code == 2
    assert "seec[demo]" in result.stderr
