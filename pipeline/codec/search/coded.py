"""Tile groups coded in the way that takes least."""

from collections.abc import Sequence
from dataclasses import dataclass

from seec.pipeline.codec.coding.tiles import BlockMaps, GroupCanvas, Tile, tile_groups
from seec.pipeline.codec.colours import encode_exceptions, in_rows, paint
from seec.pipeline.codec.screen import encode_screen, widest_tile
from seec.pipeline.codec.search.analysis import Analysis, canvas_of
from seec.pipeline.codec.search.layout import Group, Layout, least_group
from seec.pipeline.codec.search.plan import Plan
from seec.schemas.container import Coding, Section, SectionKind

_WORTH_WIDENING = 0.98  # of the bytes


@dataclass(frozen=True)
class CodedGroup:
    """A tile group as it is in the file.

    tiles: of the image. decoded: the canvas that a decoder gets, None where that is the image.
    """

    tiles: list[Tile]
    section: Section
    decoded: GroupCanvas | None = None


@dataclass(frozen=True)
class Cut:
    """How the image is cut in the file, and its groups."""

    tile_size: int
    tiles_per_group: int
    groups: tuple[CodedGroup, ...]


def code(
    plan: Plan, layout: Layout, group: Group, maps: BlockMaps, analysis: Analysis
) -> CodedGroup:
    """Range code a group, unless it is smaller screen coded or raw."""
    if analysis.settled and analysis.screen is not None:
        return _coded(group.tiles, Coding.SCREEN, analysis.screen)
    canvas = canvas_of(layout, group, maps, analysis.side)
    payload = group.borders.tobytes() + plan.kernels.encode(canvas)
    if layout.drawing.colours is not None:
        payload = _exceptions(layout, group) + payload
    ways = {Coding.RAW: layout.raw(group.tiles), Coding.RANGE: payload}
    if analysis.screen is not None:
        ways[Coding.SCREEN] = analysis.screen
    coding = min(ways, key=lambda way: len(ways[way]))
    lossy = coding is Coding.RANGE and not canvas.lossless
    return _coded(group.tiles, coding, ways[coding], canvas if lossy else None)


def widen(plan: Plan, layout: Layout, groups: Sequence[CodedGroup]) -> Cut:
    """These groups; or the image screen coded in the largest tiles.

    That is tried if screen coding won in most groups, and taken if it saves enough: small tiles
    forget what the image repeats, large ones make damage and crops cost more.
    """
    narrow = Cut(layout.tile_size, layout.tiles_per_group, tuple(groups))
    screen_coded = sum(g.section.coding is Coding.SCREEN for g in groups)
    if len(groups) < 2 or 2 * screen_coded < len(groups):
        return narrow
    height, width, channels = layout.image.shape
    tile_size = widest_tile(height, width, plan.block_shift)
    per_group = least_group(height, width, tile_size)
    wide = tuple(
        _coded(tiles, Coding.SCREEN, encode_screen(layout.raw(tiles), tiles, channels))
        for tiles in tile_groups(height, width, tile_size, per_group)
    )
    if _size(wide) > _WORTH_WIDENING * _size(groups):
        return narrow
    return Cut(tile_size, per_group, wide)


def without_network(layout: Layout, group: Group, analysis: Analysis) -> CodedGroup:
    """The group screen coded, if that was tried and is smaller, or raw."""
    raw = layout.raw(group.tiles)
    if analysis.screen is None or len(raw) <= len(analysis.screen):
        return _coded(group.tiles, Coding.RAW, raw)
    return _coded(group.tiles, Coding.SCREEN, analysis.screen)


def _coded(
    tiles: list[Tile], coding: Coding, payload: bytes, decoded: GroupCanvas | None = None
) -> CodedGroup:
    return CodedGroup(tiles, Section(SectionKind.TILE_GROUP, coding, payload), decoded)


def _size(groups: Sequence[CodedGroup]) -> int:
    return sum(len(g.section.payload) for g in groups)


def _exceptions(layout: Layout, group: Group) -> bytes:
    """The pixels of the group that the colour set does not give."""
    drawing = layout.drawing
    samples = [drawing.samples[t.rows, t.columns] for t in group.coded]
    made = paint(drawing.colours, drawing.sheet, samples, group.tiles)
    wanted = [layout.image[t.rows, t.columns] for t in group.tiles]
    return encode_exceptions(in_rows(wanted), in_rows(made))
