"""Check a proof, without the archive: `python -m seec.jobs.verify_proof PROOF`."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from seec.jobs import files
from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.options import Digest, access_option
from seec.jobs.summary import figures
from seec.schemas.errors import DigestMismatch
from seec.schemas.proof import MAX_BYTES, Proof

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Settings:
    """proof: its file. file: that it should be about. digest: what the archive's begins with."""

    proof: str
    file: Path | None = None
    digest: str | None = None


@dataclass(frozen=True)
class ProofSummary:
    """What is proven. expected: whether the digest was compared with one that is known."""

    path: str
    kind: str
    size_bytes: int
    source_digest: str
    commit: int
    digest: str
    file: str | None
    expected: bool
    exit_code: ExitCode = ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """All figures by name."""
        return figures(self)

    def lines(self) -> Iterator[str]:
        """For people."""
        what = f"{self.path!r}, {self.size_bytes:,} bytes, SHA-256 {self.source_digest}"
        if self.file is not None:
            yield f"{self.file} has these bytes"
        yield f"{self.kind} {what}, was in the archive as of commit {self.commit}"
        if not self.expected:
            yield "if the archive digest below is one that you know from elsewhere: --digest"
        yield f"archive digest {self.digest}"


def run(settings: Settings) -> ProofSummary:
    """Compute the archive digest that follows. SectionCorrupt or DigestMismatch if that fails."""
    proof = Proof.parse(settings.proof, files.read(settings.proof, MAX_BYTES))
    digest = proof.digest()
    if digest is None:
        raise DigestMismatch(f"{settings.proof}: proves nothing: its hashes lead to no root")
    if settings.digest is not None and not digest.startswith(settings.digest):
        raise DigestMismatch(
            f"{settings.proof}: is of an archive of digest {digest}, not {settings.digest}; make "
            "the proof with --at of the commit after which the archive had that digest"
        )
    if settings.file is not None:
        _compare(settings.proof, proof, settings.file)
    return ProofSummary(
        path=proof.path,
        kind=proof.kind,
        size_bytes=proof.size_bytes,
        source_digest=proof.source_digest,
        commit=proof.sequence,
        digest=digest,
        file=None if settings.file is None else str(settings.file),
        expected=settings.digest is not None,
    )


def _compare(name: str, proof: Proof, file: Path) -> None:
    hashed, size_bytes = hashlib.sha256(), 0
    with file.open("rb") as opened:
        while piece := opened.read(_PIECE_BYTES):
            hashed.update(piece)
            size_bytes += len(piece)
    if (size_bytes, hashed.hexdigest()) != (proof.size_bytes, proof.source_digest):
        raise DigestMismatch(
            f"{file}: is not what {name} is about: {size_bytes:,} bytes of SHA-256 "
            f"{hashed.hexdigest()}, and not {proof.size_bytes:,} of {proof.source_digest}"
        )


@command(
    "verify-proof",
    examples=[
        "seec verify-proof contract.proof --file contract.png --digest 3f0c...",
    ],
)
@click.argument("proof")
@click.option(
    "--file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Compare this file with what the proof says.",
)
@click.option(
    "--digest",
    type=Digest(),
    help="The archive digest as you know it from elsewhere, or at least 16 digits of it.",
)
@access_option
def main(**options: Any) -> ProofSummary:
    """Check PROOF, which seec prove wrote, with nothing but PROOF.

    verify-proof computes the archive digest that PROOF leads to. If that is the one of --digest,
    the file was in the archive. If a hash in PROOF is wrong, the digest is another one, and
    verify-proof ends with exit code 4.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
