"""One image on its way from pixels to a `.seec` file."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.coding.background import Background, encode_widths
from seec.pipeline.codec.coding.entropy import encode_labels
from seec.pipeline.codec.coding.labels import (
    DEEP_RELUCTANCE,
    assign_regions,
    blocks_from_map,
    choose_labels,
)
from seec.pipeline.codec.coding.tiles import (
    BlockMaps,
    GroupCanvas,
    Tile,
    border_colours,
    empty_canvas,
    fill_canvas,
    tile_groups,
)
from seec.pipeline.codec.colours import encode_exceptions, in_rows, paint
from seec.pipeline.codec.colours.drawing import draw
from seec.pipeline.codec.kernels import Kernels
from seec.pipeline.codec.model.weights import Model
from seec.pipeline.codec.screen import encode_screen, looks_drawn, widest_tile
from seec.pipeline.codec.search import trials
from seec.pipeline.images.digest import pixel_digest
from seec.schemas import container
from seec.schemas.container import (
    DIGEST_BYTES,
    MAX_PIXELS,
    Coding,
    Container,
    Section,
    SectionKind,
    serialise,
)
from seec.schemas.errors import LimitExceeded

if TYPE_CHECKING:
    from seec.pipeline.codec.sic.latents import Latents, SideCoder

Pixels = NDArray[np.uint8]
ColourSetChoice = Literal["auto", "none"]
_MAX_REGIONS = 16
_LITTLE = 32  # screen coding this many times smaller than the samples has no rival
_WORTH_WIDENING = 0.98  # of the bytes
_NO_BORDERS: Pixels = np.zeros((0, 0), np.uint8)


@dataclass(frozen=True)
class Plan:
    """How an encoder cuts images, and with what it codes them."""

    model: Model
    kernels: Kernels
    tile_size: int
    tiles_per_group: int
    block_shift: int
    side: "SideCoder | None"
    colour_set: ColourSetChoice
    screen: bool
    turned: bool | None


class Group:
    """One tile group of one image on its way through the encoder."""

    def __init__(self, tiles: list[Tile], coded: list[Tile], borders: Pixels):
        self.tiles, self.borders = tiles, borders
        self.coded = coded  # the tiles of the sheet, where that is not the image
        self.latents: list[Latents] = []
        self.side: NDArray[np.int16] | None = None
        self.costs: NDArray[np.int64] | None = None
        self.screen: bytes | None = None  # its pixels screen coded, where that is promising
        self.section: Section | None = None
        self.seen: GroupCanvas | None = None  # what a decoder sees, where that is not the image


class ImageJob:
    """One image on its way through the encoder."""

    def __init__(
        self,
        plan: Plan,
        image: Pixels,
        label_map: Pixels | None,
        background: Background | None,
        regions: bool,
    ):
        _check_image(image, label_map, background)
        self._plan = plan
        self._given = image
        self._shift = plan.block_shift
        self._entropy_models = plan.model.profile.entropy_models
        self._turned = False
        plain = background is None and plan.side is None
        self._lay_out(
            image[..., None] if image.ndim == 2 else image,
            find_colours=plain and plan.colour_set == "auto",
        )
        self._regions: Pixels | None = None
        if label_map is not None:
            classes = _MAX_REGIONS if regions else self._entropy_models
            blocks = blocks_from_map(self._drawing.labels(label_map), self._shift, classes)
            if regions:
                self._regions = blocks
            else:
                self._maps.labels[:] = blocks
        self._measured = self._entropy_models > 1 and (label_map is None or regions)
        if background is not None:
            self._maps.widths[:] = background.widths(self._shift)
        self._may_turn = plain and label_map is None and self._drawing.colours is None
        undecided = self._may_turn and self._measured and plan.turned is None
        self.spots = trials.spots(self._image) if undecided else []
        self._gains: list[int] = []

    def _lay_out(self, image: Pixels, *, find_colours: bool) -> None:
        """Cut the picture that will be coded, [H, W, channels]."""
        size = self._plan.tile_size
        height, width = image.shape[:2]
        self._image, self._tile_size = image, size
        self._tiles_per_group = max(self._plan.tiles_per_group, _least_group(height, width, size))
        self._drawing = draw(image, size, self._shift, find_colours=find_colours)
        rows, columns = self._drawing.samples.shape[:2]
        self._maps = BlockMaps.blank(rows, columns, self._shift)
        groups = tile_groups(height, width, size, self._tiles_per_group)
        self.groups = [self._group(tiles) for tiles in groups]

    def look(self, spots: list[Tile]) -> None:
        """Note what turning the image would bring in some places."""
        kernels = self._plan.kernels
        self._gains.append(trials.turning_gain(kernels, self._image, spots, self._shift))

    def turn(self) -> None:
        """Turn the image if that has been asked for, or promises a smaller file."""
        if self._may_turn and (self._plan.turned or sum(self._gains) > 0):
            self._turned = True
            self._lay_out(trials.turned(self._image), find_colours=False)

    def _group(self, tiles: list[Tile]) -> Group:
        coded = self._drawing.tiles(tiles)
        return Group(tiles, coded, border_colours(self._drawing.samples, coded))

    def analyse(self, group: Group) -> None:
        """Screen codes drawn groups; latents and features (SIC); code lengths by label.

        Code lengths are measured only if they are to decide the labels.
        """
        if self._plan.screen:
            self._code_screen(group)
        if self._plan.side is not None:
            group.latents = self._plan.side.analyse(self._image, group.tiles)
            group.side = self._plan.side.features(group.latents, group.tiles)
        if self._measured and group.section is None:
            group.costs = self._plan.kernels.measure(self._canvas(group))

    def choose(self) -> None:
        """Fix the label map."""
        if not self._measured:
            return
        costs = np.zeros((*self._maps.labels.shape, self._entropy_models), np.int64)
        for group in self.groups:
            if group.costs is None:
                continue
            for tile, part in zip(group.coded, group.costs, strict=True):
                top, left = tile.y >> self._shift, tile.x >> self._shift
                rows = -(-tile.height >> self._shift)
                columns = -(-tile.width >> self._shift)
                costs[top : top + rows, left : left + columns] = part[:rows, :columns]
        if self._regions is None:
            deep = self._plan.model.profile.learns_deeply
            self._maps.labels[:] = choose_labels(costs, DEEP_RELUCTANCE if deep else 1)
        else:
            self._maps.labels[:] = assign_regions(costs, self._regions)

    def code(self, group: Group) -> None:
        """Code the group's pixels in the way that takes least, which may be to keep them raw."""
        if group.section is not None:
            return
        canvas = self._canvas(group)
        payload = group.borders.tobytes() + self._plan.kernels.encode(canvas)
        if self._drawing.colours is not None:
            payload = self._exceptions(group) + payload
        ways = {Coding.RAW: self._samples(group.tiles), Coding.RANGE: payload}
        if group.screen is not None:
            ways[Coding.SCREEN] = group.screen
        coding = min(ways, key=lambda way: len(ways[way]))
        group.section = Section(SectionKind.TILE_GROUP, coding, ways[coding])
        if coding is Coding.RANGE and not canvas.lossless:
            group.seen = canvas

    def _code_screen(self, group: Group) -> None:
        """Screen code a group that looks drawn, and look no further where that takes little."""
        if not any(self._is_for_screen(self._image[t.rows, t.columns]) for t in group.tiles):
            return
        samples = self._samples(group.tiles)
        group.screen = encode_screen(samples, group.tiles, self._image.shape[2])
        if len(group.screen) * _LITTLE < len(samples):
            group.section = Section(SectionKind.TILE_GROUP, Coding.SCREEN, group.screen)

    def _is_for_screen(self, image: Pixels) -> bool:
        if not looks_drawn(image):
            return False
        plan = self._plan
        return plan.side is not None or trials.screen_may_win(plan.kernels, image, self._shift)

    def widen(self) -> None:
        """Screen code the image in the largest tiles, if that won in most groups and saves enough.

        Small tiles forget what the image repeats; large ones make damage and crops cost more.
        """
        sections = [g.section for g in self.groups if g.section is not None]
        drawn = sum(s.coding is Coding.SCREEN for s in sections)
        if len(sections) < 2 or 2 * drawn < len(sections):
            return
        height, width, channels = self._image.shape
        tile_size = widest_tile(height, width, self._shift)
        per_group = _least_group(height, width, tile_size)
        groups = tile_groups(height, width, tile_size, per_group)
        coded = [encode_screen(self._samples(tiles), tiles, channels) for tiles in groups]
        if sum(map(len, coded)) > _WORTH_WIDENING * sum(len(s.payload) for s in sections):
            return
        self._tile_size, self._tiles_per_group = tile_size, per_group
        self.groups = [Group(tiles, tiles, _NO_BORDERS) for tiles in groups]
        for group, payload in zip(self.groups, coded, strict=True):
            group.section = Section(SectionKind.TILE_GROUP, Coding.SCREEN, payload)

    def _samples(self, tiles: list[Tile]) -> bytes:
        """The pixels of a raw group."""
        return b"".join(self._image[t.rows, t.columns].tobytes() for t in tiles)

    def _exceptions(self, group: Group) -> bytes:
        """Which pixels of the group are not what the colour set makes of its samples."""
        samples = [self._drawing.samples[t.rows, t.columns] for t in group.coded]
        made = paint(self._drawing.colours, self._drawing.sheet, samples, group.tiles)
        wanted = [self._image[t.rows, t.columns] for t in group.tiles]
        return encode_exceptions(in_rows(wanted), in_rows(made))

    def finish(self) -> bytes:
        """The `.seec` file."""
        front = self._front()
        if front and self._is_smaller_without(front):
            front = []
            for group in self.groups:
                group.section, group.seen = self._without_network(group), None
        sections = front + [g.section for g in self.groups if g.section is not None]
        height, width, channels = self._image.shape
        return serialise(
            Container(
                width=width,
                height=height,
                channels=channels,
                block_shift=self._shift,
                tile_size=self._tile_size,
                tiles_per_group=self._tiles_per_group,
                model_id=self._plan.model.short_id,
                digest=pixel_digest(self._decoded())[:DIGEST_BYTES],
                sections=tuple(sections),
                lossy=any(g.seen is not None for g in self.groups),
                turned=self._turned,
            )
        )

    def _front(self) -> list[Section]:
        """The sections before the tile groups: what range coded ones need, if there are any."""
        sections: list[Section] = []
        if not any(g.section is not None and g.section.coding is Coding.RANGE for g in self.groups):
            return sections
        if self._drawing.colours is not None:
            payload = self._drawing.colours.serialise()
            sections.append(Section(SectionKind.COLOUR_SET, Coding.RAW, payload))
        if self._maps.labels.any():
            payload = encode_labels(self._maps.labels, self._entropy_models)
            sections.append(Section(SectionKind.LABELS, Coding.RANGE, payload))
        if any(g.seen is not None for g in self.groups):
            payload = encode_widths(self._maps.widths)
            sections.append(Section(SectionKind.BACKGROUND, Coding.RANGE, payload))
        if self._plan.side is not None:
            z, y = self._plan.side.encode([x for g in self.groups for x in g.latents])
            sections.append(Section(SectionKind.HYPER_LATENTS, Coding.RANGE, z))
            sections.append(Section(SectionKind.LATENTS, Coding.RANGE, y))
        return sections

    def _is_smaller_without(self, front: Sequence[Section]) -> bool:
        """Whether the network saves less in the groups than what it needs before them takes.

        Asked only where screen coding was tried: what is raw then was not much larger before.
        """
        if all(group.screen is None for group in self.groups):
            return False
        channels = self._image.shape[2]
        without = with_it = 0
        for group in self.groups:
            assert group.section is not None
            with_it += len(group.section.payload)
            raw = channels * sum(t.height * t.width for t in group.tiles)
            without += raw if group.screen is None else min(raw, len(group.screen))
        return without < with_it + sum(container.ENTRY_BYTES + len(s.payload) for s in front)

    def _without_network(self, group: Group) -> Section:
        raw = self._samples(group.tiles)
        if group.screen is None or len(raw) <= len(group.screen):
            return Section(SectionKind.TILE_GROUP, Coding.RAW, raw)
        return Section(SectionKind.TILE_GROUP, Coding.SCREEN, group.screen)

    def _decoded(self) -> Pixels:
        """What decoding will give: the image as it was given, but for a lossy background."""
        changed = [g for g in self.groups if g.seen is not None]
        if not changed:
            return self._given
        pixels = self._image.copy()  # never turned
        for group in changed:
            assert group.seen is not None
            for number, t in enumerate(group.tiles):
                seen = group.seen.interior(number)[..., : pixels.shape[2]]
                pixels[t.rows, t.columns] = seen
        return pixels.reshape(self._given.shape)

    def _canvas(self, group: Group) -> GroupCanvas:
        canvas = empty_canvas(group.coded, group.borders, self._maps, group.side)
        fill_canvas(canvas, self._drawing.samples, group.coded)
        return canvas


def _least_group(height: int, width: int, tile_size: int) -> int:
    """With how many tiles in a group a file can list the groups: more than 1 if it is very long."""
    tiles = -(-height // tile_size) * -(-width // tile_size)
    others = len(SectionKind) - 1  # a file has at most one section of each other kind
    return -(-tiles // (container.MAX_SECTIONS - others))


def _check_image(image: Pixels, label_map: Pixels | None, background: Background | None) -> None:
    if image.dtype != np.uint8 or not (
        image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    ):
        raise ValueError(f"SEEC codes uint8 [H, W] or [H, W, 3], not {image.dtype}{image.shape}")
    height, width = image.shape[:2]
    if not height * width:
        raise ValueError("an image without pixels")
    if height * width > MAX_PIXELS:
        raise LimitExceeded(f"{width} x {height} pixels; the limit is {MAX_PIXELS}")
    if label_map is not None and label_map.shape != (height, width):
        raise ValueError(f"labels {label_map.shape} for an image {image.shape[:2]}")
    if background is not None and background.region.shape != (height, width):
        raise ValueError(f"a region {background.region.shape} for an image {image.shape[:2]}")
