"""Prove that a file was in an archive: `python -m seec.jobs.prove ARCHIVE PATH`."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from seec.jobs import files
from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.options import access_option, at_option
from seec.pipeline.archive import Archive
from seec.pipeline.reading.proving import prove
from seec.pipeline.storage import Store
from seec.schemas.json_text import parse_json
from seec.schemas.names import escape
from seec.schemas.proof import Proof


@dataclass(frozen=True)
class Settings:
    """path: of the archive, as text. at: after which commit. output: a file for the proof."""

    archive: str
    path: str
    at: int | None = None
    output: str | None = None
    force: bool = False


@dataclass(frozen=True)
class ProveSummary:
    """The proof, and where it was written; None is stdout."""

    proof: Proof
    digest: str
    output: str | None
    exit_code: ExitCode = ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """The proof itself."""
        return parse_json(self.proof.serialise())

    def lines(self) -> Iterator[str]:
        """The text of the proof, or where it is."""
        if self.output is None:
            yield from self.proof.serialise().decode().splitlines()
            return
        yield (
            f"{self.output} proves that {self.proof.path!r}, SHA-256 {self.proof.source_digest}, "
            f"was in the archive as of commit {self.proof.sequence}"
        )
        yield f"archive digest {self.digest}"


def run(settings: Settings) -> ProveSummary:
    """Make a proof. Raises NotAnArchive, UnknownCommit, UnknownPath, FormatError or FixityError."""
    if settings.output is not None and not settings.force:
        files.refuse_to_replace(settings.output)
    archive = Archive.open(Store(settings.archive))
    if settings.at is not None:
        archive = archive.as_committed(settings.at)
    proof = prove(archive, escape(os.fsencode(settings.path)))
    if settings.output is not None:
        files.write(settings.output, proof.serialise(), force=settings.force)
    return ProveSummary(proof, archive.state.digest, settings.output)


@command(
    "prove",
    examples=[
        "seec prove photos.seec-archive 2024/contract.png --output contract.proof",
        "seec prove photos.seec-archive 2024/contract.png --at 12 > contract.proof",
    ],
)
@click.argument("archive")
@click.argument("path")
@at_option
@click.option("--output", metavar="FILE", help="Write the proof to FILE. [default: stdout]")
@click.option("--force", is_flag=True, help="Replace FILE.")
@access_option
def main(**options: Any) -> ProveSummary:
    """Write a proof, a few kilobytes of JSON, that the file at PATH was in ARCHIVE.

    The proof leads from the file's path, size and SHA-256 to the archive digest. seec verify-proof
    checks the proof without ARCHIVE. Whoever has the archive digest from somewhere else, such as a
    signature or a note of that day, then knows that the file was in ARCHIVE when it had the digest.

    prove reads the commits and one manifest part, and not the file: seec verify does.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
