"""What an archive knows of each archived path: a row of the manifest."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pickle import PickleBuffer
from typing import Any, SupportsIndex

from seec.schemas.commit import ObjectRecord
from seec.schemas.kinds import DIRECTORY, FILE, LINK
from seec.schemas.routes import LOST, is_lost
from seec.schemas.trees import once_each

UNKNOWN_DIGEST = bytes(32)  # of a lost file of which not even the digest is known
ENVELOPE_BYTES_IN_ROW = 4096  # a longer envelope is in the blob


@dataclass(frozen=True)
class ImageFacts:
    """What is known of an image file without decoding it.

    width, height: pixels. mode: `L` (gray) or `RGB`, 8 bits a sample, or `<samples of a
    pixel>x<bits of a sample>`; all three of the first picture, if the file holds several. format:
    of the file, as `pipeline.images` names formats.
    """

    width: int
    height: int
    mode: str
    format: str

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height

    @property
    def pixel_bytes(self) -> int:
        """Bytes of the samples of a pixel, each in bytes of its own; ValueError for no mode."""
        if self.mode in ("L", "RGB"):
            return len(self.mode)
        samples, _, bits = self.mode.partition("x")
        return int(samples) * -(-int(bits) // 8)


@dataclass(frozen=True)
class SampleFacts:
    """What is known of a file whose samples were coded, and not its bytes.

    digest: the pixel digest (FORMAT.md) of what decoding gives. size_bytes: what all samples of all
    pictures take, each in bytes of its own. top: of an image in a stack, the row of the stack in
    which the image begins; digest and size_bytes are those of the stack then. envelope: what the
    file says beside its samples; None where that lies behind the payload, or was not read.
    background_error: as in `schemas.loss`; where it is set, the source held other samples.
    """

    digest: bytes
    size_bytes: int
    envelope: bytes | None = b""
    background_error: int | None = None
    top: int | None = None


@dataclass(frozen=True)
class Row:
    """One archived path: what it was, which way it took, where its payload is.

    path: its text by `seec.schemas.names`, relative to the source. kind, permissions, same_file: as
    in `schemas.plan.SourceFile`. A link is stored as if where it points to were the content of a
    file, a directory as if it were an empty file. Digests are SHA-256, 32 bytes: source_digest of
    the file, blob_digest of the `length` bytes at `offset` of the blob of `shard`, which is
    `<run>/<shard>`. These are the payload, and behind it, where envelope_length is set, the
    envelope: one zstd frame of so many bytes. Rows may share these bytes; one with same_file shares
    those of the row it names, which is in the same part. blob: the name of the blob that has these
    bytes, and those of all members, if that is the blob of another shard.

    route: what the payload is, one of ROUTES. `seec`: a .seec file. `seec-planes`: a payload of
    `schemas.planes`. `seec-decoded`: the coded coefficients of the JPEG file that the pixels were
    decoded from, and exceptions. `seec-jpeg`: the coded coefficients of the file, which is JPEG.
    `jpegxl-jpeg`: a JPEG XL file that holds the file, which is JPEG. `spans`: what lies between the
    members of a file that holds images. `pieces`: a list of the pieces of a file that was cut, by
    `schemas.pieces`. `store`: the file itself if length equals source_size_bytes, else one zstd
    frame of it. `lost`: a repair found the file nowhere, and length is 0. reason: why it is stored
    or lost, else None. image: of the routes of images. samples: of `seec`, `seec-planes` and
    `seec-decoded`. model_id: of the model that decodes the payload, if that takes one.

    members: rows of images within the file, or within a part of it that is unpacked first; in the
    order of their start, without overlap. Sizes and digests of a member are of its content.
    start: where a member begins in the content of the row that it is a member of, or a piece in its
    file. packing: how the bytes there come from the content of a member, one of `schemas.spans`;
    None if they are the content. The path of a member is that of the file, `/`, and a name. piece:
    which piece of its file the row is; None if it is the whole file, and in members.
    """

    path: str
    source_size_bytes: int
    source_mtime_ns: int | None
    source_digest: bytes
    route: str
    shard: str = ""
    offset: int = 0
    length: int = 0
    blob_digest: bytes = b""
    reason: str | None = None
    kind: str = FILE
    permissions: int | None = None
    same_file: str | None = None
    image: ImageFacts | None = None
    samples: SampleFacts | None = None
    envelope_length: int | None = None
    model_id: str | None = None
    members: "tuple[Row, ...]" = ()
    start: int | None = None
    packing: str | None = None
    piece: int | None = None
    blob: str | None = None

    @property
    def key(self) -> tuple[str, int]:
        """What rows of a manifest part are sorted by, which is different for each."""
        return self.path, -1 if self.piece is None else self.piece

    @property
    def label(self) -> str:
        """The path; of a piece also which one: different for each row of a part."""
        return self.path if self.piece is None else f"{self.path}, piece {self.piece}"

    def tree(self) -> "Iterator[Row]":
        """The row, and behind each row its members."""
        yield self
        for one in self.members:
            yield from one.tree()

    @property
    def member_names(self) -> "Iterator[str]":
        """The names of all that is below, as they stand behind the path of the file and `/`."""
        stem = len(self.path) + 1
        return (one.path[stem:] for one in self.tree() if one is not self)

    @property
    def tree_length(self) -> int:
        """Bytes of all payloads of the tree, each once."""
        return sum(row.length for row in once_each(self))

    @property
    def end(self) -> int:
        """Where the last payload of the tree ends in its blob."""
        return max(one.offset + one.length for one in self.tree())

    @property
    def stored_bytes(self) -> int:
        """Bytes that the row, with its members, takes in the blob; of a stack, by its pixels."""
        return sum(map(_share, self.tree()))

    @property
    def payload_length(self) -> int:
        """Bytes of the payload, without an envelope behind it."""
        return self.length - (self.envelope_length or 0)

    @property
    def is_key(self) -> bool:
        """Whether the path is the key of an object: stores keep no permissions."""
        return self.permissions is None and self.kind != LINK

    @property
    def is_marker(self) -> bool:
        """Whether it is an empty object `dir/`, which marks a directory in a store."""
        return self.kind == DIRECTORY and self.path.endswith("/")

    @property
    def run_id(self) -> str:
        """The run that wrote the shard."""
        return self.shard.rpartition("/")[0]

    @property
    def lost(self) -> bool:
        """Whether there is no file to restore any more, or not all of it."""
        return is_lost(self.route) or any(row.lost for row in self.members)

    @property
    def background_error(self) -> int | None:
        """As in `schemas.loss`; None where nothing is lost."""
        return None if self.samples is None else self.samples.background_error

    @property
    def rate_bpsp(self) -> float | None:
        """Coded bits per byte of samples; of 8-bit images that is per sub-pixel."""
        return None if self.samples is None else 8 * self.payload_length / self.samples.size_bytes


def _share(row: Row) -> int:
    image, samples = row.image, row.samples
    if image is None or samples is None or samples.top is None:
        return row.length
    return -(-row.length * image.pixels * image.pixel_bytes // samples.size_bytes)


@dataclass(frozen=True)
class Entry:
    """A file's row and its bytes in a blob, on the way into a shard: shard and offset are open.

    payload: with the envelope behind it, where there is one; of a row with members, the payloads
    of its tree, by `trees.once_each`. referenced: the blob of another shard that has these
    bytes, and that the row names; they are not needed here then, and the place is known.
    """

    row: Row
    payload: bytes | memoryview
    referenced: ObjectRecord | None = None

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return _entry, (self.row, out_of_band(self.payload, protocol), self.referenced)


def _entry(row: Row, payload: Any, referenced: ObjectRecord | None) -> Entry:
    return Entry(row, in_place(payload), referenced)


def out_of_band(payload: bytes | memoryview, protocol: SupportsIndex) -> Any:
    """What to pickle for a payload, so that who gets it through shared memory makes no copy."""
    return PickleBuffer(payload) if int(protocol) >= 5 else bytes(payload)


def in_place(payload: Any) -> bytes | memoryview:
    """The payload, of what was unpickled for `out_of_band`."""
    return payload if isinstance(payload, bytes) else memoryview(payload)


def blob_size(rows: Iterable[Row]) -> int:
    """How many bytes a blob has that these rows fill; rows in blobs of other shards do not."""
    return max((row.end for row in rows if row.blob is None), default=0)


def lost_row(
    path: str, size_bytes: int, mtime_ns: int | None, source_digest: bytes, reason: str
) -> Row:
    """The row of a file that was archived and cannot be had any more."""
    return Row(
        path=path,
        source_size_bytes=size_bytes,
        source_mtime_ns=mtime_ns,
        source_digest=source_digest,
        route=LOST,
        blob_digest=hashlib.sha256(b"").digest(),
        reason=reason,
    )
