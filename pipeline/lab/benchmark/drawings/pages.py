"""Text: pages, terminals, spreadsheets."""

import numpy as np
from PIL import Image, ImageDraw

from seec.pipeline.lab.benchmark.drawings.ink import (
    BLACK,
    INK,
    PALETTE,
    WHITE,
    WORDS,
    Colour,
    Pixels,
    fixed_font,
    font,
    paragraphs,
    sentence,
)


def page(paper: Colour, ink: Colour, size: int, columns: int, seed: int) -> Image.Image:
    """A heading over columns of text."""
    image = Image.new("RGB", (620, 800), paper)
    draw = ImageDraw.Draw(image)
    draw.text((40, 30), sentence(np.random.default_rng(seed), 4), ink, font(2 * size))
    width = 540 // columns
    for column in range(columns):
        left = 40 + column * width
        paragraphs(draw, (left, 90, left + width - 16, 770), size, ink, seed + column)
    return image


def linked_page() -> Image.Image:
    """A page with links on a light ground."""
    image = page(WHITE, INK, 13, 1, 3)
    draw, rng = ImageDraw.Draw(image), np.random.default_rng(4)
    for y in range(100, 740, 90):
        draw.rectangle((40, y, 579, y + 26), (240, 246, 255))
        draw.text((48, y + 5), sentence(rng, 7), (9, 105, 218), font(14))
    return image


def gray_page() -> Pixels:
    """A page in levels of gray."""
    return np.asarray(page(WHITE, BLACK, 15, 1, 9).convert("L"))


def bilevel_page() -> Image.Image:
    """Lines of text in black and white."""
    image = Image.new("RGB", (640, 480), WHITE)
    draw, rng = ImageDraw.Draw(image), np.random.default_rng(5)
    for y in range(10, 470, 12):
        draw.text((12, y), sentence(rng, int(rng.integers(6, 16)))[:100], BLACK, fixed_font())
    return image


def terminal(rows: int, seed: int) -> Image.Image:
    """Numbered lines of text in colours, on dark ground."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (800, rows * 14 + 8), (30, 30, 46))
    draw = ImageDraw.Draw(image)
    for row in range(rows):
        y = 4 + 14 * row
        draw.text((6, y), f"{row:04d}", (88, 91, 112), fixed_font())
        for part in range(int(rng.integers(1, 6))):
            ink = PALETTE[int(rng.integers(6))] if part else (205, 214, 244)
            draw.text((40 + 150 * part, y), " ".join(rng.choice(WORDS, 3)), ink, fixed_font())
    return image


def spreadsheet() -> Image.Image:
    """Words and numbers in a grid."""
    rng = np.random.default_rng(6)
    image = Image.new("RGB", (900, 600), WHITE)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 900, 21), (243, 243, 243))
    for x in range(0, 900, 90):
        draw.line((x, 0, x, 600), (212, 212, 212))
        draw.text((x + 40, 4), chr(65 + x // 90), (80, 80, 80), font(12))
    for y in range(22, 600, 20):
        draw.line((0, y, 900, y), (212, 212, 212))
        for x in range(0, 900, 90):
            if rng.random() < 0.8:
                text = f"{rng.integers(0, 10**6) / 100:,.2f}" if x else str(rng.choice(WORDS))
                draw.text((x + 84, y + 3), text, BLACK, font(12), anchor="ra")
    return image
