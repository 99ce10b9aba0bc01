"""Rules that rows of a manifest part keep."""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from seec.schemas.archive import BLOB, parse_name
from seec.schemas.errors import LimitExceeded, SectionCorrupt
from seec.schemas.kinds import DIRECTORY, FILE, KINDS, PERMISSION_BITS
from seec.schemas.limits import MAX_FILE_BYTES, MAX_NUMBER, MAX_PIXEL_BYTES, MAX_STACK_PIXELS
from seec.schemas.loss import MAX_BACKGROUND_ERROR
from seec.schemas.routes import PIECES, ROUTES, RouteRules
from seec.schemas.rows import ENVELOPE_BYTES_IN_ROW, Row
from seec.schemas.trees import renamed

_MODEL_ID = re.compile("[0-9a-f]{64}")
_MODE = re.compile("L|RGB|[1-9][0-9]?x[1-9][0-9]?")


def check_places(name: str, rows: Sequence[Row]) -> None:
    """SectionCorrupt unless rows are in order, and payloads fill the blob without gaps.

    Of rows whose payloads are in the blobs of other shards, nothing can be said here.
    """
    payloads: set[tuple[int, int, bytes]] = set()
    end = 0
    if any(one.key >= two.key for one, two in pairwise(rows)):
        raise SectionCorrupt(f"{name}: rows are not sorted by path")
    for row in (row for one in rows if one.blob is None for row in one.tree()):
        shares = row.offset != end
        payload = (row.offset, row.length, row.blob_digest)
        if shares and payload not in payloads:
            raise SectionCorrupt(f"{name}: {row.path}: offset or length out of order")
        if not shares and row.length:
            payloads.add(payload)
            end += row.length


def check_fields(name: str, row: Row) -> None:
    """SectionCorrupt unless a row keeps the rules that have nothing to do with other rows."""
    where = f"{name}: {row.path}"
    rules = ROUTES.get(row.route)
    if rules is None:
        raise SectionCorrupt(f"{where}: route {row.route!r} is unknown")
    _check_bounds(where, row)
    samples, image = row.samples, row.image
    if (image is not None) != rules.image:
        raise SectionCorrupt(f"{where}: width, height, mode and format do not go with {row.route}")
    if (samples is not None, row.model_id is not None) != (rules.samples, rules.model):
        raise SectionCorrupt(f"{where}: facts of samples, or a model, do not go with {row.route}")
    if image is not None and min(image.width, image.height) < 1:
        raise SectionCorrupt(f"{where}: an image of {image.width} x {image.height} pixels")
    if samples is not None and samples.size_bytes < 1:
        raise SectionCorrupt(f"{where}: an image of {samples.size_bytes} bytes of samples")
    if rules.lost and row.length:
        raise SectionCorrupt(f"{where}: is lost, and has a payload")
    if row.background_error is not None and not (
        rules.lossy and 0 <= row.background_error <= MAX_BACKGROUND_ERROR
    ):
        raise SectionCorrupt(f"{where}: a background error that cannot be")
    _check_stacked(where, row)
    _check_envelope(where, row)
    _check_kind(where, row, rules)


def _check_stacked(where: str, row: Row) -> None:
    samples, top = row.samples, row.samples and row.samples.top
    if samples is None or top is None or row.image is None:
        return
    bottom, most_bytes = top + row.image.height, MAX_STACK_PIXELS * MAX_PIXEL_BYTES
    if top < 0 or bottom * row.image.width > MAX_STACK_PIXELS or samples.size_bytes > most_bytes:
        raise SectionCorrupt(f"{where}: a place in a stack that cannot be")
    if not _MODE.fullmatch(row.image.mode):
        raise SectionCorrupt(f"{where}: no image has the mode {row.image.mode!r}")
    if row.background_error is not None or row.envelope_length is not None:
        raise SectionCorrupt(f"{where}: what no image in a stack has")


def _check_envelope(where: str, row: Row) -> None:
    envelope = row.samples.envelope if row.samples else None
    if envelope is not None and len(envelope) > ENVELOPE_BYTES_IN_ROW:
        raise SectionCorrupt(f"{where}: an envelope of {len(envelope)} bytes in its row")
    if row.envelope_length is not None and not 0 < row.envelope_length < row.length:
        raise SectionCorrupt(f"{where}: an envelope of another length than could be in the blob")


def _check_bounds(where: str, row: Row) -> None:
    if min(row.offset, row.length, row.source_size_bytes) < 0:
        raise SectionCorrupt(f"{where}: a negative size or offset")
    most = MAX_NUMBER if row.route == PIECES else MAX_FILE_BYTES
    if row.length > MAX_FILE_BYTES or row.source_size_bytes > most:
        raise LimitExceeded(f"{where}: over the limit of {MAX_FILE_BYTES} bytes of a file")
    if row.model_id is not None and not _MODEL_ID.fullmatch(row.model_id):
        raise SectionCorrupt(f"{where}: {row.model_id!r} is no id of a model")
    if row.blob is not None and (parse_name(row.blob) or (None,))[0] != BLOB:
        raise SectionCorrupt(f"{where}: {row.blob!r} is no name of a blob")


def _check_kind(where: str, row: Row, rules: RouteRules) -> None:
    if row.permissions is not None and not 0 <= row.permissions <= PERMISSION_BITS:
        raise SectionCorrupt(f"{where}: permissions that cannot be")
    as_file = row.kind == FILE or (rules.any_kind and row.same_file is None)
    if row.kind not in KINDS or not as_file:
        raise SectionCorrupt(f"{where}: a kind that is unknown or stored otherwise")
    if row.kind == DIRECTORY and row.source_size_bytes:
        raise SectionCorrupt(f"{where}: a directory with content")


def is_same_file(first: Row | None, row: Row) -> bool:
    """Whether a row may name `first` as its `same_file`: only where they stand differs."""
    if first is None or first.same_file is not None:
        return False
    offset = row.offset if row.length == 0 else first.offset
    first = renamed(first, row.path)
    return replace(first, offset=offset, same_file=row.same_file) == row
