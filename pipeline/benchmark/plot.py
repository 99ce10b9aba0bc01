"""Rate against speed, as a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.benchmark.codecs import OURS
from pipeline.benchmark.measure import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SPEEDS = (("encode_mp_per_s", "encoding"), ("decode_mp_per_s", "decoding"))


def can_plot() -> bool:
    """Whether matplotlib, an optional dependency, is installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


def plot(rows: Sequence[Row], target: Path) -> None:
    """Draw bpsp against MP/s: a line of two panels for each folder.

    target: the suffix decides the format. Raises ImportError without matplotlib.
    """
    from matplotlib.figure import Figure

    folders = list(dict.fromkeys(row.folder for row in rows))
    figure = Figure(figsize=(12, 4.2 * len(folders)), layout="constrained")
    grid: Any = figure.subplots(len(folders), len(_SPEEDS), squeeze=False, sharey="row")
    for folder, line in zip(folders, grid, strict=True):
        for axes, (speed, verb) in zip(line, _SPEEDS, strict=True):
            _panel(axes, [row for row in rows if row.folder == folder], speed)
            axes.set_title(f"{folder}, {verb}, one thread")
        line[0].set_ylabel("bits per sub-pixel (less is better)")
        line[-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False)
    figure.savefig(target, dpi=120)


def _panel(axes: "Axes", rows: Sequence[Row], speed: str) -> None:
    for row in rows:
        marker, size = ("*", 15) if row.codec == OURS else ("o", 8)
        axes.semilogx(
            getattr(row, speed), row.bpsp, marker, markersize=size, linestyle="", label=row.codec
        )
    axes.margins(0.1)
    axes.set_xlabel("megapixels per second")
    axes.grid(visible=True, which="both", alpha=0.25)
