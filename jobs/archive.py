"""Archive a tree of images: `python -m seec.jobs.archive SRC DST`."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.messages import inform, warn
from seec.jobs.metrics import metrics_options
from seec.jobs.model_options import chosen_model, model_options, read_jpeg_model
from seec.jobs.options import (
    check_region,
    expect_option,
    name_option,
    parity_option,
    ray_options,
    region_options,
    segmentation_option,
    store_options,
)
from seec.jobs.places import check_apart, source_name
from seec.jobs.planning import RunOptions, check_segmentation, plan_run
from seec.jobs.progress import progress
from seec.pipeline.archive.archive import Archive
from seec.pipeline.archive.known_files import known_files
from seec.pipeline.archive.planning import quarantined_files
from seec.pipeline.archive.protection import keep_spares
from seec.pipeline.archive.runs import add_shard, missing_shards
from seec.pipeline.archive.sources import check_source
from seec.pipeline.codec import Model
from seec.pipeline.dct.packaged import models_for
from seec.pipeline.dct.weights import DctModel
from seec.pipeline.routes.region import check_region_source
from seec.pipeline.routes.writing import RunModels
from seec.pipeline.signing.signed import sign_head
from seec.pipeline.stages.archiving import ArchivingRun
from seec.pipeline.stages.devices import AUTO, CUDA, DEVICES
from seec.pipeline.stages.execution import execution, is_small
from seec.pipeline.stages.executor import Executor
from seec.pipeline.stages.run_models import models_of
from seec.pipeline.storage import Limits, Source, Store
from seec.schemas.archive import format_md
from seec.schemas.commit import RunRecord, SourceRecord
from seec.schemas.errors import BlobReplaced, SeecError, StorageError
from seec.schemas.limits import MAX_GROUP_ROWS, MAX_PIXELS
from seec.schemas.plan import DEDUPES, KEEP_FILE, KEEPS, MAX_SECONDS, PlanSettings
from seec.schemas.report import Timing, serialise_timings

_DEFAULTS = PlanSettings(model_id="")
JPEG_AUTO, JPEG_SEEC, JPEG_XL = JPEG_CODECS = ("auto", "seec", "jpegxl")


@dataclass(frozen=True)
class Settings:
    """What to archive, where to, and how; sizes in bytes, max_pixels in pixels.

    name: of a directory of the archive, below which the paths of this source are; '' puts them at
    the top. moved: whether the source of this name was elsewhere before. profile: of packaged
    weights; model: a file of weights. At most one; None is the default. roi, background_error: a
    segmentation source that finds regions of interest, and what may be lost outside of them, as in
    `seec.schemas.loss`; only with allow_lossy_background. expect: what the archive digest begins
    with before the run. follow_links, keep, max_seconds, dedupe: as in
    `seec.schemas.plan.PlanSettings`. jpeg: what codes JPEG files, one of JPEG_CODECS; JPEG_AUTO is
    JPEG_SEEC where that saves more than its model takes. jpeg_model: a file of a coefficient
    model, which then codes JPEG files instead of the profile's. parity_share: as in
    `PlanSettings`; None is that of the last shard. signing_key: see `seec sign`. device: of
    encoders, as in `seec.pipeline.stages.devices`.
    """

    source: str
    archive: str
    profile: str | None = None
    model: Path | None = None
    segmentation: str = _DEFAULTS.segmentation
    roi: str | None = None
    background_error: int | None = None
    allow_lossy_background: bool = False
    keep: str = _DEFAULTS.keep
    jpeg: str = JPEG_AUTO
    jpeg_model: Path | None = None
    max_pixels: int = _DEFAULTS.max_pixels
    max_file_size_bytes: int | None = _DEFAULTS.max_file_size_bytes
    max_seconds: int = _DEFAULTS.max_seconds
    shard_files: int = _DEFAULTS.shard_files
    shard_size_bytes: int = _DEFAULTS.shard_size_bytes
    piece_size_bytes: int = _DEFAULTS.piece_size_bytes
    retry_quarantine: bool = False
    check_content: bool = False
    dedupe: str = _DEFAULTS.dedupe
    prune_missing: bool = False
    new_plan: bool = False
    name: str = ""
    moved: bool = False
    follow_links: bool = False
    parity_share: int | None = None
    signing_key: Path | None = None
    expect: str | None = None
    device: str = AUTO
    ray_address: str | None = None
    cpus: int | None = None
    limits: Limits | None = None

    def run_options(self, model: Model, jpeg_models: Sequence[DctModel]) -> RunOptions:
        """What these settings ask of a new run that encodes with these models."""
        return RunOptions(
            plan=PlanSettings(
                model_id=model.id,
                segmentation=self.segmentation,
                max_pixels=self.max_pixels,
                max_file_size_bytes=self.max_file_size_bytes,
                shard_files=self.shard_files,
                shard_size_bytes=self.shard_size_bytes,
                piece_size_bytes=self.piece_size_bytes,
                region_source=self.roi,
                background_error=self.background_error,
                keep=self.keep,
                max_seconds=self.max_seconds,
                dedupe=self.dedupe,
                follow_links=self.follow_links,
            ),
            model=model,
            jpeg_models=jpeg_models,
            needs_jpeg_model=self.jpeg == JPEG_SEEC or self.jpeg_model is not None,
            retry_quarantine=self.retry_quarantine,
            check_content=self.check_content,
            prune_missing=self.prune_missing,
            moved=self.moved,
            parity_share=self.parity_share,
        )


@dataclass(frozen=True)
class ArchiveSummary:
    """What this invocation added, and what the archive holds now.

    files_removed: how many vanished from the source, and do not count any more. files_lossy: of
    those added, how many have a lossy background. shared_size_bytes: of source_size_bytes, what
    the archive held already. unread: what the archive does not give of what it holds, and why; such
    files were archived again if the source has them.
    """

    archive: str
    digest: str
    files_added: int
    files_removed: int
    files_lossy: int
    files_quarantined: int
    quarantined_now: int
    source_size_bytes: int
    blob_size_bytes: int
    shared_size_bytes: int
    seconds: float
    runs: list[str] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def exit_code(self) -> ExitCode:
        """DAMAGE if the archive has parts that cannot be read.

        Else INCOMPLETE while any file of the archive is in quarantine.
        """
        if self.unread:
            return ExitCode.DAMAGE
        return ExitCode.INCOMPLETE if self.quarantined_now else ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """All figures by name."""
        return dict(self.__dict__)

    def lines(self) -> Iterator[str]:
        """For people."""
        if self.runs:
            share = 100 * self.blob_size_bytes / max(1, self.source_size_bytes)
            yield (
                f"{self.files_added} files archived in {self.seconds:.0f} s: "
                f"{self.source_size_bytes:,} -> {self.blob_size_bytes:,} bytes ({share:.1f} %)"
            )
            if self.shared_size_bytes:
                yield (
                    f"{self.shared_size_bytes:,} of these bytes were in the archive already, and "
                    "are stored once"
                )
            if self.files_lossy:
                yield f"{self.files_lossy} of them have a lossy background: seec ls marks them"
        elif self.quarantined_now:
            yield "nothing new"
        else:
            yield "nothing new: every file of the source is in the archive"
        if self.files_removed:
            yield (
                f"{self.files_removed} files vanished from the source and do not count any more; "
                "seec ls --at shows them as of an earlier commit"
            )
        if self.quarantined_now:
            yield (
                f"{self.quarantined_now} files are in quarantine: seec ls --quarantine "
                f"{self.archive}; each run tries again those that could not be read, "
                "--retry-quarantine tries all"
            )
        if self.unread:
            yield (
                f"{len(self.unread)} parts of the archive cannot be read; what the source has of "
                f"them was archived again: seec verify {self.archive} tells what mends them"
            )
        yield f"archive digest {self.digest}"


def run(settings: Settings) -> ArchiveSummary:
    """Finish an interrupted run if there is one, then archive what is new.

    Raises StorageError, ArchiveLocked, FormatError, FixityError or ModelError; a file that fails
    is quarantined and does not raise.
    """
    start = time.monotonic()
    _check_loss(settings)
    model = chosen_model(settings.model, settings.profile)
    jpeg_models = _chosen_jpeg_models(settings)
    name = source_name(settings.name)
    source = Source(settings.source, settings.limits, name, settings.follow_links)
    store = Store(settings.archive, limits=settings.limits)
    check_apart("the archive", store, "the source", source.store)
    store.make_root(source.permissions)
    with Archive.writing(store, format_md() if settings.expect is None else None) as archive:
        if settings.expect is not None:
            archive.expect(settings.expect)
        return _archive(archive, source, settings, model, jpeg_models, start)


def _archive(
    archive: Archive,
    source: Source,
    settings: Settings,
    model: Model,
    jpeg_models: Sequence[DctModel],
    start: float,
) -> ArchiveSummary:
    timings: list[Timing] = []
    runs: list[str] = []
    interrupted = archive.state.open_run
    # A compaction that was interrupted has done its part: what is left of it can be given up.
    if interrupted and not interrupted.compaction and not settings.new_plan:
        given = models_of(archive, interrupted, (model, *jpeg_models))
        timings += _finish(archive, source, interrupted, settings, given)
        runs.append(interrupted.run_id)
    check_source(archive.state, source.record(), settings.moved)
    removed = _removed_files(archive)
    unread: dict[str, str] = {}

    def tell_unread(what: str, error: SeecError) -> None:
        if what not in unread:
            warn(f"{what} cannot be read, and are archived again if the source has them: {error}")
        unread[what] = str(error)

    with ExitStack() as held:

        def executor(files: int, size_bytes: int) -> Executor:
            small = is_small(files, size_bytes)
            return held.enter_context(execution(settings.ray_address, settings.cpus, small=small))

        options = settings.run_options(model, jpeg_models)
        planned = plan_run(archive, source, options, executor, tell_unread)
        if planned:
            models = models_of(archive, planned, (model, *jpeg_models))
            timings += _carry_out(archive, source, planned, settings, models)
            runs.append(planned.run_id)
    keep_spares(archive)
    if settings.signing_key is not None and archive.state.sequence:
        sign_head(archive.store, archive.state.sequence, archive.digest(), settings.signing_key)
    return ArchiveSummary(
        archive=archive.store.url,
        digest=archive.digest(),
        files_added=sum(timing.files for timing in timings),
        files_removed=_removed_files(archive) - removed,
        files_lossy=sum(_lossy_files(archive, run_id, timings) for run_id in runs),
        files_quarantined=sum(timing.quarantined for timing in timings),
        quarantined_now=len(quarantined_files(archive, tell_unread)),
        source_size_bytes=sum(timing.source_size_bytes for timing in timings),
        blob_size_bytes=sum(timing.blob_size_bytes for timing in timings),
        shared_size_bytes=sum(timing.shared_size_bytes for timing in timings),
        seconds=round(time.monotonic() - start, 3),
        runs=runs,
        unread=unread,
    )


def _finish(
    archive: Archive,
    source: Source,
    interrupted: RunRecord,
    settings: Settings,
    models: RunModels,
) -> list[Timing]:
    """Archive what an interrupted run has left, as it was planned."""
    _check_source(interrupted, source.record())
    plan = archive.plan(interrupted).settings
    check_segmentation(plan, models.pixels)
    return _carry_out(archive, source.following(plan.follow_links), interrupted, settings, models)


def _chosen_jpeg_models(settings: Settings) -> Sequence[DctModel]:
    """The models that may code JPEG files; none where JPEG XL does."""
    if settings.jpeg_model is None:
        return () if settings.jpeg == JPEG_XL else models_for(settings.profile)
    if settings.jpeg == JPEG_XL:
        raise click.UsageError("--jpeg jpegxl uses no model: leave out --jpeg-model")
    return (read_jpeg_model(settings.jpeg_model),)


def _check_loss(settings: Settings) -> None:
    """An archive promises that nothing is lost: to break that takes more than a region."""
    check_region(settings.roi, settings.background_error)
    if settings.roi is None:
        return
    if settings.keep == KEEP_FILE:
        raise click.UsageError(
            "--keep file keeps every byte, and --roi loses some: use only one of them"
        )
    if not settings.allow_lossy_background:
        raise click.UsageError(
            "--roi and --background-error change pixels outside the region: add "
            "--allow-lossy-background to permit this"
        )
    try:
        check_region_source(settings.roi)
    except ValueError as error:
        raise click.UsageError(f"--roi: {error}") from None


def _lossy_files(archive: Archive, run_id: str, timings: list[Timing]) -> int:
    """How many files of a run's shards among these have a lossy background."""
    if archive.plan(archive.state.runs[run_id]).settings.background_error is None:
        return 0
    written = {timing.shard for timing in timings}
    shards = [shard for shard in archive.state.shards_of(run_id) if shard.shard in written]
    return sum(row.background_error is not None for s in shards for row in archive.rows(s))


def _check_source(interrupted: RunRecord, source: SourceRecord) -> None:
    if interrupted.source != source:
        name = interrupted.source.name
        raise StorageError(
            f"an interrupted run still reads from {interrupted.source}: archive that again"
            f"{name and f' (--as {name})'} to finish it, or give it up with --new-plan"
        )


def _removed_files(archive: Archive) -> int:
    """How many archived files were removed so far."""
    return sum(r.files for r in archive.state.removals if not r.quarantine_only)


def _carry_out(
    archive: Archive, source: Source, record: RunRecord, settings: Settings, models: RunModels
) -> list[Timing]:
    """Archive the shards of a run that do not count yet; each counts as soon as it is whole."""
    plan = archive.plan(record)
    missing = missing_shards(archive, record)
    payloads = {model.id: model.payload for model in models if model is not None}
    timings: list[Timing] = []
    first = archive.state.sequence + 1
    files = sum(plan.counts[i] for i in missing)
    # Without Ray nobody knows of GPUs.
    small = (
        settings.device != CUDA
        and is_small(files, 0)
        and is_small(files, sum(file.planned_bytes for i in missing for file in plan.shard(i)))
    )
    with (
        progress("archive", files, "files") as shown,
        execution(
            settings.ray_address,
            settings.cpus,
            small=small,
            shard_bytes=plan.settings.shard_size_bytes,
        ) as executor,
    ):

        def work(indices: list[int]) -> ArchivingRun:
            return ArchivingRun(
                archive.store,
                source,
                record,
                plan,
                executor,
                models,
                on_files=shown.advance,
                device=settings.device,
                on_choice=inform,
                known=known_files(archive, record.run_id, plan, indices),
            )

        while missing:
            with suppress(BlobReplaced), closing(work(missing).shards(missing)) as made:
                for shard, timing in made:
                    add_shard(archive, shard, payloads)
                    timings.append(timing)
                break
            warn("a repair replaced what files of this run share: what is not committed is redone")
            missing = missing_shards(archive, record)
    report = f"reports/{record.run_id}/timing-{first:010d}.parquet"
    archive.store.put_same(report, serialise_timings(timings))
    return timings


@command(
    "archive",
    examples=[
        "seec archive photos/ photos.seec-archive",
        "seec archive photos/ photos.seec-archive --profile fast",
        "seec archive photos/ photos.seec-archive --keep file",
        "seec archive /media/card2 photos.seec-archive --as card2",
        "seec archive photos/ photos.seec-archive --dedupe pixels",
        "seec archive hub/snapshots snapshots.seec-archive --follow-links",
        "seec archive s3://bucket/photos s3://bucket/archive --ray-address auto",
        "seec archive s3://photos s3://vault/archive --stores stores.toml",
    ],
)
@click.argument("source")
@click.argument("archive")
@name_option("Put the files of SOURCE below this directory of ARCHIVE, beside other sources.")
@click.option(
    "--moved",
    is_flag=True,
    help="SOURCE is the source that ARCHIVE has already, and was at another place before.",
)
@parity_option
@click.option(
    "--signing-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Sign the archive digest after the run with this private key, as seec sign --key does.",
)
@click.option(
    "--follow-links",
    is_flag=True,
    help="Archive the files and directories that symbolic links of SOURCE lead to, in place of the "
    "links. Links that lead to nothing, or to a directory that holds them, stay links. Give this "
    "option in each run: without the option, a later run archives the links themselves again.",
)
@model_options
@segmentation_option(default=_DEFAULTS.segmentation)
@region_options(
    "SOURCE", "Segmentation source that finds regions of interest. These stay lossless."
)
@click.option(
    "--allow-lossy-background",
    is_flag=True,
    help="Permit the loss that --roi and --background-error ask for. seec ls marks these files.",
)
@click.option(
    "--keep",
    type=click.Choice(KEEPS),
    default=_DEFAULTS.keep,
    help="pixels: restored images have the same pixels and metadata. file: restored files have "
    "the same bytes; images of formats other than PNG that would not are stored unencoded, and so "
    "are the few PNG files whose compression cannot be reproduced.",
)
@click.option(
    "--jpeg",
    type=click.Choice(JPEG_CODECS),
    default=JPEG_AUTO,
    help="What codes JPEG files. seec: smallest, with a model that the archive then holds. jpegxl: "
    "larger, and several times faster. auto: seec if SOURCE has so many JPEG files, or images that "
    "were decoded from JPEG, that it saves more than its model takes. JPEG files come back byte "
    "for byte in each case.",
)
@click.option(
    "--jpeg-model",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Your own coefficient model for JPEG files, from seec train --jpeg.",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(min=0, max=MAX_PIXELS),
    default=_DEFAULTS.max_pixels,
    help="Store images with more pixels byte for byte, without decoding them.",
)
@click.option(
    "--max-file-size-bytes",
    type=click.IntRange(min=1),
    default=_DEFAULTS.max_file_size_bytes,
    help="Put larger files into quarantine. Without this option no file is too large.",
)
@click.option(
    "--max-seconds",
    type=click.IntRange(min=1, max=MAX_SECONDS),
    default=_DEFAULTS.max_seconds,
    help="Store files that take longer to decode or transcode byte for byte.",
)
@click.option(
    "--shard-files",
    type=click.IntRange(min=1, max=MAX_GROUP_ROWS),
    default=_DEFAULTS.shard_files,
    help="Maximum number of files in a shard.",
)
@click.option(
    "--shard-size-bytes",
    type=click.IntRange(min=1),
    default=_DEFAULTS.shard_size_bytes,
    help="Maximum number of source bytes in a shard. A larger file has a shard to itself.",
)
@click.option(
    "--piece-size-bytes",
    type=click.IntRange(min=1 << 16, max=1 << 30),
    default=_DEFAULTS.piece_size_bytes,
    help="Cut larger files that are no images, such as tars, in pieces of about this size.",
)
@click.option(
    "--dedupe",
    type=click.Choice(DEDUPES),
    default=_DEFAULTS.dedupe,
    help="source: store equal files of SOURCE, and of earlier runs, once. pixels: also store "
    "images of this run with equal pixels once, whatever their formats; to find these, archive "
    "decodes all images that share width and height with another one. shard: store equal files "
    "once if they happen to be in one shard.",
)
@click.option(
    "--retry-quarantine",
    is_flag=True,
    help="Try again all files in quarantine. Without this option, archive tries those again that "
    "changed or could not be read.",
)
@click.option(
    "--check-content",
    is_flag=True,
    help="Read files whose size and time are unchanged, too, and compare their digests.",
)
@click.option(
    "--prune-missing",
    is_flag=True,
    help="Remove files that have vanished from SOURCE. Earlier commits still show them.",
)
@click.option(
    "--new-plan", is_flag=True, help="Discard the plan of an interrupted run and make a new plan."
)
@expect_option
@click.option(
    "--device",
    type=click.Choice(DEVICES),
    default=AUTO,
    help="Where images are encoded; the bytes are the same. auto: on GPUs and CPUs where a "
    "measurement of about a second says that a GPU is faster than a CPU, else on CPUs.",
)
@ray_options
@store_options
@metrics_options("archive")
def main(**options: Any) -> ArchiveSummary:
    """Archive all files below SOURCE into ARCHIVE.

    SOURCE and ARCHIVE are paths or URLs (s3://, gs:// and others that fsspec knows). After an
    interruption, run the same command to finish. Run the command again at any time to add new and
    changed files.

    ARCHIVE contains the weights that decode its files. --profile and --model choose the weights for
    new files. An interrupted run continues with the weights of its plan: if these are your own,
    give them again. `seec bench` measures the profiles on your images.

    archive compares a file with the file of the same source only. A second source needs a name of
    its own, by --as, in this and in all later runs.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
