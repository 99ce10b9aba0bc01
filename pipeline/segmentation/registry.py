"""Segmentation sources by name: NAME or NAME:PATH, optionally with +rate at the end.

Networks are imported on first use: torch takes seconds.
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
    """Raise ValueError, with the known sources, for any other name. Opens no file."""
    _parse(name)


def make_segmenter(name: str, device: str = "cpu") -> Segmenter:
    """The segmentation source called `name`.

    device: of the networks. Raises ValueError, with the known sources, for any other name,
    ModelError for missing or unfit files, MissingPackage for a missing package.
    """
    kind, path, proposes = _parse(name)
    source = _PLAIN[kind](device) if path is None else _WITH_PATH[kind](Path(path), device)
    return Proposals(source) if proposes else source


def _parse(name: str) -> tuple[str, str | None, bool]:
    """The kind of source, its path or None, and whether the source only proposes regions."""
    source = name.removesuffix(_PROPOSES)
    proposes = source != name
    kind, colon, path = source.partition(":")
    known = kind in _WITH_PATH and path if colon else kind in _PLAIN
    if not known or (proposes and kind == RateSegmenter.name):
        raise ValueError(f"unknown segmentation source {name!r}; known: {', '.join(NAMES)}")
    return kind, path or None, proposes
