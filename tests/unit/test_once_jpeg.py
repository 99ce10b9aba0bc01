"""Whether image files hold pixels that were JPEG, seen from a few of them."""

import os
from pathlib import Path

import pytest

from seec.pipeline.stages import once_jpeg
from seec.pipeline.stages.once_jpeg import decoded_bytes
from seec.pipeline.storage import Source
from tests.jpegs import detailed
from tests.sources import image_bytes
from tests.unit.test_decoded import once_jpeg as pixels_once_jpeg

PICTURE = detailed()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(2):
        image = pixels_once_jpeg(PICTURE, 75 + number, "4:2:0")
        (tmp_path / f"{number}.png").write_bytes(image_bytes(image, "PNG"))
    (tmp_path / "other.png").write_bytes(image_bytes(PICTURE, "PNG"))
    (tmp_path / "broken.png").write_bytes(image_bytes(PICTURE, "PNG")[:2000])
    (tmp_path / "text.txt").write_bytes(b"text" * 10000)
    return tmp_path


def found(folder: Path, enough: int = 0) -> int:
    source = Source(str(folder))
    return decoded_bytes(source, source.files(), enough)


def test_the_bytes_of_files_that_were_jpeg_count(folder: Path):
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert found(folder) == pytest.approx(sizes["0.png"] + sizes["1.png"], abs=2)
    assert found(folder, enough=10**6) == 0  # nothing is read


def test_a_part_stands_for_all(folder: Path):
    for number in range(40):
        (folder / f"again-{number:02}.png").write_bytes((folder / "0.png").read_bytes())
    whole = sum(path.stat().st_size for path in folder.glob("*.png"))
    assert 0.8 * whole < found(folder) <= whole


def test_a_file_that_ends_the_process_is_none(folder: Path, monkeypatch: pytest.MonkeyPatch):
    before = found(folder)
    monkeypatch.setattr(once_jpeg, "_shows", _deadly)
    assert found(folder) == 0
    monkeypatch.undo()
    assert found(folder) == before


def _deadly(data: bytes) -> bool:
    os._exit(9)
