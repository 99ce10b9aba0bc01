"""Charts."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from seec.pipeline.lab.benchmark.drawings.ink import (
    BLACK,
    PALETTE,
    SMOOTH,
    WHITE,
    WORDS,
    Colour,
    Pixels,
    box,
    canvas,
    font,
    smooth,
)


def _axes(image: Image.Image, ink: Colour) -> None:
    draw = ImageDraw.Draw(image)
    for tick in range(6):
        y = image.height - 30 - tick * (image.height - 60) // 5
        draw.line((44, y, image.width - 15, y), tuple((v + 128) // 2 for v in ink))
        draw.text((38, y), f"{20 * tick}", ink, font(12), anchor="rm")
        x = 50 + tick * (image.width - 80) // 5
        draw.text((x, image.height - 24), f"{2000 + 5 * tick}", ink, font(12))


def line_chart(width: int, height: int, paper: Colour) -> Image.Image:
    """Four walks of values, smooth lines over an even ground."""
    rng = np.random.default_rng(12)
    image, draw = canvas(width, height, paper)
    for number in range(4):
        values = np.cumsum(rng.normal(0, 1, 60)) + 4 * number
        x = np.linspace(50, width - 20, 60)
        y = height / 2 - 6 * (values - 6)
        points = [(float(a), float(b)) for a, b in SMOOTH * np.stack([x, y], 1)]
        draw.line(points, PALETTE[number], 2 * SMOOTH)
    image = smooth(image)
    _axes(image, (90, 90, 90) if sum(paper) > 400 else (160, 170, 180))
    return image


def bar_chart(width: int, height: int, paper: Colour) -> Image.Image:
    """Twelve bars in three colours, edges sharp."""
    rng = np.random.default_rng(13)
    image = Image.new("RGB", (width, height), paper)
    _axes(image, (90, 90, 90) if sum(paper) > 400 else (160, 170, 180))
    draw = ImageDraw.Draw(image)
    for number in range(12):
        left = 54 + number * (width - 80) // 12
        top = int(rng.integers(30, height - 60))
        draw.rectangle((left, top, left + (width - 80) // 18, height - 31), PALETTE[number % 3])
    return image


def scatter() -> Image.Image:
    """Seven hundred dots of four kinds, each with a rim."""
    rng = np.random.default_rng(14)
    image, draw = canvas(640, 480, WHITE)
    for x, y, kind in zip(*rng.normal(0, 1, (2, 700)), rng.integers(0, 4, 700), strict=True):
        a, b = 320 + 80 * x + 60 * (kind - 1.5), 240 + 60 * y
        draw.ellipse(box(a - 3, b - 3, a + 3, b + 3), PALETTE[kind], WHITE, 2)
    image = smooth(image)
    _axes(image, BLACK)
    return image


def pie() -> Image.Image:
    """Seven slices and their legend."""
    image, draw = canvas(480, 400, WHITE)
    shares = np.cumsum([0, 62, 80, 31, 44, 27, 70, 46])
    for number, (start, end) in enumerate(pairwise(shares)):
        draw.pieslice(box(60, 40, 380, 360), int(start), int(end), PALETTE[number], WHITE, 8)
        draw.rectangle(box(400, 60 + 26 * number, 414, 74 + 26 * number), PALETTE[number])
    image = smooth(image)
    for number in range(7):
        text = ImageDraw.Draw(image)
        text.text((420, 60 + 26 * number), WORDS[number], BLACK, font(13))
    return image


def _colour_map(values: NDArray[np.float64]) -> Pixels:
    """Values in [0, 1] from blue through green to yellow."""
    stops = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)])
    channels = [np.interp(values, np.linspace(0, 1, 5), stops[:, c]) for c in range(3)]
    return np.stack(channels, -1).round().astype(np.uint8)


def heat_map() -> Pixels:
    """Cells of 20 x 20 pixels, each in a colour of the map."""
    cells = np.random.default_rng(15).random((20, 28))
    return np.repeat(np.repeat(_colour_map(cells), 20, 0), 20, 1)


def surface() -> Pixels:
    """A smooth function in the colours of the map."""
    y, x = np.mgrid[:400, :520] / 60.0
    return _colour_map((np.sin(x) * np.cos(y + 0.3 * x) + np.sin(0.7 * y) + 2) / 4)


def contours() -> Pixels:
    """The same function in ten flat steps."""
    y, x = np.mgrid[:400, :520] / 60.0
    values = (np.sin(x) * np.cos(y + 0.3 * x) + np.sin(0.7 * y) + 2) / 4
    return _colour_map(np.floor(values * 9) / 9)
