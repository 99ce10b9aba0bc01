"""The sections before the tile groups, and the `.seec` file of them all."""

from collections.abc import Sequence
from dataclasses import replace

from seec.pipeline.codec.coding.background import encode_widths
from seec.pipeline.codec.coding.entropy import encode_labels
from seec.pipeline.codec.coding.tiles import BlockMaps
from seec.pipeline.codec.search.analysis import Analysis
from seec.pipeline.codec.search.coded import CodedGroup, Cut, without_network
from seec.pipeline.codec.search.layout import Layout
from seec.pipeline.codec.search.plan import Pixels, Plan, Request
from seec.pipeline.images.digest import pixel_digest
from seec.schemas import container
from seec.schemas.container import (
    DIGEST_BYTES,
    Coding,
    Container,
    Section,
    SectionKind,
    serialise,
)


def assemble(
    plan: Plan,
    request: Request,
    layout: Layout,
    maps: BlockMaps,
    analyses: Sequence[Analysis],
    cut: Cut,
) -> bytes:
    """The `.seec` file, without range coded groups where that is smaller."""
    front = _front(plan, layout, maps, analyses, cut.groups)
    if front and _is_smaller_without(layout, front, analyses, cut.groups):
        pairs = zip(layout.groups, analyses, strict=True)
        cut = replace(cut, groups=tuple(without_network(layout, g, a) for g, a in pairs))
        front = []
    height, width, channels = layout.image.shape
    return serialise(
        Container(
            width=width,
            height=height,
            channels=channels,
            block_shift=plan.block_shift,
            tile_size=cut.tile_size,
            tiles_per_group=cut.tiles_per_group,
            model_id=plan.model.short_id,
            digest=pixel_digest(_decoded(request, layout, cut.groups))[:DIGEST_BYTES],
            sections=(*front, *(g.section for g in cut.groups)),
            lossy=any(g.decoded is not None for g in cut.groups),
            turned=layout.turned,
        )
    )


def _front(
    plan: Plan,
    layout: Layout,
    maps: BlockMaps,
    analyses: Sequence[Analysis],
    groups: Sequence[CodedGroup],
) -> list[Section]:
    """What range coded groups need before them; nothing if there are none."""
    sections: list[Section] = []
    if not any(g.section.coding is Coding.RANGE for g in groups):
        return sections
    if layout.drawing.colours is not None:
        payload = layout.drawing.colours.serialise()
        sections.append(Section(SectionKind.COLOUR_SET, Coding.RAW, payload))
    if maps.labels.any():
        payload = encode_labels(maps.labels, plan.entropy_models)
        sections.append(Section(SectionKind.LABELS, Coding.RANGE, payload))
    if any(g.decoded is not None for g in groups):
        payload = encode_widths(maps.widths)
        sections.append(Section(SectionKind.BACKGROUND, Coding.RANGE, payload))
    if plan.side is not None:
        z, y = plan.side.encode([tile for a in analyses for tile in a.latents])
        sections.append(Section(SectionKind.HYPER_LATENTS, Coding.RANGE, z))
        sections.append(Section(SectionKind.LATENTS, Coding.RANGE, y))
    return sections


def _is_smaller_without(
    layout: Layout,
    front: Sequence[Section],
    analyses: Sequence[Analysis],
    groups: Sequence[CodedGroup],
) -> bool:
    """Whether the sections before the groups take more than range coding saves.

    No where screen coding was not tried: raw groups were hardly smaller then.
    """
    if all(a.screen is None for a in analyses):
        return False
    channels = layout.image.shape[2]
    without = 0
    for group, analysis in zip(groups, analyses, strict=True):
        raw = channels * sum(t.height * t.width for t in group.tiles)
        without += raw if analysis.screen is None else min(raw, len(analysis.screen))
    own = sum(len(g.section.payload) for g in groups)
    return without < own + sum(container.ENTRY_BYTES + len(s.payload) for s in front)


def _decoded(request: Request, layout: Layout, groups: Sequence[CodedGroup]) -> Pixels:
    """The pixels that a decoder gives: the image itself, but for a lossy background."""
    if all(g.decoded is None for g in groups):
        return request.image
    pixels = layout.image.copy()  # never turned
    for group in groups:
        if group.decoded is None:
            continue
        for number, t in enumerate(group.tiles):
            pixels[t.rows, t.columns] = group.decoded.interior(number)[..., : pixels.shape[2]]
    return pixels.reshape(request.image.shape)
