"""Pages that show photographs, and photographs in few colours."""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from seec.pipeline.lab.benchmark.drawings.ink import INK, WHITE, Pixels, font, sentence
from seec.pipeline.lab.benchmark.drawings.pages import page


def _thumbnail(photograph: Pixels, width: int, height: int) -> Image.Image:
    """The middle of a photograph, as large as fits, scaled."""
    share = min(photograph.shape[0] / height, photograph.shape[1] / width)
    h, w = int(height * share), int(width * share)
    top, left = (photograph.shape[0] - h) // 2, (photograph.shape[1] - w) // 2
    part = Image.fromarray(photograph[top : top + h, left : left + w])
    return part.resize((width, height), Image.Resampling.LANCZOS)


def article(photographs: Sequence[Pixels]) -> Image.Image:
    """A page of text with two photographs."""
    image = page(WHITE, INK, 14, 1, 31)
    image.paste(_thumbnail(photographs[0], 300, 220), (40, 300))
    image.paste(_thumbnail(photographs[1], 180, 120), (400, 560))
    return image


def gallery(photographs: Sequence[Pixels]) -> Image.Image:
    """Six photographs on cards."""
    image = Image.new("RGB", (1000, 700), (248, 249, 250))
    draw, rng = ImageDraw.Draw(image), np.random.default_rng(32)
    draw.rectangle((0, 0, 1000, 56), (33, 37, 41))
    draw.text((24, 16), "Gallery", WHITE, font(22))
    for number, photograph in enumerate(photographs[:6]):
        left, top = 30 + number % 3 * 320, 84 + number // 3 * 300
        draw.rectangle((left, top, left + 300, top + 280), WHITE, (222, 226, 230))
        image.paste(_thumbnail(photograph, 300, 190), (left, top))
        for line in range(3):
            ink = (33, 37, 41) if not line else (108, 117, 125)
            draw.text((left + 10, top + 200 + 24 * line), sentence(rng, 6), ink, font(14))
    return image


def ordered_dither(photographs: Sequence[Pixels]) -> Pixels:
    """A photograph in four levels a channel, dithered by a fixed pattern."""
    bayer = np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]])
    pixels = np.asarray(_thumbnail(photographs[2], 320, 320)).astype(np.int64)
    return (
        ((pixels + np.tile(bayer, (80, 80))[..., None] * 4) // 64 * 64)
        .clip(0, 255)
        .astype(np.uint8)
    )


def few_colours(colours: int, dither: bool) -> Callable[[Sequence[Pixels]], Image.Image]:
    """A drawing that shows a photograph in so many colours."""

    def draw(photographs: Sequence[Pixels]) -> Image.Image:
        kind = Image.Dither.FLOYDSTEINBERG if dither else Image.Dither.NONE
        small = _thumbnail(photographs[3], 320, 320)
        palette = small.quantize(colours, Image.Quantize.MEDIANCUT)
        return small.quantize(palette=palette, dither=kind).convert("RGB")

    return draw


def halftone(photographs: Sequence[Pixels]) -> Pixels:
    """A photograph in black and white."""
    return np.asarray(_thumbnail(photographs[4], 320, 320).convert("1").convert("L"))
