"""The two pictures of a report, as figures for SVG: growth over commits, and age of checks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from seec.pipeline.standing.growth import Point, thinned

WIDTH, HEIGHT = 720, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 96, 12, 28
_MOST_POINTS = 240
_MOST_CELLS = 180
_DAY_S = 86_400.0
# Up to this age in days, in words, with the class of its colour.
AGES = ((7, "at most a week", "a0"), (30, "at most 30 days", "a1"), (90, "at most 90 days", "a2"))
_OLDER = ("more than 90 days", "a3")
_NEVER = ("never", "a4")


@dataclass(frozen=True)
class Chart:
    """Two lines over commits: points of polylines, labels of the axes, and all in words."""

    source: str
    stored: str
    ends: tuple[float, float]
    ticks: list[tuple[float, int]]
    begin: str
    end: str
    words: list[tuple[int, str, int, int]]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    base: int = HEIGHT - _BOTTOM


def growth_chart(points: Sequence[Point]) -> Chart | None:
    """The growth of an archive; None before its first commit."""
    if not points:
        return None
    points = thinned(list(points), _MOST_POINTS)
    top = max(1, *(max(point.source_bytes, point.stored_bytes) for point in points))
    step = _nice(top / 4)
    first, last = points[0].sequence, points[-1].sequence
    inner, tall = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
    scale = step * -(-top // step)

    def y(size: float) -> float:
        return round(HEIGHT - _BOTTOM - tall * size / scale, 1)

    def line(sizes: Sequence[int]) -> str:
        xs = [_LEFT + inner * (p.sequence - first) / max(1, last - first) for p in points]
        if len(xs) == 1:  # a line needs two ends
            xs, sizes = [_LEFT, WIDTH - _RIGHT], [sizes[0], sizes[0]]
        return " ".join(f"{x:.1f},{y(size)}" for x, size in zip(xs, sizes, strict=True))

    source, stored = ([getattr(p, k) for p in points] for k in ("source_bytes", "stored_bytes"))
    upper, lower = y(source[-1]), y(stored[-1])
    if abs(upper - lower) < 16:  # labels would lie on one another
        lower = upper + 16 if source[-1] >= stored[-1] else upper - 16
    few = thinned(points, 12)
    return Chart(
        source=line(source),
        stored=line(stored),
        ends=(upper, lower),
        ticks=[(y(k * step), k * step) for k in range(1 + round(scale / step))],
        begin=f"commit {first}{_on(points[0])}",
        end=f"commit {last}{_on(points[-1])}",
        words=[(p.sequence, _on(p).strip(", "), p.source_bytes, p.stored_bytes) for p in few],
    )


def _nice(step: float) -> int:
    """1, 2 or 5 times a power of ten, at least this."""
    power = 1
    while power * 10 <= step:
        power *= 10
    return next(power * k for k in (1, 2, 5, 10) if power * k >= step)


def _on(point: Point) -> str:
    if point.moment_s is None:
        return ""
    return f", {datetime.fromtimestamp(point.moment_s, UTC):%Y-%m-%d}"


@dataclass(frozen=True)
class Strip:
    """Cells from left to right with the classes of their colours; and the shards of each age."""

    cells: list[tuple[float, float, str]]
    counts: list[tuple[str, str, int]]
    shards: int
    width: int = WIDTH


def heat_strip(moments: Sequence[datetime | None], now: datetime) -> Strip:
    """The age of the last check of each shard, in the order of shards.

    Where there are more shards than cells, a cell shows the oldest check in it.
    """
    classes = [_age_class(moment, now) for moment in moments]
    count = min(len(classes), _MOST_CELLS)
    cells: list[tuple[float, float, str]] = []
    for cell in range(count):
        begin, end = (len(classes) * edge // count for edge in (cell, cell + 1))
        worst = max(classes[begin:end], key=lambda one: one[1])
        wide = WIDTH / count
        cells.append((round(cell * wide, 2), round(wide, 2), worst[1]))
    known: list[tuple[str, str]] = [(words, name) for _, words, name in AGES]
    known += [_OLDER, _NEVER]
    counts = [(words, name, sum(c[1] == name for c in classes)) for words, name in known]
    return Strip(cells, counts, len(classes))


def _age_class(moment: datetime | None, now: datetime) -> tuple[str, str]:
    if moment is None:
        return _NEVER
    days: Any = (now - moment).total_seconds() / _DAY_S
    return next(((words, name) for most, words, name in AGES if days <= most), _OLDER)
