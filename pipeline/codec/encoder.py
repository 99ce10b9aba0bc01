"""Pixels to bytes: the encoder of `.seec` files."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.codec.background import Background, encode_widths
from pipeline.codec.entropy import encode_labels
from pipeline.codec.kernels import Kernels, make_kernels, open_side_coder
from pipeline.codec.labels import assign_regions, blocks_from_map, choose_labels
from pipeline.codec.models import default_model
from pipeline.codec.threads import run_all
from pipeline.codec.tiles import (
    BlockMaps,
    GroupCanvas,
    Tile,
    border_colours,
    empty_canvas,
    fill_canvas,
    tile_groups,
)
from pipeline.codec.weights import Model
from pipeline.images.digest import pixel_digest
from schemas import container
from schemas.container import (
    DIGEST_BYTES,
    MAX_PIXELS,
    Coding,
    Container,
    Section,
    SectionKind,
    check_tiling,
    serialise,
)
from schemas.errors import LimitExceeded

if TYPE_CHECKING:
    from pipeline.codec.side import Latents, SideCoder

Pixels = NDArray[np.uint8]
TILE_SIZE = 512
BLOCK_SHIFT = 4
MAX_REGIONS = 16


def encode(
    image: Pixels,
    *,
    labels: Pixels | None = None,
    regions: bool = False,
    background: Background | None = None,
    model: Model | None = None,
    threads: int = 1,
    device: str = "cpu",
) -> bytes:
    """Encode one image, losslessly unless a background is given.

    image: [H, W] gray or [H, W, 3] RGB, uint8. labels: [H, W] uint8, which entropy model
    speaks for each pixel (the most frequent one of each block counts); None chooses the
    labels of least code length. regions: the labels, 0..15, only name regions, and each region
    gets the entropy model under which it costs least. background: what may be lost. model:
    default the packaged one. threads: tile groups encoded at once; it does not change the
    bytes, nor does device.
    Returns a `.seec` file. Raises ValueError for other shapes and types.
    """
    encoder = Encoder(model or default_model(), device, threads)
    return encoder.encode_batch([image], [labels], [background], regions=regions)[0]


@dataclass(frozen=True)
class _Plan:
    """How an encoder cuts images, and with what it codes them."""

    model: Model
    kernels: Kernels
    tile_size: int
    tiles_per_group: int
    block_shift: int
    side: "SideCoder | None"


class Encoder:
    """Encodes batches of images with one model on one device.

    The tile groups of all images of a batch are worked on together. tile_size, tiles_per_group
    and block_shift say how images are cut; what a decoder would refuse raises LimitExceeded.
    """

    def __init__(
        self,
        model: Model,
        device: str = "cpu",
        threads: int = 1,
        *,
        tile_size: int = TILE_SIZE,
        tiles_per_group: int = 1,
        block_shift: int = BLOCK_SHIFT,
    ):
        check_tiling(tile_size, tiles_per_group, block_shift)
        kernels = make_kernels(model, device)
        side = open_side_coder(model, device)
        self._plan = _Plan(model, kernels, tile_size, tiles_per_group, block_shift, side)
        self._threads = threads

    def encode_batch(
        self,
        images: Sequence[Pixels],
        labels: Sequence[Pixels | None],
        backgrounds: Sequence[Background | None] | None = None,
        *,
        regions: bool = False,
    ) -> list[bytes]:
        """Encode images, each as `encode` would: the bytes do not depend on the batch."""
        wanted = zip(images, labels, backgrounds or [None] * len(images), strict=True)
        jobs = [
            _ImageJob(self._plan, image, label_map, background, regions)
            for image, label_map, background in wanted
        ]
        run_all(_ImageJob.analyse, [(j, g) for j in jobs for g in j.groups], self._threads)
        run_all(_ImageJob.measure, [(j, g) for j in jobs for g in j.groups], self._threads)
        for job in jobs:
            job.choose()
        run_all(_ImageJob.code, [(j, g) for j in jobs for g in j.groups], self._threads)
        return [job.finish() for job in jobs]


class _Group:
    """One tile group of one image on its way through the encoder."""

    def __init__(self, tiles: list[Tile], borders: Pixels):
        self.tiles, self.borders = tiles, borders
        self.latents: list[Latents] = []
        self.side: NDArray[np.int16] | None = None
        self.costs: NDArray[np.int64] | None = None
        self.section: Section | None = None
        self.seen: GroupCanvas | None = None  # what a decoder sees, where that is not the image


class _ImageJob:
    """One image on its way through the encoder."""

    def __init__(
        self,
        plan: _Plan,
        image: Pixels,
        label_map: Pixels | None,
        background: Background | None,
        regions: bool,
    ):
        _check_image(image, label_map, background)
        self._plan = plan
        self._gray = image.ndim == 2
        self._image = image[..., None] if self._gray else image
        height, width = image.shape[:2]
        self._shift = plan.block_shift
        self._experts = plan.model.profile.experts
        self._maps = BlockMaps.blank(height, width, self._shift)
        self._regions: Pixels | None = None
        if label_map is not None:
            classes = MAX_REGIONS if regions else self._experts
            blocks = blocks_from_map(label_map, self._shift, classes)
            if regions:
                self._regions = blocks
            else:
                self._maps.labels[:] = blocks
        self._measured = self._experts > 1 and (label_map is None or regions)
        if background is not None:
            self._maps.widths[:] = background.widths(self._shift)
        self._tiles_per_group = _tiles_per_group(height, width, plan)
        groups = tile_groups(height, width, plan.tile_size, self._tiles_per_group)
        self.groups = [_Group(tiles, border_colours(self._image, tiles)) for tiles in groups]

    def analyse(self, group: _Group) -> None:
        """Latents of the group's tiles and the features that follow from them (SIC)."""
        if self._plan.side is not None:
            group.latents = self._plan.side.analyse(self._image, group.tiles)
            group.side = self._plan.side.features(group.latents, group.tiles)

    def measure(self, group: _Group) -> None:
        """Code lengths of the group's blocks under every expert, if they are to decide."""
        if self._measured:
            group.costs = self._plan.kernels.measure(self._canvas(group))

    def choose(self) -> None:
        """Fix the label map."""
        if not self._measured:
            return
        costs = np.zeros((*self._maps.labels.shape, self._experts), np.int64)
        for group in self.groups:
            assert group.costs is not None
            for tile, part in zip(group.tiles, group.costs, strict=True):
                top, left = tile.y >> self._shift, tile.x >> self._shift
                rows = -(-tile.height >> self._shift)
                columns = -(-tile.width >> self._shift)
                costs[top : top + rows, left : left + columns] = part[:rows, :columns]
        if self._regions is None:
            self._maps.labels[:] = choose_labels(costs)
        else:
            self._maps.labels[:] = assign_regions(costs, self._regions)

    def code(self, group: _Group) -> None:
        """Code the group's pixels, or keep them raw where that is no larger."""
        canvas = self._canvas(group)
        payload = group.borders.tobytes() + self._plan.kernels.encode(canvas)
        raw = sum(t.height * t.width for t in group.tiles) * self._image.shape[2]
        if len(payload) < raw:
            group.section = Section(SectionKind.TILE_GROUP, Coding.RANGE, payload)
            group.seen = None if canvas.lossless else canvas
            return
        parts = [
            np.ascontiguousarray(self._image[t.y : t.y + t.height, t.x : t.x + t.width]).tobytes()
            for t in group.tiles
        ]
        group.section = Section(SectionKind.TILE_GROUP, Coding.RAW, b"".join(parts))

    def finish(self) -> bytes:
        """The `.seec` file."""
        sections = [g.section for g in self.groups if g.section is not None]
        coded = any(s.coding is Coding.RANGE for s in sections)
        lossy = any(g.seen is not None for g in self.groups)
        if coded and self._plan.side is not None:
            z, y = self._plan.side.encode([x for g in self.groups for x in g.latents])
            sections.insert(0, Section(SectionKind.LATENTS, Coding.RANGE, y))
            sections.insert(0, Section(SectionKind.HYPER_LATENTS, Coding.RANGE, z))
        if lossy:
            payload = encode_widths(self._maps.widths)
            sections.insert(0, Section(SectionKind.BACKGROUND, Coding.RANGE, payload))
        if coded and self._maps.labels.any():
            payload = encode_labels(self._maps.labels, self._experts)
            sections.insert(0, Section(SectionKind.LABELS, Coding.RANGE, payload))
        pixels = self._decoded()
        height, width, channels = pixels.shape
        return serialise(
            Container(
                width=width,
                height=height,
                channels=channels,
                block_shift=self._shift,
                tile_size=self._plan.tile_size,
                tiles_per_group=self._tiles_per_group,
                model_id=self._plan.model.short_id,
                digest=pixel_digest(pixels[..., 0] if self._gray else pixels)[:DIGEST_BYTES],
                sections=tuple(sections),
                lossy=lossy,
            )
        )

    def _decoded(self) -> Pixels:
        """What decoding will give, [H, W, channels]: the image, but for a lossy background."""
        changed = [g for g in self.groups if g.seen is not None]
        pixels = self._image.copy() if changed else self._image
        for group in changed:
            assert group.seen is not None
            for number, t in enumerate(group.tiles):
                seen = group.seen.interior(number)[..., : pixels.shape[2]]
                pixels[t.y : t.y + t.height, t.x : t.x + t.width] = seen
        return pixels

    def _canvas(self, group: _Group) -> GroupCanvas:
        canvas = empty_canvas(group.tiles, group.borders, self._maps, group.side)
        fill_canvas(canvas, self._image, group.tiles)
        return canvas


def _tiles_per_group(height: int, width: int, plan: _Plan) -> int:
    """As planned, or more where a very long image would have more groups than a file can list."""
    tiles = -(-height // plan.tile_size) * -(-width // plan.tile_size)
    room = container.MAX_SECTIONS - 1  # the label map takes one
    return max(plan.tiles_per_group, -(-tiles // room))


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
