"""What Python hands to the C kernels is taken by name: a field cannot change its meaning."""

from dataclasses import field, make_dataclass, replace
from typing import Any

import numpy as np
import pytest

from seec.pipeline.codec import default_model
from seec.pipeline.codec.coding.tiles import (
    BlockMaps,
    Tile,
    border_colours,
    empty_canvas,
    fill_canvas,
)
from seec.pipeline.codec.model.profile import LITE, MAX, Adaptation, Predictor
from seec.pipeline.codec.native import _kernels
from seec.pipeline.codec.native import kernels as native
from seec.pipeline.codec.native.kernels import NativeKernels, pack_sizes
from tests.pictures import textured

MODEL = default_model()


def unpacked(packed: bytes) -> np.ndarray:
    return np.frombuffer(packed, native._struct("sizes"))[0]


@pytest.mark.parametrize("profile", [LITE, MAX], ids=lambda p: p.name)
def test_the_packed_struct_holds_each_size_under_its_name(profile):
    sizes = unpacked(pack_sizes(profile, profile.predictors))
    for name in ("width", "fused", "hidden", "entropy_models", "mixtures", "features"):
        assert sizes[name] == getattr(profile, name)
    assert sizes["predictors"] == len(profile.predictors)
    for row, predictor in zip(sizes["predictor"], profile.predictors, strict=False):
        for name in ("taps", "rows", "every", "sweeps", "forget"):
            assert row[name] == getattr(predictor, name)
        assert tuple(np.flatnonzero(row["seen"])) == predictor.nearest
    for name in ("every", "rate", "hidden_rate", "fusion_rate", "means", "memory"):
        assert sizes["adaptation"][name] == getattr(profile.adaptation, name)


def other_class(of: type, names: list[str]) -> type:
    """A dataclass with the methods of another, and fields of these names in this order."""
    fields = [(name, int, field(default=getattr(of, name, 1))) for name in names]
    return make_dataclass(f"Other{of.__name__}", fields, namespace={"nearest": (0, 1, 2)})


@pytest.mark.parametrize("changed", [Adaptation, Predictor], ids=lambda c: c.__name__)
def test_fields_in_another_order_mean_the_same(changed):
    names = list(changed.__dataclass_fields__)
    in_order = other_class(changed, names)()
    reordered = other_class(changed, names[::-1])()
    assert packed_with(changed, in_order) == packed_with(changed, reordered)


@pytest.mark.parametrize("changed", [Adaptation, Predictor], ids=lambda c: c.__name__)
def test_missing_renamed_and_additional_fields_are_refused(changed):
    names = list(changed.__dataclass_fields__)
    for others in (names[:-1], [*names[:-1], "renamed"], [*names, "additional"]):
        with pytest.raises(RuntimeError, match="build the kernels again"):
            packed_with(changed, other_class(changed, others)())


def packed_with(replaced: type, part: Any) -> bytes:
    if replaced is Predictor:
        return pack_sizes(None, [part])
    profile = replace(LITE)
    object.__setattr__(profile, "adaptation", part)
    return pack_sizes(profile, profile.predictors)


def kernels_with_layouts(monkeypatch, change) -> None:
    size, fields = _kernels.layouts()["sizes"]
    layouts = _kernels.layouts() | {"sizes": (size, change(fields))}
    monkeypatch.setattr(native._kernels, "layouts", lambda: layouts)


def test_kernels_with_reordered_fields_get_the_same_struct(monkeypatch):
    packed = pack_sizes(MAX, MAX.predictors)
    kernels_with_layouts(monkeypatch, lambda fields: fields[::-1])
    assert pack_sizes(MAX, MAX.predictors) == packed


def test_kernels_without_a_field_are_refused(monkeypatch):
    kernels_with_layouts(monkeypatch, lambda fields: fields[1:])
    with pytest.raises(RuntimeError, match="differ in width"):
        NativeKernels(MODEL)


def test_structs_of_another_size_and_missing_buffers_are_refused():
    packed = pack_sizes(MODEL.profile, MODEL.profile.predictors)
    with pytest.raises(ValueError, match="bytes instead of"):
        _kernels.make_network("", packed + b"\0", {})
    with pytest.raises(KeyError, match=r"context\.weight"):
        _kernels.make_network("", packed, {})
    names = _kernels.buffer_names(packed)
    with pytest.raises(ValueError, match=r"context\.weight has 1 bytes"):
        _kernels.make_network("", packed, dict.fromkeys(names, b"\0"))


def test_arguments_of_a_group_are_taken_by_name():
    image = textured(9, 20)
    tiles = [Tile(0, 0, 9, 20)]
    group = empty_canvas(tiles, border_colours(image, tiles), BlockMaps.blank(9, 20, 4))
    fill_canvas(group, image, tiles)
    kernels = NativeKernels(MODEL)
    words, named = kernels.encode(group), native._arguments(group)
    backwards = dict(reversed(named.items()))
    assert _kernels.encode(kernels._network, b"", **backwards) == words
    with pytest.raises(TypeError):
        _kernels.encode(kernels._network, b"", *named.values())
    with pytest.raises(TypeError):
        _kernels.encode(kernels._network, b"", **{**named, "height": 1})
    for name in named:
        with pytest.raises(TypeError):
            _kernels.encode(kernels._network, b"", **{k: v for k, v in named.items() if k != name})
