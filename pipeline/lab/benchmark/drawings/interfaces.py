"""Interfaces and icons."""

import numpy as np
from PIL import Image, ImageDraw

from seec.pipeline.lab.benchmark.drawings.charts import bar_chart, line_chart
from seec.pipeline.lab.benchmark.drawings.ink import (
    BLACK,
    INK,
    PALETTE,
    PAPER,
    SMOOTH,
    WHITE,
    WORDS,
    box,
    canvas,
    font,
    paragraphs,
    sentence,
    smooth,
)


def dialog() -> Image.Image:
    """A form with round corners and two buttons."""
    image, draw = canvas(640, 420, (214, 219, 230))
    draw.rounded_rectangle(box(30, 30, 610, 390), 48, WHITE, (180, 184, 194), 4)
    draw.rounded_rectangle(box(30, 30, 610, 70), 48, (66, 99, 235))
    for row in range(5):
        top = 100 + 46 * row
        draw.rounded_rectangle(
            box(200, top, 580, top + 30), 24, (248, 249, 252), (190, 196, 210), 4
        )
    for column, colour in enumerate(((233, 236, 239), (66, 99, 235))):
        left = 380 + 105 * column
        draw.rounded_rectangle(box(left, 344, left + 95, 376), 32, colour)
    image = smooth(image)
    draw, rng = ImageDraw.Draw(image), np.random.default_rng(7)
    draw.text((50, 41), "Preferences", WHITE, font(16))
    for row in range(5):
        draw.text((50, 107 + 46 * row), str(rng.choice(WORDS)).title(), INK, font(15))
        draw.text((210, 107 + 46 * row), sentence(rng, 5), (90, 96, 110), font(14))
    draw.text((408, 352), "Cancel", INK, font(14))
    draw.text((520, 352), "Save", WHITE, font(14))
    return image


def window() -> Image.Image:
    """A window with a gradient title bar, a list and a tool bar of icons."""
    image = Image.new("RGB", (800, 560), (236, 233, 216))
    draw, rng = ImageDraw.Draw(image), np.random.default_rng(8)
    for x in range(800):
        draw.line((x, 0, x, 28), (10 + x // 8, 36 + x // 6, 106 + x // 6))
    draw.text((10, 6), "Document - Editor", WHITE, font(15))
    for number in range(16):
        image.paste(icon(24, number), (10 + 34 * number, 34))
    draw.rectangle((8, 70, 220, 540), WHITE, (127, 157, 185))
    draw.rectangle((228, 70, 790, 540), WHITE, (127, 157, 185))
    for row in range(22):
        if row == 6:
            draw.rectangle((10, 74 + 21 * row, 218, 94 + 21 * row), (49, 106, 197))
        ink = WHITE if row == 6 else BLACK
        draw.text((30, 76 + 21 * row), f"{rng.choice(WORDS)} {row}", ink, font(13))
        image.paste(icon(16, row), (12, 76 + 21 * row))
    paragraphs(draw, (240, 80, 780, 536), 14, BLACK, 8)
    return image


def icon(size: int, seed: int) -> Image.Image:
    """A shape with a symbol in two colours."""
    rng = np.random.default_rng(100 + seed)
    image, draw = canvas(size, size, (236, 233, 216))
    outer, inner = (PALETTE[i] for i in rng.choice(10, 2, replace=False))
    margin = size / 12
    shape = draw.ellipse if seed % 3 else draw.rectangle
    shape(box(margin, margin, size - margin, size - margin), outer)
    points = [(float(x), float(y)) for x, y in SMOOTH * size * rng.uniform(0.2, 0.8, (5, 2))]
    draw.polygon(points, inner)
    draw.line(points, WHITE, size // 4)
    return smooth(image)


def icons() -> Image.Image:
    """Eighty-eight icons in rows."""
    image = Image.new("RGB", (520, 392), (236, 233, 216))
    for number in range(88):
        image.paste(icon(36, number), (10 + number % 11 * 46, 12 + number // 11 * 46))
    return image


def dashboard() -> Image.Image:
    """Figures, charts and a table on dark ground."""
    image = Image.new("RGB", (960, 640), (17, 24, 39))
    draw, rng = ImageDraw.Draw(image), np.random.default_rng(10)
    for number in range(4):
        left = 20 + 235 * number
        draw.rounded_rectangle((left, 20, left + 220, 120), 8, (31, 41, 55))
        draw.text((left + 16, 34), str(rng.choice(WORDS)).upper(), (156, 163, 175), font(13))
        draw.text((left + 16, 60), f"{rng.integers(10**5):,}", WHITE, font(34))
    image.paste(line_chart(440, 280, (31, 41, 55)), (20, 140))
    image.paste(bar_chart(480, 280, (31, 41, 55)), (470, 140))
    for row in range(8):
        top = 436 + 24 * row
        draw.rectangle((20, top, 949, top + 23), (31, 41, 55) if row % 2 else (40, 51, 67))
        for column in range(6):
            draw.text((32 + 155 * column, top + 4), sentence(rng, 2), (209, 213, 219), font(13))
    return image


def swatches() -> Image.Image:
    """Ninety-six flat colours with their names."""
    image = Image.new("RGB", (640, 480), PAPER)
    draw, rng = ImageDraw.Draw(image), np.random.default_rng(11)
    for number in range(96):
        left, top = 16 + number % 12 * 51, 16 + number // 12 * 57
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        draw.rectangle((left, top, left + 44, top + 36), colour)
        draw.text((left, top + 38), "{:02x}{:02x}{:02x}".format(*colour), INK, font(11))
    return image
