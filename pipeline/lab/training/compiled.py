"""torch.compile where it works.

Whether steps get faster is up to the processor: on an Intel Xeon with AVX-512 those of `lite`
took 1.7 times as long, since loops over a few components fill no vectors.
"""

from collections.abc import Callable
from functools import cache
from typing import ParamSpec, TypeVar, cast

import torch
from torch._dynamo.exc import BackendCompilerFailed

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


@cache
def can_compile() -> bool:
    """Whether torch finds what it needs here: on CPUs, a C++ compiler."""

    def probe(x: torch.Tensor) -> torch.Tensor:
        return x + 1

    try:
        cast(Callable[[torch.Tensor], torch.Tensor], torch.compile(probe))(torch.zeros(2))
    except (BackendCompilerFailed, RuntimeError):
        return False
    return True


def compiled(function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """The function, compiled at its first call, or as it is where that cannot be done."""
    if not can_compile():
        return function
    return cast(Callable[_Given, _Result], torch.compile(function))
