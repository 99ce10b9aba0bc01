"""The two implementations of the integer arithmetic, behind one protocol (coding/kernels.py).

`native` is a small C extension for CPUs; `torch` runs on any device torch knows. Both give
the same bits; tests hold them to it.
"""

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING

from seec.pipeline.codec.coding.kernels import Kernels
from seec.pipeline.codec.model.weights import Model

if TYPE_CHECKING:
    from seec.pipeline.codec.sic.latents import SideCoder


def native_available() -> bool:
    """Whether the C extension was built."""
    try:
        from seec.pipeline.codec.native import _kernels  # noqa: F401  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue, reportUnusedImport, reportUnknownVariableType]
    except ImportError:
        return False
    return True


@lru_cache(maxsize=8)
def make_kernels(model: Model, device: str = "cpu") -> Kernels:
    """The fastest kernels for a device: `cpu`, or any torch device such as `cuda`.

    `torch:DEVICE` asks for the torch kernels on that device. Those of the last few models
    are kept, because packing weights takes longer than a small image.
    """
    if device == "cpu" and native_available():
        from seec.pipeline.codec.native.kernels import NativeKernels

        return NativeKernels(model)
    if device == "cpu":
        warnings.warn(
            "the C kernels were not built: torch gives the same bits at a tenth of the speed; "
            "install a C compiler and then this package again",
            RuntimeWarning,
            stacklevel=2,
        )
    from seec.pipeline.codec.network.torch_kernels import TorchKernels

    return TorchKernels(model, device.removeprefix("torch:"))


@lru_cache(maxsize=8)
def open_side_coder(model: Model, device: str = "cpu") -> "SideCoder | None":
    """The coder of SIC's latents, or None for a model without SIC; device as above."""
    if model.profile.side is None:
        return None
    from seec.pipeline.codec.sic.latents import SideCoder

    return SideCoder(model, device.removeprefix("torch:"))
