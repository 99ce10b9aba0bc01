"""Samples as numbers from 0 to `top`, and back: what `schemas.deep.Layout` records."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from seec.pipeline.deep.native import Numbers
from seec.schemas.deep import Layout
from seec.schemas.errors import SectionCorrupt
from seec.schemas.limits import MAX_GAPS

Samples = NDArray[Any]  # [height, width, samples of a pixel], unsigned integers
Values = NDArray[np.int64]

_LEVEL = 19
_PAIR = struct.Struct("<II")
_MOST_WIDE = 16  # gaps left out, where not all are
_MOST_TOP = (1 << 31) - 1


@dataclass(frozen=True)
class Gaps:
    """Values that never occur, between runs of those that may.

    kept, left_out: int64 [n], how many values are in each run, and in the gap behind the run.
    """

    kept: Values
    left_out: Values

    @property
    def frame(self) -> bytes:
        """As `Layout.gaps`."""
        pairs = np.stack([self.kept, self.left_out], 1).astype("<u4")
        return zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True).compress(
            pairs.tobytes()
        )


_NO_GAPS = Gaps(np.zeros(0, np.int64), np.zeros(0, np.int64))


def read_gaps(frame: bytes) -> Gaps:
    """The gaps of a layout; SectionCorrupt for what `Gaps.frame` never gives."""
    if not frame:
        return _NO_GAPS
    try:
        data = zstandard.ZstdDecompressor().decompress(
            frame, max_output_size=_PAIR.size * MAX_GAPS, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise SectionCorrupt(f"samples: gaps: {error}") from None
    if len(data) % _PAIR.size or not 0 < len(data) <= _PAIR.size * MAX_GAPS:
        raise SectionCorrupt("samples: gaps that are no whole pairs, or too many")
    pairs = np.frombuffer(data, "<u4").reshape(-1, 2).astype(np.int64)
    return Gaps(pairs[:, 0], pairs[:, 1])


def plan(samples: Sequence[Samples], depth: int, groups: tuple[int, int]) -> Layout | None:
    """How these samples become numbers; None if they spread too far for that.

    groups: slices and rows of a group.
    """
    ordered = _order_helps(samples, depth)
    occurring = _occurring(samples, depth, ordered)
    low = int(occurring[0])
    occurring = occurring - low
    shift = _common_bits(occurring)
    occurring = occurring >> shift
    gaps = _choose_gaps(occurring, sum(one.size for one in samples))
    top = int(occurring[-1]) - int(gaps.left_out.sum())
    if top > _MOST_TOP:
        return None
    return Layout(ordered, shift, low, top, *groups, gaps.frame if len(gaps.kept) else b"")


def to_numbers(samples: Samples, depth: int, layout: Layout, gaps: Gaps) -> Numbers:
    """Numbers of samples of any shape."""
    values = _in_order(samples, depth) if layout.ordered else samples.astype(np.int64)
    values = (values - layout.low) >> layout.shift
    if len(gaps.kept):
        starts, before = _runs(gaps)
        values -= before[np.searchsorted(starts, values, side="right") - 1]
    return values.astype(np.uint32)


def to_samples(numbers: Numbers, depth: int, layout: Layout, gaps: Gaps) -> Values:
    """The inverse of `to_numbers`; SectionCorrupt if a sample would not have this depth."""
    values = numbers.astype(np.int64)
    if len(gaps.kept):
        ends = np.cumsum(gaps.kept)
        before = np.concatenate([[0], np.cumsum(gaps.left_out)])
        values += before[np.searchsorted(ends, values, side="right")]
    values = (values << layout.shift) + layout.low
    if values.size and int(values.max()) >> depth:
        raise SectionCorrupt("samples: a sample that its depth does not hold")
    if not layout.ordered:
        return values
    half = 1 << (depth - 1)
    return np.where(values >= half, values - half, 2 * half - 1 - values)


def _runs(gaps: Gaps) -> tuple[Values, Values]:
    """Where each run begins among all values, and how many are left out before it."""
    before = np.concatenate([[0], np.cumsum(gaps.left_out)])
    return np.concatenate([[0], np.cumsum(gaps.kept)]) + before, before


def _in_order(samples: Samples, depth: int) -> Values:
    """Floats by their bits as integers in the order of the floats."""
    values = samples.astype(np.int64)
    half = 1 << (depth - 1)
    return np.where(values >= half, 2 * half - 1 - values, values + half)


def _order_helps(samples: Sequence[Samples], depth: int) -> bool:
    """Whether neighbours are nearer to each other as floats than as integers."""
    if depth not in (16, 32):
        return False
    middle = samples[len(samples) // 2]
    rows = middle[:: max(1, len(middle) // 64)]
    if rows.shape[1] < 2:
        return False
    # Where samples are integers, a zero often means "nothing here", far from all others.
    told = (rows[:, 1:] != 0) & (rows[:, :-1] != 0)
    plain, ordered = (
        np.log2(1 + np.abs(np.diff(values, axis=1)[told])).sum()
        for values in (rows.astype(np.int64), _in_order(rows, depth))
    )
    return bool(ordered < plain)


def _occurring(samples: Sequence[Samples], depth: int, ordered: bool) -> Values:
    """The values that occur, in order."""
    if depth <= 16:
        counts = sum(np.bincount(one.ravel(), minlength=1 << depth) for one in samples)
        found = np.flatnonzero(counts)
    else:
        found = np.concatenate([_once(one.ravel()) for one in samples])
        found = _once(found) if len(samples) > 1 else found
    return np.sort(_in_order(found, depth)) if ordered else found.astype(np.int64)


def _once(values: Samples) -> Samples:
    """Each value once, in order: `np.unique` takes ten times as long for values that differ."""
    ordered = np.sort(values)
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])]


def _common_bits(values: Values) -> int:
    bits = int(np.bitwise_or.reduce(values))
    return (bits & -bits).bit_length() - 1 if bits else 0


def _choose_gaps(occurring: Values, count: int) -> Gaps:
    """Which of the values that never occur are left out: none, the widest gaps, or all."""
    steps = np.diff(occurring)
    places = np.flatnonzero(steps > 1)
    if not len(places):
        return _NO_GAPS
    every = _gaps(occurring, places)
    values = int(occurring[-1]) + 1
    if len(places) <= MAX_GAPS and len(occurring) <= count // 8:
        saved = count * np.log2(values / len(occurring)) / 8
        if values >= 1.5 * len(occurring) and 2 * len(every.frame) < saved:
            return every
    # Far from all others lie values that say "nothing here", and infinities.
    wide: list[int] = []
    span = values
    far = places
    if len(places) > _MOST_WIDE:
        least = np.partition(steps[places], -_MOST_WIDE)[-_MOST_WIDE]
        far = places[steps[places] >= least]
    for place in far[np.argsort(-steps[far], kind="stable")][:_MOST_WIDE]:
        if 8 * int(steps[place]) < span:
            break
        wide.append(int(place))
        span -= int(steps[place]) - 1
    return _gaps(occurring, np.sort(np.array(wide, np.int64))) if wide else _NO_GAPS


def _gaps(occurring: Values, places: Values) -> Gaps:
    """The gaps behind the values at these places."""
    ends, nexts = occurring[places], occurring[places + 1]
    starts = np.concatenate([[0], nexts[:-1]])
    return Gaps(ends - starts + 1, nexts - ends - 1)
