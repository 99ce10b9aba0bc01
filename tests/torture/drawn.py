"""Pictures in every format, size and mode that tests can write for themselves."""

import io
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from seec.pipeline.images.formats.png_file import SIGNATURE, chunk
from tests.jpegs import held, refused
from tests.pictures import gray, screenshot, textured
from tests.sources import coded_files, image_bytes, jpeg_files, plane_files, stored_files

SIZES = ((1, 1), (1, 40), (40, 1), (2, 3), (17, 31), (64, 80))
Sizes = Iterable[tuple[int, int]]
Files = Iterator[tuple[str, bytes]]


def everything() -> dict[str, bytes]:
    """All sound files, by a name that says what is in them."""
    found: dict[str, bytes] = {}
    for draw in (pngs, png_metadata, bitmaps, netpbms, tiffs, webps, others, collected):
        for name, data in draw():
            assert name not in found
            found[name] = data
    return found


def modes(height: int, width: int) -> dict[str, Image.Image]:
    """One picture in the modes of Pillow."""
    rgb, one = textured(height, width), gray(height, width)
    drawing = Image.fromarray(screenshot(max(height, 8), max(width, 8))[:height, :width])
    return {
        "RGB": Image.fromarray(rgb),
        "L": Image.fromarray(one),
        "RGBA": Image.fromarray(np.dstack([rgb, 255 - one])),
        "LA": Image.fromarray(np.dstack([one, one ^ 85])),
        "P": Image.fromarray(rgb).quantize(200),
        "P16": drawing.quantize(16),
        "P4": drawing.quantize(4),
        "P2": drawing.quantize(2),
        "1": Image.fromarray(one).convert("1"),
        "I16": Image.fromarray(deep(height, width)),
        "F": Image.fromarray(deep(height, width).astype(np.float32) / 3),
        "CMYK": Image.fromarray(rgb).convert("CMYK"),
    }


def deep(height: int, width: int, factor: int = 97) -> NDArray[np.uint16]:
    y, x = np.mgrid[:height, :width]
    return (gray(height, width).astype(np.uint16) * factor + 3 * x + y).astype(np.uint16)


def pngs(sizes: Sizes = SIZES) -> Files:
    for height, width in sizes:
        size = f"{height}x{width}"
        for mode, picture in modes(height, width).items():
            if mode not in ("F", "CMYK"):
                yield f"png/{mode}-{size}.png", image_bytes(picture, "PNG")
        channels = [deep(height, width, factor) for factor in (97, 61, 13, 201)]
        for count in (2, 3, 4):
            data = bytes(imagecodecs.png_encode(np.dstack(channels[:count])))
            yield f"png/deep{count}-{size}.png", data
        for mode in ("RGB", "RGBA", "LA", "L"):
            pixels = np.asarray(modes(height, width)[mode]).reshape(height, width, -1)
            yield f"png/interlaced-{mode}-{size}.png", interlaced(pixels)
    for level in (0, 1, 9):
        yield f"png/level-{level}.png", image_bytes(textured(40, 50), "PNG", compress_level=level)


def interlaced(pixels: NDArray[np.uint8]) -> bytes:
    """An Adam7 file. pixels: [H, W, samples]."""
    data = b""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2))
    for top, left, down, right in (*passes, (1, 0, 2, 1)):
        part = pixels[top::down, left::right]
        if part.size:
            data += b"".join(b"\0" + row.tobytes() for row in part)
    height, width, samples = pixels.shape
    color = {1: 0, 2: 4, 3: 2, 4: 6}[samples]
    header = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 1)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return SIGNATURE + parts


def png_metadata() -> Files:
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "described", 6
    text = PngInfo()
    text.add_text("Title", "a picture")
    text.add_text("Long", "words " * 500, zip=True)
    text.add_itxt("Author", "zoë")
    options: dict[str, dict[str, Any]] = {
        "dpi": {"dpi": (300, 200)},
        "icc": {"icc_profile": b"profile" * 40},
        "text": {"pnginfo": text},
        "exif": {"exif": exif},
        "transparency": {"transparency": 0},
    }
    for mode in ("L", "RGB", "RGBA", "P", "I16"):
        plain = image_bytes(modes(20, 30)[mode], "PNG")
        for kind, said in options.items():
            if kind == "transparency" and mode in ("RGB", "RGBA", "I16"):
                continue
            yield f"said/{mode}-{kind}.png", image_bytes(modes(20, 30)[mode], "PNG", **said)
        for kind in (b"gAMA", b"prVt", b"tIME", b"cHRM"):
            size = {b"gAMA": 4, b"tIME": 7, b"cHRM": 32, b"prVt": 9}[kind]
            more = plain[:33] + chunk(kind, bytes([0, 1, 1, 1] * 8)[:size]) + plain[33:]
            yield f"said/{mode}-{kind.decode()}.png", more
        yield f"said/{mode}-behind.png", plain + b"PK\3\4 and an archive behind it"


def bitmaps(sizes: Sizes = SIZES) -> Files:
    for height, width in sizes:
        for mode in ("RGB", "RGBA", "L", "P", "1"):
            data = image_bytes(modes(height, width)[mode], "BMP")
            yield f"bmp/{mode}-{height}x{width}.bmp", data
    upright = bytearray(image_bytes(textured(20, 31), "BMP"))
    struct.pack_into("<i", upright, 22, -20)
    yield "bmp/top-down.bmp", bytes(upright)
    header = struct.pack(
        "<2sIHHIIiiHHIIiiII", b"BM", 0, 0, 0, 54, 40, 30, 20, 1, 16, 0, 0, 0, 0, 0, 0
    )
    yield "bmp/sixteen.bmp", header + deep(20, 30).tobytes()


def netpbms(sizes: Sizes = SIZES) -> Files:
    for height, width in sizes:
        size, rgb, one = f"{height}x{width}", textured(height, width), gray(height, width)
        wide = np.dstack([deep(height, width)] * 3)
        names = f"{width} {height}".encode()
        yield f"pnm/bits-{size}.pbm", image_bytes(modes(height, width)["1"], "PPM")
        for maximum in (1, 100, 255):
            head = b"P5 " + names + b" %d\n" % maximum
            yield f"pnm/gray-{maximum}-{size}.pgm", head + np.minimum(one, maximum).tobytes()
        yield (
            f"pnm/gray-deep-{size}.pgm",
            b"P5 " + names + b" 65535\n" + wide[..., 0].byteswap().tobytes(),
        )
        yield f"pnm/rgb-{size}.ppm", b"P6\n# said\n" + names + b"\n255\n" + rgb.tobytes()
        yield f"pnm/rgb-deep-{size}.ppm", b"P6 " + names + b" 65535\n" + wide.byteswap().tobytes()
        for depth in (1, 2, 4, 5):
            samples = np.dstack([rgb, one, 255 - one])[..., :depth]
            head = b"P7\nWIDTH %d\nHEIGHT %d\nDEPTH %d\nMAXVAL 255\nENDHDR\n" % (
                width,
                height,
                depth,
            )
            yield f"pnm/any-{depth}-{size}.pam", head + samples.tobytes()
        floats = wide.astype("<f4")
        yield f"pnm/floats-{size}.pfm", b"PF\n" + names + b"\n-1.0\n" + floats.tobytes()
        yield (
            f"pnm/floats-gray-{size}.pfm",
            b"Pf\n" + names + b"\n1.0\n" + floats[..., 0].astype(">f4").tobytes(),
        )


def tiffs(sizes: Sizes = SIZES[3:]) -> Files:
    for height, width in sizes:
        for mode, picture in modes(height, width).items():
            for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits"):
                if mode in ("P16", "P4", "P2"):
                    continue
                data = image_bytes(picture, "TIFF", compression=compression, dpi=(72, 72))
                kind = compression or "plain"
                yield f"tiff/{mode}-{kind}-{height}x{width}.tif", data
    pages = [modes(20, 30 + i)[mode] for i, mode in enumerate(("RGB", "1", "RGBA", "I16", "L"))]
    for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        options: dict[str, Any] = {"save_all": True, "append_images": pages[1:]}
        data = image_bytes(pages[0], "TIFF", compression=compression, **options)
        yield f"tiff/pages-{compression or 'plain'}.tif", data
    for compression in ("jpeg", "group3", "group4"):
        picture = modes(40, 50)["RGB" if compression == "jpeg" else "1"]
        yield f"tiff/{compression}.tif", image_bytes(picture, "TIFF", compression=compression)


def webps(sizes: Sizes = SIZES) -> Files:
    for height, width in sizes:
        for mode in ("RGB", "RGBA"):
            picture = modes(height, width)[mode]
            data = image_bytes(picture, "WEBP", lossless=True, exact=True)
            yield f"webp/{mode}-{height}x{width}.webp", data
    said: dict[str, Any] = {"icc_profile": b"profile", "xmp": b"<x/>"}
    yield "webp/said.webp", image_bytes(modes(20, 30)["RGBA"], "WEBP", lossless=True, **said)
    yield "webp/lossy-alpha.webp", image_bytes(modes(20, 30)["RGBA"], "WEBP")


def others(sizes: Sizes = SIZES) -> Files:
    for height, width in sizes:
        for mode in ("RGB", "RGBA"):
            pixels = np.asarray(modes(height, width)[mode])
            yield f"qoi/{mode}-{height}x{width}.qoi", bytes(imagecodecs.qoi_encode(pixels))
        for mode in ("P", "P4", "1"):
            data = image_bytes(modes(height, width)[mode], "GIF", interlace=mode == "P4")
            yield f"gif/{mode}-{height}x{width}.gif", data
    picture = modes(40, 50)["RGBA"]
    for name in ("ICO", "TGA", "PCX", "JPEG2000", "DDS", "SGI"):
        plain = picture.convert("RGB") if name == "PCX" else picture
        yield f"other/{name}", image_bytes(plain, name)
    sink = io.BytesIO()
    rgb = picture.convert("RGB")
    rgb.save(sink, "MPO", save_all=True, append_images=[rgb.rotate(90)])
    yield "other/two.mpo", sink.getvalue()


def collected() -> Files:
    for kind, files in {
        "coded": coded_files(),
        "planes": plane_files(),
        "jpeg": jpeg_files(),
        "stored": stored_files(),
        "held": held(),
        "refused": refused(),
    }.items():
        for name, data in files.items():
            yield f"collected/{kind} {name}", data
