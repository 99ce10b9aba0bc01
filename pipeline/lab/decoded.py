"""Size and speed of route `seec-decoded` against the pixels' codec, by set of images, as a table.

    python -m seec.pipeline.lab.decoded kodak:90,4:2:0=FOLDER photos=FOLDER

A set is NAME=FOLDER, of images as they are, or NAME:QUALITY,SAMPLING=FOLDER, of what Pillow decodes
the JPEG files to that it makes of them; a sampling of `gray` makes gray ones. Each image is coded
both ways, decoded and compared. Sizes and times are sums over the images that were found, but for
the time to look at one that was not. Speeds are megapixels per second of this process's CPU.
"""

import argparse
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seec.pipeline.codec import decode as decode_pixels
from seec.pipeline.codec import encode as encode_pixels
from seec.pipeline.codec import packaged_model as pixel_model
from seec.pipeline.dct.packaged import nearest_model
from seec.pipeline.decoded.coding import apart, decode, encode
from seec.pipeline.decoded.finding import find_jpeg
from seec.pipeline.images.split import is_validation

Pixels = NDArray[np.uint8]
Value = TypeVar("Value")
_HEADINGS = (
    *("set", "images", "MP", "found", "exact pixels %", "exact images", "JPEG bytes"),
    *("seec-decoded", "seec", "change %", "look ms", "find", "encode", "decode"),
    *("seec encode", "seec decode"),
)


@dataclass
class Totals:
    """Sums over a set. Sizes: bytes. Times: seconds; look: at images that were not found."""

    images: int = 0
    pixels: int = 0
    found: int = 0
    found_pixels: int = 0
    exceptions: int = 0
    exact: int = 0
    jpeg_bytes: int = 0
    decoded_bytes: int = 0
    seec_bytes: int = 0
    look_s: float = 0.0
    find_s: float = 0.0
    encode_s: float = 0.0
    decode_s: float = 0.0
    seec_encode_s: float = 0.0
    seec_decode_s: float = 0.0


def main() -> None:
    """Measure the sets that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="+", metavar="NAME[:QUALITY,SAMPLING]=FOLDER")
    parser.add_argument("--profile", default="lite")
    parser.add_argument("--limit", type=int, default=0, help="images of a set, spread over it")
    parser.add_argument(
        "--validation", action="store_true", help="only images that training leaves out"
    )
    asked = parser.parse_args()
    print(f"| {' | '.join(_HEADINGS)} |")  # noqa: T201
    print("| --- " * len(_HEADINGS) + "|")  # noqa: T201
    for text in asked.sets:
        name, _, folder = text.partition("=")
        paths = sorted(path for path in Path(folder).iterdir() if path.is_file())
        if asked.validation:
            paths = [path for path in paths if is_validation(path.name)]
        if asked.limit and len(paths) > asked.limit:
            paths = [paths[len(paths) * i // asked.limit] for i in range(asked.limit)]
        totals = Totals()
        for image, size_bytes in _images(name, paths):
            _measure(totals, image, size_bytes, asked.profile)
        print(_row(name, totals), flush=True)  # noqa: T201


def _images(name: str, paths: list[Path]) -> Iterator[tuple[Pixels, int]]:
    """Images [H, W, 1 or 3], with the bytes of the JPEG file that each was, or 0."""
    _, _, made = name.partition(":")
    for path in paths:
        with Image.open(path) as opened:
            gray = made.endswith(",gray") or (not made and opened.mode == "L")
            image = opened.convert("L" if gray else "RGB")
        size_bytes = 0
        if made:
            quality, sampling = made.split(",")
            options = {} if gray else {"subsampling": sampling}
            out = io.BytesIO()
            image.save(out, "JPEG", quality=int(quality), **options)
            size_bytes = len(out.getvalue())
            image = Image.open(out)
        pixels = np.array(image)
        yield pixels.reshape(*pixels.shape[:2], -1), size_bytes


def _measure(t: Totals, image: Pixels, size_bytes: int, profile: str) -> None:
    t.images, t.pixels = t.images + 1, t.pixels + image[..., 0].size
    jpeg, seconds = _timed(lambda: find_jpeg(image))
    if jpeg is None:
        t.look_s += seconds
        return
    t.found, t.find_s = t.found + 1, t.find_s + seconds
    t.found_pixels, t.jpeg_bytes = t.found_pixels + image[..., 0].size, t.jpeg_bytes + size_bytes
    model = nearest_model(profile)
    decoded, before = _timed(lambda: apart(image, jpeg))
    payload, after = _timed(lambda: encode(decoded, model))
    models = {model.short_id: model}.get
    back, seconds = _timed(lambda: decode(payload, models, image.shape))
    assert (back == image).all()
    t.exceptions, t.exact = t.exceptions + decoded.differing, t.exact + (decoded.differing == 0)
    t.decoded_bytes += len(payload)
    t.encode_s, t.decode_s = t.encode_s + before + after, t.decode_s + seconds
    other = pixel_model(profile)
    flat = image[..., 0] if image.shape[2] == 1 else image
    code, seconds = _timed(lambda: encode_pixels(flat, model=other))
    t.seec_encode_s, t.seec_bytes = t.seec_encode_s + seconds, t.seec_bytes + len(code)
    again, seconds = _timed(lambda: decode_pixels(code, models={other.id: other}))
    assert (again == flat).all()
    t.seec_decode_s += seconds


def _timed(work: Callable[[], Value]) -> tuple[Value, float]:
    began = time.process_time()
    value = work()
    return value, time.process_time() - began


def _row(name: str, t: Totals) -> str:
    missed, pixels = t.images - t.found, t.found_pixels
    cells = [name, str(t.images), f"{t.pixels / 1e6:.1f}", str(t.found)]
    if t.found:
        change = 100 * t.decoded_bytes / t.seec_bytes - 100
        times = t.find_s, t.encode_s, t.decode_s, t.seec_encode_s, t.seec_decode_s
        found = [f"{100 - 100 * t.exceptions / pixels:.3f}", str(t.exact), f"{t.jpeg_bytes:,}"]
        found += [f"{t.decoded_bytes:,}", f"{t.seec_bytes:,}", f"{change:+.1f}"]
        speeds = [f"{pixels / 1e6 / max(seconds, 1e-9):.2f}" for seconds in times]
    else:
        found, speeds = [""] * 6, [""] * 5
    look = f"{1e3 * t.look_s / missed:.1f}" if missed else ""
    return f"| {' | '.join([*cells, *found, look, *speeds])} |"


if __name__ == "__main__":
    main()
