"""Each program of examples/ runs as its docstring says."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from tests.docs.pages import ROOT
from tests.pictures import textured


def run(cwd: Path, address: str, name: str, *arguments: str) -> str:
    """What a program prints."""
    result = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT), "RAY_ADDRESS": address},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_archive_restore_and_read_the_pixels(tmp_path: Path, ray_cluster: str) -> None:
    pixels = textured(24, 32, 1)
    (tmp_path / "photos").mkdir()
    Image.fromarray(pixels).save(tmp_path / "photos" / "a.png")
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    said = run(
        tmp_path, ray_cluster, "archive_and_restore.py", "photos", "photos.archive", "restored"
    )
    assert said.splitlines()[-1] == "2 files"
    assert np.array_equal(np.asarray(Image.open(tmp_path / "restored" / "a.png")), pixels)
    said = run(tmp_path, ray_cluster, "read_pixels.py", "photos.archive")
    assert said == f"a.png: {pixels.shape}, mean {pixels.mean():.1f}\n"


def test_encode_one_image(tmp_path: Path) -> None:
    Image.fromarray(textured(24, 32, 2)).save(tmp_path / "photo.png")
    lines = run(tmp_path, "", "encode_image.py", "photo.png").splitlines()
    assert [line.partition(":")[0] for line in lines] == ["fast", "lite", "max"]
