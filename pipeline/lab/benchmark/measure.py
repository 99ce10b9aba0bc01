"""Rate and speed of codecs on folders of images, every decode checked."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from seec.pipeline.lab.benchmark.codecs import Codec, Pixels
from seec.pipeline.lab.benchmark.results import FolderResult, Sample
from seec.schemas.errors import DigestMismatch, UnreadableImage


def measure_folder(
    folder: str,
    paths: Sequence[Path],
    codecs: Sequence[Codec],
    advance: Callable[[], None] = lambda: None,
) -> FolderResult:
    """Run every codec on every image; `advance` is called after each image.

    Holds one image at a time. Files that do not hold one 8-bit RGB or gray image are skipped.
    Raises DigestMismatch if a codec does not give the pixels back.
    """
    for codec in codecs:
        warm_up(codec)
    samples: list[Sample] = []
    skipped: list[str] = []
    for path in paths:
        try:
            pixels = read_pixels(path)
        except UnreadableImage as error:
            skipped.append(f"{path.name}: {error}")
        else:
            samples += [measure_image(codec, path.name, pixels) for codec in codecs]
        advance()
    return FolderResult(folder, tuple(samples), tuple(skipped))


def warm_up(codec: Codec) -> None:
    """Have it load its code, tables and weights: they are not its speed."""
    measure_image(codec, "warm-up", np.zeros((8, 8, 3), np.uint8))


def measure_image(codec: Codec, name: str, pixels: Pixels) -> Sample:
    """Encode and decode one image; only the two calls are timed.

    pixels: [H, W] or [H, W, 3] uint8. Raises DigestMismatch.
    """
    start = Times.now()
    blob = codec.encode(pixels)
    encoded = Times.now()
    decoded = codec.decode(blob)
    end = Times.now()
    check_pixels(codec, name, pixels, decoded)
    height, width = pixels.shape[:2]
    encode, decode = encoded - start, end - encoded
    return Sample(
        image=name,
        codec=codec.name,
        width=width,
        height=height,
        channels=1 if pixels.ndim == 2 else 3,
        size_bytes=len(blob),
        blob_digest=hashlib.sha256(blob).hexdigest(),
        encode_s=encode.clock_s,
        decode_s=decode.clock_s,
        encode_cpu_s=encode.cpu_s,
        decode_cpu_s=decode.cpu_s,
    )


@dataclass(frozen=True)
class Times:
    """Seconds by the clock, and of CPU time of all threads of this process.

    On a machine that others use as well, the clock runs on while the process waits.
    """

    clock_s: float = 0.0
    cpu_s: float = 0.0

    @classmethod
    def now(cls) -> "Times":
        """Since some instant in the past; differences count."""
        return cls(time.perf_counter(), time.process_time())

    def __add__(self, other: "Times") -> "Times":
        return Times(self.clock_s + other.clock_s, self.cpu_s + other.cpu_s)

    def __sub__(self, other: "Times") -> "Times":
        return Times(self.clock_s - other.clock_s, self.cpu_s - other.cpu_s)


def check_pixels(codec: Codec, name: str, pixels: Pixels, decoded: Pixels) -> None:
    """DigestMismatch unless equal; a codec without gray may return three equal channels."""
    if pixels.ndim == 2 and decoded.ndim == 3:
        pixels = np.stack([pixels] * decoded.shape[2], -1)
    if not np.array_equal(pixels, decoded):
        raise DigestMismatch(f"{name}: {codec.name} does not give its pixels back")


def read_pixels(path: Path) -> Pixels:
    """The pixels of an image file, [H, W] or [H, W, 3] uint8; UnreadableImage with the reason."""
    try:
        with Image.open(path) as image:
            if image.mode not in ("L", "RGB"):
                raise UnreadableImage(f"mode {image.mode}, neither 8-bit RGB nor 8-bit gray")
            return np.asarray(image)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UnreadableImage(str(error)) from None


def image_paths(
    folder: Path, keep: Callable[[str], bool] = lambda _: True, limit: int | None = None
) -> list[Path]:
    """Files below a folder in a fixed order; those whose name `keep` wants, at most `limit`."""
    files = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    return sorted(p for p in files if keep(p.name))[:limit]
