"""A file on its way into the archive, between the stages that read it and that encode it."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol, SupportsIndex, TypeVar

import zstandard

from seec.pipeline.containers import Found, Held, Ranges, look_into
from seec.pipeline.images import jpeg
from seec.pipeline.images.files import Header, ImageFile, read_header
from seec.pipeline.images.jpeg import Frame
from seec.pipeline.images.raster import Pixels, Raster
from seec.schemas.commit import ObjectRecord
from seec.schemas.errors import UnreadableImage
from seec.schemas.plan import SourceFile
from seec.schemas.routes import STORE
from seec.schemas.rows import Entry, ImageFacts, Row, in_place, out_of_band

# Level 9: several times faster than the codec that runs beside it, and near what zstd can do.
_LEVEL = 9
Value = TypeVar("Value")


@dataclass(frozen=True)
class Coded:
    """How a route would keep a file.

    row: place in the shard and payload are open. payload: None where it is to be made of codes.
    pictures: those codes are wanted of, [H, W] or [H, W, 3] each. labelled: whether that is one
    picture as people see it, so that its regions may be labelled and its background be lossy.
    layout: what the route has to know besides codes. envelope: what goes behind the payload. small:
    the one raster of a file, if it may be coded in a stack of others.
    members: drafts of the images within the file, whose rows say where each starts; payload is of
    the bytes between them then. stacks: of small ones among them, which are coded together.
    """

    row: Row
    payload: bytes | memoryview | None = None
    pictures: tuple[Pixels, ...] = ()
    labelled: bool = False
    layout: Any = None
    envelope: bytes = b""
    members: "tuple[Draft, ...]" = ()
    small: Raster | None = None
    stacks: "tuple[MemberStack, ...]" = ()

    @property
    def alone(self) -> "Iterator[Draft]":
        """The members that are in no stack."""
        stacked = {at for stack in self.stacks for at in stack.members}
        return (one for at, one in enumerate(self.members) if at not in stacked)


class MemberStack(Protocol):
    """Small images of a file that are coded as one. members: their numbers among its members."""

    @property
    def members(self) -> tuple[int, ...]:
        """Which of the members of a file they are."""
        ...

    @property
    def drafts(self) -> "tuple[Draft, ...]":
        """Theirs."""
        ...

    @property
    def pictures(self) -> tuple[Pixels, ...]:
        """What is to be encoded, by the encoder of stacks."""
        ...


@dataclass(frozen=True)
class Draft:
    """A file as it is kept if nothing better comes, and what an encoder may make of it.

    row: its place in the shard is open. coded: None where there is nothing to encode.
    referenced: the blob of another shard that has the payload, as the row says; nothing is payload
    here then. left_out: where the payload is empty, as members and what is between them give it
    again: its bytes.
    """

    row: Row
    payload: bytes
    coded: Coded | None = None
    referenced: ObjectRecord | None = None
    left_out: int | None = None

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        coded, between = self.coded, None
        if coded is not None and coded.members and coded.payload is not None:
            coded, between = replace(coded, payload=None), out_of_band(coded.payload, protocol)
        return _draft, (self.row, self.payload, coded, self.referenced, self.left_out, between)

    @property
    def stored_bytes(self) -> int:
        """What the payload takes, whether it is there or left out."""
        return len(self.payload) if self.left_out is None else self.left_out

    @property
    def pictures(self) -> Sequence[Pixels]:
        """What is to be encoded, each by itself."""
        return [picture for picture, _ in self.with_encoders]

    @property
    def with_encoders(self) -> "list[tuple[Pixels, bool]]":
        """The pictures, each with whether the encoder of stacks is for it."""
        if self.coded is None:
            return []
        found = [(picture, False) for picture in self.coded.pictures]
        for one in self.coded.alone:
            found += one.with_encoders
        found += [(picture, True) for stack in self.coded.stacks for picture in stack.pictures]
        return found

    @property
    def labelled(self) -> bool:
        """As in `Coded`."""
        return self.coded is not None and self.coded.labelled

    @property
    def picture_digest(self) -> bytes | None:
        """The pixel digest of the picture of a labelled draft; None of others."""
        samples = self.coded.row.samples if self.coded and self.labelled else None
        return samples and samples.digest


def _draft(
    row: Row,
    payload: bytes,
    coded: Coded | None,
    referenced: ObjectRecord | None,
    left_out: int | None,
    between: Any,
) -> Draft:
    if coded is not None and between is not None:
        coded = replace(coded, payload=in_place(between))
    return Draft(row, payload, coded, referenced, left_out)


@dataclass
class Candidate:
    """A file that is looked into.

    max_pixels: more are not decoded. keep_file: whether it is to come back byte for byte, whatever
    that takes. code_jpeg: whether the run has a model of JPEG files. opened: whether images within
    it are looked for. start: where a piece begins in its file. ranges: the whole of that file; None
    if `data` is.
    """

    file: SourceFile
    data: bytes = field(repr=False)
    max_pixels: int
    keep_file: bool = False
    code_jpeg: bool = False
    opened: bool = True
    start: int = 0
    ranges: Ranges | None = field(default=None, repr=False)

    @property
    def header(self) -> Header:
        """Of an image file that is taken apart; UnreadableImage, with the reason, if it is none."""
        return _value(self._header)

    @cached_property
    def _header(self) -> Header | UnreadableImage:
        return _value_or_reason(lambda: read_header(self.data))

    @property
    def image(self) -> ImageFile:
        """The file taken apart; decodes once. UnreadableImage, with the reason, if it cannot be."""
        return _value(self._image)

    @cached_property
    def _image(self) -> ImageFile | UnreadableImage:
        return _value_or_reason(self._read)

    def _read(self) -> ImageFile:
        self.check_limit(self.header.pixels)
        return self.header.read(keep_file=self.keep_file, for_archive=True)

    @property
    def jpeg_frame(self) -> Frame | None:
        """The frame of a JPEG file; None of all other files.

        UnreadableImage, with the reason, if it is damaged or has more pixels than the limit.
        """
        return _value(self._jpeg_frame)

    @cached_property
    def _jpeg_frame(self) -> Frame | UnreadableImage | None:
        return _value_or_reason(self._read_jpeg_frame)

    def _read_jpeg_frame(self) -> Frame | None:
        if not jpeg.matches(self.data):
            return None
        frame = jpeg.read_frame(self.data)
        self.check_limit(frame.pixels)
        return frame

    @cached_property
    def found(self) -> Found:
        """Where images are within the file. Raises what reading more of it raises."""
        return look_into(self.data, self.start, self.ranges or Held(self.data))

    def jpeg_row(self, route: str, frame: Frame) -> Row:
        """The row of a JPEG file, as `row`."""
        image = ImageFacts(frame.width, frame.height, frame.mode, jpeg.FORMAT)
        return self.row(route, image=image)

    def check_limit(self, pixels: int) -> None:
        """UnreadableImage if these are more than are decoded."""
        if pixels > self.max_pixels:
            raise UnreadableImage(f"{pixels} pixels, over the limit of {self.max_pixels}")

    def row(self, route: str, **facts: Any) -> Row:
        """A row of the file by a route; its payload is open."""
        return Row(
            path=self.file.path,
            source_size_bytes=len(self.data),
            source_mtime_ns=self.file.mtime_ns,
            source_digest=self._digest,
            route=route,
            kind=self.file.kind,
            permissions=self.file.permissions,
            piece=self.file.piece,
            start=None if self.file.piece is None else self.start,
            **facts,
        )

    def stored(self, reason: str | None) -> "Draft":
        """A draft for route `store`. reason: why it is stored."""
        return Draft(self.row(STORE, reason=reason), compressed(self.data))

    @cached_property
    def _digest(self) -> bytes:
        return hashlib.sha256(self.data).digest()


def draft_stored(file: SourceFile, data: bytes, reason: str | None, start: int = 0) -> Draft:
    """A draft for route `store`: nothing is decoded.

    data: of a link, where it points to; of a directory, nothing. reason: why it is stored. start:
    as in `Candidate`.
    """
    return Candidate(file, data, 0, start=start).stored(reason)


def _value_or_reason(look: Callable[[], Value]) -> Value | UnreadableImage:
    try:
        return look()
    except UnreadableImage as error:
        return error.with_traceback(None)


def _value(found: Value | UnreadableImage) -> Value:
    if isinstance(found, UnreadableImage):
        # Another one: with a traceback it would hold the file that holds it, until Python looks
        # for such cycles.
        raise type(found)(*found.args)
    return found


def compressed(data: bytes) -> bytes:
    """The payload of a stored file: one zstd frame with its size, or `data` if no larger."""
    frame = framed(data)
    return frame if len(frame) < len(data) else data


def compressed_bytes(data: bytes) -> int:
    """What these bytes take, compressed where that helps."""
    return len(compressed(data))


def framed(data: bytes) -> bytes:
    """One zstd frame with its size."""
    return zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True).compress(data)


def held_bytes(draft: Draft) -> int:
    """What a draft takes in memory, about: its payloads and pictures."""
    coded = draft.coded
    if coded is None:
        return len(draft.payload)
    own = len(coded.payload or b"") + sum(picture.nbytes for picture in coded.pictures)
    stacked = sum(picture.nbytes for stack in coded.stacks for picture in stack.pictures)
    return len(draft.payload) + own + stacked + sum(map(held_bytes, coded.members))


def entry(row: Row, payload: bytes | memoryview) -> Entry:
    """A row with its payload."""
    digest = hashlib.sha256(payload).digest()
    return Entry(replace(row, length=len(payload), blob_digest=digest), payload)
