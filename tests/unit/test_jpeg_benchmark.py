"""`seec bench` on JPEG files."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from seec.jobs import bench
from seec.pipeline.dct.packaged import packaged_profiles
from seec.pipeline.lab.benchmark.jpeg_codecs import PROGRAMS, Program, make_jpeg_codecs
from seec.pipeline.lab.benchmark.jpeg_files import measure_jpeg
from tests.jpegs import detailed, jpeg, refused
from tests.pictures import textured

# Stands for a program of which nothing but its calls is known here.
_ZLIB = """#!{python}
import pathlib, sys, zlib
source, target = map(pathlib.Path, sys.argv[-2:])
convert = zlib.compress if source.suffix == ".jpg" else zlib.decompress
target.write_bytes(convert(source.read_bytes()))
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(2):
        (folder / f"{seed}.jpg").write_bytes(jpeg(detailed(seed)))
    (folder / "odd.jpg").write_bytes(refused()["arithmetic coding"])
    Image.fromarray(textured(24, 40)).save(folder / "a.png")
    return folder


def run(*arguments: str) -> str:
    result = CliRunner().invoke(bench.main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_jpeg_files_are_measured_as_files_and_refused_ones_count_whole(photos: Path):
    rows = json.loads(run(str(photos), "--codecs", "seec,png,jpegxl-e7", "--json"))
    pixels = [row for row in rows if row["kind"] == "pixels"]
    assert {row["images"] for row in pixels} == {1}
    found = {row["codec"]: row for row in rows if row["kind"] == "jpeg"}
    assert list(found) == [*(f"seec-{name}" for name in packaged_profiles()), "jpegxl-e7"]
    size = sum(path.stat().st_size for path in photos.glob("*.jpg"))
    for row in found.values():
        assert (row["folder"], row["files"], row["refused"]) == ("photos", 3, 1)
        assert row["source_size_bytes"] == size
        assert row["saved_percent"] == pytest.approx(100 - 100 * row["size_bytes"] / size)
        assert (row["worst_file"], row["saved_percent_worst"]) == ("odd.jpg", 0)
        assert min(row["encode_mb_per_cpu_s"], row["decode_mb_per_cpu_s"]) > 0
    assert found["seec-fast"]["size_bytes"] < found["jpegxl-e7"]["size_bytes"]


def test_the_table_says_how_much_is_saved(photos: Path):
    text = run(str(photos), "--codecs", "seec", "--profiles", "fast")
    assert "### photos: 3 JPEG files" in text
    assert "| saved |" in text.replace("  ", "")
    assert "odd.jpg" in text


def test_a_folder_of_jpeg_files_alone_has_one_table(photos: Path):
    (photos / "a.png").unlink()
    assert run(str(photos), "--codecs", "jpegxl-e7").count("###") == 1


def test_a_model_file_is_measured_in_place_of_packaged_ones(photos: Path):
    model = Path(__file__).parent.parent / "vectors" / "dct" / "networks.dct"
    options = ["--codecs", "seec", "--profiles", "fast", "--jpeg-model", str(model), "--json"]
    (row,) = [row for row in json.loads(run(str(photos), *options)) if row["kind"] == "jpeg"]
    assert row["codec"] == "seec"
    wrong = CliRunner().invoke(bench.main, [str(photos), "--jpeg-model", __file__])
    assert wrong.exit_code != 0
    assert __file__ in wrong.stderr


def test_programs_run_where_they_are_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    names = [program.name for program in PROGRAMS]
    assert make_jpeg_codecs(names) == []
    for name in ("cbrunsli", "dbrunsli", "lepton"):
        (tmp_path / name).write_text(_ZLIB.format(python=sys.executable))
        (tmp_path / name).chmod(0o755)
    codecs = make_jpeg_codecs(names)
    assert [codec.name for codec in codecs] == ["brunsli", "lepton"]
    data = jpeg(comment=bytes(5000))
    for codec in codecs:
        sample = measure_jpeg(codec, "a.jpg", data)
        assert not sample.refused
        assert 0 < sample.size_bytes < len(data)
        assert min(sample.encode_cpu_s, sample.decode_cpu_s) > 0


@pytest.mark.parametrize("command", ["false", "true"])
def test_a_program_that_fails_or_writes_nothing_refuses_the_file(command: str):
    codec = Program("a", ".a", (command,), (command,)).codec()
    sample = measure_jpeg(codec, "a.jpg", b"\xff\xd8")
    assert (sample.refused, sample.size_bytes) == (True, 2)
