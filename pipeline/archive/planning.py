"""From a listing and what counts already to a plan. The same input gives the same plan."""

from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import chain, groupby
from typing import NamedTuple

from seec.pipeline.archive.archive import Archive
from seec.pipeline.archive.catalogue import OnDamage, current_quarantine, had, vanished_after
from seec.pipeline.archive.patterns import may_hold
from seec.schemas import errors
from seec.schemas.errors import FixityError, FormatError
from seec.schemas.kinds import DIRECTORY, FILE
from seec.schemas.manifest import parse_identities
from seec.schemas.plan import PlanSettings, SourceFile
from seec.schemas.routes import is_lost

_PASSING = (errors.SourceChanged, errors.StorageError)


class Seen(NamedTuple):
    """What the archive knows of a file: size, time, digest (if asked for), name of its source.

    digest: None for a file in quarantine, too. kind: by `seec.schemas.kinds`; FILE for what is in
    quarantine. permissions: of directories. error: of a file in quarantine, the class of
    `seec.schemas.errors`.
    """

    size_bytes: int
    mtime_ns: int | None
    source: str
    digest: bytes | None = None
    kind: str = FILE
    permissions: int | None = None
    error: str | None = None

    @property
    def lost(self) -> bool:
        """Whether the archive held the file, and a repair found it nowhere."""
        return self.size_bytes < 0


def seen_files(
    archive: Archive, digests: bool = False, on_damage: OnDamage | None = None
) -> dict[str, Seen]:
    """Each file that the archive holds, or held until it was lost, by path.

    Where a path occurs in several runs, the latest counts. on_damage: told of a shard whose
    manifest part cannot be read; then nothing is known of any path that may be in it, unless a
    later run has the path. Without it the error is raised, as is that of a list of removed paths.
    Size grows with the collection, by a path and two integers per file, and a digest if asked for.
    """
    seen: dict[str, Seen] = {}
    for run, shards in archive.state.by_run():
        name = run.source.name
        for shard, part in archive.parts(shards):
            try:
                identities = list(parse_identities(shard.manifest.name, had(part)))
            except (FixityError, FormatError) as error:
                if on_damage is None:
                    raise
                on_damage(f"{shard.files} files of shard {shard.shard}", error)
                seen = {path: known for path, known in seen.items() if not may_hold(shard, path)}
                continue
            for path, size_bytes, mtime_ns, digest, route, kind, permissions in identities:
                if is_lost(route):  # no size is like it: it is archived again where it still is
                    seen[path] = Seen(-1, None, name)
                    continue
                seen[path] = Seen(
                    size_bytes,
                    mtime_ns,
                    name,
                    digest if digests else None,
                    kind,
                    permissions if kind == DIRECTORY else None,
                )
        for path in vanished_after(archive, run.run_id):
            seen.pop(path, None)
    return seen


def quarantined_files(archive: Archive, on_damage: OnDamage | None = None) -> dict[str, Seen]:
    """Each file in quarantine, by path. An older version of the file may be among `seen_files`.

    on_damage: as in `seen_files`, of quarantine parts, too.
    """
    runs = archive.state.runs
    return {
        row.path: Seen(
            row.source_size_bytes,
            row.source_mtime_ns,
            runs[row.run_id].source.name,
            error=row.error,
        )
        for _, failed in current_quarantine(archive, on_damage)
        for row in failed
    }


def may_be_readable(
    listing: Iterable[SourceFile], failed: Mapping[str, Seen], max_size_bytes: int | None
) -> list[SourceFile]:
    """The files in quarantine that another attempt to read them may succeed with.

    They did not change since, and their error is of a kind that may pass: missing rights, a broken
    connection, a bad sector. Larger files than `max_size_bytes` would fail for their size.
    """
    return [
        file
        for file in listing
        if file.problem is None
        and (max_size_bytes is None or file.size_bytes <= max_size_bytes)
        and (known := failed.get(file.path)) is not None
        and known[:2] == (file.size_bytes, file.mtime_ns)
        and issubclass(getattr(errors, known.error or "", Exception), _PASSING)
    ]


def new_files(
    listing: Iterable[SourceFile],
    seen: Mapping[str, Seen],
    failed: Mapping[str, Seen],
    retry: Container[str],
    same_content: Container[str] | None = None,
) -> list[SourceFile]:
    """The files of a listing that are new, changed, or to be tried again.

    seen, failed: of the archive; where both have a path, its failure is later. same_content: of the
    files that were archived, those whose bytes were found to be the same; None
    to trust size and time. A file with several names comes with all of them.
    """
    listing = list(listing)
    wanted = {
        file.same_file or file.path
        for file in listing
        if file.path in retry
        or not _unchanged(file, failed.get(file.path) or seen.get(file.path), same_content)
    }
    return [file for file in listing if (file.same_file or file.path) in wanted]


def _unchanged(file: SourceFile, known: Seen | None, same_content: Container[str] | None) -> bool:
    if known is None:
        return False
    if known.error is not None:
        return known[:2] == (file.size_bytes, file.mtime_ns)
    if known.kind != file.kind:
        return False
    if file.kind == DIRECTORY:
        return (known.mtime_ns, known.permissions) == (file.mtime_ns, file.permissions)
    if same_content is None or known.digest is None:
        return known[:2] == (file.size_bytes, file.mtime_ns)
    return file.path in same_content


def vanished_files(listing: Iterable[SourceFile], seen: Mapping[str, Seen]) -> list[str]:
    """Paths, sorted, that the archive has from a source and that are not there any more.

    seen: of this source only. What is below a directory that could not be listed is none of them:
    it may be there.
    """
    listing = list(listing)
    there = {file.path for file in listing}
    unknown = {file.path for file in listing if file.problem is not None}
    return sorted(path for path in seen if path not in there and not _is_below(path, unknown))


def displaced_files(listing: Iterable[SourceFile], seen: Mapping[str, Seen]) -> list[str]:
    """Those of the vanished that were below a directory where there is a file or link by now.

    Only of a source in which no path can be both.
    """
    listing = list(listing)
    places = {file.path for file in listing if file.kind != DIRECTORY}
    return [path for path in vanished_files(listing, seen) if _is_below(path, places)]


def _is_below(path: str, places: Container[str]) -> bool:
    """Whether one of the places is a directory that a path is in; `.` is that of all."""
    parts = path.split("/")
    above = ("/".join(parts[:count]) for count in range(1, len(parts)))
    return "." in places or any(place in places for place in above)


def cut_shards(files: Iterable[SourceFile], settings: PlanSettings) -> Iterator[list[SourceFile]]:
    """Consecutive files, so many that neither bound is passed; a large file may be alone.

    Each shard is sorted by path, whatever the order of the files. Further names of a file are in
    its shard, whatever their number: they take no room. A file and those behind it that have it as
    `copy_of` are in one shard if one can hold them. Files that were cut come last, in shards of
    their own, behind the shards of their pieces.
    """
    names: dict[str, list[SourceFile]] = {}
    firsts: list[SourceFile] = []
    wholes: list[SourceFile] = []
    for file in files:
        if file.same_file is not None:
            names.setdefault(file.same_file, []).append(file)
        elif file.is_whole:
            wholes.append(file)
        else:
            firsts.append(file)
    for shard in chain(_cut(firsts, settings), _cut(wholes, settings)):
        there = (file for file in shard if file.piece is None)
        others = [other for file in there for other in names.get(file.path, ())]
        yield sorted(shard + others, key=lambda file: file.key)


def _cut(files: Iterable[SourceFile], settings: PlanSettings) -> Iterator[list[SourceFile]]:
    shard: list[SourceFile] = []
    size_bytes = 0
    for _, group in groupby(files, lambda file: (file.copy_of or file.path, file.piece)):
        alike = list(group)
        for file in alike:
            # All of them have to fit in with the first, or else begin a shard.
            coming = alike if file is alike[0] else [file]
            full = len(shard) + len(coming) > settings.shard_files
            coming_bytes = sum(one.planned_bytes for one in coming)
            if shard and (full or size_bytes + coming_bytes > settings.shard_size_bytes):
                yield shard
                shard, size_bytes = [], 0
            shard.append(file)
            size_bytes += file.planned_bytes
    if shard:
        yield shard
