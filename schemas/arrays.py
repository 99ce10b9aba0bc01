# pyright: basic
"""Arrow arrays of Python values, from buffers.

`pa.array` imports pandas where that is installed, to ask whether its argument is a series: that
takes longer than a small job.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa


def array(kind: pa.DataType, values: Sequence[Any]) -> pa.Array:
    """An array of a kind of `seec.schemas.tables`; None is null.

    Raises ValueError, TypeError or OverflowError for what is no such value.
    """
    valid = None
    if None in values:
        known = np.array([value is not None for value in values])
        valid = pa.py_buffer(np.packbits(known, bitorder="little"))
    if pa.types.is_list(kind):
        parts = [value or () for value in values]
        items = array(kind.value_type, [item for part in parts for item in part])
        buffers = [valid, _ends(list(map(len, parts)))]
        return pa.Array.from_buffers(kind, len(values), buffers, children=[items])
    if pa.types.is_string(kind):
        texts = [value or "" for value in values] if valid else values
        whole = "".join(texts)
        data = whole.encode()
        sizes = map(len, texts if len(data) == len(whole) else map(str.encode, texts))
        buffers = [valid, _ends(list(sizes)), pa.py_buffer(data)]
    elif pa.types.is_binary(kind):
        parts = [value or b"" for value in values] if valid else values
        buffers = [valid, _ends(list(map(len, parts))), pa.py_buffer(b"".join(parts))]
    elif pa.types.is_fixed_size_binary(kind):
        width: int = kind.byte_width
        parts = [bytes(width) if value is None else value for value in values]
        if any(len(part) != width for part in parts):
            raise ValueError(f"bytes that are not {width}")
        buffers = [valid, pa.py_buffer(b"".join(parts))]
    else:
        numbers = [value or 0 for value in values] if valid else values
        buffers = [valid, pa.py_buffer(np.array(numbers, np.dtype(str(kind))))]
    return pa.Array.from_buffers(kind, len(values), buffers)


def _ends(lengths: Sequence[int]) -> pa.Buffer:
    """Where parts of these lengths begin and end, one behind the other."""
    ends = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=ends[1:])
    if ends[-1] > np.iinfo(np.int32).max:
        raise OverflowError(f"{ends[-1]} bytes or items in one column")
    return pa.py_buffer(ends.astype(np.int32))
