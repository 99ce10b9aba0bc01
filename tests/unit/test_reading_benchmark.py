"""The table of images a second has a row for each way to hold files."""

from pathlib import Path

import pytest
from PIL import Image

from seec.pipeline.lab.benchmark import reading
from tests.pictures import textured


@pytest.mark.slow
def test_every_way_to_hold_files_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lmdb")
    monkeypatch.setattr(reading, "_LEAST_S", 0.01)
    (tmp_path / "photos").mkdir()
    Image.fromarray(textured(64, 80)).save(tmp_path / "photos" / "one.png")
    for _ in range(2):  # the second run finds all files there
        reading.main(tmp_path / "photos", tmp_path / "work", 32, 4)
        lines = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
        assert tuple(lines[0]) == reading.HEADINGS
        held = [(line[0], line[1]) for line in lines[2:]]
        assert [name for suffix, name in held if suffix == "JPG"] == [
            *("files on disk", "tar", "LMDB"),
            *("archive, `lite`", "archive, `jpegxl`"),
            *("archive of the tar, `lite`", "archive, from its cache on disk"),
        ]
        assert len([name for suffix, name in held if suffix == "PNG"]) == 8
        figures = [figure for line in lines[2:] for figure in line[2:7]]
        assert all(float(figure.replace(",", "")) > 0 for figure in figures)
    assert sum(1 for _ in (tmp_path / "work" / "png").rglob("*.png")) == 4
