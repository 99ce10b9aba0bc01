"""An archive that was asked to lose backgrounds: it does, says so, and proves the rest."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from seec.jobs import archive, ls, restore, verify
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.archive import Archive
from seec.pipeline.storage import Store
from tests.archives import plain_reader
from tests.archives.test_format import decode_with
from tests.pictures import textured
from tests.sources import image_bytes

pytestmark = pytest.mark.usefixtures("ray_cluster")


def write_source(source: Path, masks: Path) -> None:
    """Two pictures with a region, one whose mask is empty, a text."""
    for folder in (source, masks):
        folder.mkdir()
    for index, name in enumerate(("a.png", "b.bmp", "empty.png")):
        kind = Path(name).suffix[1:].upper()
        (source / name).write_bytes(image_bytes(textured(64, 64, index), kind))
        mask = np.zeros((64, 64), np.uint8)
        mask[:16, :16] = name != "empty.png"
        (masks / name).with_suffix(".png").write_bytes(image_bytes(mask, "PNG"))
    (source / "words.txt").write_bytes(b"words " * 100)
    (source / "maskless.png").write_bytes(image_bytes(textured(20, 20), "PNG"))


def test_lossy_rows_are_marked_everywhere_and_verify(tmp_path: Path):
    source, masks, root = (tmp_path / name for name in ("source", "masks", "archive"))
    write_source(source, masks)
    summary = archive.run(
        archive.Settings(
            str(source),
            str(root),
            roi=f"masks:{masks}",
            background_error=4,
            allow_lossy_background=True,
        )
    )
    assert (summary.exit_code, summary.files_added) == (ExitCode.INCOMPLETE, 4)
    assert (summary.files_lossy, summary.files_quarantined) == (2, 1)

    plan = Archive.open(Store(str(root))).plan(
        Archive.open(Store(str(root))).state.runs[summary.runs[0]]
    )
    assert (plan.settings.region_source, plan.settings.background_error) == (f"masks:{masks}", 4)

    listing = json.loads(CliRunner().invoke(ls.main, [str(root), "--json"]).stdout)
    marks = {row["path"]: row["background_error"] for row in listing["files"]}
    assert marks == {"a.png": 4, "b.bmp": 4, "empty.png": None, "words.txt": None}
    assert CliRunner().invoke(ls.main, [str(root)]).stdout.count("seec~") == 2

    checked = verify.run(verify.Settings(str(root)))
    assert (checked.exit_code, checked.images_lossy) == (ExitCode.INCOMPLETE, 2)

    out = tmp_path / "out"
    result = CliRunner().invoke(restore.main, [str(root), str(out), "--json"])
    assert result.exit_code == ExitCode.INCOMPLETE
    assert "'b.bmp'" in result.stderr
    assert "'a.png'" not in result.stderr
    assert {item["path"] for item in json.loads(result.stdout)["lossy"]} == {"a.png", "b.bmp"}
    for index, name in enumerate(("a.png", "b.bmp", "empty.png")):
        image = Image.open(io.BytesIO((out / name).read_bytes()))
        away = np.abs(np.asarray(image).astype(int) - textured(64, 64, index))
        assert away[:16, :16].max() == 0
        assert away.max() == (0 if name == "empty.png" else 4)
        assert ("Comment" in image.info) == (name == "a.png")
    assert (out / "words.txt").read_bytes() == (source / "words.txt").read_bytes()
    read = dict(plain_reader.restored(root, decode_with))
    assert read.keys() == {b"a.png", b"b.bmp", b"empty.png", b"words.txt"}
