"""The whole way of some photographs: archived, verified, restored, compared, measured."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import numpy as np

from seec.jobs import archive, restore, verify
from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.progress import progress
from seec.pipeline.codec import default_model
from seec.pipeline.extras import missing
from seec.pipeline.lab.benchmark.codecs import OURS, make_codecs, our_codec
from seec.pipeline.lab.benchmark.measure import image_paths, measure_folder, read_pixels
from seec.pipeline.lab.benchmark.results import FolderResult
from seec.pipeline.lab.benchmark.table import table_lines
from seec.schemas.errors import DigestMismatch

_CODECS = (OURS, "png", "webp", "jpegxl-e7", "jpegxl-e9")
# Photographs among the files of scikit-image's wheel; the JPEG comes back byte for byte.
_COLOUR = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png")
_GRAY = ("brick.png", "camera.png", "coins.png", "moon.png")
_JPEG = ("rocket.jpg",)


@dataclass(frozen=True)
class Settings:
    """output: a folder; `photos`, `archive` and `restored` below it are replaced."""

    output: Path


@dataclass(frozen=True)
class Summary:
    """What each step gave."""

    archived: archive.ArchiveSummary
    verified: verify.VerifySummary
    restored: restore.RestoreSummary
    files: int
    same_pixels: int
    same_bytes: int
    rates: FolderResult

    @property
    def exit_code(self) -> int:
        """The first that is not OK."""
        steps = (self.archived, self.verified, self.restored)
        return next((step.exit_code for step in steps if step.exit_code), ExitCode.OK)

    def as_dict(self) -> dict[str, Any]:
        """The summary of each step, and the benchmark's rows."""
        return {
            "archive": self.archived.as_dict(),
            "verify": self.verified.as_dict(),
            "restore": self.restored.as_dict(),
            "files": self.files,
            "same_pixels": self.same_pixels,
            "same_bytes": self.same_bytes,
            "bench": [row.as_dict() for row in self.rates.rows()],
        }

    def lines(self) -> Iterator[str]:
        """Step by step."""
        for title, step in (
            ("Archived", self.archived),
            ("Verified", self.verified),
            ("Restored", self.restored),
        ):
            yield f"{title}:"
            yield from (f"  {line}" for line in step.lines())
        yield (
            f"Compared: all {self.files} files are back, {self.same_pixels} with every pixel "
            f"equal, {self.same_bytes} byte for byte"
        )
        yield ""
        yield from table_lines([self.rates])


def run(settings: Settings) -> Summary:
    """Run all steps below `output`. Raises DigestMismatch if a file came back different."""
    folders = [settings.output / name for name in ("photos", "archive", "restored")]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    photos, stored, back = folders
    _copy_photographs(photos)
    archived = archive.run(archive.Settings(str(photos), str(stored)))
    verified = verify.run(verify.Settings(str(stored)))
    restored = restore.run(restore.Settings(str(stored), str(back)))
    paths = image_paths(photos)
    same_pixels = [_compare(path, back / path.name) for path in paths]
    return Summary(
        archived,
        verified,
        restored,
        files=len(paths),
        same_pixels=sum(same_pixels),
        same_bytes=len(paths) - sum(same_pixels),
        rates=_measure(photos),
    )


def _copy_photographs(target: Path) -> None:
    package = find_spec("skimage")
    if package is None or package.origin is None:
        raise missing("demo", "the demo's photographs", "skimage")
    target.mkdir(parents=True)
    for name in (*_COLOUR, *_GRAY, *_JPEG):
        shutil.copy2(Path(package.origin).parent / "data" / name, target / name)


def _compare(source: Path, restored: Path) -> bool:
    """True if both hold the same pixels, False if they are JPEG with the same bytes."""
    if source.name in _JPEG:
        same = source.read_bytes() == restored.read_bytes()
    else:
        same = np.array_equal(read_pixels(source), read_pixels(restored))
    if not same:
        raise DigestMismatch(f"{restored}: differs from {source}")
    return source.name not in _JPEG


def _measure(photos: Path) -> FolderResult:
    paths = image_paths(photos, lambda name: name not in _JPEG)
    codecs = make_codecs(_CODECS, [our_codec(default_model())])
    with progress("measure", len(paths), "images") as shown:
        return measure_folder(photos.name, paths, codecs, shown.advance)


@command("demo", examples=["python -m seec.jobs.demo"])
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-output"),
    help="Folder for photographs, archive and restored files.",
)
def main(output: Path) -> Summary:
    """Archive photographs, verify, restore, compare every pixel, and measure."""
    return run(Settings(output))


if __name__ == "__main__":
    main()
