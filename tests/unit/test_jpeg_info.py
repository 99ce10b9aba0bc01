"""`seec info` of JPEG files."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from seec.jobs import info
from tests.jpegs import detailed, held, jpeg, refused
from tests.pictures import textured


def described(tmp_path: Path, data: bytes) -> dict:
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    result = CliRunner().invoke(info.main, [str(path), "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def text(tmp_path: Path) -> str:
    return CliRunner().invoke(info.main, [str(tmp_path / "a.jpg")], catch_exceptions=False).stdout


def test_frame_sampling_and_quality_are_named(tmp_path: Path):
    found = described(tmp_path, jpeg(detailed()[:141, :179], quality=83, subsampling=2))
    assert (found["kind"], found["width"], found["height"]) == ("jpeg", 179, 141)
    assert (found["components"], found["sampling"], found["progressive"]) == (3, "4:2:0", False)
    assert found["luma_quality"] == found["chroma_quality"] == {"quality": 83, "exact": True}
    assert (found["within"], found["codable"], found["refusal"]) == ([], True, None)
    assert "179 x 141, sequential" in text(tmp_path)
    assert "can be coded" in text(tmp_path)


@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0", "gray"])
def test_samplings(tmp_path: Path, sampling: str):
    found = described(tmp_path, held()[sampling])
    assert found["sampling"] == sampling
    assert (found["chroma_quality"] is None) == (sampling == "gray")


def test_a_progressive_file_with_tables_of_its_own(tmp_path: Path):
    tables = [[30 + i // 4 for i in range(64)]] * 2
    found = described(tmp_path, jpeg(progressive=True, quality=50, qtables=tables))
    assert found["progressive"]
    assert not found["luma_quality"]["exact"]
    assert 40 < found["luma_quality"]["quality"] < 80
    assert "about quality" in text(tmp_path)


def test_pictures_within_are_listed(tmp_path: Path):
    thumbnail = jpeg(textured(32, 48))
    data = jpeg(exif=b"Exif\0\0" + thumbnail)
    (within,) = described(tmp_path, data)["within"]
    assert within == {"position": data.index(thumbnail), "width": 48, "height": 32}
    assert "48 x 32" in text(tmp_path)


@pytest.mark.parametrize("kind", refused())
def test_a_refused_file_is_described_with_the_reason(tmp_path: Path, kind: str):
    found = described(tmp_path, refused()[kind])
    assert found["codable"] == (found["refusal"] is None)
    if kind in ("arithmetic coding", "lossless", "12 bits"):
        assert found["refusal"]
        assert found["refusal"] in text(tmp_path)
