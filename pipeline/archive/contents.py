"""Which files of a source hold what the archive has of them, by their bytes and not their times."""

import hashlib
from collections.abc import Callable, Iterable, Mapping

from seec.pipeline.archive.ahead import each_ahead
from seec.pipeline.archive.planning import Seen
from seec.pipeline.storage import Source
from seec.schemas.errors import SeecError, StoreUnavailable
from seec.schemas.kinds import DIRECTORY, LINK
from seec.schemas.plan import SourceFile

_READ_SIZE_BYTES = 8 << 20


def comparable(listing: Iterable[SourceFile], seen: Mapping[str, Seen]) -> list[SourceFile]:
    """The files that are as large as what was archived of them: those only reading can tell."""
    return [
        file
        for file in listing
        if file.problem is None
        and file.kind != DIRECTORY
        and (known := seen.get(file.path)) is not None
        and known.digest is not None
        and known.size_bytes == file.size_bytes
    ]


def readable_files(source: Source, files: Iterable[SourceFile]) -> set[str]:
    """Paths of the files that can be read. StoreUnavailable if the whole source cannot."""
    readable: set[str] = set()
    for file in files:
        try:
            source.read(file)
        except StoreUnavailable:
            raise
        except SeecError:
            continue
        readable.add(file.path)
    return readable


def same_contents(
    source: Source,
    files: Iterable[SourceFile],
    seen: Mapping[str, Seen],
    on_file: Callable[[], None] = lambda: None,
) -> set[str]:
    """Paths of the files whose bytes have the digest in `seen`; reads all of them.

    on_file: told of each that was read. One that cannot be read is none of them.
    """
    same: set[str] = set()
    for file, digest in each_ahead(lambda file: (file, _digest(source, file)), files):
        if digest is not None and digest == seen[file.path].digest:
            same.add(file.path)
        on_file()
    return same


def _digest(source: Source, file: SourceFile) -> bytes | None:
    hasher = hashlib.sha256()
    try:
        if file.kind == LINK:
            return hashlib.sha256(source.read(file)).digest()
        for start in range(0, file.size_bytes, _READ_SIZE_BYTES):
            length = min(_READ_SIZE_BYTES, file.size_bytes - start)
            hasher.update(source.read_range(file, start, length))
    except SeecError:
        return None
    return hasher.digest()
