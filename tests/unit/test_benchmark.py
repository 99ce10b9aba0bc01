import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from seec.jobs import bench
from seec.pipeline.codec import Model, default_model, packaged_profiles
from seec.pipeline.images.split import is_validation
from seec.pipeline.lab.benchmark import parallel
from seec.pipeline.lab.benchmark.codecs import CODEC_NAMES, OURS, Codec, make_codecs, our_codec
from seec.pipeline.lab.benchmark.measure import image_paths, measure_folder, measure_image
from seec.pipeline.lab.benchmark.parallel import Arrangement, measure_parallel
from seec.pipeline.lab.benchmark.plot import plot
from seec.pipeline.lab.benchmark.results import FolderResult, Sample
from seec.pipeline.lab.benchmark.table import table_lines
from seec.schemas.errors import DigestMismatch
from tests.pictures import gray, made_of_planes, textured

SPEEDS = ["encode_mp_per_s", "decode_mp_per_s", "encode_mp_per_cpu_s", "decode_mp_per_cpu_s"]
KEYS = [
    "kind",
    "folder",
    "codec",
    "images",
    "megapixels",
    "size_bytes",
    "bpsp",
    *SPEEDS,
    "parallel",
]
OURS_PACKAGED = [f"seec-{profile}" for profile in packaged_profiles()]
PEERS = [name for name in CODEC_NAMES if name != OURS]


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
    (codec,) = make_codecs((name,), [our_codec(default_model())])
    sample = measure_image(codec, "x", pixels)
    assert sample.rate_bpsp == 8 * sample.size_bytes / pixels.size


def test_a_codec_that_loses_a_bit_is_found_out() -> None:
    lossy = Codec("lossy", lambda p: p.tobytes(), lambda _: np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(DigestMismatch, match=r"x: lossy"):
        measure_image(lossy, "x", textured(4, 4))


def test_json_is_a_list_of_rows_with_fixed_keys(photos: Path) -> None:
    saved = photos.parent / "rows.json"
    result = CliRunner().invoke(bench.main, [str(photos), "--json", "--save", str(saved)])
    rows = json.loads(result.stdout)
    assert rows == json.loads(saved.read_text("utf-8"))
    assert [row["codec"] for row in rows] == [*OURS_PACKAGED, *PEERS]
    for row in rows:
        assert list(row) == KEYS
        assert (row["folder"], row["images"], row["megapixels"]) == ("photos", 2, 2 * 24 * 40 / 1e6)
        assert row["bpsp"] == pytest.approx(8 * row["size_bytes"] / (4 * 24 * 40), rel=0.5)
        assert min(row[speed] for speed in SPEEDS) > 0
        assert row["parallel"] == []


def test_table_names_the_worst_image_and_what_was_skipped(photos: Path) -> None:
    options = [str(photos), "--codecs", "seec,jpegxl-e9", "--profiles", "lite"]
    text = CliRunner().invoke(bench.main, options).stdout
    assert "### photos: 2 images" in text
    assert "seec-lite is smaller than jpegxl-e9 on" in text
    assert "skipped c.png: mode RGBA" in text
    assert "skipped notes.txt" in text


def sample(image: str, codec: str, size_bytes: int, channels: int = 3) -> Sample:
    seconds = {"encode_s": 1e-5, "decode_s": 1e-4, "encode_cpu_s": 2e-5, "decode_cpu_s": 2e-4}
    return Sample(image, codec, 10, 10, channels, size_bytes, blob_digest="", **seconds)


def test_bpsp_is_the_mean_over_images_and_speed_that_of_all_pixels() -> None:
    result = FolderResult("f", (sample("a", "png", 300), sample("b", "png", 50, channels=1)), ())
    (row,) = result.rows()
    assert row.bpsp == pytest.approx((8.0 + 4.0) / 2)
    assert row.encode_mp_per_s == pytest.approx(10)
    assert row.decode_mp_per_s == pytest.approx(1)
    assert row.encode_mp_per_cpu_s == pytest.approx(5)
    assert row.decode_mp_per_cpu_s == pytest.approx(0.5)
    assert result.worst("png").image == "a"
    assert result.total_bytes("png") == 350


def test_table_compares_total_size_with_the_strongest_peer() -> None:
    samples = (sample("a", "seec", 90), sample("b", "seec", 120), sample("a", "jpegxl-e9", 100))
    samples += (sample("b", "jpegxl-e9", 100),)
    text = "\n".join(table_lines([FolderResult("f", samples, ())]))
    assert "105.0%" in text
    assert "seec is smaller than jpegxl-e9 on 1 of 2 images" in text
    assert "b, 120.0% of its size" in text


def test_the_table_is_markdown_whatever_files_are_called() -> None:
    samples = (sample("a|[bold].png", "seec-lite", 90), sample("a|[bold].png", "png", 120))
    text = "\n".join(table_lines([FolderResult("f", samples, ())]))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(samples)
    assert {line.count("|") - line.count("\\|") for line in lines} == {11}
    assert "a\\|[bold].png |" in lines[-1]
    assert "**seec-lite**" in lines[-2]


def test_more_threads_are_timed_on_the_same_bytes(photos: Path) -> None:
    options = ["--codecs", "seec,png", "--profiles", "lite", "--threads", "1,2,3", "--json"]
    ours, png = json.loads(CliRunner().invoke(bench.main, [str(photos), *options]).stdout)
    ways = [(way["threads"], way["beside"]) for way in ours["parallel"]]
    assert ways == [(2, "tiles"), (2, "images"), (3, "tiles"), (3, "images")]
    for way in ours["parallel"]:
        assert min(way[speed] for speed in SPEEDS) > 0
        gain = way["encode_mp_per_s"] / ours["encode_mp_per_s"]
        assert way["encode_gain"] == pytest.approx(gain)
    assert png["parallel"] == []
    text = CliRunner().invoke(bench.main, [str(photos), *options[:-1]]).stdout
    assert "More threads gave the same bytes" in text


def test_images_are_coded_chunk_by_chunk(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_CHUNK_PIXELS", 24 * 40)
    codec = our_codec(default_model())
    paths, seen = image_paths(photos), list[int]()
    result = measure_folder("photos", paths, [codec])
    measure_parallel(result, paths, Arrangement(codec, images=2), lambda: seen.append(1))
    assert len(seen) == len(result.samples) == 2


def test_threads_that_change_bytes_are_found_out(photos: Path, golden_model: Model) -> None:
    paths = image_paths(photos)
    result = measure_folder("photos", paths, [our_codec(default_model())])
    with pytest.raises(DigestMismatch, match=r"a\.png: threads change the bytes of seec"):
        measure_parallel(result, paths, Arrangement(our_codec(golden_model), images=2))


def test_colour_sets_are_measured_with_and_without(tmp_path: Path) -> None:
    Image.fromarray(made_of_planes(96, 96)).save(tmp_path / "a.png")
    options = [str(tmp_path), "--codecs", "seec", "--profiles", "lite", "--json"]
    measured = {
        choice: json.loads(
            CliRunner().invoke(bench.main, [*options, "--colour-set", choice]).stdout
        )
        for choice in ("both", "none")
    }
    found, without = measured["both"]
    assert (found["codec"], without["codec"]) == ("seec-lite", "seec-lite-no-colour-set")
    assert found["size_bytes"] < without["size_bytes"] == measured["none"][0]["size_bytes"]


def test_folders_are_measured_whole_or_by_their_validation_split(tmp_path: Path) -> None:
    for i in range(40):
        Image.fromarray(textured(8, 8, i)).save(tmp_path / f"{i}.png")
    held_out = sum(is_validation(f"{i}.png") for i in range(40))
    options = ["--codecs", "png", "--json"]

    def sets(*arguments: str) -> list[tuple[str, int]]:
        rows = json.loads(CliRunner().invoke(bench.main, [*arguments, *options]).stdout)
        return [(row["folder"], row["images"]) for row in rows]

    name, folder = tmp_path.name, str(tmp_path)
    split = (f"{name}, validation", held_out)
    assert sets(folder, "--validation", folder) == [(name, 40), split]
    assert sets("--validation", folder) == [split]
    assert sets(folder, "--split", "validation") == [(name, held_out)]
    assert CliRunner().invoke(bench.main, []).exit_code == 2


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--profiles", "lite,huge"], "no weights of huge are packaged"),
        (["--profiles", "lite", "--model", __file__], "give one"),
        (["--threads", "1,0"], "whole numbers"),
        (["--threads", "two"], "whole numbers"),
    ],
)
def test_options_that_make_no_sense_are_wrong_use(
    photos: Path, options: list[str], complaint: str
) -> None:
    result = CliRunner().invoke(bench.main, [str(photos), *options])
    assert result.exit_code == 2
    assert complaint in result.stderr


def test_weights_of_a_file_are_measured_in_place_of_packaged_ones(photos: Path) -> None:
    weights = Path(__file__).parent.parent / "vectors" / "tiny.safetensors"
    options = [str(photos), "--codecs", "seec", "--model", str(weights), "--json"]
    (row,) = json.loads(CliRunner().invoke(bench.main, options).stdout)
    assert row["codec"] == "seec"


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
        make_codecs(("gif",))


def test_plot_draws_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    samples = (sample("a", "seec", 90), sample("a", "png", 120))
    results = [FolderResult(name, samples, ()) for name in ("one", "two")]
    plot([row for result in results for row in result.rows()], tmp_path / "rate.png")
    with Image.open(tmp_path / "rate.png") as image:
        assert image.width > 1000


def test_an_svg_plot_keeps_text_as_text(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rows = FolderResult("f", (sample("a", "seec-lite", 90), sample("a", "png", 120)), ()).rows()
    plot(rows, tmp_path / "rate.svg")
    assert ">seec-lite</text>" in (tmp_path / "rate.svg").read_text("utf-8")


def test_plot_without_matplotlib_says_what_to_install(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = CliRunner().invoke(bench.main, [str(photos), "--plot", "x.png"])
    assert result.exit_code == 2
    assert "seec-archive[demo]" in result.stderr
