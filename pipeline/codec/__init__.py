"""SEEC, a learned lossless image codec whose decoder is exact on every machine.

>>> import numpy as np
>>> from seec.pipeline.codec import decode, encode
>>> image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
>>> bool((decode(encode(image)) == image).all())
True
"""

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
