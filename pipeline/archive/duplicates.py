"""Files that are probably equal go side by side in a plan: a shard keeps equal payloads once.

Nothing but the place of a file depends on this. Whether payloads are equal their digests tell, when
the shard is written.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import inf

from seec.pipeline.archive.ahead import each_ahead
from seec.pipeline.images.files import read_extent
from seec.pipeline.storage import Source
from seec.schemas.errors import SeecError
from seec.schemas.kinds import FILE
from seec.schemas.plan import PlanSettings, SourceFile

MIN_SIZE_BYTES = 4096  # smaller files are not worth a look
_END_BYTES = 4096


def comparable(files: Iterable[SourceFile]) -> list[SourceFile]:
    """The files that are as large as another one."""
    files = [file for file in files if _is_first(file) and file.size_bytes >= MIN_SIZE_BYTES]
    counts = Counter(file.size_bytes for file in files)
    return [file for file in files if counts[file.size_bytes] > 1]


def images(files: Iterable[SourceFile], settings: PlanSettings) -> list[SourceFile]:
    """The files that may be images of which other files have the pixels, before any is read."""
    most = inf if settings.max_file_size_bytes is None else settings.max_file_size_bytes
    return [file for file in files if _is_first(file) and 0 < file.size_bytes <= most]


def same_extent(
    source: Source,
    files: Iterable[SourceFile],
    settings: PlanSettings,
    on_file: Callable[[], None] = lambda: None,
) -> list[tuple[SourceFile, int]]:
    """Those as wide and as high as another one, by their first bytes, and how many pixels that is.

    files: as `images` gives them; of each a few KiB are read. on_file: told of each.
    """
    found: dict[tuple[int, int], list[SourceFile]] = defaultdict(list)
    for file, extent in each_ahead(lambda file: (file, _extent(source, file)), files):
        on_file()
        if extent is not None and extent[0] * extent[1] <= settings.max_pixels:
            found[extent].append(file)
    return [
        (file, width * height)
        for (width, height), alike in found.items()
        if len(alike) > 1
        for file in alike
    ]


def signs(
    source: Source,
    compared: Iterable[SourceFile],
    on_file: Callable[[], None] = lambda: None,
) -> dict[str, bytes]:
    """By path, what is the same for files of the same size and content.

    compared: as `comparable` gives them; of each up to 8 KiB are read, unless the store listed a
    checksum. on_file: told of each. One that cannot be read has no sign.
    """
    found: dict[str, bytes] = {}
    for file, sign in each_ahead(lambda file: (file, _sign(source, file)), compared):
        on_file()
        if sign is not None:
            found[file.path] = file.size_bytes.to_bytes(8, "little") + sign
    return found


def gathered(
    files: Sequence[SourceFile], signs: Mapping[str, bytes], *, one_shard: bool = False
) -> list[SourceFile]:
    """The files in their order, but each right behind those of the same sign, if it has one.

    one_shard: these are to be in one shard even if another one would be fuller.
    """
    first: dict[bytes, str] = {}
    behind: dict[str, list[SourceFile]] = {}
    moved: set[str] = set()
    for file in files:
        sign = signs.get(file.path)
        if sign is None:
            continue
        name = first.setdefault(sign, file.path)
        if name != file.path:
            copy = replace(file, copy_of=name) if one_shard else file
            behind.setdefault(name, []).append(copy)
            moved.add(file.path)
    stay = (file for file in files if file.path not in moved)
    return [one for file in stay for one in (file, *behind.get(file.path, ()))]


def _is_first(file: SourceFile) -> bool:
    """Whether it is a file that can be read, by the first of its names."""
    return file.kind == FILE and file.problem is None and file.same_file is None


def _extent(source: Source, file: SourceFile) -> tuple[int, int] | None:
    try:
        return read_extent(partial(source.read_range, file))
    except SeecError:
        return None


def _sign(source: Source, file: SourceFile) -> bytes | None:
    """The same for files of the same content; None where it cannot be told."""
    if file.checksum is not None:
        return file.checksum.encode()
    size = file.size_bytes
    if size <= 2 * _END_BYTES:
        parts = ((0, size),)
    else:
        parts = ((0, _END_BYTES), (size - _END_BYTES, _END_BYTES))
    digest = hashlib.sha256()
    try:
        for start, length in parts:
            digest.update(source.read_range(file, start, length))
    except SeecError:
        return None
    return digest.digest()
