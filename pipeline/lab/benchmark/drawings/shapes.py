"""Maps, lines, shapes, gradients."""

import numpy as np
from PIL import Image, ImageDraw

from seec.pipeline.lab.benchmark.drawings.ink import (
    BLACK,
    PALETTE,
    WHITE,
    WORDS,
    Pixels,
    blob,
    box,
    canvas,
    font,
    smooth,
)


def map_of_land() -> Image.Image:
    """Land, woods, roads and names."""
    rng = np.random.default_rng(16)
    image, draw = canvas(800, 600, (170, 211, 223))
    for _ in range(7):
        x, y = rng.uniform(100, 700, 2) * (1, 0.8)
        draw.polygon(blob(rng, x, y, 170), (242, 239, 233))
    for _ in range(14):
        x, y = rng.uniform(50, 750, 2) * (1, 0.8)
        draw.polygon(blob(rng, x, y, 45), (200, 230, 185))
    for number in range(40):
        ends = rng.uniform(0, 600, 4) * (1.33, 1, 1.33, 1)
        width = (4, 4, 4, 9)[number % 4]
        draw.line(box(*ends), (190, 170, 140), (width + 2) * 2)
        draw.line(box(*ends), ((255, 255, 255), (255, 214, 120))[number % 4 == 3], width * 2)
    image = smooth(image)
    text = ImageDraw.Draw(image)
    for _ in range(45):
        x, y = rng.uniform(20, 560, 2) * (1.33, 1)
        name, ink = str(rng.choice(WORDS)).title(), (70, 60, 60)
        text.text((int(x), int(y)), name, ink, font(12), stroke_width=1, stroke_fill=WHITE)
    return image


def line_drawing() -> Pixels:
    """Smooth black curves on white."""
    rng = np.random.default_rng(17)
    image, draw = canvas(640, 520, WHITE)
    for _ in range(26):
        x, y = rng.uniform(80, 560, 2) * (1, 0.8)
        draw.line(blob(rng, x, y, rng.uniform(20, 120)), BLACK, 5)
    return np.asarray(smooth(image).convert("L"))


def shapes() -> Image.Image:
    """Discs and blobs in ten colours."""
    rng = np.random.default_rng(18)
    image, draw = canvas(640, 480, (255, 250, 235))
    for number in range(40):
        colour = PALETTE[number % 10]
        x, y, radius = rng.uniform(0, 640), rng.uniform(0, 480), rng.uniform(10, 70)
        if number % 2:
            draw.ellipse(box(x - radius, y - radius, x + radius, y + radius), colour)
        else:
            draw.polygon(blob(rng, x, y, radius), colour)
    return smooth(image)


def gradient(kind: str) -> Pixels:
    """A gradient: linear, radial or gray."""
    y, x = np.mgrid[:360, :480]
    if kind == "linear":
        return np.stack([x * 255 // 479, 60 + y // 3, 255 - x * 200 // 479], -1).astype(np.uint8)
    if kind == "radial":
        distance = np.hypot(y - 180, x - 240)
        value = np.clip(255 - distance, 0, 255)
        return np.stack([value, value * 0.7, 80 + value * 0.5], -1).astype(np.uint8)
    return ((x + 2 * y) * 255 // 1197).astype(np.uint8)


def fractal() -> Pixels:
    """A fractal in 49 random colours."""
    y, x = np.mgrid[:400, :520]
    c = (x - 360) / 180 + 1j * (y - 200) / 180
    z, count = np.zeros_like(c), np.zeros(c.shape, np.int64)
    for _ in range(48):
        inside = np.abs(z) < 4
        z[inside] = z[inside] ** 2 + c[inside]
        count += inside
    return np.random.default_rng(19).integers(0, 256, (49, 3), np.uint8)[count]
