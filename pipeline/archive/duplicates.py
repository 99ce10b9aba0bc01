"""Files that are probably equal go side by side in a plan: a shard keeps equal payloads once.

Nothing but the place of a file depends on this. Whether payloads are equal their digests tell, when
the shard is written.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from pipeline.archive.ahead import each_ahead
from pipeline.storage import Source
from schemas.errors import SeecError
from schemas.kinds import FILE
from schemas.names import unescape
from schemas.plan import SourceFile

MIN_SIZE_BYTES = 4096  # smaller files are not worth a look
_END_BYTES = 4096


def comparable(files: Iterable[SourceFile]) -> list[SourceFile]:
    """The files that are as large as another one."""
    files = [
        file
        for file in files
        if file.kind == FILE
        and file.problem is None
        and file.same_file is None
        and file.size_bytes >= MIN_SIZE_BYTES
    ]
    counts = Counter(file.size_bytes for file in files)
    return [file for file in files if counts[file.size_bytes] > 1]


def gathered(
    source: Source,
    files: Sequence[SourceFile],
    compared: Iterable[SourceFile],
    on_file: Callable[[], None] = lambda: None,
) -> list[SourceFile]:
    """The files in their order, but each right behind those it probably equals.

    compared: as `comparable` gives them; of each up to 8 KiB are read, unless the store listed a
    checksum. on_file: told of each. One that cannot be read stays where it is.
    """
    first: dict[tuple[int, bytes], str] = {}
    behind: dict[str, list[SourceFile]] = {}
    moved: set[str] = set()
    for file, sign in each_ahead(lambda file: (file, _sign(source, file)), compared):
        on_file()
        if sign is None:
            continue
        name = first.setdefault((file.size_bytes, sign), file.path)
        if name != file.path:
            behind.setdefault(name, []).append(file)
            moved.add(file.path)
    stay = (file for file in files if file.path not in moved)
    return [one for file in stay for one in (file, *behind.get(file.path, ()))]


def _sign(source: Source, file: SourceFile) -> bytes | None:
    """The same for files of the same content; None where it cannot be told."""
    if file.checksum is not None:
        return file.checksum.encode()
    name, size = os.fsdecode(unescape(file.path)), file.size_bytes
    if size <= 2 * _END_BYTES:
        parts = ((0, size),)
    else:
        parts = ((0, _END_BYTES), (size - _END_BYTES, _END_BYTES))
    digest = hashlib.sha256()
    try:
        for start, length in parts:
            digest.update(source.store.get_range(name, start, length))
    except SeecError:
        return None
    return digest.digest()
