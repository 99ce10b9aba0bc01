"""`python -m seec.pipeline.lab.formats FOLDER`: what becomes of each kind of file below a folder.

Looks into files as `seec archive` does, with `--keep pixels` and with `--keep file`; nothing is
archived. Prints a row for each kind: its files and bytes, and the routes that they take.
"""

import argparse
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from seec.pipeline.images.files import is_exact
from seec.pipeline.routes.writing import Candidate, Draft, draft
from seec.schemas.plan import SourceFile

_MOST_BYTES, _MOST_PIXELS = 1 << 28, 200_000_000
_REASON_CHARACTERS = 60


@dataclass
class Kind:
    """Files of a kind. pixels, file: what becomes of them with each way to keep them."""

    files: int = 0
    size_bytes: int = 0
    pixels: Counter[str] = field(default_factory=Counter[str])
    file: Counter[str] = field(default_factory=Counter[str])


def fate(candidate: Candidate, made: Draft) -> str:
    """What becomes of a file, in words."""
    row = made.row if made.coded is None else made.coded.row
    if row.reason is not None:
        return f"stored: {row.reason[:_REASON_CHARACTERS]}"
    exact = row.samples is None or is_exact(candidate.image.envelope)
    return f"{row.route}, {'byte for byte' if exact else 'same samples'}"


def kinds(folder: Path) -> dict[str, Kind]:
    """All kinds below a folder, by format or else by the end of the name."""
    found: dict[str, Kind] = {}
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        if not 0 < path.stat().st_size <= _MOST_BYTES:
            continue
        data = path.read_bytes()
        fates: list[str] = []
        name = path.suffix.lower() or "none"
        file = SourceFile(path.name, len(data), None)
        for keep_file in (False, True):
            candidate = Candidate(file, data, _MOST_PIXELS, keep_file, code_jpeg=True)
            made = draft(candidate)
            fates.append(fate(candidate, made))
            if made.coded is not None and made.coded.row.image is not None:
                name = made.coded.row.image.format
        one = found.setdefault(name, Kind())
        one.files += 1
        one.size_bytes += len(data)
        one.pixels[fates[0]] += 1
        one.file[fates[1]] += 1
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m seec.pipeline.lab.formats", description=__doc__
    )
    parser.add_argument("folder", type=Path)
    print("| kind | files | bytes | `--keep pixels` | `--keep file` |")  # noqa: T201
    print("| --- | --- | --- | --- | --- |")  # noqa: T201
    for name, one in sorted(kinds(parser.parse_args().folder).items()):
        fates = (
            "; ".join(f"{count} {words}" for words, count in each.most_common())
            for each in (one.pixels, one.file)
        )
        print(f"| {name} | {one.files} | {one.size_bytes} | {' | '.join(fates)} |")  # noqa: T201


if __name__ == "__main__":
    main()
