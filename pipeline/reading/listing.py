"""Folders of an archive: what lies in one, and all files below one, without parsing other rows."""

from bisect import bisect_left
from collections.abc import Callable, Container, Iterator
from functools import lru_cache

from seec.pipeline.archive.ahead import each_ahead
from seec.pipeline.reading.lookup import Lookup
from seec.schemas.commit import ShardRecord
from seec.schemas.kinds import DIRECTORY, FILE
from seec.schemas.manifest_part import Part
from seec.schemas.rows import Row

# The first character behind `/`: what begins with a folder's name and this lies behind the folder.
_BEHIND_SLASH = chr(ord("/") + 1)


def children(lookup: Lookup, prefix: str) -> tuple[dict[str, Row], set[str]]:
    """What lies directly below a prefix, which is empty or ends with a slash.

    Returns rows by name, without members, and the names of folders. A folder that has a row is
    among both. Raises as a `Lookup`.
    """
    rows: dict[str, Row] = {}
    folders: set[str] = set()
    for gone, _, part in _parts(lookup, prefix, folders):
        found = list(_named(part, prefix, gone, rows.keys(), folders))
        for (name, _), row in zip(found, part.bare_rows([at for _, at in found]), strict=True):
            rows[name] = row
    folders.update(name for name, row in rows.items() if row.kind == DIRECTORY)
    return rows, folders


def has_folder(lookup: Lookup, path: str) -> bool:
    """Whether anything that counts lies below a path. Raises as a `Lookup`."""
    prefix = f"{path}/" if path else ""
    folders: set[str] = set()
    for gone, _, part in _parts(lookup, prefix, folders):
        paths = part.paths
        for at in range(bisect_left(paths, prefix), len(paths)):
            if not paths[at].startswith(prefix):
                break
            if paths[at] not in gone:
                return True
    return bool(folders)


def files_by_shard(
    lookup: Lookup,
    prefix: str = "",
    wanted: Callable[[str], bool] | None = None,
    kinds: Container[str] = (FILE,),
) -> Iterator[tuple[ShardRecord, list[int], list[str]]]:
    """Which rows of each shard are files that count, and that are wanted.

    Gives each shard with the numbers of these rows in its part, and their paths: those that begin
    with a prefix. Reads two columns of each part: a million paths take seconds. Raises as a
    `Lookup`.
    """
    several = len(lookup.runs) > 1
    seen: set[str] = set()
    for gone, shard, part in _parts(lookup, prefix, None):
        paths = list(part.paths)
        start = bisect_left(paths, prefix)
        numbers: list[int] = []
        for at, kind in enumerate(part.kinds()[start:], start):
            path = paths[at]
            if not path.startswith(prefix):
                break
            if path in gone or path in seen:
                continue
            if several:
                seen.add(path)
            if kind in kinds and (wanted is None or wanted(path)):
                numbers.append(at)
        yield shard, numbers, [paths[at] for at in numbers]


def images_by_shard(
    lookup: Lookup, wanted: Callable[[str], bool] | None = None
) -> Iterator[tuple[ShardRecord, list[int], int]]:
    """The same for images within files, in place of the files that hold images or are in pieces.

    Gives each shard with the numbers for `Part.rows_at` of the images that count and are wanted,
    and how many there are in all. wanted: asked for the path of each image. Raises as a `Lookup`.
    """
    seen: set[str] = set()
    run_of = lru_cache(maxsize=None)(lookup.run_of)
    for gone, shard, part in _parts(lookup, "", None):
        numbers: list[int] = []
        new: set[str] = set()
        total = 0
        for image in part.images():
            total += 1
            counts = (
                run_of(image.file) == shard.run_id
                if image.in_piece
                else image.file not in gone and image.file not in seen
            )
            if not image.in_piece:
                new.add(image.file)
            if counts and (wanted is None or wanted(image.path)):
                numbers.append(image.number)
        if len(lookup.runs) > 1:
            seen |= new
            seen.update(part.paths)
        yield shard, numbers, total


def paths_below(
    lookup: Lookup,
    prefix: str = "",
    wanted: Callable[[str], bool] | None = None,
    kinds: Container[str] = (FILE,),
) -> list[str]:
    """The paths of `files_by_shard`, sorted."""
    found: list[str] = []
    for _, _, paths in files_by_shard(lookup, prefix, wanted, kinds):
        found += paths
    return sorted(found)


def _parts(
    lookup: Lookup, prefix: str, folders: set[str] | None
) -> Iterator[tuple[frozenset[str], ShardRecord, Part]]:
    """Parts that may hold a prefix, of the latest run first, and which paths of each do not count.

    folders: gets the names of folders that hold all of a part, which is then not read.
    """
    gone: frozenset[str] = frozenset()
    for run_id, shards in lookup.runs:
        gone |= lookup.vanished(run_id)
        some = [shard for shard in shards if _overlaps(shard, prefix)]
        if folders is not None and not gone:
            some = [shard for shard in some if not _in_one_folder(shard, prefix, folders)]
        for shard, part in zip(some, each_ahead(lookup.part, some), strict=True):
            yield gone, shard, part


def _overlaps(shard: ShardRecord, prefix: str) -> bool:
    if shard.path_range is None:
        return False
    first, last = shard.path_range
    return last >= prefix and (first <= prefix or first.startswith(prefix))


def _in_one_folder(shard: ShardRecord, prefix: str, folders: set[str]) -> bool:
    """Whether all paths of a shard lie in one folder below a prefix, which folders gets."""
    first, last = shard.path_range or ("", "")
    if not (first.startswith(prefix) and last.startswith(prefix)):
        return False
    name, slash, _ = first[len(prefix) :].partition("/")
    if not slash or not last.startswith(f"{prefix}{name}/"):
        return False
    folders.add(name)
    return True


def _named(
    part: Part,
    prefix: str,
    gone: frozenset[str],
    known: Container[str],
    folders: set[str],
) -> Iterator[tuple[str, int]]:
    """Names directly below a prefix that are not known, and their rows' numbers; adds folders."""
    paths = part.paths
    at = bisect_left(paths, prefix)
    while at < len(paths) and (path := paths[at]).startswith(prefix):
        name, slash, _ = path[len(prefix) :].partition("/")
        if not slash:
            if name and path not in gone and name not in known:
                yield name, at
            at += 1
        elif name in folders or path not in gone:
            folders.add(name)
            at = bisect_left(paths, f"{prefix}{name}{_BEHIND_SLASH}", lo=at)
        else:
            at += 1
