"""What the encoder measures before it codes: screen coding, latents, code lengths by label."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.coding.labels import DEEP_RELUCTANCE, assign_regions, choose_labels
from seec.pipeline.codec.coding.tiles import BlockMaps, GroupCanvas, empty_canvas, fill_canvas
from seec.pipeline.codec.screen import encode_screen, looks_drawn
from seec.pipeline.codec.search import trials
from seec.pipeline.codec.search.layout import Group, Layout
from seec.pipeline.codec.search.plan import Pixels, Plan

if TYPE_CHECKING:
    from seec.pipeline.codec.sic.latents import Latents

_LITTLE = 32  # screen coding this many times smaller than the samples has no rival


@dataclass(frozen=True)
class Analysis:
    """Of a tile group.

    screen: its pixels screen coded, None where that promises nothing. settled: whether nothing
    else need be tried. latents: of SIC, one for each tile, and side, the features made of them:
    none without SIC. costs: code lengths of its blocks by label, as Kernels.measure gives them;
    None where they decide nothing.
    """

    screen: bytes | None
    settled: bool
    latents: "tuple[Latents, ...]"
    side: NDArray[np.int16] | None
    costs: NDArray[np.int64] | None


def analyse(plan: Plan, layout: Layout, group: Group, maps: BlockMaps, measured: bool) -> Analysis:
    """Screen code what looks drawn, make latents, and measure code lengths if `measured`."""
    screen = _screen_coded(plan, layout, group) if plan.screen else None
    raw = layout.image.shape[2] * sum(t.height * t.width for t in group.tiles)
    settled = screen is not None and len(screen) * _LITTLE < raw
    latents: tuple[Latents, ...] = ()
    side = None
    if plan.side is not None:
        latents = tuple(plan.side.analyse(layout.image, group.tiles))
        side = plan.side.features(list(latents), group.tiles)
    costs = None
    if measured and not settled:
        costs = plan.kernels.measure(canvas_of(layout, group, maps, side))
    return Analysis(screen, settled, latents, side, costs)


def canvas_of(
    layout: Layout, group: Group, maps: BlockMaps, side: NDArray[np.int16] | None
) -> GroupCanvas:
    """The full canvas of a tile group."""
    canvas = empty_canvas(group.coded, group.borders, maps, side)
    fill_canvas(canvas, layout.drawing.samples, group.coded)
    return canvas


def choose_maps(
    plan: Plan,
    layout: Layout,
    maps: BlockMaps,
    regions: Pixels | None,
    analyses: Sequence[Analysis],
) -> BlockMaps:
    """The same widths, and the labels of least code length, for each region one if there are any.

    Blocks of groups without costs cost nothing under any label.
    """
    shift = plan.block_shift
    costs = np.zeros((*maps.labels.shape, plan.entropy_models), np.int64)
    for group, analysis in zip(layout.groups, analyses, strict=True):
        if analysis.costs is None:
            continue
        for tile, part in zip(group.coded, analysis.costs, strict=True):
            top, left = tile.y >> shift, tile.x >> shift
            rows, columns = -(-tile.height >> shift), -(-tile.width >> shift)
            costs[top : top + rows, left : left + columns] = part[:rows, :columns]
    if regions is not None:
        return replace(maps, labels=assign_regions(costs, regions))
    deep = plan.model.profile.learns_deeply
    return replace(maps, labels=choose_labels(costs, DEEP_RELUCTANCE if deep else 1))


def _screen_coded(plan: Plan, layout: Layout, group: Group) -> bytes | None:
    """The group screen coded, if any of its tiles looks drawn and that promises to win."""
    image = layout.image

    def promising(part: Pixels) -> bool:
        if not looks_drawn(part):
            return False
        has_side = plan.side is not None
        return has_side or trials.screen_may_win(plan.kernels, part, plan.block_shift)

    if not any(promising(image[t.rows, t.columns]) for t in group.tiles):
        return None
    return encode_screen(layout.raw(group.tiles), group.tiles, image.shape[2])
