"""SEEC, a learned lossless image codec whose decoder is exact on every machine.

>>> import numpy as np
>>> from seec.pipeline.codec import decode, encode
>>> image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
>>> bool((decode(encode(image)) == image).all())
True

Names are imported when a program first uses them: who only decodes loads no encoder.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seec.pipeline.codec.coding.background import Background
    from seec.pipeline.codec.decoder import Info, Region, decode, decode_region, inspect
    from seec.pipeline.codec.encoder import Encoder, encode
    from seec.pipeline.codec.model.packaged import (
        default_model,
        packaged_model,
        packaged_name,
        packaged_profiles,
    )
    from seec.pipeline.codec.model.weights import Model, load_model

_HOMES = {
    "Background": "coding.background",
    "Encoder": "encoder",
    "Info": "decoder",
    "Model": "model.weights",
    "Region": "decoder",
    "decode": "decoder",
    "decode_region": "decoder",
    "default_model": "model.packaged",
    "encode": "encoder",
    "inspect": "decoder",
    "load_model": "model.weights",
    "packaged_model": "model.packaged",
    "packaged_name": "model.packaged",
    "packaged_profiles": "model.packaged",
}

__all__ = [
    "Background",
    "Encoder",
    "Info",
    "Model",
    "Region",
    "decode",
    "decode_region",
    "default_model",
    "encode",
    "inspect",
    "load_model",
    "packaged_model",
    "packaged_name",
    "packaged_profiles",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
