"""Pixels to bytes: the encoder of `.seec` files."""

from collections.abc import Sequence

from seec.pipeline.codec.coding.background import Background
from seec.pipeline.codec.coding.threads import run_all, run_all_nested
from seec.pipeline.codec.kernels import make_kernels, open_side_coder
from seec.pipeline.codec.model.packaged import default_model
from seec.pipeline.codec.model.weights import Model
from seec.pipeline.codec.search.analysis import analyse, choose_maps
from seec.pipeline.codec.search.coded import code, widen
from seec.pipeline.codec.search.file import assemble
from seec.pipeline.codec.search.layout import (
    Layout,
    given_maps,
    lay_out,
    may_turn,
    region_blocks,
    turn,
    turning_spots,
)
from seec.pipeline.codec.search.plan import ColourSetChoice, Pixels, Plan, Request
from seec.pipeline.codec.search.trials import turning_gain
from seec.schemas.container import check_tiling
from seec.schemas.errors import LimitExceeded

BLOCK_SHIFT = 4


def encode(
    image: Pixels,
    *,
    labels: Pixels | None = None,
    regions: bool = False,
    background: Background | None = None,
    model: Model | None = None,
    colour_set: ColourSetChoice = "auto",
    threads: int = 1,
    device: str = "cpu",
) -> bytes:
    """Encode one image, losslessly unless a background is given.

    image: [H, W] gray or [H, W, 3] RGB, uint8. labels: [H, W] uint8, the entropy
    model of each pixel (the most frequent one of each block counts); None chooses the
    labels of least code length. regions: the labels, 0..15, only name regions, and each region
    gets the entropy model under which it costs least. background: what may be lost. model:
    default the packaged one. colour_set: `none` codes pixels only, whatever they were made of.
    threads: tile groups encoded at once; it does not change the bytes, nor does device.
    Returns a `.seec` file. Raises ValueError for other shapes and types.
    """
    encoder = Encoder(model or default_model(), device, threads, colour_set=colour_set)
    return encoder.encode_batch([image], [labels], [background], regions=regions)[0]


class Encoder:
    """Encodes batches of images with one model on one device.

    The tile groups of all images of a batch are worked on together. tile_size, tiles_per_group
    and block_shift say how images are cut; what a decoder would refuse raises LimitExceeded.
    Without tile_size, tiles are 512 wide, or 1024 with models whose hidden layers learn.
    colour_set as in `encode`. screen: whether what looks drawn may be screen coded; where most of
    an image is, larger tiles may take the place of those asked for. turned: whether images are
    coded turned by a quarter; None: those that seem to take less then, with models of several
    entropy models. With labels, a background, a colour set or SIC they never are.
    """

    def __init__(
        self,
        model: Model,
        device: str = "cpu",
        threads: int = 1,
        *,
        tile_size: int | None = None,
        tiles_per_group: int = 1,
        block_shift: int = BLOCK_SHIFT,
        colour_set: ColourSetChoice = "auto",
        screen: bool = True,
        turned: bool | None = None,
    ):
        self.tile_size = tile_size or model.usual_tile
        check_tiling(self.tile_size, tiles_per_group, block_shift)
        if self.tile_size > model.largest_tile:
            most = model.largest_tile
            raise LimitExceeded(f"tiles of {self.tile_size}; this model codes up to {most}")
        kernels = make_kernels(model, device)
        side = open_side_coder(model, device)
        cut = (self.tile_size, tiles_per_group, block_shift)
        self._plan = Plan(model, kernels, *cut, side, colour_set, screen, turned)
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
        plan, threads = self._plan, self._threads
        wanted = zip(images, labels, backgrounds or [None] * len(images), strict=True)
        requests = [Request(*one, regions) for one in wanted]
        layouts = self._turned_where_smaller(requests, [lay_out(plan, r) for r in requests])
        jobs = list(zip(requests, layouts, strict=True))
        given = [given_maps(plan, r, layout) for r, layout in jobs]
        regions_of = [region_blocks(plan, r, layout) for r, layout in jobs]

        analyses = run_all_nested(
            analyse,
            [
                [(plan, layout, g, maps, r.chooses_labels(plan)) for g in layout.groups]
                for (r, layout), maps in zip(jobs, given, strict=True)
            ],
            threads,
        )
        maps = [
            choose_maps(plan, layout, own, blocks, found) if r.chooses_labels(plan) else own
            for (r, layout), own, blocks, found in zip(
                jobs, given, regions_of, analyses, strict=True
            )
        ]
        coded = run_all_nested(
            code,
            [
                [(plan, layout, g, own, a) for g, a in zip(layout.groups, found, strict=True)]
                for layout, own, found in zip(layouts, maps, analyses, strict=True)
            ],
            threads,
        )
        cuts = run_all(widen, [(plan, *pair) for pair in zip(layouts, coded, strict=True)], threads)
        return [
            assemble(plan, *parts)
            for parts in zip(requests, layouts, maps, analyses, cuts, strict=True)
        ]

    def _turned_where_smaller(
        self, requests: Sequence[Request], layouts: Sequence[Layout]
    ) -> list[Layout]:
        """The layouts, turned where that was asked for or promises a smaller file."""
        plan = self._plan
        pairs = list(zip(requests, layouts, strict=True))
        gains = run_all_nested(
            turning_gain,
            [
                [
                    (plan.kernels, layout.image, some, plan.block_shift)
                    for some in turning_spots(plan, request, layout)
                ]
                for request, layout in pairs
            ],
            self._threads,
        )
        return [
            turn(plan, layout)
            if may_turn(plan, request, layout) and (plan.turned or sum(gain) > 0)
            else layout
            for (request, layout), gain in zip(pairs, gains, strict=True)
        ]
