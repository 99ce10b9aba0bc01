"""What it costs to ask other programs whether they will see the same in a restored file.

`python -m seec.pipeline.lab.benchmark.comparing PHOTO.png...` archives each file in memory, on one
thread, with each packaged profile, and prints the share of the CPU time that the comparison takes.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from seec.pipeline.codec import Encoder, Model, packaged_model, packaged_profiles
from seec.pipeline.images.files import read_header
from seec.pipeline.lab.benchmark.markdown import table
from seec.pipeline.routes.writing import Candidate, draft
from seec.schemas.plan import PlanSettings, SourceFile

HEADINGS = ("profile", "files", "megapixels", "archiving, ms/MP", "comparison, ms/MP", "of it")
_RUNS = 2


def rows(paths: Sequence[Path]) -> Iterator[Sequence[str]]:
    """For each profile what `HEADINGS` says; files count that are taken apart."""
    files = [path.read_bytes() for path in paths]
    pixels = sum(read_header(data).pixels for data in files) / 1e6
    plain, compared = (sum(_seconds(_read, data, way) for data in files) for way in (False, True))
    cost = 1e3 * (compared - plain) / pixels
    for profile in packaged_profiles():
        model = packaged_model(profile)
        encoder = Encoder(model)
        whole = 1e3 * sum(_seconds(_archive, data, encoder, model) for data in files) / pixels
        share = f"{100 * cost / whole:.1f} %"
        yield profile, f"{len(files)}", f"{pixels:.1f}", f"{whole:.0f}", f"{cost:.0f}", share


def _read(data: bytes, for_archive: bool) -> None:
    read_header(data).read(for_archive=for_archive)


def _archive(data: bytes, encoder: Encoder, model: Model) -> None:
    limit = PlanSettings(model.id).max_pixels
    made = draft(Candidate(SourceFile("a", len(data), 0), data, limit))
    encoder.encode_batch(list(made.pictures), [None] * len(made.pictures))


def _seconds(work: Callable[..., object], *arguments: object) -> float:
    """Of CPU time, the least of some runs."""
    found: list[float] = []
    for _ in range(_RUNS):
        start = time.process_time()
        work(*arguments)
        found.append(time.process_time() - start)
    return min(found)


if __name__ == "__main__":
    for line in table(HEADINGS, rows([Path(name) for name in sys.argv[1:]])):
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
