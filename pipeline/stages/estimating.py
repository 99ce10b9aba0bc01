"""What archiving would make of files: a sample is chosen, coded for trial, and scaled up.

Files are put into strata by kind (the ending of their names) and size (by factors of four). In each
stratum coded bytes grow with source bytes, so the total follows from the ratio of the sample and
from the bytes of the whole stratum, which the listing has. (Cochran, Sampling Techniques, 1977,
chapter 6: separate ratio estimator.) Of large files that hold others, slices take the place of
files: see `pipeline.stages.slices`.
"""

import math
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from seec.pipeline.codec import Encoder, Model
from seec.pipeline.routes.writing import (
    Draft,
    RunModels,
    Small,
    cut_stacks,
    draft,
    draft_stored,
    encoded,
    settle,
    settle_stack,
    small,
    stack_encoder,
    stack_of,
    work_of,
)
from seec.pipeline.stages.apart import candidate_of, hurried
from seec.pipeline.stages.once_jpeg import LOOKED_AT, decoded_share, is_candidate
from seec.pipeline.stages.slices import Slice, is_container, shown
from seec.pipeline.storage import Source
from seec.schemas.errors import SeecError, SourceError, StoreUnavailable
from seec.schemas.kinds import FILE
from seec.schemas.plan import PlanSettings, SourceFile

Z95 = 1.96
# In a stratum with fewer sampled files their spread says little.
LEAST = 3
# Of what images of a stack take, by which others they are with: twice the most that was seen.
_STACK_ERROR = 0.02
QUARANTINED = "quarantine"


@dataclass(frozen=True)
class Stratum:
    """Files, or slices, of one kind and size: all of them, and those that are coded for trial."""

    kind: str
    files: tuple[SourceFile, ...]
    sample: tuple[SourceFile, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of all its files."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True)
class Trial:
    """What became of a file, or of a slice.

    source_bytes: what was coded of it. cpu_s: seconds of one core. passing_bytes: memory to look
    into it. stacked: whether it is coded with others, of which the sample has some only.
    """

    file: SourceFile
    source_bytes: int
    route: str
    stored_bytes: int
    cpu_s: float
    passing_bytes: int
    stacked: bool = False


@dataclass(frozen=True)
class Amount:
    """A total, and half the width of its confidence interval of 95 %."""

    value: float
    error: float = 0.0

    @property
    def low(self) -> float:
        """The lower end of the interval; no total is below 0."""
        return max(0.0, self.value - self.error)

    @property
    def high(self) -> float:
        """The upper end of the interval."""
        return self.value + self.error


@dataclass
class Totals:
    """Totals of all files: bytes in the archive, seconds of one core; by route files and bytes."""

    stored: Amount
    cpu_s: Amount
    routes: dict[str, tuple[Amount, Amount]] = field(
        default_factory=dict[str, tuple[Amount, Amount]]
    )
    unsampled_bytes: int = 0


def strata(
    files: Iterable[SourceFile], most_files: int, most_bytes: int, seed: int
) -> list[Stratum]:
    """Put files into strata, and choose a sample of at most so many files and bytes.

    Each stratum gets its share by bytes, at least LEAST files where there is room. The same seed
    chooses the same files.
    """
    found: dict[tuple[str, int], list[SourceFile]] = {}
    for file in files:
        ending = file.path.rpartition("/")[2].rpartition(".")
        kind = ending[2].lower() if ending[1] and ending[0] else "no ending"
        if isinstance(file, Slice) and file.column:
            kind = f"{kind}, {file.column}"
        size = int(math.log(max(1, file.size_bytes), 4))
        found.setdefault((kind, size), []).append(file)
    total = sum(file.size_bytes for group in found.values() for file in group)
    chance = random.Random(seed)
    orders = {key: chance.sample(group, len(group)) for key, group in sorted(found.items())}
    usable = {key: [one for one in order if _is_readable(one)] for key, order in orders.items()}
    largest = sorted(orders, key=lambda key: -sum(file.size_bytes for file in orders[key]))
    chosen: dict[tuple[str, int], list[SourceFile]] = {key: [] for key in orders}
    left = [most_files, most_bytes]

    def take(key: tuple[str, int], count: int) -> None:
        for file in usable[key][len(chosen[key]) : count]:
            if left[0] < 1 or left[1] < file.size_bytes:
                return
            chosen[key].append(file)
            left[0], left[1] = left[0] - 1, left[1] - file.size_bytes

    for count in range(1, LEAST + 1):
        for key in largest:
            take(key, count)
    for key in largest:
        share = sum(file.size_bytes for file in orders[key]) / max(1, total)
        take(key, max(LEAST, round(share * most_files)))
    for key in largest:  # what others did not use up
        take(key, len(usable[key]))
    return [Stratum(key[0], tuple(orders[key]), tuple(chosen[key])) for key in orders]


def _is_readable(file: SourceFile) -> bool:
    return not isinstance(file, Slice) or file.readable


class Trials:
    """Codes files as an archiving run would, on one core, and keeps nothing."""

    def __init__(self, source: Source, model: Model) -> None:
        self._source, self._encoder = source, Encoder(model, "cpu")
        self._stacks = stack_encoder(model, "cpu")
        self._kept: dict[SourceFile, bytes] = {}

    def jpeg_bytes(self, groups: Iterable[Stratum]) -> float:
        """About how many bytes of JPEG pictures are in files that hold others, by the sample.

        What is read for that is kept until it is coded. Raises StoreUnavailable.
        """
        total = 0.0
        for group in groups:
            sample = [file for file in group.sample if is_container(file)]
            found = 0
            for file in sample:
                with suppress(SourceError):
                    found += shown(file, self._keep(file)).jpeg_bytes
            size = sum(file.size_bytes for file in sample)
            total += found / max(1, size) * group.size_bytes
        return total

    def decoded_bytes(self, groups: Iterable[Stratum]) -> float:
        """About how many bytes of image files hold pixels that were JPEG, by the sample.

        What is read for that is kept until it is coded. Raises StoreUnavailable.
        """
        total = 0.0
        for group in groups:
            sample = [one for one in group.sample if is_candidate(one)][:LOOKED_AT]
            if sample and not any(isinstance(one, Slice) for one in sample):
                total += decoded_share(self._keep, sample) * group.size_bytes
        return total

    def _keep(self, file: SourceFile) -> bytes:
        if file not in self._kept:
            self._kept[file] = self._read(file)
        return self._kept[file]

    def _read(self, file: SourceFile) -> bytes:
        if isinstance(file, Slice) and file.whole is not None:
            return self._source.read_part(file.whole, file.start, file.size_bytes)
        return self._source.read(file)

    def of(
        self,
        files: Iterable[SourceFile],
        settings: PlanSettings,
        models: RunModels,
        on_file: Callable[[], None] = lambda: None,
    ) -> dict[SourceFile, Trial]:
        """Read each file once and code it, small images in stacks.

        settings: of the run; segmentation sources other than `rate` do not count. on_file: told of
        each. Raises StoreUnavailable.
        """
        found: dict[SourceFile, Trial] = {}
        waiting: dict[str, _Looked] = {}
        apart: list[Small] = []
        for file in files:
            looked = self._look(file, settings)
            known = None if looked.draft is None else small(looked.draft)
            if known is None:
                found[file] = self._alone(looked, models)
            else:
                waiting[file.path] = looked
                apart.append(known)
            on_file()
        for stack in cut_stacks(apart):
            found |= self._together([waiting[path] for path in stack], models)
        return found

    def _look(self, file: SourceFile, settings: PlanSettings) -> "_Looked":
        begin = time.process_time()
        made, passing, size = None, 0, file.size_bytes
        try:
            data = self._kept.pop(file, None) or self._read(file)
            start, ranges = 0, None
            if file.piece is not None:
                seen = shown(file, data)
                data, start, ranges = seen.data, seen.start, seen.ranges
                size = len(data)
            if file.kind != FILE:
                made = draft_stored(file, data, None)
            else:
                with hurried(settings.max_seconds):
                    candidate = candidate_of(file, data, settings, start, ranges)
                    passing = work_of(candidate).passing_bytes
                    made = draft(candidate)
        except StoreUnavailable:
            raise
        except SeecError:
            pass
        return _Looked(file, size, made, time.process_time() - begin, passing)

    def _alone(self, looked: "_Looked", models: RunModels) -> Trial:
        begin, made = time.process_time(), looked.draft
        if made is None:
            return looked.trial(QUARANTINED, 0, 0.0)
        codes = encoded(made, self._encoder, self._stacks)
        entry = settle(made, codes, models)
        return looked.trial(entry.row.route, len(entry.payload), time.process_time() - begin)

    def _together(self, images: "Sequence[_Looked]", models: RunModels) -> dict[SourceFile, Trial]:
        """The trials of a stack, each with a share of its bytes by what the image takes alone.

        So images of a stack differ as much as they do without, which intervals rest on.
        """
        drafts = [one.draft for one in images if one.draft is not None]
        ends = list(accumulate(self._alone(one, models).stored_bytes for one in images))
        begin = time.process_time()
        stack = stack_of(drafts)
        codes = self._stacks.encode_batch(stack.pictures, [None] * len(stack.pictures))
        entries = settle_stack(stack, codes, models)
        spent = (time.process_time() - begin) / len(images)
        whole = sum({entry.row.blob_digest: entry.row.length for entry in entries}.values())
        given = [whole * end // max(1, ends[-1]) for end in (0, *ends)]
        return {
            one.file: one.trial(entry.row.route, upto - before, spent, stacked=True)
            for one, entry, (before, upto) in zip(images, entries, pairwise(given), strict=True)
        }


@dataclass(frozen=True)
class _Looked:
    """A file, or a slice, that was looked into. draft: None if it cannot be archived."""

    file: SourceFile
    source_bytes: int
    draft: Draft | None
    cpu_s: float
    passing_bytes: int

    def trial(self, route: str, stored_bytes: int, cpu_s: float, *, stacked: bool = False) -> Trial:
        """What became of the file, with seconds of coding."""
        spent = self.cpu_s + cpu_s
        facts = route, stored_bytes, spent, self.passing_bytes, stacked
        return Trial(self.file, self.source_bytes, *facts)


def totals(groups: Sequence[Stratum], trials: Mapping[SourceFile, Trial]) -> Totals:
    """Scale the trials up to all files; slices of one file count as one file together.

    A stratum of which nothing was sampled counts as one that is like all others together; its bytes
    are `unsampled_bytes`.
    """
    known = [trial for trial in trials.values() if trial.file.size_bytes]
    pooled = sum(trial.stored_bytes for trial in known)
    pooled_cpu = sum(trial.cpu_s for trial in known)
    size = max(1, sum(trial.source_bytes for trial in known))
    stored: list[Amount] = []
    cpu: list[Amount] = []
    routes: dict[str, tuple[list[Amount], list[Amount]]] = {}
    unsampled = 0
    some = any(len(group.sample) < len(group.files) for group in groups)
    for group in groups:
        found = [trials[file] for file in group.sample]
        if not found:
            unsampled += group.size_bytes
            ratio = pooled / size
            stored.append(Amount(ratio * group.size_bytes, ratio * group.size_bytes))
            cpu.append(Amount(pooled_cpu / size * group.size_bytes))
            continue
        coded = [trial.source_bytes for trial in found]
        count = sum(1 / (file.pieces or 1) for file in group.files)
        stored.append(_scaled(group, coded, [trial.stored_bytes for trial in found]))
        if some:
            together = _scaled(group, coded, [t.stored_bytes * t.stacked for t in found])
            stored.append(Amount(0.0, _STACK_ERROR * together.value))
        cpu.append(_scaled(group, coded, [trial.cpu_s for trial in found]))
        for route in {trial.route for trial in found}:
            files, sizes = routes.setdefault(route, ([], []))
            mine = [trial.route == route for trial in found]
            share = sum(mine) / len(mine)
            error = _error_of_share(group, share) * count / len(group.files)
            files.append(Amount(share * count, error))
            amounts = [t.stored_bytes * own for t, own in zip(found, mine, strict=True)]
            sizes.append(_scaled(group, coded, amounts))
    by_route = {route: (_sum(files), _sum(sizes)) for route, (files, sizes) in routes.items()}
    return Totals(_sum(stored), _sum(cpu), by_route, unsampled)


def _scaled(group: Stratum, sizes: Sequence[int], values: Sequence[float]) -> Amount:
    """The total of a stratum, by the ratio of values to bytes of the source in its sample.

    sizes: of the source, that the values are of.
    """
    count, whole = len(sizes), len(group.files)
    if sum(sizes) == group.size_bytes and count == whole:
        return Amount(float(sum(values)))
    if not sum(sizes):
        return Amount(sum(values) / count * whole)
    ratio = sum(values) / sum(sizes)
    value = ratio * group.size_bytes
    if count < 2:
        return Amount(value, value)
    squares = sum((v - ratio * s) ** 2 for v, s in zip(values, sizes, strict=True))
    # What is cut off from slices at their ends was not coded, even if all slices were.
    part = min(1.0, sum(sizes) / max(1, group.size_bytes))
    variance = whole**2 * (1 - part) * squares / (count - 1) / count
    return Amount(value, Z95 * math.sqrt(variance))


def _error_of_share(group: Stratum, share: float) -> float:
    count, whole = len(group.sample), len(group.files)
    if count == whole:
        return 0.0
    variance = (1 - count / whole) * share * (1 - share) / max(1, count - 1)
    return Z95 * whole * math.sqrt(variance)


def _sum(amounts: Sequence[Amount]) -> Amount:
    """Errors of strata are independent."""
    return Amount(
        sum(amount.value for amount in amounts),
        math.sqrt(sum(amount.error**2 for amount in amounts)),
    )
