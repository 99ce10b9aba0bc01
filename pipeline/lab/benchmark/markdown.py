"""The tables of an evaluation as Markdown, for a terminal and for the documentation."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from seec.pipeline.lab.benchmark.codecs import STRONGEST_PEER
from seec.schemas.loss import describe

Figures = Mapping[str, Any]


def evaluation_lines(figures: Figures) -> Iterator[str]:
    """All tables that an evaluation holds, with a heading each."""
    for name, (heading, table) in _TABLES.items():
        if name in figures:
            yield f"### {heading}"
            yield ""
            yield from table(figures[name])
            yield ""


def codec_table(rows: Sequence[Figures]) -> Iterator[str]:
    """Rate and speed of codecs: one table for each image set.

    rows: `Row.as_dict()` of the measurements.
    """
    for folder in dict.fromkeys(row["folder"] for row in rows):
        of_set = {row["codec"]: row for row in rows if row["folder"] == folder}
        peer = of_set[STRONGEST_PEER]
        scope = f"{folder}: {peer['images']} images, {peer['megapixels']:.1f} MP"
        headings = (scope, "bpsp", f"bytes, against {STRONGEST_PEER}", "encode MP/s", "decode MP/s")
        yield from table(
            headings,
            (
                (
                    name,
                    f"{row['bpsp']:.3f}",
                    f"{row['size_bytes'] / peer['size_bytes']:.1%}",
                    f"{row['encode_mp_per_s']:.2g}",
                    f"{row['decode_mp_per_s']:.2g}",
                )
                for name, row in of_set.items()
            ),
        )
        yield ""


def ablation_table(ablation: Figures) -> Iterator[str]:
    """Models that differ in one part.

    ablation: `budget_s` and `lines`, as `seec.pipeline.lab.benchmark.ablation` makes them.
    """
    sets = list(ablation["lines"][0]["bpsp"])
    headings = ("model", "weights", "mult. per pixel", "steps", *(f"{s}, bpsp" for s in sets))
    yield from table(
        headings,
        (
            (
                line["title"],
                f"{line['parameters']:,}",
                f"{line['multiplications']:,}",
                f"{line['steps']:,}",
                *(_rate(line, s) for s in sets),
            )
            for line in ablation["lines"]
        ),
    )


def segmentation_table(rows: Sequence[Figures]) -> Iterator[str]:
    """How well saliency networks agree with masks that people drew.

    rows: `SaliencyFigures` by field, with `source`.
    """
    headings = ("source", "images", "mean IoU", "largest F-measure", "ms per image, one thread")
    yield from table(
        headings,
        (
            (
                row["source"],
                f"{row['images']}",
                f"{row['iou']:.3f}",
                f"{row['max_f']:.3f}",
                f"{1000 * row['seconds']:.0f}",
            )
            for row in rows
        ),
    )


def label_table(rows: Sequence[Figures]) -> Iterator[str]:
    """What label maps cost.

    rows: `LabelMapFigures` by field, with `source` and `folder`.
    """
    headings = ("labels by", "images of", "maps", "bytes per map", "as JPEG XL", "bits per label")
    yield from table(
        headings,
        (
            (
                row["source"],
                row["folder"],
                f"{row['maps']}",
                f"{row['size_bytes'] / row['maps']:.0f}",
                f"{row['jpegxl_size_bytes'] / row['maps']:.0f}",
                f"{8 * row['size_bytes'] / row['blocks']:.3f}",
            )
            for row in rows
        ),
    )


def region_table(rows: Sequence[Figures]) -> Iterator[str]:
    """What a lossy background saves.

    rows: `RegionFigures` by field, lossless first.
    """
    headings = ("background", "bpsp", "of lossless", "largest error", "region")
    yield from table(
        headings,
        (
            (
                _background(row["background_error"]),
                f"{row['bpsp']:.3f}",
                f"{row['bpsp'] / rows[0]['bpsp']:.1%}",
                f"{row['worst_error']}",
                "exact" if row["region_exact"] else "NOT exact",
            )
            for row in rows
        ),
    )


def crop_table(crop: Figures) -> Iterator[str]:
    """What a crop of a large image costs.

    crop: `CropFigures` by field.
    """
    headings = (f"{crop['megapixels']:.0f} MP", "bytes read", "seconds, one thread")
    whole = ("the whole image", f"{crop['size_bytes']:,}", f"{crop['seconds']:.1f}")
    parts = [
        (
            f"a crop of 256 x 256 {part['place']}",
            f"{part['read_bytes']:,} ({part['read_bytes'] / crop['size_bytes']:.1%})",
            f"{part['seconds']:.2f} ({crop['seconds'] / part['seconds']:.0f} times faster)",
        )
        for part in crop["crops"]
    ]
    yield from table(headings, iter([whole, *parts]))


def colour_table(rows: Sequence[Figures]) -> Iterator[str]:
    """What colour sets bring."""
    headings = ("images", "with a colour set", "without, bpsp", "with, bpsp", "change")
    headings += ("time to encode", "of it to find the set")
    lines = (
        (
            row["images"],
            f"{row['found']} of {row['count']}",
            f"{row['bpsp_without']:.3f}",
            f"{row['bpsp']:.3f}",
            f"{row['bpsp'] / row['bpsp_without'] - 1:+.1%}",
            f"{row['seconds'] / row['seconds_without']:.2f} x",
            f"{row['seconds_to_find'] / row['seconds']:.0%}",
        )
        for row in rows
    )
    yield from table(headings, lines)


def _background(error: int | None) -> str:
    return "lossless" if error is None else describe(error)


def _rate(line: Figures, image_set: str) -> str:
    change = line["change_percent"].get(image_set)
    rate = f"{line['bpsp'][image_set]:.3f}"
    return f"{rate} ({change:+.2f} %)" if change else rate


def table(headings: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    """The lines of a table, each as soon as its row is there."""
    yield f"| {' | '.join(headings)} |"
    yield f"| {' | '.join('---' for _ in headings)} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"


_TABLES: dict[str, tuple[str, Callable[[Any], Iterator[str]]]] = {
    "codecs": ("Codecs", codec_table),
    "ablation": ("What each part brings", ablation_table),
    "segmentation": ("Salient objects", segmentation_table),
    "labels": ("Label maps", label_table),
    "roi": ("Regions of interest", region_table),
    "crops": ("Random access", crop_table),
    "colours": ("Colour sets", colour_table),
    "drawings": ("Drawings", codec_table),
}
