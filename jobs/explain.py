"""Show where the bits of an image go: `python -m seec.jobs.explain IN OUT.html`."""

import base64
import html
import io
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seec.jobs import files
from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.options import access_option
from seec.jobs.summary import figures
from seec.pipeline.codec import Info, encode, inspect
from seec.pipeline.codec.decoder import find_model, read_front, upright
from seec.pipeline.codec.insight import Insight, explain
from seec.pipeline.images.files import read_pixels
from seec.pipeline.lab.benchmark.codecs import make_codecs
from seec.pipeline.routes.loss import stated_loss
from seec.schemas.container import MAGIC, parse, read_index, reader
from seec.schemas.loss import describe

_PEERS = ("png", "webp", "jpegxl-e7")
# Distinct for people with any colour vision (Okabe and Ito), one for each entropy model.
_LABEL_COLOURS = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (153, 153, 153),
)
_HEAT = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))


@dataclass(frozen=True)
class Settings:
    """source: an image or a .seec file; target: the page. Paths or URLs."""

    source: str
    target: str
    force: bool = False


@dataclass(frozen=True)
class Summary:
    """What the page shows in numbers."""

    target: str
    size_bytes: int
    rate_bpsp: float
    label_shares: tuple[float, ...]
    peers_size_bytes: dict[str, int]
    exit_code: int = ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """All figures by name."""
        return figures(self)

    def lines(self) -> Iterator[str]:
        """One line."""
        yield f"{self.target}: {self.size_bytes:,} bytes explained, {self.rate_bpsp:.3f} bpsp"


def run(settings: Settings) -> Summary:
    """Write the page. Raises UnreadableImage, FormatError, ModelError or StorageError."""
    if not settings.force:
        files.refuse_to_replace(settings.target)
    data = files.read(settings.source)
    blob = data if data.startswith(MAGIC) else encode(read_pixels(data))
    insight = explain(blob)
    peers = {codec.name: len(codec.encode(insight.pixels)) for codec in make_codecs(_PEERS)}
    info = inspect(blob)
    page = _page(settings.source, info, insight, peers, _loss_figure(blob, insight))
    files.write(settings.target, page.encode(), force=settings.force)
    counts = np.bincount(insight.labels.ravel(), minlength=insight.entropy_models)
    shares = counts / insight.labels.size
    return Summary(settings.target, info.size_bytes, info.rate_bpsp, tuple(shares.tolist()), peers)


def _loss_figure(blob: bytes, insight: Insight) -> str:
    """What was lost, as a figure of the page; nothing for a lossless file."""
    lost = stated_loss(reader(blob))
    if lost is None:
        return ""
    file = parse(blob)
    model = find_model(file.model_id, None)
    front = read_front(read_index(reader(blob)), file.sections.__getitem__, model)
    edge = 1 << front.facts.block_shift
    exact = (front.maps.widths == 1).repeat(edge, 0).repeat(edge, 1)
    exact = upright(exact[: front.facts.height, : front.facts.width], front.facts)
    pixels = insight.pixels if insight.pixels.ndim == 3 else insight.pixels[..., None]
    picture = np.where(exact[..., None], pixels, pixels // 4 + 24).repeat(3 // pixels.shape[2], 2)
    return (
        f'<figure><h2>What is exact</h2><img src="{_data_url(picture)}" alt="exact blocks">'
        f"<figcaption>Not lossless: {describe(lost)} where the picture is dark; "
        f"{exact.mean():.0%} of the pixels are exact.</figcaption></figure>"
    )


def _page(name: str, info: Info, insight: Insight, peers: dict[str, int], loss: str) -> str:
    size_bytes, channels = info.size_bytes, info.channels
    most = float(np.percentile(insight.code_length, 99.5)) or 1.0
    sections: dict[str, int] = {}
    for kind, size in info.sections:
        sections[kind] = sections.get(kind, 0) + size
    sections["header and table"] = size_bytes - sum(sections.values())
    template = Template((resources.files("seec.jobs") / "explain.html").read_text(encoding="utf-8"))
    return template.substitute(
        name=html.escape(name.rpartition("/")[2]),
        facts=(
            f"{info.width} x {info.height} pixels, {channels} channel{'s' * (channels > 1)}, "
            f"{size_bytes:,} bytes, {info.rate_bpsp:.3f} bits per sub-pixel"
        ),
        source=_data_url(insight.pixels),
        loss=loss,
        labels=_data_url(colour_labels(insight)),
        heat=_data_url(colour_heat(insight.code_length / most)),
        legend=_legend(insight),
        heat_most=f"{most / channels:.1f}",
        heat_ramp=", ".join(f"rgb{colour}" for colour in _HEAT),
        sections=_rows((k.replace("_", " "), v, size_bytes) for k, v in sections.items()),
        sizes=_rows((k, v, size_bytes) for k, v in {"seec": size_bytes, **peers}.items()),
    )


def colour_labels(insight: Insight) -> NDArray[np.uint8]:
    """The image in gray under the colours of its entropy models."""
    gray = insight.pixels if insight.pixels.ndim == 2 else insight.pixels.mean(-1)
    palette = np.array(_LABEL_COLOURS)[np.arange(insight.entropy_models) % len(_LABEL_COLOURS)]
    mixed = 0.55 * palette[insight.labels] + 0.45 * gray[..., None]
    return mixed.astype(np.uint8)


def colour_heat(share: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Values in 0..1 as colours from dark to light; larger ones are the lightest."""
    stops = np.linspace(0, 1, len(_HEAT))
    channels = [np.interp(share, stops, [colour[c] for colour in _HEAT]) for c in range(3)]
    return np.stack(channels, -1).astype(np.uint8)


def _legend(insight: Insight) -> str:
    """Each entropy model with its colour, its share of the pixels and what they cost."""
    channels = 1 if insight.pixels.ndim == 2 else 3
    items: list[str] = []
    for label in range(insight.entropy_models):
        mine = insight.labels == label
        colour = _LABEL_COLOURS[label % len(_LABEL_COLOURS)]
        rate = insight.code_length[mine].mean() / channels if mine.any() else 0.0
        items.append(
            f'<li><i style="background:rgb{colour}"></i>entropy model {label}: '
            f"{mine.mean():.0%} of the pixels, {rate:.2f} bpsp</li>"
        )
    return "".join(items)


def _rows(figures: Any) -> str:
    """Table rows of (name, bytes, whole)."""
    return "".join(
        f"<tr><th>{html.escape(name)}</th><td>{size:,}</td><td>{size / whole:.1%}</td></tr>"
        for name, size, whole in figures
    )


def _data_url(pixels: NDArray[np.uint8]) -> str:
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG")
    return "data:image/png;base64," + base64.b64encode(sink.getvalue()).decode()


@command(
    "explain",
    examples=["seec explain photo.png photo.html", "seec explain photo.seec photo.html --force"],
)
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT.html")
@click.option("--force", is_flag=True, help="Replace OUT.html if it exists.")
@access_option
def main(**options: Any) -> Summary:
    """Write one self-contained web page that shows where the bits of an image go.

    IN is an image, or a .seec file with packaged weights. The page shows the image, the entropy
    model of each region, the code length of each pixel as a heat map, the bytes of each section,
    and the sizes of the same image as PNG, WebP and JPEG XL.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
