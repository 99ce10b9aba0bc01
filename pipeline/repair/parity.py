"""Mend objects with their parity, which lies in the archive itself."""

import hashlib
from collections.abc import Sequence

from seec.pipeline.parity.objects import mended, parity_of
from seec.pipeline.repair.copies import whole
from seec.pipeline.storage import Store
from seec.schemas.archive import spare_name
from seec.schemas.commit import ObjectRecord, ShardRecord
from seec.schemas.errors import (
    FormatError,
    ObjectMissing,
    ObjectUnreadable,
    StorageError,
    StoreUnavailable,
)
from seec.schemas.parity import parse

# Of an unreadable object, what is read at once.
_PIECE_BYTES = 1 << 16
_MOST_TOO_LONG = 1 << 24


def mend_shard(store: Store, shard: ShardRecord) -> str | None:
    """Put damaged objects of a shard back from what is left and from parity.

    Also the parity itself, once all others are whole. Returns why that fails; None if all is whole,
    or there is no parity.
    """
    record = shard.parity
    if record is None:
        return None
    there = [whole(store, one) for one in shard.covered]
    if not all(data is not None for data in there):
        objects = _from_parity(store, shard.covered, there, what_is_there(store, record))
        if isinstance(objects, str):
            return f"parity of shard {shard.shard} is not enough: {objects}"
        for one, before, data in zip(shard.covered, there, objects, strict=True):
            if before is None:
                put(store, one.name, data)
        there = list(objects)
    if whole(store, record) is None:
        data = b"".join(parity_of([[one] for one in there if one is not None], record.share))
        if hashlib.sha256(data).hexdigest() == record.sha256:
            put(store, record.name, data)
    return None


def from_spare(store: Store, record: ObjectRecord) -> bytes | None:
    """An object beside shards, from what is left of it and its spare parity; None if that fails."""
    name = spare_name(record.name)
    spare = what_is_there(store, ObjectRecord(name, -1, ""))
    found = _from_parity(store, [record], [None], spare)
    return None if isinstance(found, str) else found[0]


def what_is_there(store: Store, record: ObjectRecord) -> bytes:
    """What can be read of an object, with zeros in place of the rest; empty if it is gone."""
    try:
        size = store.size(record.name)
    except (ObjectMissing, ObjectUnreadable):
        return b""
    if record.size_bytes >= 0:
        size = min(size, record.size_bytes + _MOST_TOO_LONG)
    try:
        return store.get_range(record.name, 0, size)
    except ObjectMissing:
        return b""
    except ObjectUnreadable:
        pieces = (min(_PIECE_BYTES, size - start) for start in range(0, size, _PIECE_BYTES))
        return b"".join(
            _range(store, record.name, index * _PIECE_BYTES, length)
            for index, length in enumerate(pieces)
        )


def _range(store: Store, name: str, start: int, length: int) -> bytes:
    try:
        return store.get_range(name, start, length).ljust(length, b"\0")
    except (ObjectMissing, ObjectUnreadable):
        return bytes(length)


def _from_parity(
    store: Store,
    records: Sequence[ObjectRecord],
    there: Sequence[bytes | None],
    parity: bytes,
) -> list[bytes] | str:
    """The objects of these records, or why parity fails. there: those that are whole."""
    try:
        found = parse(records[0].name, parity)
        sizes = [one.size_bytes for one in found.layout.objects]
        if len(sizes) != len(records) or sum(sizes) > 2 * sum(
            max(0, one.size_bytes) or _MOST_TOO_LONG for one in records
        ):
            return "it is of other objects"
        left = [
            what_is_there(store, record) if data is None else data
            for record, data in zip(records, there, strict=True)
        ]
        result = mended(found, left)
    except FormatError as error:
        return str(error)
    if result.objects is None:
        return f"{result.damaged} blocks are damaged, and {result.spare} could be made again"
    digests = (hashlib.sha256(data).hexdigest() for data in result.objects)
    same = all(d == r.sha256 for d, r in zip(digests, records, strict=True))
    return result.objects if same else "it is of other objects"


def put(store: Store, name: str, data: bytes) -> bool:
    """Write an object over a damaged one; False if the store refuses that for this object."""
    try:
        store.put(name, data)
    except StoreUnavailable:
        raise
    except StorageError:
        return False
    return True
