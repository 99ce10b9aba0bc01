"""Samples as numbers from 0 to `top`, and back: what `schemas.deep.Layout` records."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from seec.pipeline.deep import linear
from seec.pipeline.deep.linear import find_part, whole
from seec.pipeline.deep.native import Numbers
from seec.pipeline.deep.steps import Floats, find_step, from_multiples, multiples
from seec.schemas.deep import MOST_OTHERS, Layout, Meaning
from seec.schemas.errors import SectionCorrupt
from seec.schemas.limits import MAX_GAPS

Samples = NDArray[Any]  # [height, width, samples of a pixel], unsigned integers
Values = NDArray[np.int64]

_LEVEL = 19
_PAIR = struct.Struct("<II")
_TABLE_BITS = 16  # up to so many values are looked up, if there are more samples
_NEAR = 8  # values to each side that tell how densely values occur
_MOST_WIDE = 16  # gaps left out, where not all are
_MOST_TOP = (1 << 31) - 1
_MULTIPLE_OF_0, _LAST_VALUE = 1 << 31, (1 << 32) - 1
_MOST_MULTIPLE, _MOST_PARTS = 1 << 30, (1 << 24) - 1


@dataclass(frozen=True)
class Gaps:
    """Values that never occur, between runs of those that may.

    kept, left_out: int64 [n], how many values are in each run, and in the gap behind the run.
    """

    kept: Values
    left_out: Values

    @cached_property
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


def plans(samples: Sequence[Samples], depth: int, groups: tuple[int, int]) -> list[Layout]:
    """How these samples may become numbers, the plainest way first; none if they spread too far.

    groups: slices and rows of a group.
    """
    found, counts = _occurring(samples, depth)
    meaning, step, others = _meaning(samples, found, counts, depth)
    kinds = [(meaning, step, others)]
    if depth == 32 and not meaning.has_step:
        kinds += _in_parts(samples, found, counts)
    layouts = [Layout(kind, 0, 0, 0, *groups, b"", step, others) for kind, step, others in kinds]
    planned = [_planned(found, counts, depth, layout) for layout in layouts]
    return [layout for layout in planned if layout]


def _planned(found: Samples, counts: Values, depth: int, layout: Layout) -> Layout | None:
    """A layout with all that follows from what samples are."""
    values = _to_values(found, depth, layout)
    order = np.argsort(values, kind="stable")
    values, counts = values[order], counts[order]
    if layout.meaning.has_parts:
        starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
        values, counts = values[starts], np.add.reduceat(counts, starts)
    low = int(values[0])
    values = values - low
    shift = _common_bits(values)
    values = values >> shift
    gaps = _choose_gaps(values, counts)
    top = int(values[-1]) - int(gaps.left_out.sum())
    if top > _MOST_TOP:
        return None
    frame = gaps.frame if len(gaps.kept) else b""
    return replace(layout, shift=shift, low=low, top=top, gaps=frame)


def to_numbers(samples: Samples, depth: int, layout: Layout, gaps: Gaps) -> Numbers:
    """Numbers of samples of any shape."""
    if depth <= _TABLE_BITS and samples.size > 1 << depth:
        every = np.arange(1 << depth)
        return _to_numbers(every, depth, layout, gaps)[samples]
    return _to_numbers(samples, depth, layout, gaps)


def _to_numbers(samples: Samples, depth: int, layout: Layout, gaps: Gaps) -> Numbers:
    values = (_to_values(samples, depth, layout) - layout.low) >> layout.shift
    if len(gaps.kept):
        starts, before = _runs(gaps)
        values -= before[np.searchsorted(starts, values, side="right") - 1]
    return values.astype(np.uint32)


def remainder(samples: Samples, layout: Layout) -> bytes:
    """What numbers of these samples leave, of a layout that has parts."""
    floats = _floats(samples, layout.meaning)
    numbers, has = whole(floats, layout.step)
    return linear.remainder(np.where(has, floats, np.float32(0)), numbers, layout.step)


def to_samples(
    numbers: Numbers, depth: int, layout: Layout, gaps: Gaps, rest: bytes = b""
) -> Values:
    """The inverse of `to_numbers`; SectionCorrupt if a sample would not have this depth.

    rest: as `remainder`, of a layout that has parts.
    """
    if layout.top < min(numbers.size, 1 << _TABLE_BITS) and not layout.meaning.has_parts:
        every = np.arange(layout.top + 1, dtype=np.uint32)
        return _to_samples(every, depth, layout, gaps, rest)[numbers]
    return _to_samples(numbers, depth, layout, gaps, rest)


def _to_samples(numbers: Numbers, depth: int, layout: Layout, gaps: Gaps, rest: bytes) -> Values:
    values = numbers.astype(np.int64)
    if len(gaps.kept):
        ends = np.cumsum(gaps.kept)
        before = np.concatenate([[0], np.cumsum(gaps.left_out)])
        values += before[np.searchsorted(ends, values, side="right")]
    values = (values << layout.shift) + layout.low
    if values.size and int(values.max()) >> depth:
        raise SectionCorrupt("samples: a sample that its depth does not hold")
    return _from_values(values, depth, layout, rest)


def _to_values(samples: Samples, depth: int, layout: Layout) -> Values:
    """Samples as what numbers are made from: integers, in the order of what samples mean."""
    if layout.meaning is Meaning.PLAIN:
        return samples.astype(np.int64)
    if layout.meaning is Meaning.ORDERED:
        return _in_order(samples.astype(np.int64), depth)
    convert = whole if layout.meaning.has_parts else multiples
    numbers, is_told = convert(_floats(samples, layout.meaning), layout.step)
    values = numbers + _MULTIPLE_OF_0
    for place, other in enumerate(layout.others):
        values[~is_told & (samples == other)] = _LAST_VALUE - place
    return values


def _from_values(values: Values, depth: int, layout: Layout, rest: bytes) -> Values:
    """The inverse of `_to_values`; SectionCorrupt for a multiple that is too large."""
    if layout.meaning is Meaning.PLAIN:
        return values
    if layout.meaning is Meaning.ORDERED:
        return _out_of_order(values, depth)
    other = values > _LAST_VALUE - len(layout.others)
    numbers = np.where(other, 0, values - _MULTIPLE_OF_0)
    most = _MOST_PARTS if layout.meaning.has_parts else _MOST_MULTIPLE
    if numbers.size and int(np.abs(numbers).max()) > most:
        raise SectionCorrupt("samples: a multiple that cannot be")
    if layout.meaning.has_parts:
        samples = linear.joined(numbers, rest, layout.step).astype(np.int64)
    else:
        samples = from_multiples(numbers, layout.step).view(np.uint32).astype(np.int64)
    if layout.meaning.comes_in_order:
        samples = _in_order(samples, depth)
    for place, one in enumerate(layout.others):
        samples[values == _LAST_VALUE - place] = one
    return samples


def _runs(gaps: Gaps) -> tuple[Values, Values]:
    """Where each run begins among all values, and how many are left out before it."""
    before = np.concatenate([[0], np.cumsum(gaps.left_out)])
    return np.concatenate([[0], np.cumsum(gaps.kept)]) + before, before


def _in_order(samples: Values, depth: int) -> Values:
    """Floats by their bits as integers in the order of the floats."""
    half = 1 << (depth - 1)
    return np.where(samples >= half, 2 * half - 1 - samples, samples + half)


def _out_of_order(values: Values, depth: int) -> Values:
    """The inverse of `_in_order`."""
    half = 1 << (depth - 1)
    return np.where(values >= half, values - half, 2 * half - 1 - values)


def _floats(samples: Samples, meaning: Meaning) -> Floats:
    if meaning.comes_in_order:
        samples = _out_of_order(samples.astype(np.int64), 32).astype(np.uint32)
    return np.ascontiguousarray(samples).view(np.float32)


def _meaning(
    samples: Sequence[Samples], found: Samples, counts: Values, depth: int
) -> tuple[Meaning, float, tuple[int, ...]]:
    """What samples are, the step of multiples, and the samples that are none."""
    if depth == 32:
        ways: list[tuple[int, Meaning, float, tuple[int, ...]]] = []
        for meaning in (Meaning.MULTIPLES, Meaning.ORDERED_MULTIPLES):
            floats = _floats(found, meaning)
            step = find_step(floats, counts)
            none = ~multiples(floats, step)[1] if step else np.ones(len(found), bool)
            if none.sum() <= MOST_OTHERS and step:
                others = tuple(int(one) for one in found[none])
                ways.append((int(counts[none].sum()), meaning, step, others))
        if ways:
            return min(ways, key=lambda way: way[0])[1:]
    helps = _order_helps(samples, depth)
    return (Meaning.ORDERED if helps else Meaning.PLAIN), 0.0, ()


def _in_parts(
    samples: Sequence[Samples], found: Samples, counts: Values
) -> list[tuple[Meaning, float, tuple[int, ...]]]:
    """As `_meaning`, of floats as parts, or nothing: of the two ways the smoother one."""
    ways: list[tuple[float, Meaning, float, tuple[int, ...]]] = []
    for meaning in (Meaning.PARTS, Meaning.ORDERED_PARTS):
        part = find_part(_floats(found, meaning), counts)
        if part:
            rows, has = whole(_floats(_some_rows(samples), meaning), part)
            bits = np.log2(1 + np.abs(np.diff(rows, axis=1))).sum() + 32 * (~has).sum()
            bits += linear.bits_behind(rows).sum()
            others = found[~whole(_floats(found, meaning), part)[1]]
            ways.append((float(bits), meaning, part, tuple(int(one) for one in others)))
    return [min(ways, key=lambda way: way[0])[1:]] if ways else []


def _some_rows(samples: Sequence[Samples]) -> Samples:
    middle = samples[len(samples) // 2]
    return middle[:: max(1, len(middle) // 64)]


def _order_helps(samples: Sequence[Samples], depth: int) -> bool:
    """Whether neighbours are nearer to each other as floats than as integers."""
    if depth not in (16, 32):
        return False
    rows = _some_rows(samples)
    if rows.shape[1] < 2:
        return False
    # Where samples are integers, a zero often means "nothing here", far from all others.
    told = (rows[:, 1:] != 0) & (rows[:, :-1] != 0)
    plain, ordered = (
        np.log2(1 + np.abs(np.diff(values, axis=1)[told])).sum()
        for values in (rows.astype(np.int64), _in_order(rows.astype(np.int64), depth))
    )
    return bool(ordered < plain)


def _occurring(samples: Sequence[Samples], depth: int) -> tuple[Samples, Values]:
    """The samples that occur, each once in order, and how often each."""
    every = np.concatenate([one.ravel() for one in samples])
    if depth <= 16:
        counts = np.bincount(every)
        found = np.flatnonzero(counts)
        return found, counts[found]
    # Sorting takes a tenth of what `np.unique` takes for values that differ.
    every.sort()
    starts = np.flatnonzero(np.concatenate([[True], every[1:] != every[:-1]]))
    return every[starts], np.diff(starts, append=len(every))


def _common_bits(values: Values) -> int:
    bits = int(np.bitwise_or.reduce(values))
    return (bits & -bits).bit_length() - 1 if bits else 0


def _choose_gaps(occurring: Values, counts: Values) -> Gaps:
    """Which of the values that never occur are left out: none, the widest gaps, or all."""
    steps = np.diff(occurring)
    places = np.flatnonzero(steps > 1)
    if not len(places):
        return _NO_GAPS
    every = _gaps(occurring, places)
    values = int(occurring[-1]) + 1
    few = len(places) <= MAX_GAPS and len(occurring) <= counts.sum() // 8
    if few and 2 * len(every.frame) < _saved(occurring, counts):
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


def _saved(occurring: Values, counts: Values) -> float:
    """Bytes that a coder saves that knows which values never occur, by how many are near each."""
    last = len(occurring) - 1
    first, end = np.arange(last + 1) - _NEAR, np.arange(last + 1) + _NEAR
    first, end = np.maximum(first, 0), np.minimum(end, last)
    spread = (occurring[end] - occurring[first] + 1) / (end - first + 1)
    return float((counts * np.log2(spread)).sum() / 8)


def _gaps(occurring: Values, places: Values) -> Gaps:
    """The gaps behind the values at these places."""
    ends, nexts = occurring[places], occurring[places + 1]
    starts = np.concatenate([[0], nexts[:-1]])
    return Gaps(ends - starts + 1, nexts - ends - 1)
