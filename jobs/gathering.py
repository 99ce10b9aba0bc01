"""Bring copies together before a plan is cut into shards, as `--dedupe` of `seec archive` asks."""

from collections.abc import Callable

from seec.jobs.progress import progress
from seec.pipeline.archive import duplicates
from seec.pipeline.stages.comparing import pixel_signs
from seec.pipeline.stages.executor import Executor
from seec.pipeline.storage import Source
from seec.schemas.plan import DEDUPE_SHARD, DEDUPE_SOURCE, PlanSettings, SourceFile


def gathered(
    source: Source,
    files: list[SourceFile],
    settings: PlanSettings,
    start: Callable[[int, int], Executor],
) -> list[SourceFile]:
    """The files, with probable copies side by side.

    start: starts what decodes images, where that is needed, for so many files of so many bytes.
    """
    if settings.dedupe == DEDUPE_SHARD:
        return files
    if settings.dedupe == DEDUPE_SOURCE:
        return duplicates.gathered(files, _content_signs(source, files))
    signs = _pixel_signs(source, files, settings, start)
    # Pixels say more than a look at both ends of a file does.
    signs |= _content_signs(source, [file for file in files if file.path not in signs])
    return duplicates.gathered(files, signs, one_shard=True)


def _content_signs(source: Source, files: list[SourceFile]) -> dict[str, bytes]:
    compared = duplicates.comparable(files)
    with progress("look for duplicates", len(compared), "files") as shown:
        return duplicates.signs(source, compared, shown.advance)


def _pixel_signs(
    source: Source,
    files: list[SourceFile],
    settings: PlanSettings,
    start: Callable[[int, int], Executor],
) -> dict[str, bytes]:
    images = duplicates.images(files, settings)
    with progress("look for images of one size", len(images), "files") as shown:
        compared = duplicates.same_extent(source, images, settings, shown.advance)
    if not compared:
        return {}
    executor = start(len(compared), sum(file.size_bytes for file, _ in compared))
    with progress("compare pixels", len(compared), "images") as shown:
        return pixel_signs(source, compared, settings, executor, shown.advance)
