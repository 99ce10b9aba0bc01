"""What all drawings share: fonts, words, colours, smooth shapes."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]
Font = ImageFont.ImageFont | ImageFont.FreeTypeFont
SMOOTH = 4  # shapes are drawn this much larger and scaled down, which smooths their edges
WORDS = [
    "archive",
    "basin",
    "carbon",
    "delta",
    "engine",
    "folio",
    "garden",
    "harbour",
    "index",
    "journey",
    "kernel",
    "ledger",
    "meadow",
    "notion",
    "orbit",
    "paper",
    "quartz",
    "river",
    "signal",
    "table",
    "umbra",
    "vector",
    "window",
    "yearly",
    "zenith",
    "and",
    "the",
    "of",
    "to",
    "in",
    "a",
    "is",
    "that",
    "for",
    "it",
    "as",
    "was",
    "with",
    "be",
    "by",
    "on",
    "not",
    "he",
    "his",
    "but",
    "at",
    "are",
    "this",
    "have",
    "from",
    "which",
    "one",
]
PALETTE: tuple[Colour, ...] = (
    (31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189),
    (140, 86, 75), (227, 119, 194), (127, 127, 127), (188, 189, 34), (23, 190, 207),
)  # fmt: skip
WHITE, BLACK, INK, PAPER = (255, 255, 255), (0, 0, 0), (34, 34, 40), (250, 249, 246)


@lru_cache
def font(size: int) -> Font:
    """The font that Pillow brings, edges smoothed; size in pixels."""
    return ImageFont.load_default(size)


@lru_cache
def fixed_font() -> Font:
    """The bitmap font that Pillow brings, in two levels."""
    return ImageFont.load_default_imagefont()


def sentence(rng: np.random.Generator, words: int) -> str:
    """Random words with a capital and a full stop."""
    return " ".join(rng.choice(WORDS, words)).capitalize() + "."


def paragraphs(
    draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], size: int, ink: Colour, seed: int
) -> None:
    """Fill a box (left, top, right, bottom) with ragged lines of text."""
    rng, letters = np.random.default_rng(seed), font(size)
    left, top, right, bottom = box
    for y in range(top, bottom - size, size * 3 // 2):
        line = ""
        while letters.getlength(line + "mmmm") < (right - left):
            line += f"{rng.choice(WORDS)} "
        ends = rng.random() < 0.12
        draw.text((left, y), line[: len(line) // 2] + "." if ends else line, ink, letters)


def smooth(image: Image.Image) -> Image.Image:
    """A canvas at the size it was asked for."""
    size = (image.width // SMOOTH, image.height // SMOOTH)
    return image.resize(size, Image.Resampling.BOX)


def canvas(width: int, height: int, colour: Colour) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An image to be drawn in coordinates times SMOOTH."""
    image = Image.new("RGB", (width * SMOOTH, height * SMOOTH), colour)
    return image, ImageDraw.Draw(image)


def box(left: float, top: float, right: float, bottom: float) -> list[float]:
    """A box in the coordinates of a canvas."""
    return [SMOOTH * edge for edge in (left, top, right, bottom)]


def blob(rng: np.random.Generator, x: float, y: float, radius: float) -> list[tuple[float, float]]:
    """A closed curve around x, y in the coordinates of a canvas."""
    angle = np.linspace(0, 2 * np.pi, 60)
    wobble = 1 + sum(
        rng.normal(0, 0.12) * np.sin(k * angle + rng.uniform(0, 6)) for k in range(2, 7)
    )
    across, down = x + radius * wobble * np.cos(angle), y + radius * wobble * np.sin(angle)
    return [(float(a), float(b)) for a, b in SMOOTH * np.stack([across, down], 1)]
