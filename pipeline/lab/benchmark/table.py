"""Results as Markdown tables that a terminal shows well, too."""

import io
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from seec.pipeline.lab.benchmark.codecs import STRONGEST_PEER, is_ours
from seec.pipeline.lab.benchmark.results import FolderResult

_ANY_WIDTH = 10_000  # a row is a line, however long
_HEADINGS = (
    "bpsp",
    "bytes",
    f"of {STRONGEST_PEER}",
    "encode MP/s",
    "decode MP/s",
    "encode MP/CPU s",
    "decode MP/CPU s",
    "worst bpsp",
    "of image",
)
_PARALLEL_HEADINGS = (
    "threads",
    "beside each other",
    "encode MP/s",
    "gain",
    "decode MP/s",
    "gain",
    "encode MP/CPU s",
    "decode MP/CPU s",
)


def table_lines(results: Sequence[FolderResult]) -> list[str]:
    """One or two tables for each folder, with its worst cases below."""
    return [line for result in results for line in _folder_lines(result)]


def _folder_lines(result: FolderResult) -> list[str]:
    rows = result.rows()
    scope = f"{rows[0].images} images, {rows[0].megapixels:.1f} MP" if rows else "no images"
    lines = [f"### {result.folder}: {scope}", ""]
    if rows:
        lines += [*aligned(("codec", *_HEADINGS), _cells(result)), ""]
    if result.parallel:
        lines += [*aligned(("codec", *_PARALLEL_HEADINGS), _parallel_cells(result)), ""]
    return [*lines, *_footer(result)]


def _cells(result: FolderResult) -> Iterable[Sequence[str]]:
    rows = result.rows()
    smallest = min(r.bpsp for r in rows)
    reference = result.total_bytes(STRONGEST_PEER)
    for row in rows:
        worst = result.worst(row.codec)
        yield (
            f"**{row.codec}**" if row.bpsp == smallest else row.codec,
            f"{row.bpsp:.3f}",
            f"{row.size_bytes:,}",
            f"{row.size_bytes / reference:.1%}" if reference else "",
            f"{row.encode_mp_per_s:.3g}",
            f"{row.decode_mp_per_s:.3g}",
            f"{row.encode_mp_per_cpu_s:.3g}",
            f"{row.decode_mp_per_cpu_s:.3g}",
            f"{worst.rate_bpsp:.3f}",
            worst.image,
        )


def _parallel_cells(result: FolderResult) -> Iterable[Sequence[str]]:
    for p in result.parallel:
        yield (
            p.codec,
            f"{p.threads}",
            p.beside,
            f"{p.encode_mp_per_s:.3g}",
            f"{p.encode_gain:.2f}",
            f"{p.decode_mp_per_s:.3g}",
            f"{p.decode_gain:.2f}",
            f"{p.encode_mp_per_cpu_s:.3g}",
            f"{p.decode_mp_per_cpu_s:.3g}",
        )


def aligned(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table, numbers to the right."""
    table = Table(box=box.MARKDOWN)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    for row in rows:
        table.add_row(*(Text(cell.replace("|", "\\|")) for cell in row))
    sink = io.StringIO()
    Console(file=sink, width=_ANY_WIDTH, color_system=None).print(table)
    return [line.strip() for line in sink.getvalue().splitlines() if line.strip()]


def _footer(result: FolderResult) -> list[str]:
    codecs = [row.codec for row in result.rows()]
    lines = [
        "bpsp: mean over images of coded bits per sub-pixel. Every decode gave its pixels back.",
        "Speeds are those of one thread, by the clock and by CPU time.",
    ]
    if STRONGEST_PEER in codecs:
        lines.append(f"of {STRONGEST_PEER}: all bytes, relative to its.")
        lines += [_against_peer(result, name) for name in codecs if is_ours(name)]
    if result.parallel:
        lines.append("gain: times the speed of one thread. More threads gave the same bytes.")
    lines += [f"skipped {reason}" for reason in result.skipped]
    return [*lines, ""]


def _against_peer(result: FolderResult, name: str) -> str:
    pairs = list(zip(result.of(name), result.of(STRONGEST_PEER), strict=True))
    ratio, image = max((ours.size_bytes / peer.size_bytes, ours.image) for ours, peer in pairs)
    wins = sum(ours.size_bytes < peer.size_bytes for ours, peer in pairs)
    return (
        f"{name} is smaller than {STRONGEST_PEER} on {wins} of {len(pairs)} images; "
        f"least favourable: {image}, {ratio:.1%} of its size."
    )
