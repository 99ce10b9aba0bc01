import hashlib
import json
from pathlib import Path

import fsspec
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from seec.jobs import decode, encode, info
from tests.pictures import gray, textured
from tests.trees import nodes


def run(command: object, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(a) for a in arguments])  # pyright: ignore[reportArgumentType]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.fromarray(textured(40, 50)).save(path)
    return path


def test_encode_then_decode_gives_the_pixels_back(picture: Path, tmp_path: Path) -> None:
    coded, back = tmp_path / "picture.seec", tmp_path / "back.png"
    assert run(encode.main, picture, coded).exit_code == 0
    result = run(decode.main, coded, back, "--json")
    assert json.loads(result.stdout) == {
        "target": str(back),
        "width": 50,
        "height": 40,
        "channels": 3,
        "background_error": None,
    }
    assert np.array_equal(np.asarray(Image.open(back)), textured(40, 50))


@pytest.mark.parametrize("suffix", decode._FORMATS)
@pytest.mark.parametrize("pixels", [textured(5, 7), gray(5, 7)], ids=["rgb", "gray"])
def test_every_target_format_keeps_the_pixels(
    tmp_path: Path, suffix: str, pixels: np.ndarray
) -> None:
    source, coded, back = tmp_path / "a.png", tmp_path / "a.seec", tmp_path / f"b{suffix}"
    Image.fromarray(pixels).save(source)
    assert run(encode.main, source, coded).exit_code == 0
    assert run(decode.main, coded, back).exit_code == 0
    with Image.open(back) as image:
        assert np.array_equal(np.asarray(image), pixels)


def test_single_files_may_be_urls(picture: Path) -> None:
    coded, back = "memory://bucket/a.seec", "memory://bucket/out/a.ppm"
    assert run(encode.main, picture, coded).exit_code == 0
    assert run(decode.main, coded, back).exit_code == 0
    assert json.loads(run(info.main, coded, "--json").stdout)["width"] == 50
    with fsspec.open(back) as file:
        assert np.array_equal(np.asarray(Image.open(file)), textured(40, 50))  # pyright: ignore[reportArgumentType]


def test_threads_do_not_change_the_bytes(picture: Path, tmp_path: Path) -> None:
    for threads in (1, 2):
        run(encode.main, picture, tmp_path / f"{threads}.seec", "--threads", threads)
    digests = {
        hashlib.sha256((tmp_path / f"{threads}.seec").read_bytes()).digest() for threads in (1, 2)
    }
    assert len(digests) == 1


def test_nothing_is_overwritten_without_force(picture: Path, tmp_path: Path) -> None:
    coded = tmp_path / "picture.seec"
    coded.write_bytes(b"precious")
    result = run(encode.main, picture, coded)
    assert result.exit_code == 2
    assert "--force" in result.stderr
    assert coded.read_bytes() == b"precious"
    assert run(encode.main, picture, coded, "--force").exit_code == 0
    assert run(decode.main, coded, picture).exit_code == 2
    assert run(decode.main, coded, picture, "--force").exit_code == 0


def test_encoding_leaves_one_whole_file_and_no_litter(picture: Path, tmp_path: Path) -> None:
    run(encode.main, picture, tmp_path / "out" / "a.seec")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a.seec"]


@pytest.mark.parametrize("mode", ["RGBA", "P", "I;16", "1"])
def test_other_images_are_refused_by_name_with_the_way_out(tmp_path: Path, mode: str) -> None:
    source = tmp_path / "odd.png"
    Image.new(mode, (4, 4)).save(source)
    result = run(encode.main, source, tmp_path / "odd.seec")
    assert result.exit_code == 1
    assert str(source) in result.stderr
    assert "seec archive" in result.stderr
    assert not (tmp_path / "odd.seec").exists()


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    result = run(encode.main, tmp_path / "nowhere.png", tmp_path / "a.seec")
    assert result.exit_code == 1
    assert "nowhere.png" in result.stderr


def test_a_damaged_file_is_damage_and_writes_nothing(picture: Path, tmp_path: Path) -> None:
    coded, back = tmp_path / "a.seec", tmp_path / "b.png"
    run(encode.main, picture, coded)
    blob = bytearray(coded.read_bytes())
    blob[-20] ^= 1
    coded.write_bytes(blob)
    result = run(decode.main, coded, back)
    assert result.exit_code == 4
    assert str(coded) in result.stderr
    assert not back.exists()


def test_a_lossy_target_is_wrong_use(picture: Path, tmp_path: Path) -> None:
    run(encode.main, picture, tmp_path / "a.seec")
    assert run(decode.main, tmp_path / "a.seec", tmp_path / "b.jpg").exit_code == 2


def test_a_larger_image_than_allowed_is_refused(picture: Path, tmp_path: Path) -> None:
    run(encode.main, picture, tmp_path / "a.seec")
    result = run(decode.main, tmp_path / "a.seec", tmp_path / "b.png", "--max-pixels", 1999)
    assert result.exit_code == 1
    assert not (tmp_path / "b.png").exists()


def test_info_describes_a_file(picture: Path, tmp_path: Path) -> None:
    coded = tmp_path / "a.seec"
    run(encode.main, picture, coded)
    facts = json.loads(run(info.main, coded, "--json").stdout)
    assert (facts["kind"], facts["width"], facts["height"], facts["channels"]) == (
        "seec",
        50,
        40,
        3,
    )
    assert facts["size_bytes"] == coded.stat().st_size
    assert facts["sections"][-1]["name"] == "tile_group"
    assert "50 x 40, RGB" in run(info.main, coded).stdout


def test_info_of_neither_a_file_nor_an_archive(tmp_path: Path) -> None:
    assert run(info.main, tmp_path).exit_code == 10
    assert run(info.main, tmp_path / "nowhere").exit_code == 10
    (tmp_path / "text").write_text("not ours at all")
    assert run(info.main, tmp_path / "text").exit_code == 4


def test_info_describes_an_archive(archived: Path, source: Path) -> None:
    facts = json.loads(run(info.main, archived, "--json").stdout)
    assert facts["kind"] == "archive"
    files = len(nodes(source))
    shards = -(-files // 12)
    assert (facts["files"], facts["shards"]) == (files, shards)
    assert (facts["runs"], facts["files_quarantined"]) == (1, 0)
    assert facts["unfinished_run"] is None
    assert len(facts["models"]) == 1
    assert facts["digest"] in run(info.main, archived).stdout


def test_a_region_of_a_file_decodes_alone(picture: Path, tmp_path: Path) -> None:
    coded, part = tmp_path / "picture.seec", tmp_path / "part.png"
    run(encode.main, picture, coded)
    assert run(decode.main, coded, part, "--region", "10,20,30,5").exit_code == 0
    assert np.array_equal(np.asarray(Image.open(part)), textured(40, 50)[20:25, 10:40])


@pytest.mark.parametrize("region", ["1,2,3", "a,b,c,d", "40,0,20,20", "-1,0,2,2"])
def test_a_region_that_makes_no_sense_is_wrong_use(
    picture: Path, tmp_path: Path, region: str
) -> None:
    coded = tmp_path / "picture.seec"
    run(encode.main, picture, coded)
    result = run(decode.main, coded, tmp_path / "part.png", f"--region={region}")
    assert result.exit_code == 2
    assert not (tmp_path / "part.png").exists()
