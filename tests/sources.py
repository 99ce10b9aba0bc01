"""Files of every kind, drawn by the tests themselves."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.pictures import gray, textured

ODD_NAMES = (
    b"with space.png",
    b"new\nline.png",
    b"-leading dash.png",
    b"not utf-8 \xff\xfe.png",
    b"back\\slash.png",
    b"quote'\".png",
    b"deep/er/still/a.png",
)


def image_bytes(pixels: NDArray[Any] | Image.Image, format_name: str, **options: Any) -> bytes:
    """An image file, as Pillow writes it."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    sink = io.BytesIO()
    image.save(sink, format_name, **options)
    return sink.getvalue()


def coded_files() -> dict[str, bytes]:
    """Losslessly stored 8-bit RGB and gray images: these go to SEEC."""
    text = PngInfo()
    text.add_text("Title", "a picture")
    text.add_itxt("Author", "zoë")
    exif = Image.Exif()
    exif[0x010E] = "described"
    rgb = textured(24, 36)
    return {
        "rgb.png": image_bytes(rgb, "PNG"),
        "gray.png": image_bytes(gray(30, 20), "PNG"),
        "metadata.png": image_bytes(
            rgb, "PNG", dpi=(300, 300), icc_profile=b"profile", pnginfo=text, exif=exif
        ),
        "rgb.webp": image_bytes(rgb, "WEBP", lossless=True),
        "metadata.webp": image_bytes(
            rgb, "WEBP", lossless=True, icc_profile=b"profile", exif=exif, xmp=b"<x/>"
        ),
        "rgb.bmp": image_bytes(textured(21, 31), "BMP", dpi=(96, 96)),
        "rgb.ppm": image_bytes(rgb, "PPM"),
        "gray.pgm": b"P5\n# a comment\n20 30\n255\n" + gray(30, 20).tobytes(),
        "rgb.tiff": image_bytes(rgb, "TIFF", dpi=(72, 72), description="words"),
        "gray.tiff": image_bytes(gray(30, 20), "TIFF"),
        "misnamed.txt": image_bytes(rgb, "PNG"),
    }


def jpeg_files() -> dict[str, bytes]:
    """JPEG files that JPEG XL makes smaller."""
    rgb = textured(96, 120)
    color = image_bytes(rgb, "JPEG", quality=90)
    return {
        "color.jpg": color,
        "progressive.jpg": image_bytes(rgb, "JPEG", quality=90, progressive=True),
        "gray.jpg": image_bytes(gray(96, 120), "JPEG", quality=95),
        "motion.jpg": color + b"\0\0\0\x18ftypmp42 and a film",
        "misnamed.png": color,
    }


def stored_files() -> dict[str, bytes]:
    """All else: these are stored byte for byte."""
    rgb = textured(24, 36)
    rgba = np.dstack([rgb, gray(24, 36)])
    frames = [Image.fromarray(textured(16, 16, seed)) for seed in range(2)]
    animation: dict[str, Any] = {"save_all": True, "append_images": frames[1:]}
    png = image_bytes(rgb, "PNG")
    return {
        "tiny.jpg": image_bytes(rgb, "JPEG"),
        "cmyk.jpg": image_bytes(Image.fromarray(rgb).convert("CMYK"), "JPEG"),
        "truncated.jpg": image_bytes(textured(96, 120), "JPEG")[:-2],
        "alpha.png": image_bytes(rgba, "PNG"),
        "palette.png": image_bytes(Image.fromarray(rgb).convert("P"), "PNG"),
        "sixteen.png": image_bytes(gray(24, 36).astype(np.uint16) * 257, "PNG"),
        "bits.png": image_bytes(Image.fromarray(gray(24, 36)).convert("1"), "PNG"),
        "cmyk.tiff": image_bytes(Image.fromarray(rgb).convert("CMYK"), "TIFF"),
        "animated.png": image_bytes(frames[0], "PNG", **animation),
        "animated.webp": image_bytes(frames[0], "WEBP", lossless=True, **animation),
        "pages.tiff": image_bytes(frames[0], "TIFF", **animation),
        "lossy.webp": image_bytes(rgb, "WEBP"),
        "alpha.webp": image_bytes(rgba, "WEBP", lossless=True),
        "text.png": b"not an image at all",
        "empty.png": b"",
        "truncated.png": png[: len(png) // 2],
        "damaged.png": png[:100] + bytes([png[100] ^ 1]) + png[101:],
        "transparent.png": image_bytes(rgb, "PNG", transparency=(1, 2, 3)),
        "letters.txt": b"compressible " * 400,
    }


def write_source(root: Path) -> None:
    """A folder of coded, transcoded and stored files, and of odd names."""
    for name, data in (coded_files() | jpeg_files() | stored_files()).items():
        (root / name).write_bytes(data)
    for index, name in enumerate(ODD_NAMES):
        path = root / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image_bytes(textured(12, 16, index), "PNG"))


def write_tiny_source(root: Path, count: int) -> None:
    """`count` small images and nothing else."""
    root.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        (root / f"{index:03d}.png").write_bytes(image_bytes(textured(16, 20, index), "PNG"))


def files_below(root: Path) -> dict[bytes, bytes]:
    """Every file below a folder: relative name and bytes."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {os.fsencode(path.relative_to(root)): path.read_bytes() for path in files}
