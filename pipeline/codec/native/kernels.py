"""The C kernels: see _kernels.c."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.coding.tiles import GroupCanvas
from seec.pipeline.codec.model.profile import TAPS, Predictor, Profile
from seec.pipeline.codec.model.tables import ERROR_MAX, build_tables, log2_table
from seec.pipeline.codec.model.weights import Layer, Model, PredictorStart, layer_shapes
from seec.pipeline.codec.native import _kernels
from seec.schemas.errors import SectionCorrupt

# Of a profile, what the kernels have no use for; and what they hold in another way.
_FLOAT_ONLY = {"name", "side"}
_APART = {"predictors", "adaptation"}
_NO_ERRORS = np.zeros(ERROR_MAX + 1, np.int32)  # the table that networks without predictors lack


def levels() -> tuple[str, ...]:
    """The instruction sets that this processor's kernels can be made for, the slowest first."""
    return _kernels.levels()


def _struct(name: str) -> np.dtype[Any]:
    """A struct of the kernels as a numpy dtype, as the kernels describe it."""
    size, fields = _kernels.layouts()[name]
    bases = [_struct(f) if f in _kernels.layouts() else f for _, f, _, _ in fields]
    counts = [count for _, _, _, count in fields]
    return np.dtype(
        {
            "names": [field for field, _, _, _ in fields],
            "formats": [(b, (n,)) if n > 1 else b for b, n in zip(bases, counts, strict=True)],
            "offsets": [offset for _, _, offset, _ in fields],
            "itemsize": size,
        }
    )


def _fill(record: Any, values: Mapping[str, Any]) -> None:
    """Set all fields of a struct by name.

    Raises RuntimeError if the struct has other fields than there are values.
    """
    if differing := set(record.dtype.names) ^ set(values):
        raise RuntimeError(
            f"the C kernels and the codec differ in {', '.join(sorted(differing))}: "
            "build the kernels again (`pip install` or `setup.py build_ext --inplace`)"
        )
    for name, value in values.items():
        record[name] = value


def _fields(values: Any) -> dict[str, Any]:
    return {f.name: getattr(values, f.name) for f in fields(values)}


def pack_sizes(profile: Profile | None, predictors: Sequence[Predictor]) -> bytes:
    """The sizes of a network as the kernels' struct; without a profile it has predictors only.

    Raises RuntimeError if the kernels were built for other fields.
    """
    record = np.zeros((), _struct("sizes"))
    for row, predictor in zip(record["predictor"], predictors, strict=False):
        seen = np.isin(np.arange(len(TAPS)), predictor.nearest)
        _fill(row, _fields(predictor) | {"seen": seen})
    if profile and profile.adaptation:
        _fill(record["adaptation"], _fields(profile.adaptation))
    apart = {"predictor": record["predictor"].copy(), "adaptation": record["adaptation"].copy()}
    names = {field.name for field in fields(Profile)} - _FLOAT_ONLY - _APART
    sizes = {name: getattr(profile, name) if profile else 0 for name in names}
    sizes["features"] = profile.features if profile else 0
    if not profile:
        sizes["entropy_models"] = 1
    _fill(record, sizes | apart | {"predictors": len(predictors)})
    return record.tobytes()


def _make_network(
    level: str,
    profile: Profile | None,
    predictors: Sequence[Predictor],
    starts: Sequence[PredictorStart],
    tables: Mapping[str, NDArray[np.int32]],
    layers: Mapping[str, Layer],
) -> Any:
    """A packed network; without a profile it has no layers, only predictors."""
    sizes = pack_sizes(profile, predictors)
    named = {f"{name}.{p}": a for name, layer in layers.items() for p, a in _fields(layer).items()}
    for number, start in enumerate(starts):
        named |= {f"predictor_{number}_{part}": array for part, array in _fields(start).items()}
    if unused := set(named) - set(_kernels.buffer_names(sizes)):
        raise RuntimeError(f"the C kernels have no use for {', '.join(sorted(unused))}")
    named |= {"table.log_error": _NO_ERRORS} | {f"table.{n}": t for n, t in tables.items()}
    return _kernels.make_network(level, sizes, named)


def _arguments(group: GroupCanvas) -> dict[str, Any]:
    return {
        "canvas": group.canvas,
        "sizes": group.sizes,
        "labels": group.labels,
        "widths": group.widths,
        "side": group.side,
        "rows": group.rows,
        "columns": group.columns,
        "label_rows": group.labels.shape[1],
        "label_columns": group.labels.shape[2],
        "block_shift": group.block_shift,
        "channels": group.channels,
    }


class NativeKernels:
    """Holds a model's packed weights; safe to share between threads.

    level: one of `levels()`, which all give the same bits; empty is
    the fastest one of this processor.
    """

    at_once = 1  # a group is one call, and calls run beside each other

    def __init__(self, model: Model, level: str = ""):
        profile = model.profile
        layers = {name: model.layers[name] for name in layer_shapes(profile)}
        self._entropy_models = profile.entropy_models
        self._log2 = log2_table()
        self._network = _make_network(
            level, profile, profile.predictors, model.starts, model.tables, layers
        )

    def encode(self, group: GroupCanvas) -> bytes:
        """The coded words of a full canvas; see Kernels."""
        return _kernels.encode(self._network, b"", **_arguments(group))

    def decode(self, groups: Sequence[GroupCanvas], words: Sequence[bytes]) -> None:
        """Fill each canvas from its coded words; raises SectionCorrupt."""
        for group, coded in zip(groups, words, strict=True):
            arguments = _arguments(group)
            if len(coded) % 4 or not _kernels.decode(self._network, coded, **arguments):
                raise SectionCorrupt("coded words that no encoder writes")

    def measure(self, group: GroupCanvas) -> NDArray[np.int64]:
        """Code length of the even rows of each block, of each entropy model, in 1/256 bit.

        [tiles, rows of blocks, columns of blocks, entropy models].
        """
        costs = _kernels.measure(self._network, self._log2, **_arguments(group))
        return np.frombuffer(costs, np.int64).reshape(*group.labels.shape, self._entropy_models)


class NativePredictors:
    """Predictors without a network, for training; see predictor.follow."""

    def __init__(
        self, predictors: Sequence[Predictor], starts: Sequence[PredictorStart], level: str = ""
    ):
        self._count = len(predictors)
        self._network = _make_network(level, None, predictors, starts, build_tables(), {})

    def follow(
        self, group: GroupCanvas
    ) -> tuple[NDArray[np.int16], NDArray[np.int8], NDArray[np.int8]]:
        """Base, ls and full of a full canvas as in Planes, [P, *shape of the canvas]."""
        base, ls, full = _kernels.follow(self._network, b"", **_arguments(group))
        shape = (self._count, *group.canvas.shape)
        return (
            np.frombuffer(base, np.int16).reshape(shape),
            np.frombuffer(ls, np.int8).reshape(shape),
            np.frombuffer(full, np.int8).reshape(shape),
        )
