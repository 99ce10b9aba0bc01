"""TIFF files as several programs write them: strips, tiles, pyramids, stacks, all compressions."""

import io
import struct
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from tests.pictures import gray, textured
from tests.sources import image_bytes

RGB, GRAY = textured(90, 122), gray(90, 122)
DEEP = GRAY.astype(np.uint16) * 97 + np.arange(122, dtype=np.uint16)
FLOATS = DEEP.astype(np.float32) / 7


def written(samples: NDArray[Any], **options: Any) -> bytes:
    """A file, as tifffile writes it."""
    sink = io.BytesIO()
    tifffile.imwrite(sink, samples, **options)
    return sink.getvalue()


def pyramid(**options: Any) -> bytes:
    """A picture with smaller ones in directories below it, in BigTIFF with OME's description."""
    sink = io.BytesIO()
    with tifffile.TiffWriter(sink, bigtiff=True, ome=True) as file:
        file.write(DEEP, subifds=2, tile=(32, 32), metadata={"axes": "YX"}, **options)
        for step in (2, 4):
            smaller = np.ascontiguousarray(DEEP[::step, ::step])
            file.write(smaller, subfiletype=1, tile=(32, 32), **options)
    return sink.getvalue()


def between_planes(samples: NDArray[Any]) -> bytes:
    """A strip of each plane in turn, so that planes do not follow each other."""
    height, width, count = samples.shape
    rows, start = 30, 8 + 2 + 12 * 10 + 4
    strips = [
        (plane, np.ascontiguousarray(samples[top : top + rows, :, plane]).tobytes())
        for top in range(0, height, rows)
        for plane in range(count)
    ]
    lists = start + 8 * len(strips)
    offsets: dict[int, list[int]] = {plane: [] for plane in range(count)}
    for plane, _ in strips:
        offsets[plane].append(lists + sum(map(len, [])))
    at, data = lists, b""
    offsets = {plane: [] for plane in range(count)}
    for plane, strip in strips:
        offsets[plane].append(at)
        at, data = at + len(strip), data + strip
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 2, 277: count, 278: rows, 284: 2}
    entries = [(tag, 1, value) for tag, value in tags.items()]
    entries += [(273, len(strips), start), (279, len(strips), start + 4 * len(strips))]
    head = b"II*\0" + struct.pack("<IH", 8, len(entries))
    head += b"".join(struct.pack("<HHII", tag, 4, n, value) for tag, n, value in sorted(entries))
    in_order = [offset for plane in range(count) for offset in offsets[plane]]
    sizes = [rows * width] * len(strips)
    numbers = struct.pack(f"<{2 * len(strips)}I", *in_order, *sizes)
    return head + bytes(4) + numbers + data


def exact_files() -> dict[str, bytes]:
    """Those that come back byte for byte whatever is asked for."""
    black = Image.fromarray(np.zeros((400, 900), np.uint8))
    stack = np.stack([DEEP, DEEP // 2, DEEP // 3])
    files = {
        "big": written(RGB, photometric="rgb", bigtiff=True),
        "big-endian": written(DEEP, bigtiff=True, byteorder=">"),
        "doubles": written(FLOATS.astype(np.float64)),
        "ome": written(stack, ome=True),
        "imagej": written(stack, imagej=True, metadata={"axes": "ZYX"}),
        "pyramid": pyramid(),
        "unreferenced": image_bytes(RGB, "TIFF") + b"bytes that nobody speaks of" * 40,
        "planes": between_planes(RGB),
        "pillow-lzw": image_bytes(RGB, "TIFF", compression="tiff_lzw"),
        "pillow-lzw-black": image_bytes(black, "TIFF", compression="tiff_lzw"),
        "pillow-packbits": image_bytes(RGB, "TIFF", compression="packbits"),
        "pillow-packbits-black": image_bytes(black, "TIFF", compression="packbits"),
        "group4": image_bytes(Image.fromarray(GRAY > 99), "TIFF", compression="group4"),
        "pillow-bits": image_bytes(
            Image.fromarray(GRAY).convert("1"), "TIFF", compression="tiff_lzw"
        ),
    }
    for name, samples in (("rgb", RGB), ("deep", DEEP), ("floats", FLOATS)):
        for predictor in (False, True):
            for order in "<>":
                options = {"predictor": predictor, "byteorder": order, "rowsperstrip": 25}
                kind = f"lzw-{name}-{'predicted' * predictor}-{order}"
                files[kind] = written(samples, compression="lzw", **options)
        files[f"packbits-{name}"] = written(samples, compression="packbits", tile=(32, 48))
    files["pyramid-deflate"] = pyramid(compression="deflate", predictor=True)
    files["pillow-deflate"] = image_bytes(RGB, "TIFF", compression="tiff_adobe_deflate")
    files["pyramid-lzw"] = pyramid(compression="lzw", predictor=True)
    return files


def compressed_files() -> dict[str, bytes]:
    """Those whose compression is not done again to the same bytes."""
    files = {
        "pyramid-zstd": pyramid(compression="zstd", predictor=True),
        "xz": written(DEEP, compression="lzma"),
        "stack-zstd": written(np.stack([DEEP, DEEP // 2]), compression="zstd", ome=True),
        "unreferenced-zstd": written(RGB, compression="zstd", photometric="rgb") + b"more" * 99,
        "planes-zstd": written(
            np.moveaxis(RGB, 2, 0).copy(),
            compression="zstd",
            photometric="rgb",
            planarconfig="separate",
        ),
    }
    for name, samples in (("rgb", RGB), ("deep", DEEP), ("floats", FLOATS)):
        for order in "<>":
            options = {"predictor": True, "byteorder": order, "tile": (32, 48)}
            files[f"zstd-{name}-{order}"] = written(samples, compression="zstd", **options)
    return files
