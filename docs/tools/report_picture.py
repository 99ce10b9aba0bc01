"""Pictures of a report, light and dark: `python docs/tools/report_picture.py`.

Needs Chromium and the extras `test` and `report`. The archive is made here: folders of drawn
images that come over some commits, one that is damaged, and one file in quarantine.
"""

import shutil
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from seec.jobs import archive, clock, report, verify

_OUT = Path(__file__).parents[1] / "images"
_SIZE = "--window-size=1000,2350"


def main() -> None:
    """Draw, archive, damage, report, and take the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "photos.archive")
        page = Path(folder, "report.html")
        _archive(Path(folder), root)
        report.run(report.Settings(str(root), str(page), thumbnails=5))
        page.write_text(page.read_text().replace(folder, "/srv"))
        for scheme in ("light", "dark"):
            _take(page, _OUT / f"report-{scheme}.png", dark=scheme == "dark")


def _archive(folder: Path, root: Path) -> None:
    source = folder / "photos"
    for week, name in enumerate(("mountains", "harbour", "scans", "portraits")):
        (source / name).mkdir(parents=True)
        for number in range(3 + 2 * week):
            _draw(week * 20 + number, (240, 320)).save(source / name / f"{number:03d}.png")
        if week == 3:
            (source / name / "film.mov").write_bytes(bytes(3_000_000))
        settings = archive.Settings(
            str(source), str(root), profile="fast", max_file_size_bytes=2_000_000, shard_files=4
        )
        archive.run(settings)
        if week in (1, 2):
            now = clock.now()
            clock.now = lambda now=now, week=week: now - timedelta(days=120 - 40 * week)
            verify.run(verify.Settings(str(root), shards=0.7, seed=week))
            clock.now = lambda now=now: now
    blob = max((root / "blobs").rglob("*.blob"))
    blob.chmod(0o600)
    data = bytearray(blob.read_bytes())
    data[1000] ^= 1
    blob.write_bytes(data)
    verify.run(verify.Settings(str(root), since=11))


def _draw(seed: int, shape: tuple[int, int]) -> Image.Image:
    """Hills under a sky, with some grain."""
    random = np.random.default_rng(seed)
    height, width = shape
    y, x = np.mgrid[:height, :width] / height
    top, low = random.uniform(60, 255, (2, 3))
    pixels = top + (low - top) * y[..., None]
    for _ in range(4):
        ridge = random.uniform(0.3, 0.9) + random.uniform(0.03, 0.15) * np.sin(
            random.uniform(2, 9) * x + random.uniform(0, 6)
        )
        pixels[y > ridge] = random.uniform(20, 200, 3)
    pixels += random.normal(0, 3, pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _take(page: Path, target: Path, *, dark: bool) -> None:
    program = shutil.which("chromium")
    if program is None:
        sys.exit("chromium: no such program")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", _SIZE]
    options += ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if dark else []
    command = [program, *options, f"--screenshot={target}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True)
    with Image.open(target) as image:
        image.convert("P", palette=Image.Palette.ADAPTIVE, colors=128).save(target, optimize=True)


if __name__ == "__main__":
    main()
