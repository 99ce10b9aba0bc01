"""How files begin in which images are carved: there is no index, or it names nothing."""

import struct

from seec.schemas.container import crc32c

# Where a mark stands, and the mark.
_MARKS = (
    (0, b"%PDF-"),
    (0, b"WARC/1."),
    (0, b"ARROW1\0\0"),
    (16, b"\xde\xc0\xef\xbe"),  # LMDB
)
_RECORD = struct.Struct("<8sI")
_MASK = 0xA282EAD8
_STREAM = struct.Struct("<III")
_CONTINUES, _MOST_SCHEMA_BYTES = 0xFFFFFFFF, 1 << 24


def is_carved(head: bytes) -> bool:
    """Whether a file that begins so is PDF, WARC, Arrow, LMDB or TFRecord."""
    return (
        any(head.startswith(mark, at) for at, mark in _MARKS)
        or _is_record(head)
        or _is_arrow_stream(head)
    )


def _is_record(head: bytes) -> bool:
    """Whether there is a length of TFRecord, with its checksum."""
    if len(head) < _RECORD.size:
        return False
    length, stated = _RECORD.unpack_from(head)
    check = crc32c(length)
    return stated == ((check >> 15 | check << 17) + _MASK) & 0xFFFFFFFF


def _is_arrow_stream(head: bytes) -> bool:
    """Whether there is a message of Arrow, with a length and an offset that can be."""
    if len(head) < _STREAM.size:
        return False
    mark, length, root = _STREAM.unpack_from(head)
    return mark == _CONTINUES and length % 8 == 0 and 0 < root < length < _MOST_SCHEMA_BYTES
