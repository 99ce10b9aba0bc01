"""Segmentation sources by name: NAME or NAME:PATH, with +rate behind it or not.

Sources that are networks are imported when they are asked for: torch takes seconds.
"""

from collections.abc import Callable
from pathlib import Path

from seec.pipeline.extras import needs
from seec.pipeline.segmentation.masks import MaskSegmenter
from seec.pipeline.segmentation.proposals import Proposals
from seec.pipeline.segmentation.protocol import Segmenter
from seec.pipeline.segmentation.rate import NoSegmenter, RateSegmenter

_PROPOSES = "+rate"


def _salient(device: str) -> Segmenter:
    with needs("segment", "--segmentation salient"):
        from seec.pipeline.segmentation.salient import load_salient

    return load_salient(device=device)


def _birefnet(path: Path, device: str) -> Segmenter:
    with needs("segment", "--segmentation birefnet"):
        from seec.pipeline.segmentation.birefnet import load_birefnet

    return load_birefnet(path, device)


def _onnx(path: Path) -> Segmenter:
    from seec.pipeline.segmentation.onnx_network import load_onnx

    return load_onnx(path)


_PLAIN: dict[str, Callable[[str], Segmenter]] = {
    "none": lambda device: NoSegmenter(),
    "rate": lambda device: RateSegmenter(),
    "salient": _salient,
}
_WITH_PATH: dict[str, Callable[[Path, str], Segmenter]] = {
    "masks": lambda path, device: MaskSegmenter(path),
    "birefnet": _birefnet,
    "onnx": lambda path, device: _onnx(path),
}
_PLACEHOLDER = {"masks": "masks:DIR", "birefnet": "birefnet:PATH", "onnx": "onnx:FILE"}

NAMES = (*_PLAIN, *_PLACEHOLDER.values(), "X+rate for any other X")


def check_name(name: str) -> None:
    """ValueError, with the known sources, unless `name` has the form of one. Opens no file."""
    _parse(name)


def make_segmenter(name: str, device: str = "cpu") -> Segmenter:
    """The segmentation source called `name`.

    device: where networks run. Raises ValueError, which lists the known sources, for other
    names; ModelError if files it needs are missing or do not fit, MissingPackage if a package is.
    """
    kind, path, proposes = _parse(name)
    source = _PLAIN[kind](device) if path is None else _WITH_PATH[kind](Path(path), device)
    return Proposals(source) if proposes else source


def _parse(name: str) -> tuple[str, str | None, bool]:
    """Which source, its path if it has one, and whether it only proposes."""
    source = name.removesuffix(_PROPOSES)
    proposes = source != name
    kind, colon, path = source.partition(":")
    known = kind in _WITH_PATH and path if colon else kind in _PLAIN
    if not known or (proposes and kind == RateSegmenter.name):
        raise ValueError(f"unknown segmentation source {name!r}; known: {', '.join(NAMES)}")
    return kind, path or None, proposes
