"""`archive.json` and the names of all objects of an archive."""

import hashlib
import re
from dataclasses import dataclass

from seec.schemas.errors import SectionCorrupt
from seec.schemas.limits import (
    MAX_BLOB_BYTES,
    MAX_COMMIT_BYTES,
    MAX_HEADER_BYTES,
    MAX_MODEL_BYTES,
    MAX_TABLE_BYTES,
)
from seec.schemas.sealed import member, seal, unseal

VERSION = 1
KIND = "seec-archive"
ARCHIVE_JSON = "archive.json"
FORMAT_MD = "FORMAT.md.gz"
MODELS = "models"
COMMITS = "commits"
REPORTS = "reports"
LOCKS = "locks"
BLOB, MANIFEST, QUARANTINE = "blob", "manifest", "quarantine"
PLAN, MODEL, REMOVED = "plan", "model", "removed"
PARITY, SPARE = "parity", "spare"
LOCK = "lock"
_COMMIT = re.compile(rf"{COMMITS}/([0-9]{{10}})\.json")
_RUN = r"(?P<run>[0-9]{4,9}-[0-9a-f]{16})"
_SHARD = rf"(?P<shard>{_RUN}/[0-9]{{6,9}})(?P<suffix>-[0-9a-f]{{16}})?"  # the suffix: see FORMAT.md
_NAMES = {
    BLOB: re.compile(rf"blobs/{_SHARD}\.blob"),
    MANIFEST: re.compile(rf"manifest/{_SHARD}\.parquet"),
    QUARANTINE: re.compile(rf"quarantine/{_SHARD}\.parquet"),
    PARITY: re.compile(rf"parity/{_SHARD}\.parity"),
    PLAN: re.compile(rf"plans/{_RUN}\.parquet"),
    MODEL: re.compile(rf"{MODELS}/[0-9a-f]{{64}}\.model"),
    REMOVED: re.compile(r"removed/[0-9a-f]{64}\.parquet"),
    LOCK: re.compile(rf"{LOCKS}/[0-9a-f]{{16}}\.(json|probe)"),
}


def format_text() -> str:
    """The description of all formats: each part, and the dictionary that that of JPEG names."""
    from importlib import resources  # only who makes an archive needs it, and it takes long

    folder = resources.files("seec.schemas")
    names = ("FORMAT.md", "FORMAT-DEFLATE.md", "FORMAT-SAMPLES.md", "FORMAT-JPEG.md")
    pages = [(folder / name).read_text("utf-8") for name in names]
    dictionary = (folder / "JPEG-DICTIONARY.txt").read_text("utf-8").splitlines(keepends=True)
    return "\n".join([*pages, "".join(f"    {line}" for line in dictionary)])


def format_md() -> bytes:
    """FORMAT.md.gz as archives get it from this release: a third of the text's size."""
    import gzip

    return gzip.compress(format_text().encode(), mtime=0)


def model_name(model_id: str) -> str:
    """Where a model is: models/<id>.model."""
    return f"{MODELS}/{model_id}.model"


def plan_name(run_id: str) -> str:
    """Where a plan is: plans/<run>.parquet."""
    return f"plans/{run_id}.parquet"


def removed_name(digest: str) -> str:
    """Where paths that vanished are listed: removed/<SHA-256 of the table>.parquet."""
    return f"removed/{digest}.parquet"


def shard_name(run_id: str, index: int) -> str:
    """<run>/<shard>, the name under which blob, manifest part and quarantine part are found."""
    return f"{run_id}/{index:06d}"


def blob_name(shard: str) -> str:
    """Where a blob is: blobs/<run>/<shard>.blob."""
    return f"blobs/{shard}.blob"


def manifest_name(shard: str) -> str:
    """Where a manifest part is: manifest/<run>/<shard>.parquet."""
    return f"manifest/{shard}.parquet"


def quarantine_name(shard: str) -> str:
    """Where a quarantine part is: quarantine/<run>/<shard>.parquet."""
    return f"quarantine/{shard}.parquet"


def parity_name(shard: str) -> str:
    """Where the parity of a shard is: parity/<run>/<shard>.parity."""
    return f"parity/{shard}.parity"


def is_duplicated(name: str) -> bool:
    """Whether the spare of an object is a copy of it, and not parity."""
    return name == ARCHIVE_JSON or commit_sequence(name) is not None


def spare_name(name: str) -> str:
    """Where the spare of an object beside shards is: a copy of it, or its parity."""
    return f"{SPARE}/{name}" if is_duplicated(name) else f"{SPARE}/{name}.parity"


def spared(name: str) -> str | None:
    """The object that a spare is of, by its name; None for the name of anything else."""
    of = name.removeprefix(f"{SPARE}/").removesuffix(".parity")
    kind, _ = parse_name(of) or (None, None)
    known = is_duplicated(of) or of == FORMAT_MD or kind in (PLAN, MODEL, REMOVED)
    return of if known and spare_name(of) == name else None


def commit_name(sequence: int) -> str:
    """commits/<sequence>.json, counted from 1."""
    return f"{COMMITS}/{sequence:010d}.json"


def commit_sequence(name: str) -> int | None:
    """The number in a commit's name, None for the name of anything else."""
    match = _COMMIT.fullmatch(name)
    return int(match.group(1)) if match else None


def lock_name(owner: str) -> str:
    """Where a writer says that it is at work: locks/<owner>.json, 16 hexadecimal digits."""
    return f"{LOCKS}/{owner}.json"


def parse_name(name: str) -> tuple[str, str | None] | None:
    """Kind and run of an object that only counts if a commit names it, or of a lock.

    Models, lists of removed paths and locks have no run. None for the name of anything else: what
    is always there, reports, and what is not ours.
    """
    for kind, pattern in _NAMES.items():
        if match := pattern.fullmatch(name):
            return kind, match.groupdict().get("run")
    return None


def most_bytes(name: str) -> int:
    """How many bytes a reader takes of an object that is read as a whole."""
    if name == ARCHIVE_JSON:
        return MAX_HEADER_BYTES
    kind, _ = parse_name(name) or ("", None)
    if commit_sequence(name) is not None:
        return MAX_COMMIT_BYTES
    if (of := spared(name)) is not None:
        return most_bytes(of) * (1 if is_duplicated(of) else 3)
    return {MODEL: MAX_MODEL_BYTES, BLOB: MAX_BLOB_BYTES, PARITY: MAX_BLOB_BYTES}.get(
        kind, MAX_TABLE_BYTES
    )


def shard_of(name: str) -> str | None:
    """The shard that an object is of, by its name; None if it is of no shard."""
    matches = (pattern.fullmatch(name) for pattern in _NAMES.values())
    return next((match.groupdict().get("shard") for match in matches if match), None)


def has_suffix(name: str) -> bool:
    """Whether this is the name of an object that was put beside another one of its shard."""
    matches = (pattern.fullmatch(name) for pattern in _NAMES.values())
    return any(match and match.groupdict().get("suffix") for match in matches)


@dataclass(frozen=True)
class ArchiveHeader:
    """What `archive.json` says; written once, before everything else counts.

    format_sha256: hex digest of FORMAT.md.gz. recap_every: a commit whose sequence number is a
    multiple of this, at least 2, has a recap.
    """

    format_sha256: str
    recap_every: int

    def serialise(self) -> bytes:
        """The bytes of archive.json."""
        return seal(
            KIND,
            VERSION,
            {
                "recap_every": self.recap_every,
                "format_sha256": self.format_sha256,
            },
        )

    @classmethod
    def parse(cls, data: bytes) -> "ArchiveHeader":
        """FormatError or DigestMismatch if the bytes are not a sound archive.json."""
        body = unseal(ARCHIVE_JSON, data, KIND, VERSION)
        header = cls(
            format_sha256=member(ARCHIVE_JSON, body, "format_sha256", str),
            recap_every=member(ARCHIVE_JSON, body, "recap_every", int),
        )
        if header.recap_every < 2 or header.serialise() != data:
            raise SectionCorrupt(f"{ARCHIVE_JSON}: says more, or other things, than it may")
        return header

    @property
    def sha256(self) -> str:
        """The hex digest of `archive.json`, which the first commit names."""
        return hashlib.sha256(self.serialise()).hexdigest()
