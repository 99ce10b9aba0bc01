"""Check shards: blob, manifest part and quarantine part, byte by byte, then image by image."""

import hashlib
import shlex
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from seec.pipeline.archive.patterns import in_range
from seec.pipeline.archive.pieces import piece_rows
from seec.pipeline.archive.shard import (
    by_blob,
    files_of,
    models_of,
    pieces_of,
    readable_payloads,
    rows_root,
)
from seec.pipeline.routes.reading import Models, check, check_payload
from seec.pipeline.storage import Store
from seec.pipeline.verify.faults import copy_back, fault, mend
from seec.pipeline.verify.records import check_object
from seec.schemas.commit import ObjectRecord, ShardRecord
from seec.schemas.errors import (
    BlobMissing,
    DigestMismatch,
    FormatError,
    ModelError,
    ObjectFrozen,
    ObjectMissing,
    ObjectUnreadable,
)
from seec.schemas.manifest import parse_manifest
from seec.schemas.quarantine import parse_quarantine
from seec.schemas.report import Checked, Finding
from seec.schemas.routes import PIECES
from seec.schemas.rows import Row, blob_size
from seec.schemas.trees import with_payloads

_READ_SIZE_BYTES = 8 << 20


@dataclass(frozen=True)
class ShardCheck:
    """The result of checking the bytes of a shard. sound: rows with intact payloads."""

    checked: list[Checked]
    sound: list[Row]


def check_shard(store: Store, shard: ShardRecord, alone: Sequence[ObjectRecord] = ()) -> ShardCheck:
    """Compare the objects of a shard with its record, and each payload with its row.

    alone: those of its referenced that no check of another shard compares with their record.
    """
    manifest, rows = _check_manifest(store, shard)
    checked = [manifest]
    if shard.quarantine is not None:
        checked.append(_check_quarantine(store, shard))
    if shard.parity is not None:
        checked.append(_check_whole(store, shard.parity, "parity"))
    (_, own), *others = by_blob(shard, rows or ())
    try:
        images, sound = _check_blob(store, shard, own)
    except ObjectFrozen:
        images, sound = Checked(shard.blob.name, frozen=1), list[Row]()
    for blob, some in others:
        try:
            found, whole = _check_elsewhere(store, shard, blob, some)
        except ObjectFrozen:
            found, whole = Checked(blob, frozen=1), list[Row]()
        sound += whole
        # A blob as a whole is checked with its own shard, and is said to be sound only there.
        images += Checked(images.object, files_of(some))
        checked += [found] if found.findings or found.frozen else []
    checked += (_check_whole(store, blob, "blob") for blob in alone)
    return ShardCheck([*checked, images], sound)


def check_images(
    store: Store,
    blob: str,
    rows: Sequence[Row],
    models: Models,
    shards: Sequence[ShardRecord] = (),
) -> Checked:
    """Decode images and compare with the digests of their pixels, or of their files.

    rows: of one blob. models: of the archive, by id. shards: that may hold pieces of these files.
    """
    findings: list[Finding] = []
    for row, payload in readable_payloads(store, blob, rows):
        try:
            if isinstance(payload, ObjectUnreadable):
                raise payload
            check(row, payload, models)
            if row.route == PIECES:
                for _ in piece_rows(store, shards, row, payload):
                    pass
        except DigestMismatch as error:
            findings.append(image_finding(store, blob, row, "pixels-differ", str(error)))
        except BlobMissing as error:
            findings.append(Finding("piece-missing", blob, str(error), mend(store), (row.path,)))
        except (FormatError, ModelError) as error:
            findings.append(image_finding(store, blob, row, "image-undecodable", str(error)))
        except ObjectUnreadable as error:
            findings.append(fault(blob, "blob", error, mend(store), (row.path,)))
        except MemoryError:
            detail = f"{row.path}: decoding it takes more memory than there is"
            findings.append(image_finding(store, blob, row, "image-undecodable", detail))
    return Checked(blob, decoded=len(rows), findings=tuple(findings))


def image_finding(store: Store, blob: str, row: Row, kind: str, detail: str) -> Finding:
    """A finding about one image with an intact payload."""
    again = f"seec verify {shlex.quote(store.url)} --mode decode"
    return Finding(kind, blob, detail, f"with the release that wrote it: {again}", (row.path,))


def without_model(
    store: Store, blob: str, rows: Sequence[Row], models: Collection[str]
) -> Iterator[Finding]:
    """A finding for each row whose model is missing or damaged."""
    for row in rows:
        for model_id in set(models_of([row])).difference(models):
            detail = f"{row.path}: its model {model_id} is missing or damaged"
            yield Finding("image-undecodable", blob, detail, copy_back(store), (row.path,))


def _check_manifest(store: Store, shard: ShardRecord) -> tuple[Checked, list[Row] | None]:
    name = shard.manifest.name
    checked, data = check_object(store, shard.manifest, "manifest", mend(store))
    if data is None or checked.findings:
        return checked, None
    try:
        rows = parse_manifest(name, data)
        detail = _contradiction(shard, rows)
    except FormatError as error:
        rows, detail = None, str(error)
    if detail is not None:
        found = Finding("manifest-damaged", name, detail, mend(store))
        return Checked(name, findings=(found,)), rows
    return checked, rows


def _contradiction(shard: ShardRecord, rows: list[Row]) -> str | None:
    if files_of(rows) != shard.files:
        return f"holds {files_of(rows)} files where the commit says {shard.files}"
    if pieces_of(rows) != shard.pieces:
        return f"holds {pieces_of(rows)} pieces where the commit says {shard.pieces}"
    if any(row.shard != shard.shard or row.run_id != shard.run_id for row in rows):
        return "holds rows of another shard"
    if not in_range([row.path for row in rows], shard):
        return "holds other paths than the commit says"
    if models_of(rows) != shard.models:
        return "needs other models than the commit says"
    if rows_root(rows).hex() != shard.rows_root:
        return "its rows have another root than the commit says"
    if blob_size(rows) != shard.blob.size_bytes:
        return "its rows do not fill the blob"
    if {row.blob for row in rows} - {None} != {blob.name for blob in shard.referenced}:
        return "needs blobs of other shards than the commit says"
    sizes = {blob.name: blob.size_bytes for blob in shard.referenced}
    if any(row.end > sizes[row.blob] for row in rows if row.blob is not None):
        return "its rows lead out of blobs of other shards"
    return None


def _check_quarantine(store: Store, shard: ShardRecord) -> Checked:
    assert shard.quarantine is not None
    name = shard.quarantine.name
    checked, data = check_object(store, shard.quarantine, "quarantine", mend(store))
    if data is None or checked.findings:
        return checked
    try:
        if len(parse_quarantine(name, data)) == shard.quarantined:
            return checked
        detail = f"does not hold the {shard.quarantined} rows that the commit says"
    except FormatError as error:
        detail = str(error)
    found = Finding("quarantine-damaged", name, detail, mend(store))
    return Checked(name, findings=(found,))


def _add_to(hasher: "hashlib._Hash", row: Row, payload: bytes, end: int) -> int:
    """Hash what of a row's bytes begins at the end of those before; the new end."""
    for one, part in with_payloads(row, payload):
        if one.offset == end:  # else it is that of a row before
            hasher.update(part)
            end += one.length
    return end


def _check_whole(store: Store, record: ObjectRecord, kind: str) -> Checked:
    try:
        return check_object(store, record, kind, mend(store))[0]
    except ObjectFrozen:
        return Checked(record.name, frozen=1)


def _check_blob(store: Store, shard: ShardRecord, rows: list[Row]) -> tuple[Checked, list[Row]]:
    """Check the blob and its payloads in one pass, a few megabytes at a time.

    rows: those whose payloads it has, as far as they are known.
    """
    name, hasher = shard.blob.name, hashlib.sha256()
    sound: list[Row] = []
    damaged: list[Row] = []
    unreadable: ObjectUnreadable | None = None
    paths = tuple(row.path for row in rows)
    next_step = mend(store)
    try:
        size_bytes = store.size(name)
        end = 0
        for row, payload in readable_payloads(store, name, rows):
            if isinstance(payload, ObjectUnreadable):
                unreadable = payload
                damaged.append(row)
                end = max(end, blob_size([row]))
                continue
            end = _add_to(hasher, row, payload, end)
            try:
                check_payload(row, payload)
                sound.append(row)
            except DigestMismatch:
                damaged.append(row)
        for start in range(end, size_bytes, _READ_SIZE_BYTES):
            hasher.update(store.get_range(name, start, min(_READ_SIZE_BYTES, size_bytes - start)))
    except (ObjectMissing, ObjectUnreadable) as error:
        found = fault(name, "blob", error, next_step, paths)
        return Checked(name, findings=(found,)), []
    findings: tuple[Finding, ...] = ()
    if unreadable is not None:
        affected = tuple(row.path for row in damaged)
        detail = f"{unreadable}; {len(affected)} of {len(paths)} images"
        findings = (Finding("blob-unreadable", name, detail, next_step, affected),)
    elif size_bytes != shard.blob.size_bytes or hasher.hexdigest() != shard.blob.sha256:
        affected = tuple(row.path for row in damaged)
        detail = f"content differs from its digest; {len(affected)} of {len(paths)} images"
        findings = (Finding("blob-damaged", name, detail, next_step, affected),)
    elif damaged:
        affected = tuple(row.path for row in damaged)
        detail = "the blob is sound, but rows of its manifest part describe other bytes"
        findings = (Finding("manifest-damaged", shard.manifest.name, detail, next_step, affected),)
    lossy = sum(row.background_error is not None for row in rows)
    lost = sum(row.lost for row in rows)
    checked = Checked(name, files_of(rows) - lost, findings=findings, lossy=lossy, lost=lost)
    return checked, [row for row in sound if not row.lost]


def _check_elsewhere(
    store: Store, shard: ShardRecord, blob: str, rows: list[Row]
) -> tuple[Checked, list[Row]]:
    """Check the payloads of rows that are in the blob of another shard; images are not counted."""
    sound: list[Row] = []
    found: Finding | None = None
    try:
        for row, payload in readable_payloads(store, blob, rows):
            if isinstance(payload, ObjectUnreadable):
                continue
            with suppress(DigestMismatch):
                check_payload(row, payload)
                sound.append(row)
    except ObjectMissing as error:
        found = fault(blob, "blob", error, mend(store), tuple(row.path for row in rows))
    if found is None and len(sound) < len(rows):
        whole = {row.label for row in sound}
        affected = tuple(row.path for row in rows if row.label not in whole)
        detail = f"{len(affected)} of {len(rows)} images of shard {shard.shard} are damaged"
        found = Finding("blob-damaged", blob, detail, mend(store), affected)
    return Checked(blob, findings=() if found is None else (found,)), sound
