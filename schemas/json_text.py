"""JSON from strangers: what is parsed is of a bounded depth."""

import json
from typing import Any, cast

from seec.schemas.limits import MAX_JSON_DEPTH

_CONTAINERS = (dict, list)  # what `json.loads` makes of objects and arrays


def parse_json(text: bytes | str) -> Any:
    """The value of a JSON text. ValueError if it is none, or nests too deep."""
    try:
        value: Any = json.loads(text)
    except RecursionError:
        raise ValueError("JSON that nests too deep") from None
    level: list[Any] = [value] if type(value) in _CONTAINERS else []
    for _ in range(MAX_JSON_DEPTH):
        if not level:
            return value
        level = [
            inner
            for outer in level
            for inner in cast(list[Any], outer.values() if isinstance(outer, dict) else outer)
            if type(inner) in _CONTAINERS
        ]
    raise ValueError("JSON that nests too deep")
