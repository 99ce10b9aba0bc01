"""What becomes of each kind of file, as the lab tells."""

from pathlib import Path

from seec.pipeline.lab.formats import kinds
from tests.jpegs import jpeg
from tests.tiffs import DEEP, written


def test_kinds_say_how_their_files_come_back(tmp_path: Path):
    (tmp_path / "within").mkdir()
    (tmp_path / "within" / "plain.tif").write_bytes(written(DEEP))
    (tmp_path / "packed.tif").write_bytes(written(DEEP, compression="zstd"))
    (tmp_path / "photo.jpg").write_bytes(jpeg())
    (tmp_path / "notes.txt").write_text("no image")
    found = kinds(tmp_path)
    assert {name: one.files for name, one in found.items()} == {"TIFF": 2, "JPEG": 1, ".txt": 1}
    pixels, file = found["TIFF"].pixels, found["TIFF"].file
    assert pixels == {"seec-planes, byte for byte": 1, "seec-planes, same samples": 1}
    assert file["seec-planes, byte for byte"] == 1
    assert any(fate.startswith("stored: ") for fate in file)
    assert list(found["JPEG"].pixels) == ["seec-jpeg, byte for byte"]
