"""The way into the archive: which route a file takes, and the entry that it ends up with.

`draft` looks into a file and finds the route; `settle` compares what an encoder made of it with the
stored file and keeps the smaller. `WRITERS` is the table of routes: a route is one module and one
line here. Route `store` takes whatever is left, and has no writer.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from seec.pipeline.routes.writing.draft import (
    Candidate,
    Coded,
    Draft,
    compressed_bytes,
    draft_stored,
    entry,
    framed,
    held_bytes,
)
from seec.pipeline.routes.writing.jpegxl_jpeg import JpegXlWriter
from seec.pipeline.routes.writing.seec import SeecWriter
from seec.pipeline.routes.writing.seec_decoded import SeecDecodedWriter
from seec.pipeline.routes.writing.seec_jpeg import SeecJpegWriter
from seec.pipeline.routes.writing.seec_planes import SeecPlanesWriter
from seec.pipeline.routes.writing.spans import SpansWriter, gives_content, stored_payload
from seec.pipeline.routes.writing.stacks import (
    Small,
    Stack,
    cut_stacks,
    encoded,
    envelope_bytes,
    settle_stack,
    small,
    small_raster,
    stack_encoder,
    stacked,
)
from seec.pipeline.routes.writing.writer import RunModels, Work, Writer
from seec.schemas.errors import FormatError, UnreadableImage
from seec.schemas.plan import SourceFile
from seec.schemas.rows import ENVELOPE_BYTES_IN_ROW, Entry

# By name, as manifests have them; the first that takes a file gets it.
WRITERS: dict[str, Writer] = {
    one.name: one
    for one in (
        # First: what is behind a JPEG picture would be kept as it is by those that follow.
        SpansWriter(
            lambda one: work_of(one),
            lambda one: draft(one),
            lambda *one: settle(*one),
            lambda some: stack_of(some),
        ),
        SeecJpegWriter(),
        JpegXlWriter(),
        # Before the pixels' own codec, which takes all that this one refuses.
        SeecDecodedWriter(),
        SeecWriter(),
        SeecPlanesWriter(),
    )
}

# Of a file whose picture is less the codec could save next to nothing.
_LEAST_PICTURE = 0.25
# What manifest parts take that compresses to nothing less: of each row the digests of its file and
# its payload, with what else differs from row to row; of rows of samples their digest, too.
_ROW_BYTES, _DIGEST_BYTES = 78, 32

__all__ = [
    "WRITERS",
    "Candidate",
    "Coded",
    "Draft",
    "RunModels",
    "Small",
    "Stack",
    "Work",
    "Writer",
    "cut_stacks",
    "draft",
    "draft_stored",
    "encoded",
    "framed",
    "held_bytes",
    "samples_digest",
    "settle",
    "settle_stack",
    "settle_stored",
    "small",
    "stack_encoder",
    "stack_of",
    "stored_entry",
    "work_of",
]


def work_of(candidate: Candidate) -> Work:
    """What `draft` of a file takes, by its headers: nothing is decoded."""
    for writer in WRITERS.values():
        with suppress(UnreadableImage):
            return writer.work(candidate)
    return Work()


def samples_digest(candidate: Candidate) -> bytes | None:
    """The same for files of which the same samples are encoded; None for all others.

    Decodes. `draft` may store the file all the same.
    """
    for writer in WRITERS.values():
        with suppress(UnreadableImage):
            digest = writer.digest(candidate)
            if digest is not None:
                return digest
    return None


def draft(candidate: Candidate) -> Draft:
    """Look into a file: decode it if its samples are to be encoded, transcode it if it is JPEG."""
    coded, reason = _first(candidate)
    if coded is None:
        return candidate.stored(reason)
    if _envelope_bytes(coded) > max(
        ENVELOPE_BYTES_IN_ROW, (1 - _LEAST_PICTURE) * len(candidate.data)
    ):
        return candidate.stored("its picture is a small part of the file")
    stored = candidate.stored(WRITERS[coded.row.route].reason)
    coded = replace(coded, small=small_raster(coded, candidate))
    if coded.members and all(map(gives_content, coded.members)):
        return Draft(stored.row, b"", _with_envelope_behind(coded), left_out=len(stored.payload))
    if coded.payload is None or coded.members:
        return replace(stored, coded=_with_envelope_behind(coded))
    if len(coded.payload) >= len(stored.payload):
        return stored
    return Draft(coded.row, bytes(coded.payload))


def settle(draft: Draft, codes: Sequence[bytes], models: RunModels) -> Entry:
    """The entry of a draft: the smaller of what its route makes of it and of the file as it is.

    codes: a `.seec` file of each picture of the draft, in their order. models: that made them.
    """
    if draft.coded is None:
        return settle_stored(draft)
    try:
        row, payload = WRITERS[draft.coded.row.route].pack(draft.coded, codes, models)
    except (UnreadableImage, FormatError) as error:
        return entry(replace(draft.row, reason=str(error)), stored_payload(draft))
    payload += draft.coded.envelope
    made = Entry(row, payload) if row.members else entry(row, payload)
    # Equal payloads are kept once.
    kept = {(one.blob_digest, one.length) for one in made.row.tree()}
    if sum(length for _, length in kept) + _bytes_in_rows(draft.coded) < draft.stored_bytes:
        return made
    return entry(draft.row, stored_payload(draft))


def settle_stored(draft: Draft) -> Entry:
    """The entry of a draft in which there is nothing to encode."""
    if draft.referenced is not None:
        return Entry(draft.row, b"", draft.referenced)
    return entry(draft.row, draft.payload)


def stack_of(drafts: Sequence[Draft]) -> Stack:
    """The stack of small images, all of one kind, in this order."""
    (route,) = {draft.coded.row.route for draft in drafts if draft.coded is not None}
    return stacked(drafts, WRITERS[route])


def stored_entry(file: SourceFile, data: bytes, reason: str | None) -> Entry:
    """The entry of a file by route `store`."""
    stored = draft_stored(file, data, reason)
    return entry(stored.row, stored.payload)


def _bytes_in_rows(coded: Coded) -> int:
    """What keeping a file this way takes of a manifest part, beyond what storing it does."""
    samples = coded.row.samples
    own = 0 if samples is None else _DIGEST_BYTES + compressed_bytes(samples.envelope or b"")
    within = (_bytes_in_rows(one.coded) if one.coded else 0 for one in coded.alone)
    # Those of a stack have the digests of one payload and one raster.
    stacked = sum(len(stack.members) for stack in coded.stacks)
    rows = _ROW_BYTES * len(coded.members) - _DIGEST_BYTES * stacked
    envelopes = sum(map(envelope_bytes, coded.stacks))
    return own + rows + envelopes + sum(within)


def _envelope_bytes(coded: Coded) -> int:
    samples = coded.row.samples
    return len(samples.envelope or b"") if samples else 0


def _with_envelope_behind(coded: Coded) -> Coded:
    """The same; a long envelope goes behind the payload."""
    samples = coded.row.samples
    if (
        samples is None
        or samples.envelope is None
        or _envelope_bytes(coded) <= ENVELOPE_BYTES_IN_ROW
    ):
        return coded
    frame = framed(samples.envelope)
    samples = replace(samples, envelope=None)
    row = replace(coded.row, samples=samples, envelope_length=len(frame))
    return replace(coded, row=row, envelope=frame)


def _first(candidate: Candidate) -> tuple[Coded | None, str]:
    """What the first route makes of a file that takes it; why the first that refused did."""
    reasons: list[str] = []
    for writer in WRITERS.values():
        try:
            coded = writer.draft(candidate)
        # FormatError: a file that was taken apart and cannot be put together again.
        except (UnreadableImage, FormatError) as error:
            reasons.append(str(error))
            continue
        if coded is not None:
            return coded, ""
    return None, reasons[0] if reasons else "of no kind that a route takes"
