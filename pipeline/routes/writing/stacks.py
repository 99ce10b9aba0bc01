"""Stacks: small images of one width and kind, one below the other, coded as one image.

What the coder learns of one image then serves the next, and all of them have one header, one
checksum and one pixel digest.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from seec.pipeline.codec import Encoder, Model
from seec.pipeline.images.files import ImageFile
from seec.pipeline.images.raster import Meaning, Pixels, Raster
from seec.pipeline.routes.writing.draft import (
    Candidate,
    Coded,
    Draft,
    MemberStack,
    compressed_bytes,
    entry,
)
from seec.pipeline.routes.writing.writer import RunModels, Writer
from seec.schemas.limits import MAX_STACK_PIXELS
from seec.schemas.rows import ENVELOPE_BYTES_IN_ROW, Entry, Row, SampleFacts

MOST_PIXELS = MAX_STACK_PIXELS // 16  # of an image in a stack: fewer neighbours would save little
MOST_BYTES = 4 * MOST_PIXELS  # of its samples: the images of a shard are in memory together
MOST_IMAGES = 256  # that damage to one stack takes
# What storing a file takes of a manifest part, beyond what its row in a stack does: nearly all of
# that is the digest of its payload.
_STORED_ROW_BYTES = 36


class Kind(NamedTuple):
    """What images of one stack have in common."""

    route: str
    width: int
    samples: int
    depth: int
    meaning: Meaning


class Small(NamedTuple):
    """An image that may go in a stack. digest: the same for images of the same samples."""

    path: str
    kind: Kind
    height: int
    digest: bytes


@dataclass(frozen=True)
class Stack:
    """Drafts of images, with the row in which each begins, and how a route would keep them all.

    tops: those of images with the same samples are the same; None where all images have the same.
    members: which of the images within a file they are; none if they are files.
    """

    drafts: tuple[Draft, ...]
    tops: tuple[int | None, ...]
    whole: Coded
    writer: Writer
    members: tuple[int, ...] = ()

    @property
    def pictures(self) -> tuple[Pixels, ...]:
        """What is to be encoded, each by itself."""
        return self.whole.pictures


def small_raster(coded: Coded, candidate: Candidate) -> Raster | None:
    """The raster of an image that may go in a stack of others; None of all other files."""
    samples = coded.row.samples
    if samples is None or coded.payload is not None or len(candidate.image.rasters) != 1:
        return None
    (raster,) = candidate.image.rasters
    shape = raster.shape
    few = shape.width * shape.height <= MOST_PIXELS and shape.size_bytes <= MOST_BYTES
    return raster if few and len(samples.envelope or b"") <= ENVELOPE_BYTES_IN_ROW else None


def small(draft: Draft) -> Small | None:
    """What is to be known of a draft to put it in a stack; None if it is for none."""
    coded = draft.coded
    if coded is None or coded.small is None or coded.row.samples is None:
        return None
    shape = coded.small.shape
    kind = Kind(coded.row.route, shape.width, shape.samples, shape.depth, coded.small.meaning)
    return Small(coded.row.path, kind, shape.height, coded.row.samples.digest)


def cut_stacks(images: Sequence[Small]) -> list[list[str]]:
    """The paths of the images of each stack; the order of the images does not count."""
    return cut_in_order(sorted(images))


def cut_in_order(images: Iterable[Small]) -> list[list[str]]:
    """The same for images that are read in the order in which they are given."""
    kinds: dict[tuple[object, ...], list[Small]] = {}
    for one in images:
        kinds.setdefault(one.kind, []).append(one)
    return [stack for alike in kinds.values() for stack in _cut(alike)]


def member_stacks(
    members: Sequence[Draft], stack_of: Callable[[Sequence[Draft]], Stack]
) -> tuple[Stack, ...]:
    """The stacks of the images within a file, of two or more each, in their order."""
    places = {draft.row.path: at for at, draft in enumerate(members)}
    stacks: list[Stack] = []
    for paths in cut_in_order(one for one in map(small, members) if one is not None):
        if len(paths) > 1:
            numbers = tuple(places[path] for path in paths)
            stack = stack_of([members[at] for at in numbers])
            stacks.append(replace(stack, members=numbers))
    return tuple(stacks)


def _cut(alike: Sequence[Small]) -> list[list[str]]:
    same: dict[bytes, list[Small]] = {}
    for one in alike:
        same.setdefault(one.digest, []).append(one)
    stacks: list[list[str]] = []
    count = height = 0
    for group in same.values():
        first = group[0]
        over = (height + first.height) * first.kind.width > MAX_STACK_PIXELS
        if not stacks or over or count == MOST_IMAGES:
            stacks.append([])
            count = height = 0
        stacks[-1] += [one.path for one in group]
        count, height = count + 1, height + first.height
    return stacks


def stack_encoder(model: Model, device: str) -> Encoder:
    """What encodes the pictures of stacks.

    They are tall and decode as a whole: what was learnt is to serve all of one, in large tiles.
    """
    return Encoder(model, device, tile_size=model.largest_tile)


def stacked(drafts: Sequence[Draft], writer: Writer) -> Stack:
    """The stack of some drafts, all of one kind. writer: of their route."""
    each = [_image(draft) for draft in drafts]
    places: dict[bytes, int] = {}
    parts: list[Raster] = []
    height = 0
    for one in each:
        if one.samples.digest not in places:
            places[one.samples.digest] = height
            parts.append(one.raster)
            height += one.raster.shape.height
    raster = replace(parts[0], samples=np.concatenate([part.samples for part in parts]))
    first = each[0].row
    image = ImageFile(first.image.format if first.image else "", [raster], b"")
    whole = writer.of_image(partial(_with_facts, first), image)
    assert whole is not None
    tops = tuple(places[one.samples.digest] if len(parts) > 1 else None for one in each)
    return Stack(tuple(drafts), tops, whole, writer)


def settle_stack(stack: Stack, codes: Sequence[bytes], models: RunModels) -> list[Entry]:
    """The entries of the drafts of a stack, in their order: its images, or the files as they are.

    codes: a `.seec` file of each picture of the stack.
    """
    whole = entry(*stack.writer.pack(stack.whole, codes, models))
    each = [_image(draft) for draft in stack.drafts]
    stored = sum(len(draft.payload) + _STORED_ROW_BYTES for draft in stack.drafts)
    if len(whole.payload) + envelope_bytes(stack) >= stored:
        return [entry(draft.row, draft.payload) for draft in stack.drafts]
    rows = (_placed(one, whole.row, top) for one, top in zip(each, stack.tops, strict=True))
    return [Entry(row, whole.payload) for row in rows]


def envelope_bytes(stack: MemberStack) -> int:
    """What the envelopes of the images of a stack take: a column compresses them together."""
    envelopes = (_image(draft).samples.envelope or b"" for draft in stack.drafts)
    return compressed_bytes(b"".join(envelopes))


def encoded(draft: Draft, encoder: Encoder, stacks: Encoder) -> list[bytes]:
    """Codes of the pictures of a draft, each by itself. stacks: as `stack_encoder` makes it."""
    found: dict[int, bytes] = {}
    for one, wanted in ((encoder, False), (stacks, True)):
        some = [
            (at, picture)
            for at, (picture, stacked) in enumerate(draft.with_encoders)
            if stacked == wanted
        ]
        nothing = [None] * len(some)
        codes = one.encode_batch([picture for _, picture in some], nothing, nothing, regions=False)
        found |= zip((at for at, _ in some), codes, strict=True)
    return [found[at] for at in range(len(found))]


class _Image(NamedTuple):
    row: Row
    samples: SampleFacts
    raster: Raster


def _image(draft: Draft) -> _Image:
    coded = draft.coded
    assert coded is not None
    assert coded.row.samples is not None
    assert coded.small is not None
    return _Image(coded.row, coded.row.samples, coded.small)


def _with_facts(row: Row, route: str, **facts: Any) -> Row:
    return replace(row, route=route, **facts)


def _placed(one: _Image, whole: Row, top: int | None) -> Row:
    """The row of an image that begins at a row of a stack, or is all of it."""
    assert whole.samples is not None
    return replace(
        one.row,
        samples=replace(whole.samples, envelope=one.samples.envelope, top=top),
        length=whole.length,
        blob_digest=whole.blob_digest,
        model_id=whole.model_id,
    )
