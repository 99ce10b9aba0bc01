"""Measurements as pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seec.pipeline.lab.benchmark.codecs import is_ours
from seec.pipeline.lab.benchmark.results import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SPEEDS = (("encode_mp_per_s", "encoding"), ("decode_mp_per_s", "decoding"))
_SVG: Any = {"svg.fonttype": "none", "svg.hashsalt": "seec"}  # text stays text


def plot(rows: Sequence[Row], target: Path) -> None:
    """Draw bpsp against MP/s: a line of two panels for each folder.

    target: the suffix decides the format. Raises ImportError without matplotlib.
    """
    from matplotlib import rc_context
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
    with rc_context(_SVG):
        figure.savefig(target, dpi=120)


def _panel(axes: "Axes", rows: Sequence[Row], speed: str) -> None:
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    for row in rows:
        marker, size = ("*", 15) if is_ours(row.codec) else ("o", 8)
        axes.semilogx(
            getattr(row, speed), row.bpsp, marker, markersize=size, linestyle="", label=row.codec
        )
    axes.margins(0.1)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("megapixels per second")
    axes.grid(visible=True, which="both", alpha=0.25)


def plot_ablation(lines: Sequence[Mapping[str, Any]], target: Path) -> None:
    """Draw what each line of the ablation changes, in percent: a bar for each image set.

    lines: as `ablation_lines` makes them. target: the suffix decides the format. Raises
    ImportError without matplotlib.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    shown = [line for line in lines if any(line["change_percent"].values())]
    figure = Figure(figsize=(8, 0.8 + 0.5 * len(shown)), layout="constrained")
    axes: Any = figure.subplots()
    sets = list(lines[0]["bpsp"])
    height = 0.8 / len(sets)
    for at, image_set in enumerate(sets):
        places = [row + at * height for row in range(len(shown))]
        changes = [line["change_percent"][image_set] for line in shown]
        axes.bar_label(
            axes.barh(places, changes, height, label=image_set), fmt="%+.1f %%", padding=3
        )
    middle = (len(sets) - 1) * height / 2
    axes.set_yticks([row + middle for row in range(len(shown))], [row["title"] for row in shown])
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xscale("symlog", linthresh=2)  # one part may bring thirty times what another does
    axes.margins(x=0.2)
    axes.set_xlabel("bits per sub-pixel against one entropy model, % (less is better)")
    axes.legend(frameon=False)
    with rc_context(_SVG):
        figure.savefig(target, dpi=120)
