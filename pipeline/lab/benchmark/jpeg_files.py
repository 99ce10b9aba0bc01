"""Bytes saved and speed of codecs on JPEG files, every file decoded and compared."""

import resource
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from seec.pipeline.images.jpeg import matches
from seec.pipeline.lab.benchmark.jpeg_codecs import JpegCodec
from seec.pipeline.lab.benchmark.table import aligned
from seec.schemas.errors import UnreadableImage

_HEADINGS = (
    *("saved", "mean", "worst", "of file", "bytes", "refused"),
    *("encode MB/CPU s", "decode MB/CPU s"),
)


@dataclass(frozen=True)
class JpegSample:
    """One JPEG file through one codec.

    refused: the codec does not take the file, or does not give it back; size_bytes is then the
    file's. Seconds: CPU time of the codec, 0 if refused.
    """

    file: str
    codec: str
    source_size_bytes: int
    size_bytes: int
    refused: bool
    encode_cpu_s: float = 0.0
    decode_cpu_s: float = 0.0

    @property
    def saved_percent(self) -> float:
        """Of the file's bytes."""
        return _saved(self.size_bytes, self.source_size_bytes)


@dataclass(frozen=True)
class JpegRow:
    """The JPEG files of a folder through one codec, as a reader of the JSON output sees it.

    saved_percent: of all bytes; saved_percent_mean: over files; saved_percent_worst: of
    worst_file. Speeds: million bytes of files that were not refused over seconds of CPU time, None
    if all were.
    """

    folder: str
    codec: str
    files: int
    refused: int
    source_size_bytes: int
    size_bytes: int
    saved_percent: float
    saved_percent_mean: float
    saved_percent_worst: float
    worst_file: str
    encode_mb_per_cpu_s: float | None
    decode_mb_per_cpu_s: float | None

    def as_dict(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)


def is_jpeg(path: Path) -> bool:
    """Whether a file begins as a JPEG file does."""
    with path.open("rb") as file:
        return matches(file.read(2))


def measure_jpegs(
    folder: str,
    paths: Sequence[Path],
    codecs: Sequence[JpegCodec],
    advance: Callable[[], None] = lambda: None,
) -> list[JpegRow]:
    """Run every codec on every file; `advance` is called after each file."""
    samples: list[JpegSample] = []
    for number, path in enumerate(paths):
        data = path.read_bytes()
        if not number:
            # Code, tables and models are loaded once, and their loading is not a codec's speed.
            for codec in codecs:
                measure_jpeg(codec, path.name, data)
        samples += [measure_jpeg(codec, path.name, data) for codec in codecs]
        advance()
    return [
        _row(folder, [s for s in samples if s.codec == codec.name]) for codec in codecs if samples
    ]


def measure_jpeg(codec: JpegCodec, name: str, data: bytes) -> JpegSample:
    """Encode, decode and compare one file."""
    whole = JpegSample(name, codec.name, len(data), len(data), refused=True)
    try:
        start = _cpu_s()
        coded = codec.encode(data)
        encoded = _cpu_s()
        decoded = codec.decode(coded)
        end = _cpu_s()
    except UnreadableImage:
        return whole
    if decoded != data:
        return whole
    sizes = len(data), len(coded)
    return JpegSample(name, codec.name, *sizes, False, encoded - start, end - encoded)


def jpeg_lines(rows: Sequence[JpegRow]) -> list[str]:
    """A table of each folder, in Markdown."""
    return [line for name in dict.fromkeys(r.folder for r in rows) for line in _lines(name, rows)]


def _lines(folder: str, rows: Sequence[JpegRow]) -> list[str]:
    rows = [row for row in rows if row.folder == folder]
    most = max(row.saved_percent for row in rows)
    cells = [
        (
            f"**{row.codec}**" if row.saved_percent == most else row.codec,
            f"{row.saved_percent:.2f} %",
            f"{row.saved_percent_mean:.2f} %",
            f"{row.saved_percent_worst:.2f} %",
            row.worst_file,
            f"{row.size_bytes:,}",
            f"{row.refused}",
            _speed(row.encode_mb_per_cpu_s),
            _speed(row.decode_mb_per_cpu_s),
        )
        for row in rows
    ]
    return [
        f"### {folder}: {rows[0].files} JPEG files, {rows[0].source_size_bytes:,} bytes",
        "",
        *aligned(("codec", *_HEADINGS), cells),
        "",
        "saved: of the bytes of all files. mean, worst: over files.",
        "refused: not taken, or not given back byte for byte; these count whole.",
        "Speeds are by CPU time of one thread, starts of programs included.",
        "",
    ]


def _row(folder: str, samples: Sequence[JpegSample]) -> JpegRow:
    source, coded = (
        sum(sizes)
        for sizes in zip(*((s.source_size_bytes, s.size_bytes) for s in samples), strict=True)
    )
    taken = [s for s in samples if not s.refused]
    megabytes = sum(s.source_size_bytes for s in taken) / 1e6
    worst = min(samples, key=lambda s: s.saved_percent)
    return JpegRow(
        folder=folder,
        codec=samples[0].codec,
        files=len(samples),
        refused=len(samples) - len(taken),
        source_size_bytes=source,
        size_bytes=coded,
        saved_percent=_saved(coded, source),
        saved_percent_mean=sum(s.saved_percent for s in samples) / len(samples),
        saved_percent_worst=worst.saved_percent,
        worst_file=worst.file,
        encode_mb_per_cpu_s=_rate(megabytes, sum(s.encode_cpu_s for s in taken)),
        decode_mb_per_cpu_s=_rate(megabytes, sum(s.decode_cpu_s for s in taken)),
    )


def _saved(coded: int, source: int) -> float:
    return 100 - 100 * coded / source


def _rate(megabytes: float, seconds: float) -> float | None:
    return megabytes / seconds if seconds else None


def _speed(rate: float | None) -> str:
    return "" if rate is None else f"{rate:.3g}"


def _cpu_s() -> float:
    """Of this process and of the programs that ran."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)
