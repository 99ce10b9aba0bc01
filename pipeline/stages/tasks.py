"""The stages themselves: read and decode, segment, encode, write."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from seec.pipeline.archive.known_files import KnownFiles
from seec.pipeline.archive.shard import code_of, name_again, share_codes
from seec.pipeline.codec import Background, Encoder, load_model
from seec.pipeline.dct.weights import load_model as load_jpeg_model
from seec.pipeline.images.raster import Pixels
from seec.pipeline.routes.region import background_of
from seec.pipeline.routes.writing import (
    Draft,
    RunModels,
    Small,
    draft,
    draft_stored,
    held_bytes,
    settle,
    settle_stack,
    settle_stored,
    small,
    stack_encoder,
    stack_of,
    work_of,
)
from seec.pipeline.routes.writing.draft import entry
from seec.pipeline.segmentation import LabelMap, RateSegmenter, label_image, make_segmenter
from seec.pipeline.stages.apart import candidate_of, draft_apart, hurried
from seec.pipeline.stages.batch import Batch, longest_bytes
from seec.pipeline.stages.deduplication import Deduplication
from seec.pipeline.stages.executor import TASK_CPUS, Task
from seec.pipeline.stages.pieces import InSource, draft_whole, place_of, read_piece
from seec.pipeline.stages.process import give_memory_back
from seec.pipeline.storage import Source, Store
from seec.schemas.commit import ShardRecord
from seec.schemas.errors import (
    LimitExceeded,
    SeecError,
    SourceError,
    StoreUnavailable,
    UnreadableMask,
)
from seec.schemas.kinds import FILE
from seec.schemas.plan import DEDUPE_PIXELS, PlanSettings, SourceFile
from seec.schemas.quarantine import QuarantineRow
from seec.schemas.routes import SEEC
from seec.schemas.rows import Entry

# Of a model; what Ray sends with a message may have 100 KiB.
_PIECE_BYTES = 64 << 10

Finish = Callable[[Store, str, list[Entry], Sequence[QuarantineRow], int], ShardRecord]


@dataclass
class ReadReport:
    """What the driver must know of a batch that was read.

    deferred: files, with their pixels, that would have passed a limit of pixels. alone: a batch for
    each file that takes more memory than this one may. digests: of the pixels of those that are one
    picture. small: what may go in stacks. shared_bytes: of files that share payloads of earlier
    runs. encoded: how many drafts are for the encoder. held_bytes: that drafts and entries take.
    """

    failed: list[QuarantineRow] = field(default_factory=list)
    deferred: list[tuple[SourceFile, int]] = field(default_factory=list)
    alone: list[Batch] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    small: list[Small] = field(default_factory=list)
    shared_bytes: int = 0
    encoded: int = 0
    held_bytes: int = 0
    read_s: float = 0.0


@dataclass(frozen=True)
class Segmented:
    """Label maps of a batch's labelled drafts, in their order, or why there is none.

    backgrounds: what may be lost of each. proposes: labels name regions, and the encoder
    picks the entropy model of each.
    """

    labels: list[LabelMap | UnreadableMask | None]
    backgrounds: list[Background | None]
    proposes: bool


def needs_segmenter(settings: PlanSettings) -> bool:
    """Whether anyone but the encoder has to look at the images."""
    return settings.segmentation != RateSegmenter.name or settings.region_source is not None


def quarantined(file: SourceFile, run_id: str, error: SeecError) -> QuarantineRow:
    """The quarantine row of a file that raised `error`."""
    # The path is in the row; a message that repeats it would tie the bytes to where it was read.
    reason = str(error).rpartition(": ")[2]
    return QuarantineRow(
        file.path, file.size_bytes, file.mtime_ns, type(error).__name__, reason, run_id
    )


def read_batch(
    store: Store,
    source: Source,
    batch: Batch,
    suspect: bool,
    run_id: str,
    settings: PlanSettings,
    known: KnownFiles | None = None,
) -> tuple[ReadReport, list[Draft], list[Draft], list[Entry]]:
    """Read files and look into them. Returns the report, and a draft or an entry per file read.

    Drafts are for the encoder: large images, and small ones. Entries are of files that are stored.
    store: of the archive, where the pieces of files are. suspect: whether the batch may be what
    took a worker down; then each file is decoded apart. known: files of earlier runs, whose
    payloads files may share.
    """
    begun = time.perf_counter()
    report = ReadReport()
    drafts: list[Draft] = []
    look = _Looking(batch, suspect, source, settings, report, Deduplication(store, known))
    for file in batch.files:
        try:
            found = _read(store, source, file, batch, run_id, settings)
            made = look.into(file, *found) if isinstance(found, tuple) else found
        except StoreUnavailable:
            raise
        except SeecError as error:
            if file.piece is None:  # else the file as a whole cannot be archived, and says why
                report.failed.append(quarantined(file, run_id, error))
            continue
        if isinstance(made, Batch):
            report.alone.append(made)
        elif made is not None:
            drafts.append(made)
    sorted_out = _sorted_out(drafts, report, settings)
    give_memory_back()
    report.read_s = time.perf_counter() - begun
    return report, *sorted_out


@dataclass
class _Looking:
    """Looks into the files of a batch, one after the other. used: pixels that were decoded."""

    batch: Batch
    suspect: bool
    source: Source
    settings: PlanSettings
    report: ReadReport
    deduplication: Deduplication
    used: int = 0

    def into(self, file: SourceFile, start: int, data: bytes) -> Draft | None:
        """The draft of a file, or None if there is no room for it; then the report says so."""
        if not self.batch.decode:
            return draft_stored(file, data, "could not be encoded", start)
        shared = self.deduplication.draft(file, start, data)
        if shared is not None:
            return shared
        made = self._drafted(file, start, data)
        return made and self.deduplication.instead(file, made)

    def _drafted(self, file: SourceFile, start: int, data: bytes) -> Draft | None:
        batch, settings = self.batch, self.settings
        ranges = None if file.piece is None else InSource(self.source, file)
        if self.suspect:
            return draft_apart(file, data, settings, start, ranges)
        with hurried(settings.max_seconds):
            candidate = candidate_of(file, data, settings, start, ranges)
            pixels, passing_bytes = work_of(candidate)
            if pixels <= settings.max_pixels and passing_bytes > batch.passing_bytes:
                place = None if file.piece is None else (start, start + len(data))
                self.report.alone.append(Batch((file,), pixels, True, passing_bytes, place))
                return None
            over = self.used + min(pixels, settings.max_pixels) > batch.pixels
            if len(batch.files) > 1 and over:
                self.report.deferred.append((file, pixels))
                return None
            made = draft(candidate)
        self.used += pixels if made.coded is not None else 0
        return made


def _sorted_out(
    drafts: Sequence[Draft], report: ReadReport, settings: PlanSettings
) -> tuple[list[Draft], list[Draft], list[Entry]]:
    """Drafts of large images and of small ones, and the entries of others; the report of them."""
    # Where others look at each image, each is coded by itself.
    facts = [None if needs_segmenter(settings) else small(made) for made in drafts]
    apart = [made for made, known in zip(drafts, facts, strict=True) if known is not None]
    others = [made for made, known in zip(drafts, facts, strict=True) if known is None]
    large = [made for made in others if made.coded is not None]
    stored = [settle_stored(made) for made in others if made.coded is None]
    report.small = [known for known in facts if known is not None]
    shared = (made.row for made in others if made.referenced is not None)
    report.shared_bytes = sum(row.source_size_bytes for row in shared)
    report.digests = [made.picture_digest for made in large if made.picture_digest]
    report.encoded = len(large)
    report.held_bytes = sum(map(held_bytes, drafts))
    return large, apart, stored


def _read(
    store: Store,
    source: Source,
    file: SourceFile,
    batch: Batch,
    run_id: str,
    settings: PlanSettings,
) -> tuple[int, bytes] | Draft | Batch:
    """Where in its file it begins, which is 0 but for pieces, and the bytes.

    The draft of what is not looked into: links, directories, and files whose pieces are there. A
    batch for a piece that is longer than what there is room for.
    """
    if file.problem is not None:
        raise SourceError(file.problem)
    if file.is_whole:
        return draft_whole(store, run_id, source, file)
    if file.kind != FILE:
        return draft_stored(file, source.read(file), None)
    limit = settings.max_file_size_bytes
    if limit is not None and file.size_bytes > limit:
        raise LimitExceeded(f"larger than the limit of {limit} bytes")
    if file.piece is None:
        return 0, source.read(file)
    place = batch.place or place_of(source, file, settings.piece_size_bytes)
    if batch.place is None and place[1] - place[0] > longest_bytes(file):
        return replace(batch, files=(file,), place=place)
    return read_piece(source, file, place)


class Segmentation:
    """Labels images, and finds what is of interest in them; the sources are made once."""

    def __init__(self, settings: PlanSettings, entropy_models: int, device: str) -> None:
        self._segmenter, self._entropy_models = (
            make_segmenter(settings.segmentation, device),
            entropy_models,
        )
        source = settings.region_source
        self._finder = None if source is None else make_segmenter(source, device)
        self._background_error = settings.background_error

    def segment(
        self, drafts: Sequence[Draft]
    ) -> tuple[Segmented, dict[str, UnreadableMask], float]:
        """Label maps of labelled drafts, which paths have none and why, and seconds taken."""
        start = time.perf_counter()
        labels: list[LabelMap | UnreadableMask | None] = []
        backgrounds: list[Background | None] = []
        refused: dict[str, UnreadableMask] = {}
        for made in drafts:
            if not made.labelled:
                continue
            path, (image,) = made.row.path, made.pictures
            try:
                background = self._background(image, path)
                labels.append(label_image(self._segmenter, image, path, self._entropy_models))
            except UnreadableMask as error:
                refused[path] = error
                background = None
                labels.append(error)
            backgrounds.append(background)
        segmented = Segmented(labels, backgrounds, self._segmenter.proposes)
        return segmented, refused, time.perf_counter() - start

    def _background(self, image: Pixels, path: str) -> Background | None:
        if self._finder is None or self._background_error is None:
            return None
        return background_of(self._finder, image, path, self._background_error)


def in_pieces(models: RunModels) -> tuple[int, *tuple[bytes, ...]]:
    """The arguments of `Encoding` after the device.

    Ray sends small arguments with the message that starts an actor, and keeps them for a restart.
    Large ones would go through its object store, and may be lost before.
    """
    payloads = [models.pixels.payload, b"" if models.jpeg is None else models.jpeg.payload]
    pixels, jpeg = (
        [data[start : start + _PIECE_BYTES] for start in range(0, len(data), _PIECE_BYTES)]
        for data in payloads
    )
    return len(pixels), *pixels, *jpeg


class Encoding:
    """Encodes images; the models are loaded once, from the pieces that `in_pieces` makes."""

    def __init__(self, device: str, count: int, *pieces: bytes) -> None:
        """count: of the pieces that are of the model of pixels; the others are of that of JPEG."""
        jpeg = b"".join(pieces[count:])
        self._models = RunModels(
            load_model(b"".join(pieces[:count])), load_jpeg_model(jpeg) if jpeg else None
        )
        self._encoder = Encoder(self._models.pixels, device)
        self._stacks = stack_encoder(self._models.pixels, device)

    def encode(
        self,
        drafts: Sequence[Draft],
        segmented: Segmented | None,
        *others: list[Entry],
    ) -> tuple[list[Entry], float]:
        """Entries in the order of the drafts, and seconds taken; none where there is no label map.

        segmented: of the labelled drafts; None where `needs_segmenter` says no. Then a code
        follows from pixels alone, and what others, entries of this shard, have of these pictures is
        not encoded again.
        """
        start = time.perf_counter()
        wanted = list(_with_pictures(drafts, segmented))
        pictures = [picture for _, part in wanted for picture in part]
        known = {} if segmented else _known_codes(others)
        regions = segmented is not None and segmented.proposes
        codes = iter(self._codes(pictures, known, regions))
        entries = [settle(made, [next(codes) for _ in part], self._models) for made, part in wanted]
        return entries, time.perf_counter() - start

    def stack(self, paths: Sequence[str], *small: list[Draft]) -> tuple[list[Entry], float]:
        """Entries of small images as one stack, and seconds taken.

        paths: of the images, which are all among the drafts.
        """
        start = time.perf_counter()
        stack = stack_of(_among(paths, small))
        codes = self._stacks.encode_batch(stack.pictures, [None] * len(stack.pictures))
        return settle_stack(stack, codes, self._models), time.perf_counter() - start

    def _codes(
        self, pictures: Sequence["_Picture"], known: Mapping[bytes, bytes], regions: bool
    ) -> list[bytes]:
        """Codes of pictures; those of the same pixels, known or not, are encoded once."""
        new: dict[bytes | int, _Picture] = {}
        keys = [picture.digest or index for index, picture in enumerate(pictures)]
        for key, picture in zip(keys, pictures, strict=True):
            if key not in known:
                new.setdefault(key, picture)
        codes: dict[bytes | int, bytes] = {**known}
        for encoder, stacked in ((self._encoder, False), (self._stacks, True)):
            some = {key: one for key, one in new.items() if one.stacked == stacked}
            made = encoder.encode_batch(
                [picture.pixels for picture in some.values()],
                [picture.labels for picture in some.values()],
                [picture.background for picture in some.values()],
                regions=regions and not stacked,
            )
            codes |= zip(some, made, strict=True)
        return [codes[key] for key in keys]


def store_small(paths: Sequence[str], *small: list[Draft]) -> list[Entry]:
    """Entries of small images as they are; arguments as of `Encoding.stack`."""
    return [
        entry(replace(made.row, reason="could not be encoded"), made.payload)
        for made in _among(paths, small)
    ]


def _among(paths: Sequence[str], small: Sequence[list[Draft]]) -> list[Draft]:
    drafts = {made.row.path: made for part in small for made in part}
    return [drafts[path] for path in paths]


@dataclass(frozen=True)
class _Picture:
    """What is encoded by itself. digest: of its pixels, where its code follows from them alone.

    stacked: whether it is a stack of small images.
    """

    pixels: Pixels
    labels: LabelMap | None = None
    background: Background | None = None
    digest: bytes | None = None
    stacked: bool = False


def _with_pictures(
    drafts: Iterable[Draft], segmented: Segmented | None
) -> Iterator[tuple[Draft, list[_Picture]]]:
    """Drafts with their pictures, but for those that there is no label map of."""
    labelling = iter(zip(segmented.labels, segmented.backgrounds, strict=True) if segmented else ())
    for made in drafts:
        if not made.labelled:
            yield made, [_Picture(one, stacked=stacked) for one, stacked in made.with_encoders]
        elif segmented is None:
            yield made, [_Picture(pixels, digest=made.picture_digest) for pixels in made.pictures]
        else:
            labels, background = next(labelling)
            if not isinstance(labels, UnreadableMask):
                yield made, [_Picture(pixels, labels, background) for pixels in made.pictures]


def _known_codes(others: Iterable[list[Entry]]) -> dict[bytes, bytes]:
    """By pixel digest, the payloads of entries that are a `.seec` file."""
    entries = (entry for part in others for entry in part)
    return {
        e.row.samples.digest: code_of(e)
        for e in entries
        if e.row.samples and e.row.route == SEEC and e.referenced is None
    }


def write(
    store: Store,
    shard: str,
    failed: Sequence[QuarantineRow],
    names: Sequence[SourceFile],
    finish: Finish,
    settings: PlanSettings,
    *entries: list[Entry],
) -> tuple[ShardRecord, float]:
    """Write a shard from the entries of its batches. Returns its record, and seconds taken.

    On Ray, payloads stay where encoders put them, in shared memory, until they are written.
    names: further ones of its files.
    """
    start = time.perf_counter()
    settled = [entry for part in entries for entry in part]
    if settings.dedupe == DEDUPE_PIXELS:
        settled = share_codes(settled)
    named, unnamed = name_again(names, settled, failed)
    record = finish(store, shard, settled + named, [*failed, *unnamed], settings.parity_share)
    del settled, named
    give_memory_back()
    return record, time.perf_counter() - start


STORE_SMALL = Task(store_small, cpus=TASK_CPUS)
READ = Task(read_batch, cpus=TASK_CPUS, returns=4)
WRITE = Task(write, cpus=TASK_CPUS, returns=2)
