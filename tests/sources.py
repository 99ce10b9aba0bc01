"""Files of every kind, drawn by the tests themselves."""

import io
import os
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.pictures import gray, screenshot, textured

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
    directories = Image.Exif()
    directories[0x010E] = "described"
    directories.get_ifd(0x8769)[0x9003] = "2020:01:01 00:00:00"
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
        "lzw.tiff": image_bytes(
            rgb, "TIFF", compression="tiff_lzw", exif=directories, dpi=(72, 72)
        ),
        "rgb.qoi": bytes(imagecodecs.qoi_encode(rgb)),
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


def plane_files() -> dict[str, bytes]:
    """Alpha, palettes, other depths, several pages: these go to SEEC as planes."""
    rgb, one = textured(48, 72), gray(48, 72)
    rgba = np.dstack([rgb, one])
    deep = one.astype(np.uint16) * 97 + np.arange(72, dtype=np.uint16)
    bits = Image.fromarray(one).convert("1")
    palette = Image.fromarray(screenshot(48, 72)).quantize(16)
    frames = [Image.fromarray(textured(16, 16, seed)) for seed in range(2)]
    exif = Image.Exif()
    exif[0x010E] = "described"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:01 00:00:00"
    pages: dict[str, Any] = {"save_all": True, "append_images": [*frames, bits]}
    deep_rgb = np.dstack([deep, deep // 3, 5 * deep])
    pam = b"P7\nWIDTH 72\nHEIGHT 48\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n"
    return {
        "alpha.png": image_bytes(rgba, "PNG", dpi=(300, 300), icc_profile=b"profile"),
        "gray-alpha.png": image_bytes(np.ascontiguousarray(rgba[..., [1, 0]]), "PNG"),
        "transparent.png": image_bytes(rgb, "PNG", transparency=(1, 2, 3)),
        "palette.png": image_bytes(Image.fromarray(rgb).quantize(200), "PNG", transparency=3),
        "palette-4.png": image_bytes(palette, "PNG"),
        "palette-2.png": image_bytes(Image.fromarray(rgb).quantize(4), "PNG"),
        "bits.png": image_bytes(bits, "PNG"),
        "sixteen.png": image_bytes(deep, "PNG"),
        "sixteen-from-eight.png": image_bytes(one.astype(np.uint16) * 257, "PNG"),
        "sixteen-rgb.png": bytes(imagecodecs.png_encode(deep_rgb)),
        "sixteen-rgba.png": bytes(imagecodecs.png_encode(np.dstack([deep_rgb, deep]))),
        "opaque.png": image_bytes(np.dstack([rgb, np.full_like(one, 255)]), "PNG"),
        "alpha.webp": image_bytes(
            rgba, "WEBP", lossless=True, exact=True, exif=exif, icc_profile=b"profile"
        ),
        "cmyk.tiff": image_bytes(Image.fromarray(rgb).convert("CMYK"), "TIFF"),
        "bits.tiff": image_bytes(bits, "TIFF"),
        "sixteen.tiff": image_bytes(deep, "TIFF"),
        "floats.tiff": image_bytes(deep.astype(np.float32) / 7, "TIFF"),
        "pages.tiff": image_bytes(Image.fromarray(rgb), "TIFF", **pages),
        "deflate.tiff": image_bytes(deep, "TIFF", compression="tiff_adobe_deflate"),
        "lzw-deep.tiff": image_bytes(deep, "TIFF", compression="tiff_lzw"),
        "big.tiff": image_bytes(rgba, "TIFF", big_tiff=True),
        "packbits.tiff": image_bytes(rgba, "TIFF", compression="packbits", description="words"),
        "bits.pbm": image_bytes(bits, "PPM"),
        "sixteen.pgm": image_bytes(deep, "PPM"),
        "fifteen.pgm": b"P5 72 48 15\n" + (one >> 4).tobytes(),
        "alpha.pam": pam + rgba.tobytes(),
        "floats.pfm": image_bytes(deep.astype(np.float32), "PPM"),
        "alpha.bmp": image_bytes(rgba, "BMP"),
        "palette.bmp": image_bytes(palette, "BMP"),
        "gray.bmp": image_bytes(one, "BMP"),
        "bits.bmp": image_bytes(bits, "BMP"),
        "animated.gif": animated_gif(),
        "alpha.qoi": bytes(imagecodecs.qoi_encode(rgba)),
    }


def animated_gif() -> bytes:
    """Frames of several sizes, palettes and durations, with a comment and a transparent colour."""
    first, *others = (Image.fromarray(textured(48, 72, seed)).quantize(64) for seed in range(4))
    return image_bytes(
        first,
        "GIF",
        save_all=True,
        append_images=others,
        duration=[100, 70, 300, 20],
        loop=3,
        disposal=[1, 2, 3, 1],
        comment=b"said",
        transparency=5,
    )


def stored_files() -> dict[str, bytes]:
    """All else: these are stored byte for byte."""
    rgb = textured(24, 36)
    frames = [Image.fromarray(textured(16, 16, seed)) for seed in range(2)]
    animation: dict[str, Any] = {"save_all": True, "append_images": frames[1:]}
    png = image_bytes(rgb, "PNG")
    return {
        "tiny.jpg": image_bytes(rgb, "JPEG"),
        "cmyk.jpg": image_bytes(Image.fromarray(rgb).convert("CMYK"), "JPEG"),
        "truncated.jpg": image_bytes(textured(96, 120), "JPEG")[:-2],
        "animated.png": image_bytes(frames[0], "PNG", **animation),
        "animated.webp": image_bytes(frames[0], "WEBP", lossless=True, **animation),
        "lossy.webp": image_bytes(rgb, "WEBP"),
        "jpeg.tiff": image_bytes(rgb, "TIFF", compression="jpeg"),
        "fax.tiff": image_bytes(Image.fromarray(rgb).convert("1"), "TIFF", compression="group3"),
        "plain.ppm": b"P3 2 1 255\n1 2 3 4 5 6\n",
        "text.png": b"not an image at all",
        "empty.png": b"",
        "truncated.png": png[: len(png) // 2],
        "damaged.png": png[:100] + bytes([png[100] ^ 1]) + png[101:],
        "letters.txt": b"compressible " * 400,
    }


def write_source(root: Path) -> None:
    """A folder of coded, transcoded and stored files, and of odd names."""
    for name, data in (coded_files() | plane_files() | jpeg_files() | stored_files()).items():
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


# What files say of how they hold their samples.
_HOW = ("compression", "interlace")
# Where samples lie and how they are compressed may change; all else that TIFF says may not.
_TIFF_MAY_CHANGE = {259, 273, 279, 317, 324, 325, 34665}


def metadata(image: Image.Image) -> tuple[dict[Any, Any], dict[int, Any], dict[int, Any]]:
    """What the current page of an image says beside its samples and how it holds them."""
    info = {key: value for key, value in image.info.items() if key != "compression"}
    exif = image.getexif()
    plain = {tag: value for tag, value in exif.items() if tag not in _TIFF_MAY_CHANGE}
    return info, plain, dict(exif.get_ifd(0x8769))


def same_image(one: bytes, other: bytes) -> bool:
    """Whether two files show and say the same; how samples are compressed or sorted may differ."""
    if one == other:
        return True
    before, after = (Image.open(io.BytesIO(data)) for data in (one, other))
    for page in range(getattr(before, "n_frames", 1)):
        before.seek(page)
        after.seek(page)
        infos = [
            {key: value for key, value in image.info.items() if key not in _HOW}
            for image in (before, after)
        ]
        if not np.array_equal(np.asarray(before), np.asarray(after)) or infos[0] != infos[1]:
            return False
    return before.format == after.format and before.mode == after.mode


def files_below(root: Path) -> dict[bytes, bytes]:
    """Every file below a folder: relative name and bytes."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {os.fsencode(path.relative_to(root)): path.read_bytes() for path in files}
