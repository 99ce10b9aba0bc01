"""Describe a `.seec` or JPEG file or an archive: `python -m seec.jobs.info FILE-or-ARCHIVE`."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

import click

from seec.jobs import files
from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.options import access_option
from seec.jobs.summary import figures
from seec.pipeline.archive.archive import Archive
from seec.pipeline.codec import Info, inspect, packaged_name
from seec.pipeline.dct.inspection import JpegInfo, Quality, inspect_file
from seec.pipeline.dct.packaged import packaged_name as packaged_jpeg_name
from seec.pipeline.images import jpeg
from seec.pipeline.storage import Store
from seec.schemas.archive import model_name
from seec.schemas.commit import SourceRecord
from seec.schemas.errors import FormatError
from seec.schemas.loss import SKIP, describe


@dataclass(frozen=True)
class FileSummary:
    """A `.seec` file."""

    target: str
    info: Info
    exit_code: int = ExitCode.OK

    @property
    def model(self) -> str | None:
        """The name of its weights, which begins with their profile; None if not packaged."""
        return packaged_name(bytes.fromhex(self.info.model_id))

    @property
    def background_error(self) -> int | None:
        """As in `seec.schemas.loss`: None where nothing is lost."""
        return None if self.info.lossless else self.info.background_error or SKIP

    def as_dict(self) -> dict[str, Any]:
        """All that `inspect` tells; sections in file order.

        model: the name of packaged weights, else null. background_error: null where nothing is
        lost, 0 where nothing was coded.
        """
        return {
            **asdict(self.info),
            "target": self.target,
            "kind": "seec",
            "model": self.model,
            "pixel_digest": self.info.pixel_digest.hex(),
            "background_error": self.background_error,
            "sections": [{"name": n, "size_bytes": s} for n, s in self.info.sections],
        }

    def lines(self) -> Iterator[str]:
        """Figures, then the sections by kind."""
        info = self.info
        yield f"{self.target}: one image"
        yield f"  size          {info.width} x {info.height}, {_COLOURS[info.channels]}"
        yield f"  coded         {info.size_bytes:,} bytes, {info.rate_bpsp:.3f} bpsp"
        lost = self.background_error
        yield f"  lossless      {'yes' if lost is None else f'no, {describe(lost)}'}"
        yield f"  tiles         {info.tile_size} x {info.tile_size}, {info.tiles_per_group} a group"
        yield f"  label blocks  {info.block_size} x {info.block_size}"
        yield f"  model         {self.model or 'not packaged'} ({info.model_id}...)"
        yield f"  pixel digest  {info.pixel_digest.hex()}"
        for name in dict.fromkeys(name for name, _ in info.sections):
            sizes = [size for other, size in info.sections if other == name]
            yield f"  {len(sizes)} x {name}: {sum(sizes):,} bytes"


_COLOURS = {1: "gray", 3: "RGB"}


@dataclass(frozen=True)
class JpegSummary:
    """A JPEG file."""

    target: str
    info: JpegInfo
    exit_code: int = ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """All that `inspect_file` tells; of a frame that is not read, null."""
        info, frame = self.info, self.info.frame
        return {
            "target": self.target,
            "kind": "jpeg",
            "size_bytes": info.size_bytes,
            "width": frame and frame.width,
            "height": frame and frame.height,
            "components": frame and len(frame.components),
            "sampling": info.sampling,
            "progressive": frame and frame.progressive,
            "luma_quality": info.luma and asdict(info.luma),
            "chroma_quality": info.chroma and asdict(info.chroma),
            "within": [asdict(picture) for picture in info.within],
            "codable": info.refusal is None,
            "refusal": info.refusal,
        }

    def lines(self) -> Iterator[str]:
        """Figures, then the pictures within."""
        info = self.info
        yield f"{self.target}: JPEG file"
        yield f"  bytes         {info.size_bytes:,}"
        if info.frame is not None:
            kind = "progressive" if info.frame.progressive else "sequential"
            yield f"  frame         {info.frame.width} x {info.frame.height}, {kind}"
            yield f"  sampling      {info.sampling}"
        for name, quality in (("luma", info.luma), ("chroma", info.chroma)):
            if quality is not None:
                yield f"  {name:<13} {_described(quality)}"
        for picture in info.within:
            size = f"{picture.width} x {picture.height}"
            yield f"  within        {size}, from byte {picture.position:,}"
        yield f"  coefficients  {_codable(info.refusal)}"


def _described(quality: Quality) -> str:
    return f"{'quality' if quality.exact else 'other tables, about quality'} {quality.quality}"


def _codable(refusal: str | None) -> str:
    if refusal is None:
        return "can be coded"
    return f"cannot be coded: {refusal}; seec archive uses JPEG XL or stores the file"


@dataclass(frozen=True)
class ArchiveSummary:
    """An archive, as its commits describe it; sizes in bytes."""

    target: str
    digest: str
    commits: int
    runs: int
    unfinished_run: str | None
    shards: int
    files: int
    files_quarantined: int
    source_size_bytes: int
    blob_size_bytes: int
    models: tuple[str, ...]
    sources: tuple[SourceRecord, ...]
    exit_code: int = ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """All figures by name."""
        return {"kind": "archive"} | figures(self)

    def lines(self) -> Iterator[str]:
        """For people."""
        share = self.blob_size_bytes / max(1, self.source_size_bytes)
        yield f"{self.target}: archive, {self.commits} commits, {self.runs} runs"
        yield f"  files       {self.files:,} in {self.shards:,} shards"
        if self.files_quarantined:
            listing = f"seec ls --quarantine {self.target}"
            yield f"  quarantine  {self.files_quarantined:,} files: {listing}"
        sizes = f"{self.source_size_bytes:,} -> {self.blob_size_bytes:,} bytes ({share:.1%})"
        yield f"  bytes       {sizes}"
        for source in self.sources:
            yield f"  source      {source}" + (f" (--as {source.name})" if source.name else "")
        for model in self.models:
            yield f"  model       {_describe_model(model)}"
        yield f"  digest      {self.digest}"
        if self.unfinished_run:
            yield f"  run {self.unfinished_run} is not finished; archive the same source again"


def _describe_model(path: str) -> str:
    """The path of a model in an archive, and its name if the package has it, too."""
    short_id = bytes.fromhex(PurePosixPath(path).stem)[:8]
    name, jpeg_name = packaged_name(short_id), packaged_jpeg_name(short_id)
    if jpeg_name is not None:
        name = f"{jpeg_name}, of JPEG files"
    return f"{path} ({name})" if name else path


def run(target: str) -> FileSummary | JpegSummary | ArchiveSummary:
    """Describe what is there. Raises NotAnArchive, FormatError, FixityError or StorageError."""
    if files.exists(target):
        return _describe_file(target)
    return _describe_archive(target)


def _describe_file(target: str) -> FileSummary | JpegSummary:
    data = files.read(target)
    if jpeg.matches(data):
        return JpegSummary(target, inspect_file(data))
    try:
        return FileSummary(target, inspect(data))
    except FormatError as error:
        raise type(error)(f"{target}: {error}") from None


def _describe_archive(target: str) -> ArchiveSummary:
    archive = Archive.open(Store(target))
    state = archive.state
    shards = list(state.in_order())
    return ArchiveSummary(
        target=archive.store.url,
        digest=archive.digest(),
        commits=state.sequence,
        runs=len(state.runs),
        unfinished_run=state.open_run.run_id if state.open_run else None,
        shards=len(shards),
        files=sum(shard.files for shard in shards),
        files_quarantined=sum(shard.quarantined for shard in shards),
        source_size_bytes=sum(shard.source_size_bytes for shard in shards),
        blob_size_bytes=sum(shard.blob.size_bytes for shard in shards),
        models=tuple(model_name(model_id) for model_id in sorted(state.models)),
        sources=tuple(state.sources.values()),
    )


@command(
    "info",
    examples=[
        "seec info photo.seec",
        "seec info photo.jpg",
        "seec info s3://bucket/archive --json",
    ],
)
@click.argument("target", metavar="FILE-or-ARCHIVE")
@access_option
def main(target: str) -> FileSummary | JpegSummary | ArchiveSummary:
    """Describe a .seec file, a JPEG file or an archive. No pixels are decoded.

    Of a JPEG file: frame, sampling, the quality whose tables are nearest, pictures within (such as
    thumbnails), and whether seec archive can code its coefficients.
    """
    return run(target)


if __name__ == "__main__":
    main()
