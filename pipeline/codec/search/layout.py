"""How an image is laid out before it is coded: turned or not, on which sheet, in which groups."""

from collections.abc import Iterable
from dataclasses import dataclass

from seec.pipeline.codec.coding.labels import blocks_from_map
from seec.pipeline.codec.coding.tiles import BlockMaps, Tile, border_colours, tile_groups
from seec.pipeline.codec.colours.drawing import Drawing, draw
from seec.pipeline.codec.search import trials
from seec.pipeline.codec.search.plan import Pixels, Plan, Request
from seec.schemas import container
from seec.schemas.container import SectionKind

MAX_REGIONS = 16


@dataclass(frozen=True)
class Group:
    """A tile group.

    tiles: of the image. coded: of the sheet, the same if there is no colour set. borders:
    [coded, channels] uint8, their border colours.
    """

    tiles: list[Tile]
    coded: list[Tile]
    borders: Pixels


@dataclass(frozen=True)
class Layout:
    """An image [H, W, channels] that is cut, and its samples on their sheet."""

    image: Pixels
    drawing: Drawing
    tile_size: int
    tiles_per_group: int
    groups: tuple[Group, ...]
    turned: bool = False

    def raw(self, tiles: Iterable[Tile]) -> bytes:
        """The pixels of a raw tile group."""
        return b"".join(self.image[t.rows, t.columns].tobytes() for t in tiles)


def lay_out(plan: Plan, request: Request) -> Layout:
    """The layout of an image that is not turned, with a colour set if it has one."""
    find_colours = request.is_plain(plan) and plan.colour_set == "auto"
    return _cut(plan, request.pixels, find_colours=find_colours, turned=False)


def turn(plan: Plan, layout: Layout) -> Layout:
    """The layout of the same image turned by a quarter."""
    return _cut(plan, trials.turned(layout.image), find_colours=False, turned=True)


def may_turn(plan: Plan, request: Request, layout: Layout) -> bool:
    """Whether the image may be turned: without labels, a background, a colour set and SIC."""
    plain = request.is_plain(plan) and request.labels is None
    return plain and layout.drawing.colours is None


def turning_spots(plan: Plan, request: Request, layout: Layout) -> list[list[Tile]]:
    """The places that decide whether to turn the image; none where that is decided."""
    undecided = plan.turned is None and request.chooses_labels(plan)
    return trials.spots(layout.image) if undecided and may_turn(plan, request, layout) else []


def given_maps(plan: Plan, request: Request, layout: Layout) -> BlockMaps:
    """The widths of bins, and the labels as far as the request fixes them; others are 0."""
    rows, columns = layout.drawing.samples.shape[:2]
    maps = BlockMaps.blank(rows, columns, plan.block_shift)
    if request.labels is not None and not request.regions:
        maps.labels[:] = _blocks(plan, request.labels, layout, plan.entropy_models)
    if request.background is not None:
        maps.widths[:] = request.background.widths(plan.block_shift)
    return maps


def region_blocks(plan: Plan, request: Request, layout: Layout) -> Pixels | None:
    """The region of each block, [rows, columns] uint8; None if labels name no regions."""
    if request.labels is None or not request.regions:
        return None
    return _blocks(plan, request.labels, layout, MAX_REGIONS)


def least_group(height: int, width: int, tile_size: int) -> int:
    """The fewest tiles per group with which a file can list its groups; above 1 if very long."""
    tiles = -(-height // tile_size) * -(-width // tile_size)
    others = len(SectionKind) - 1  # a file has at most one section of each other kind
    return -(-tiles // (container.MAX_SECTIONS - others))


def _blocks(plan: Plan, labels: Pixels, layout: Layout, classes: int) -> Pixels:
    return blocks_from_map(layout.drawing.labels(labels), plan.block_shift, classes)


def _cut(plan: Plan, image: Pixels, *, find_colours: bool, turned: bool) -> Layout:
    size = plan.tile_size
    height, width = image.shape[:2]
    per_group = max(plan.tiles_per_group, least_group(height, width, size))
    drawing = draw(image, size, plan.block_shift, find_colours=find_colours)
    groups: list[Group] = []
    for tiles in tile_groups(height, width, size, per_group):
        coded = drawing.tiles(tiles)
        groups.append(Group(tiles, coded, border_colours(drawing.samples, coded)))
    return Layout(image, drawing, size, per_group, tuple(groups), turned)
