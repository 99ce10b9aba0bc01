"""Draw docs/images/rate-validation.svg from the table of docs/lab/results.md.

    python docs/tools/rate_picture.py

The picture of the README and of the first page. Needs matplotlib.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

DOCS = Path(__file__).parents[1]
OURS, PEER = "#00897b", "#757575"
# Where a label stands, in points from its mark: elsewhere labels would overlap.
_OFFSETS = {"JPEG XL e7 decode": (6, 5), "JPEG XL e9 decode": (6, -10)}


@dataclass(frozen=True)
class Row:
    """A codec: bits per sub-pixel on the validation images, megapixels a second."""

    name: str
    rate_bpsp: float
    encode: float
    decode: float

    @property
    def ours(self) -> bool:
        """Whether the codec is SEEC."""
        return self.name.startswith("SEEC")


def rows() -> list[Row]:
    """The first table of the results."""
    text = (DOCS / "lab" / "results.md").read_text(encoding="utf-8")
    found = []
    for line in text.splitlines():
        cells = [cell.strip(" *") for cell in line.strip("|").split("|")]
        if len(cells) == 7 and re.fullmatch(r"[\d.]+", cells[1]):
            name = re.sub(r"\*\*| \(default\)| lossless", "", cells[0])
            name = name.replace(", effort ", " e")
            found.append(Row(name, float(cells[1]), float(cells[5]), float(cells[6])))
    return found


def draw(axes: Axes, found: list[Row], way: str) -> None:
    """One half of the picture. way: encode or decode."""
    for row in found:
        speed = getattr(row, way)
        colour = OURS if row.ours else PEER
        axes.plot(speed, row.rate_bpsp, "o", color=colour, markersize=9 if row.ours else 6)
        axes.annotate(
            row.name,
            (speed, row.rate_bpsp),
            xytext=_OFFSETS.get(f"{row.name} {way}", (7, -3)),
            textcoords="offset points",
            color=colour,
            fontweight="bold" if row.ours else "normal",
            fontsize=9,
        )
    axes.set_xscale("log")
    axes.set_xlim(0.09, 250)
    axes.set_ylim(2.2, 4.15)
    axes.set_xticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    axes.set_xlabel(f"{way}, megapixels a second, one thread")
    axes.grid(color="#e0e0e0", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def main() -> None:
    """Write the picture."""
    plt.rcParams["svg.hashsalt"] = "seec"  # the same bytes from every run
    plt.rcParams["svg.fonttype"] = "none"  # text stays text, which is smaller
    figure, halves = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    for axes, way in zip(halves, ("encode", "decode"), strict=True):
        draw(axes, rows(), way)
    halves[0].set_ylabel("bits per sub-pixel: lower is smaller")
    target = DOCS / "images" / "rate-validation.svg"
    figure.savefig(target, metadata={"Date": None})


if __name__ == "__main__":
    main()
