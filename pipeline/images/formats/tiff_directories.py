"""The directories of TIFF and BigTIFF files."""

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from seec.pipeline.images.ranges import Ranges
from seec.schemas.errors import UnreadableImage
from seec.schemas.limits import MAX_RASTERS

# Bytes of a value by type: BYTE ASCII SHORT LONG RATIONAL, the same with sign, FLOAT DOUBLE IFD,
# and those of BigTIFF: LONG8 SLONG8 IFD8.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES |= {16: 8, 17: 8, 18: 8}
_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_SUB_DIRECTORIES = 330
# Directories may overlap, and lists be shared: a small file may ask for a lot of work.
_MAX_ENTRIES, MAX_VALUES = 1 << 17, 1 << 20
_ENTRIES_EACH = 32  # of most directories, where many are asked for
_MAX_DEPTH = 3


@dataclass(frozen=True)
class Kind:
    """A kind of file, by its first four bytes. order: of bytes, "<" or ">". big: BigTIFF."""

    order: str
    big: bool = False

    @property
    def offset(self) -> struct.Struct:
        """An offset."""
        return struct.Struct(self.order + ("Q" if self.big else "I"))

    @property
    def entries(self) -> struct.Struct:
        """How many entries a directory has."""
        return struct.Struct(self.order + ("Q" if self.big else "H"))

    @property
    def entry(self) -> struct.Struct:
        """Of an entry what stands before its values: tag, type, number of values."""
        return struct.Struct(self.order + ("HHQ" if self.big else "HHI"))

    @property
    def first(self) -> int:
        """Where the offset of the first directory stands."""
        return 8 if self.big else 4

    @property
    def entry_bytes(self) -> int:
        """Of an entry, values that stand in it included."""
        return self.entry.size + self.offset.size


KINDS = {
    b"II*\0": Kind("<"),
    b"MM\0*": Kind(">"),
    b"II+\0": Kind("<", big=True),
    b"MM\0+": Kind(">", big=True),
}


@dataclass(frozen=True)
class Entry:
    """One tag of a directory: its type, number of values, where they begin."""

    kind: int
    count: int
    at: int

    @property
    def size_bytes(self) -> int:
        """Of all values."""
        return _SIZES[self.kind] * self.count

    @property
    def most(self) -> int:
        """The largest value that it holds, if its values are whole numbers without sign."""
        return (1 << 8 * _SIZES[self.kind]) - 1

    def values(self, order: str) -> struct.Struct:
        """All values, if they are whole numbers without sign."""
        return struct.Struct(f"{order}{self.count}{_CODES[self.kind]}")


@dataclass(frozen=True)
class Directory:
    """One directory: its tags in the order of the file."""

    file: Ranges
    kind: Kind
    entries: dict[int, Entry]

    def values(self, tag: int, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """Whole numbers; `default`, or UnreadableImage without one, if they are not there."""
        entry = self.entries.get(tag)
        if entry is None and default is not None:
            return default
        usable = entry is not None and entry.kind in _CODES and 1 <= entry.count <= MAX_VALUES
        if entry is None or not usable:
            raise UnreadableImage(f"TIFF without a usable tag {tag}")
        return _unpack(self.file, entry.values(self.kind.order), entry.at)

    def value(self, tag: int, default: int | None = None) -> int:
        """The only value of a tag."""
        return self.values(tag, None if default is None else (default,))[0]


def directories(
    file: Ranges, most: int = MAX_RASTERS, wanted: int | None = None
) -> list[Directory]:
    """All directories of the chain, each followed by those below it.

    most: directories that there may be. wanted: how many are read; others stay unread. None for
    all. UnreadableImage if there are more than there may be, or if one of the chain is damaged.
    """
    kind = KINDS.get(file.read(0, 4))
    if kind is None:
        raise UnreadableImage("no TIFF file")
    most_entries = max(_MAX_ENTRIES, _ENTRIES_EACH * most)
    found: list[Directory] = []
    try:
        if kind.big and _unpack(file, struct.Struct(kind.order + "HH"), 4) != (8, 0):
            raise UnreadableImage("BigTIFF with offsets of another size than 8 bytes")
        (first,) = _unpack(file, kind.offset, kind.first)
        entries = 0
        for directory in islice(_Walk(file, kind, most).chain(first), wanted):
            found.append(directory)
            entries += len(directory.entries)
            if len(found) > most or entries > most_entries:
                raise UnreadableImage(f"TIFF with more than {most} pictures or {most_entries} tags")
    except struct.error:
        raise UnreadableImage("damaged TIFF file: cut short") from None
    if not found:
        raise UnreadableImage("TIFF without a picture")
    return found


@dataclass
class _Walk:
    """A walk from directory to directory. most: of them. seen: where those were."""

    file: Ranges
    kind: Kind
    most: int
    seen: set[int] = field(default_factory=set[int])

    def chain(self, at: int, depth: int = 0) -> Iterator[Directory]:
        """A chain of directories, and those below each."""
        while at:
            if at in self.seen:
                raise UnreadableImage("TIFF with a loop of directories")
            self.seen.add(at)
            directory, at = _read(self.file, self.kind, at)
            yield directory
            for below in _below(directory) if depth < _MAX_DEPTH else ():
                if below not in self.seen and len(self.seen) < 2 * self.most:
                    with suppress(UnreadableImage, struct.error):  # not all are directories
                        yield from self.chain(below, depth + 1)


def _below(directory: Directory) -> tuple[int, ...]:
    """Offsets of the directories below one."""
    entry = directory.entries.get(_SUB_DIRECTORIES)
    usable = entry is not None and entry.count <= MAX_RASTERS
    return directory.values(_SUB_DIRECTORIES) if usable else ()


def _read(file: Ranges, kind: Kind, at: int) -> tuple[Directory, int]:
    """A directory and the offset of the next; struct.error if it is cut short.

    Readers pass over entries that they do not understand, and so does this one.
    """
    if at > file.size_bytes:
        raise UnreadableImage("damaged TIFF file: cut short")
    (count,) = _unpack(file, kind.entries, at)
    if count > _MAX_ENTRIES:
        raise UnreadableImage(f"TIFF with a directory of {count} tags")
    at += kind.entries.size
    listed = file.read(at, kind.entry_bytes * count + kind.offset.size)
    entries: dict[int, Entry] = {}
    for place in range(0, kind.entry_bytes * count, kind.entry_bytes):
        tag, type_, n = kind.entry.unpack_from(listed, place)
        if type_ not in _SIZES or tag in entries:
            continue
        where = at + place + kind.entry.size
        if _SIZES[type_] * n > kind.offset.size:
            (where,) = kind.offset.unpack_from(listed, place + kind.entry.size)
        if where + _SIZES[type_] * n <= file.size_bytes:
            entries[tag] = Entry(type_, n, where)
    (following,) = kind.offset.unpack_from(listed, kind.entry_bytes * count)
    return Directory(file, kind, entries), following


def _unpack(file: Ranges, layout: struct.Struct, at: int) -> tuple[Any, ...]:
    return layout.unpack(file.read(at, layout.size))
