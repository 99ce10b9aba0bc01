"""What each part of the codec brings: models that differ in one part, by their coded bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from seec.pipeline.codec import Encoder, Model, decode
from seec.pipeline.lab.benchmark.codecs import Codec, Pixels
from seec.pipeline.lab.benchmark.cost import multiplications, parameters
from seec.pipeline.segmentation import make_segmenter

REFERENCE = "one"


@dataclass(frozen=True)
class Coding:
    """One line of the table: a model, and the segmentation that labels its blocks."""

    name: str
    title: str
    model: Model
    segmentation: str


_OTHER_LABELS = {
    "rate4": (
        ("by image", "the same, one label an image", "none+rate"),
        ("by object", "the same, one label a salient region", "salient+rate"),
    )
}


def codings(models: Mapping[str, Model]) -> list[Coding]:
    """The lines of the table: each model as it was trained, then with labels from elsewhere.

    models: by name, with the title and the segmentation of their training in their cards.
    """
    lines: list[Coding] = []
    for name, model in models.items():
        lines.append(Coding(name, model.card["title"], model, model.card["segmentation"]))
        lines += [
            Coding(f"{name} {way}", title, model, segmentation)
            for way, title, segmentation in _OTHER_LABELS.get(name, ())
        ]
    return lines


def make_codec(coding: Coding) -> Codec:
    """The coding as a codec, to be measured like any other, without what needs no such model.

    Models were trained on pixels, not on the samples of colour sets, and screen coding has none.
    """
    segmenter, model = make_segmenter(coding.segmentation), coding.model
    encoder = Encoder(model, colour_set="none", screen=False)

    def encode(pixels: Pixels) -> bytes:
        labels = segmenter.segment([pixels])
        return encoder.encode_batch([pixels], labels, regions=segmenter.proposes)[0]

    return Codec(coding.name, encode, partial(decode, models={model.id: model}))


def ablation_lines(
    lines: Sequence[Coding], bpsp: Mapping[str, Mapping[str, float]]
) -> list[dict[str, Any]]:
    """The table as JSON values, with what each line changes against one entropy model.

    bpsp: bits per sub-pixel by the name of the coding, then by image set.
    """
    reference = bpsp.get(REFERENCE, {})
    return [
        _describe(coding)
        | {
            "bpsp": {name: round(rate, 4) for name, rate in bpsp[coding.name].items()},
            "change_percent": {
                name: round(100 * (bpsp[coding.name][name] / rate - 1), 2)
                for name, rate in reference.items()
            },
        }
        for coding in lines
    ]


def _describe(coding: Coding) -> dict[str, Any]:
    card = coding.model.card
    return {
        "name": coding.name,
        "title": coding.title,
        "steps": card["steps"],
        "seconds": card["seconds"],
        "code_length_bpsp": card["validation_bpsp"],
        "parameters": parameters(coding.model),
        "multiplications": multiplications(coding.model.profile),
    }
