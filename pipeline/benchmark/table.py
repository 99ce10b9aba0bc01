"""Results as text for a terminal."""

import io
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from pipeline.benchmark.codecs import OURS, STRONGEST_PEER
from pipeline.benchmark.measure import FolderResult


def table_lines(results: Sequence[FolderResult], width: int = 100) -> list[str]:
    """A table for each folder, `width` columns wide, with its worst cases below."""
    sink = io.StringIO()
    console = Console(file=sink, width=width, highlight=False)
    for result in results:
        console.print(_table(result))
        for line in _footer(result):
            console.print(line, markup=False, soft_wrap=True)
    return [line.rstrip() for line in sink.getvalue().splitlines()]


def _table(result: FolderResult) -> Table:
    rows = result.rows()
    scope = f"{rows[0].images} images, {rows[0].megapixels:.1f} MP" if rows else "no images"
    table = Table(title=f"{result.folder}: {scope}", title_justify="left", box=box.SIMPLE)
    table.add_column("codec")
    for heading in ("bpsp", "bytes", "size", "encode MP/s", "decode MP/s", "worst bpsp"):
        table.add_column(heading, justify="right")
    table.add_column("of image")
    smallest = min((r.bpsp for r in rows), default=0)
    reference = result.total_bytes(STRONGEST_PEER)
    for row in rows:
        total = result.total_bytes(row.codec)
        worst = result.worst(row.codec)
        table.add_row(
            row.codec,
            f"{row.bpsp:.3f}",
            f"{total:,}",
            f"{total / reference:.1%}" if reference else "",
            f"{row.encode_mp_per_s:.3g}",
            f"{row.decode_mp_per_s:.3g}",
            f"{worst.rate_bpsp:.3f}",
            worst.image,
            style="bold" if row.bpsp == smallest else None,
        )
    return table


def _footer(result: FolderResult) -> list[str]:
    codecs = [row.codec for row in result.rows()]
    lines = [
        "bpsp: mean over images of coded bits per sub-pixel. Every decode gave its pixels back."
    ]
    if STRONGEST_PEER in codecs:
        lines.append(f"size: all bytes, relative to {STRONGEST_PEER}.")
    if OURS in codecs and STRONGEST_PEER in codecs:
        lines.append(_against_peer(result))
    lines += [f"skipped {reason}" for reason in result.skipped]
    return [*lines, ""]


def _against_peer(result: FolderResult) -> str:
    peers = {s.image: s.size_bytes for s in result.of(STRONGEST_PEER)}
    ratio, image = max((s.size_bytes / peers[s.image], s.image) for s in result.of(OURS))
    wins = sum(s.size_bytes < peers[s.image] for s in result.of(OURS))
    return (
        f"{OURS} is smaller than {STRONGEST_PEER} on {wins} of {len(peers)} images; "
        f"least favourable: {image}, {ratio:.1%} of its size."
    )
