"""What samples of all kinds share: files of rows, batches of them, bits of a value."""

# torch's stubs leave parts of some types unknown.
# pyright: reportUnknownMemberType=false

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Batch = TypeVar("Batch", covariant=True)
_Batch = TypeVar("_Batch")


class Samples(Protocol[Batch]):
    """Samples in a file, of which batches are taken by their places."""

    def __len__(self) -> int: ...

    def batch(self, chosen: NDArray[np.int64]) -> Batch:
        """The samples at these places."""
        ...


def write_rows(files: Sequence[Path], sampled: Iterable[Sequence[NDArray[np.uint8]]]) -> list[int]:
    """Write the rows of each file, from parts that have some for each; returns how many.

    The files appear when all are whole, the last one last, and not if one would have no row.
    """
    parts = [file.with_name(f"{file.name}.part") for file in files]
    found = [0] * len(files)
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(part.open("wb")) for part in parts]
        for some in sampled:
            for i, rows in enumerate(some):
                opened[i].write(rows.tobytes())
                found[i] += len(rows)
    if all(found):
        for part, file in zip(parts, files, strict=True):
            part.replace(file)
    return found


def drawn(samples: Samples[_Batch], chance: np.random.Generator, count: int) -> _Batch:
    """A batch of so many samples, drawn with replacement, in the order of the file."""
    return samples.batch(np.sort(chance.integers(0, len(samples), count)))


def held(samples: Samples[_Batch], size: int, most: int | None = None) -> Iterator[_Batch]:
    """All batches of `size` samples, or about `most` of them spread over the split."""
    each = max(1, len(samples) // (size * most)) if most else 1
    for first in range(0, len(samples), each * size):
        yield samples.batch(np.arange(first, min(first + size, len(samples))))


def bits_a_value(nats: Callable[[_Batch], Tensor], batches: Iterable[_Batch]) -> float:
    """The mean of the values' code lengths, which `nats` says of a batch, in bits."""
    total = count = 0.0
    with torch.no_grad():
        for batch in batches:
            each = nats(batch)
            total, count = total + each.double().sum().item(), count + len(each)
    return total / max(count, 1) / math.log(2)
