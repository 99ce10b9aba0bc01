"""Plan a run of `seec archive`: which files it reads, which paths it removes, what encodes them."""

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

from seec.jobs.contents import same_contents
from seec.jobs.gathering import gathered
from seec.jobs.messages import warn
from seec.pipeline.archive.archive import Archive
from seec.pipeline.archive.catalogue import OnDamage
from seec.pipeline.archive.contents import readable_files
from seec.pipeline.archive.pieces import cut_files, jpeg_bytes_within
from seec.pipeline.archive.planning import (
    Seen,
    displaced_files,
    may_be_readable,
    new_files,
    quarantined_files,
    seen_files,
    vanished_files,
)
from seec.pipeline.archive.runs import open_run, remove_paths
from seec.pipeline.archive.sources import own_files
from seec.pipeline.codec import Model
from seec.pipeline.dct.weights import DctModel
from seec.pipeline.images.jpeg import has_jpeg_name
from seec.pipeline.segmentation import check_labels, make_segmenter
from seec.pipeline.stages.executor import Executor
from seec.pipeline.stages.once_jpeg import AS_JPEG, decoded_bytes
from seec.pipeline.storage import Source
from seec.schemas.commit import RunRecord
from seec.schemas.errors import StorageError
from seec.schemas.kinds import FILE, LINK
from seec.schemas.plan import PlanSettings, SourceFile

# Fewer links among the files are no reason to speak.
_FILES_FOR_A_LINK = 10
# A tenth of the bytes of JPEG files, which JPEG XL would need more, is as much as the model takes;
# next to a smaller model, a larger one takes as much as a ninetieth of these bytes.
# A file, however small, counts as so many bytes more: JPEG XL keeps the tables of each.
_WORTH_A_MODEL, _WORTH_A_LARGER_MODEL = 10, 90
_OF_A_FILE_BYTES = 6000


@dataclass(frozen=True)
class RunOptions:
    """What decides which files a new run reads, and what encodes them.

    plan: what the run is planned with; its jpeg_model_id and parity_share are set here. model: of
    `plan.model_id`. jpeg_models: one of them may code JPEG files, the best first; none where JPEG
    XL does. needs_jpeg_model: whether one codes them even if it saves less than it takes.
    retry_quarantine: read all files in quarantine again.
    check_content: compare unchanged files by their bytes. prune_missing: remove what vanished.
    moved: whether the source was at another place before. parity_share: as in `PlanSettings`; None
    is that of the last shard.
    """

    plan: PlanSettings
    model: Model
    jpeg_models: Sequence[DctModel]
    needs_jpeg_model: bool
    retry_quarantine: bool
    check_content: bool
    prune_missing: bool
    moved: bool
    parity_share: int | None = None


class _Changes(NamedTuple):
    """What a source has that the archive has not, and the reverse.

    files: to read. vanished: paths that do not count any more. cleared: paths that leave the
    quarantine, since the source has no such file.
    """

    files: list[SourceFile]
    vanished: list[str]
    cleared: list[str]


def plan_run(
    archive: Archive,
    source: Source,
    options: RunOptions,
    start: Callable[[int, int], Executor],
    on_damage: OnDamage,
) -> RunRecord | None:
    """Open a run for the files that are new, and remove what vanished if asked.

    None if there is nothing to archive; paths may have been removed even so. start: starts what
    decodes images, if copies are looked for by their pixels, for so many files of so many bytes.
    on_damage: told of parts that cannot be read; what may be in them is new. Raises StorageError
    or ModelError before anything is written.
    """
    listing = source.files(archive.store)
    _warn_of_links(source, listing, options.plan.follow_links)
    changes = _changes(archive, source, listing, options, on_damage)
    if not _needs_run(archive, source, changes, options.moved):
        remove_paths(archive, changes.vanished, changes.cleared)
        return None
    jpeg_model = _worthwhile_jpeg_model(archive, source, listing, options)
    share = options.parity_share
    plan = replace(
        options.plan,
        jpeg_model_id=jpeg_model and jpeg_model.id,
        parity_share=archive.state.parity_share if share is None else share,
    )
    check_segmentation(plan, options.model)
    return open_run(
        archive,
        source.record(),
        cut_files(source, gathered(source, changes.files, plan, start), plan),
        plan,
        changes.vanished,
        changes.cleared,
    )


def check_segmentation(plan: PlanSettings, model: Model) -> None:
    """ModelError before anything is written if its sources cannot label images here."""
    check_labels(make_segmenter(plan.segmentation), model.profile.entropy_models)
    if plan.region_source is not None:
        make_segmenter(plan.region_source)


def _changes(
    archive: Archive,
    source: Source,
    listing: list[SourceFile],
    options: RunOptions,
    on_damage: OnDamage,
) -> _Changes:
    name = source.record().name
    known = seen_files(archive, options.check_content, on_damage)
    seen = own_files(listing, known, name)
    same = same_contents(source, listing, seen) if options.check_content else None
    failed = own_files(listing, quarantined_files(archive, on_damage), name)
    retry = set(failed)
    if not options.retry_quarantine:
        suspects = may_be_readable(listing, failed, options.plan.max_file_size_bytes)
        retry = readable_files(source, suspects)
    return _Changes(
        files=new_files(listing, seen, failed, retry, same),
        vanished=_vanished(source, listing, seen, options.prune_missing),
        # Of an empty source, which may be one that is not mounted, nothing is known.
        cleared=vanished_files(listing, failed) if listing else [],
    )


def _vanished(
    source: Source, listing: Sequence[SourceFile], seen: dict[str, Seen], prune: bool
) -> list[str]:
    """What does not count any more: all that vanished, or what could not be restored together."""
    if not prune:
        return displaced_files(listing, seen) if source.store.is_local else []
    vanished = vanished_files(listing, seen)
    if vanished and not listing:
        raise StorageError(
            f"{source.url}: is empty, and --prune-missing would remove all {len(vanished)} files; "
            "is it mounted?"
        )
    return vanished


def _needs_run(archive: Archive, source: Source, changes: _Changes, moved: bool) -> bool:
    """Whether a run is opened: for new files, a new place, or to give up one with its plan."""
    identity = source.record()
    if changes.files or (moved and archive.state.sources.get(identity.name) != identity):
        return True
    given_up = archive.state.open_run
    removes = bool(changes.vanished or changes.cleared)
    return removes and given_up is not None and not given_up.compaction


def _worthwhile_jpeg_model(
    archive: Archive, source: Source, listing: Sequence[SourceFile], options: RunOptions
) -> DctModel | None:
    """The model with which JPEG files and it take least; none if JPEG XL does."""
    models = options.jpeg_models
    worth = bytes_worth(models, archive.state.models)
    if options.needs_jpeg_model:
        worth[-1] = 0
    wanted = max(worth, default=0)
    counted = jpeg_bytes(listing)
    if counted < wanted:
        counted += jpeg_bytes_within(source, listing, wanted - counted)
    if counted < wanted:
        left = -(-(wanted - counted) // AS_JPEG)
        counted += AS_JPEG * decoded_bytes(source, listing, left)
    return worthwhile(models, worth, counted)


def jpeg_bytes(listing: Iterable[SourceFile]) -> int:
    """The bytes of JPEG files, with what each counts more. Links and other names count 0."""
    files = (file for file in listing if file.kind == FILE and has_jpeg_name(file.path))
    read = (file for file in files if file.problem is None and file.same_file is None)
    return sum(file.size_bytes + _OF_A_FILE_BYTES for file in read)


def bytes_worth(models: Sequence[DctModel], held: Container[str] = ()) -> list[int]:
    """How many of `jpeg_bytes` each model is worth next to the one behind it, or to JPEG XL.

    held: ids of those that the archive has, which take nothing.
    """
    sizes = [0 if model.id in held else len(model.payload) for model in models]
    larger = [_WORTH_A_LARGER_MODEL * max(size - less, 0) for size, less in pairwise(sizes)]
    return [*larger, *(_WORTH_A_MODEL * size for size in sizes[-1:])]


def worthwhile(models: Sequence[DctModel], worth: Sequence[int], counted: float) -> DctModel | None:
    """The first model that so many of `jpeg_bytes` are worth."""
    return next((m for m, least in zip(models, worth, strict=True) if counted >= least), None)


def _warn_of_links(source: Source, listing: Sequence[SourceFile], followed: bool) -> None:
    """Caches of models and of version control show a tree of links whose files are elsewhere."""
    if followed and not source.store.is_local:
        warn(f"{source.url}: this store has no symbolic links, so --follow-links changes nothing")
    links = [file.path for file in listing if file.kind == LINK]
    files = sum(file.kind == FILE for file in listing)
    if followed and links:
        warn(
            f"{source.url}: {len(links)} symbolic links, {links[0]} first, lead to nothing or to a "
            "directory that holds them; these are archived as links"
        )
    elif len(links) * _FILES_FOR_A_LINK > files:
        warn(
            f"{source.url}: holds {len(links)} symbolic links and {files} files; links are "
            "archived as links, without what they lead to: --follow-links archives the files "
            "that they lead to"
        )
