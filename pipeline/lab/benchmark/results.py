"""What a benchmark finds: samples, and rows that sum them up."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Sample:
    """One image through one codec on one thread.

    Seconds by the clock and of CPU time. blob_digest: SHA-256 of the coded bytes, hex.
    """

    image: str
    codec: str
    width: int
    height: int
    channels: int
    size_bytes: int
    blob_digest: str
    encode_s: float
    decode_s: float
    encode_cpu_s: float
    decode_cpu_s: float

    @property
    def megapixels(self) -> float:
        """Pixels of the image, in millions."""
        return self.width * self.height / 1e6

    @property
    def rate_bpsp(self) -> float:
        """Coded bits per sub-pixel; a gray pixel is one sub-pixel."""
        return 8 * self.size_bytes / (self.width * self.height * self.channels)


@dataclass(frozen=True)
class Parallel:
    """One folder through one codec with several threads at work.

    beside: what is coded beside each other, the tile groups of one image or whole images.
    Speeds: as in Row. gains: how many times faster than one thread, by the clock.
    """

    codec: str
    threads: int
    beside: Literal["tiles", "images"]
    encode_mp_per_s: float
    decode_mp_per_s: float
    encode_mp_per_cpu_s: float
    decode_mp_per_cpu_s: float
    encode_gain: float
    decode_gain: float


@dataclass(frozen=True)
class Row:
    """One folder through one codec, as a reader of the JSON output sees it.

    bpsp: mean over images. Speeds: megapixels of all images over the seconds of all calls on one
    thread, by the clock and of CPU time. parallel: the same with more threads.
    """

    folder: str
    codec: str
    images: int
    megapixels: float
    size_bytes: int
    bpsp: float
    encode_mp_per_s: float
    decode_mp_per_s: float
    encode_mp_per_cpu_s: float
    decode_mp_per_cpu_s: float
    parallel: tuple[Parallel, ...]

    def as_dict(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)


@dataclass(frozen=True)
class FolderResult:
    """All that was measured on a folder. skipped: files that no codec was given."""

    folder: str
    samples: tuple[Sample, ...]
    skipped: tuple[str, ...]
    parallel: tuple[Parallel, ...] = ()

    def of(self, codec: str) -> list[Sample]:
        """The samples of one codec, in the order of the images."""
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
        return Row(
            folder=self.folder,
            codec=codec,
            images=len(samples),
            megapixels=_megapixels(samples),
            size_bytes=self.total_bytes(codec),
            bpsp=sum(s.rate_bpsp for s in samples) / len(samples),
            encode_mp_per_s=_megapixels(samples) / sum(s.encode_s for s in samples),
            decode_mp_per_s=_megapixels(samples) / sum(s.decode_s for s in samples),
            encode_mp_per_cpu_s=_megapixels(samples) / sum(s.encode_cpu_s for s in samples),
            decode_mp_per_cpu_s=_megapixels(samples) / sum(s.decode_cpu_s for s in samples),
            parallel=tuple(p for p in self.parallel if p.codec == codec),
        )


def _megapixels(samples: Sequence[Sample]) -> float:
    return sum(s.megapixels for s in samples)
