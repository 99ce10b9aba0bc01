"""Rate and speed of codecs on folders of images, every decode checked."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.benchmark.codecs import Codec, Pixels
from schemas.errors import DigestMismatch, UnreadableImage


@dataclass(frozen=True)
class Sample:
    """One image through one codec."""

    image: str
    codec: str
    width: int
    height: int
    channels: int
    size_bytes: int
    encode_s: float
    decode_s: float

    @property
    def rate_bpsp(self) -> float:
        """Coded bits per sub-pixel; a gray pixel is one sub-pixel."""
        return 8 * self.size_bytes / (self.width * self.height * self.channels)


@dataclass(frozen=True)
class Row:
    """One folder through one codec, as a reader of the JSON output sees it.

    bpsp: mean over images. Speeds: megapixels of all images over the seconds of all calls.
    """

    folder: str
    codec: str
    images: int
    megapixels: float
    bpsp: float
    encode_mp_per_s: float
    decode_mp_per_s: float

    def as_dict(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)


@dataclass(frozen=True)
class FolderResult:
    """All samples of a folder. skipped: files that no codec was given."""

    folder: str
    samples: tuple[Sample, ...]
    skipped: tuple[str, ...]

    def of(self, codec: str) -> list[Sample]:
        """The samples of one codec."""
        return [s for s in self.samples if s.codec == codec]

    def total_bytes(self, codec: str) -> int:
        """Size of all images of the folder together."""
        return sum(s.size_bytes for s in self.of(codec))

    def worst(self, codec: str) -> Sample:
        """The sample with the most bits per sub-pixel."""
        return max(self.of(codec), key=lambda s: s.rate_bpsp)

    def rows(self) -> list[Row]:
        """One row for each codec, in the order they ran."""
        return [self._row(codec) for codec in dict.fromkeys(s.codec for s in self.samples)]

    def _row(self, codec: str) -> Row:
        samples = self.of(codec)
        megapixels = sum(s.width * s.height for s in samples) / 1e6
        return Row(
            folder=self.folder,
            codec=codec,
            images=len(samples),
            megapixels=megapixels,
            bpsp=sum(s.rate_bpsp for s in samples) / len(samples),
            encode_mp_per_s=megapixels / sum(s.encode_s for s in samples),
            decode_mp_per_s=megapixels / sum(s.decode_s for s in samples),
        )


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
        # Loading code, tables and weights is not the codec's speed.
        measure_image(codec, "warm-up", np.zeros((8, 8, 3), np.uint8))
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


def measure_image(codec: Codec, name: str, pixels: Pixels) -> Sample:
    """Encode and decode one image; only the two calls are timed.

    pixels: [H, W] or [H, W, 3] uint8. Raises DigestMismatch.
    """
    start = time.perf_counter()
    blob = codec.encode(pixels)
    encoded = time.perf_counter()
    decoded = codec.decode(blob)
    end = time.perf_counter()
    if not _same(pixels, decoded):
        raise DigestMismatch(f"{name}: {codec.name} does not give its pixels back")
    height, width = pixels.shape[:2]
    channels = 1 if pixels.ndim == 2 else 3
    size, encode_s, decode_s = len(blob), encoded - start, end - encoded
    return Sample(name, codec.name, width, height, channels, size, encode_s, decode_s)


def _same(pixels: Pixels, decoded: Pixels) -> bool:
    """Equal, where a codec without gray may return three equal channels."""
    if pixels.ndim == 2 and decoded.ndim == 3:
        pixels = np.stack([pixels] * decoded.shape[2], -1)
    return np.array_equal(pixels, decoded)


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
