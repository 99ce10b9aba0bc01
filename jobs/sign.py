"""Sign the state of an archive: `python -m seec.jobs.sign ARCHIVE --key FILE`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from seec.jobs import digest as digest_job
from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.options import access_option
from seec.jobs.summary import figures
from seec.pipeline.signing.signed import put_signature, sign_head, stamp_head
from seec.pipeline.storage import Store
from seec.schemas.errors import DigestMismatch
from seec.schemas.signature import (
    NAMESPACE,
    SIGNATURE,
    SshSignature,
    statement,
)


@dataclass(frozen=True)
class Settings:
    """What signs: a key file, a signature that ssh-keygen made, a time-stamp server; any of these.

    at: the commit, None is the last one. show: print what is signed, and sign nothing.
    """

    archive: str
    key: Path | None = None
    signature: Path | None = None
    timestamp: str | None = None
    at: int | None = None
    show: bool = False


@dataclass(frozen=True)
class SignSummary:
    """What was signed, and where the signatures are; text: what is signed, if it was asked for."""

    archive: str
    commit: int
    digest: str
    written: tuple[str, ...]
    text: str | None = None
    exit_code: ExitCode = ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """All figures by name."""
        return figures(self)

    def lines(self) -> Iterator[str]:
        """For people; or the text alone."""
        if self.text is not None:
            yield from self.text.splitlines()
            return
        yield from (f"written {name}" for name in self.written)
        yield f"signed: commit {self.commit}"
        yield f"archive digest {self.digest}"


def run(settings: Settings) -> SignSummary:
    """Write signatures beside a commit.

    Raises NotAnArchive, UnknownCommit, StorageError, UnusableKey, TimestampRefused; DigestMismatch
    for a signature of something else.
    """
    if not any((settings.key, settings.signature, settings.timestamp, settings.show)):
        raise click.UsageError("what signs? --key, --signature or --timestamp")
    head = digest_job.run(digest_job.Settings(settings.archive, settings.at))
    message = statement(head.commit, head.digest)
    if settings.show:
        return SignSummary(head.archive, head.commit, head.digest, (), message.decode())
    store, written = Store(settings.archive), list[str]()
    if settings.key is not None:
        written.append(sign_head(store, head.commit, head.digest, settings.key))
    if settings.signature is not None:
        data = _signature_of(settings.signature, message)
        written.append(put_signature(store, head.commit, SIGNATURE, data))
    if settings.timestamp is not None:
        written += stamp_head(store, head.commit, head.digest, settings.timestamp)
    return SignSummary(head.archive, head.commit, head.digest, tuple(written))


def _signature_of(path: Path, message: bytes) -> bytes:
    from seec.pipeline.signing.keys import is_by

    data = path.read_bytes()
    found = SshSignature.parse(str(path), data)
    if found.namespace != NAMESPACE or not is_by(found, message):
        raise DigestMismatch(
            f"{path}: is no signature of this commit: sign what seec sign --show prints, with "
            f"ssh-keygen -Y sign -n {NAMESPACE}"
        )
    return data


@command(
    "sign",
    examples=[
        "seec sign photos.seec-archive --key ~/.ssh/id_ed25519",
        "seec sign photos.seec-archive --key key.pem --timestamp http://timestamp.example.org",
        "seec sign photos.seec-archive --show > head.txt",
        "seec sign photos.seec-archive --signature head.txt.sig",
    ],
)
@click.argument("archive")
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Private key of Ed25519, ECDSA or RSA, as ssh-keygen writes it, or PEM. "
    "SEEC_SIGN_PASSPHRASE has its passphrase.",
)
@click.option(
    "--signature",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A signature that ssh-keygen -Y sign -n seec-archive made of what --show prints, such as "
    "with a key on a token or in an agent.",
)
@click.option(
    "--timestamp",
    metavar="URL",
    help="Ask this server for a time-stamp (RFC 3161), which says that the state was there by now, "
    "and so were the signatures and time-stamps of it: the new one renews them.",
)
@click.option(
    "--at",
    type=click.IntRange(min=1),
    metavar="COMMIT",
    help="The commit to sign. [default: the last one]",
)
@click.option("--show", is_flag=True, help="Print what is signed, and sign nothing.")
@access_option
def main(**options: Any) -> SignSummary:
    """Sign the archive digest of ARCHIVE: seec verify --signers tells who vouches for it.

    Signatures are those of OpenSSH (ssh-keygen -Y), as git has them. They lie in ARCHIVE beside the
    commit, and cover all commits before. Sign a commit again, with another key or algorithm, or ask
    another server, whenever the old ones age: all signatures stay.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
