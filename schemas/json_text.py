"""JSON from strangers: what is parsed is of a bounded depth."""

import json
from typing import Any, cast

from seec.schemas.limits import MAX_JSON_DEPTH


def parse_json(text: bytes | str) -> Any:
    """The value of a JSON text. ValueError if it is none, or nests too deep."""
    try:
        value: Any = json.loads(text)
    except RecursionError:
        raise ValueError("JSON that nests too deep") from None
    level = [value]
    for _ in range(MAX_JSON_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return value
    raise ValueError("JSON that nests too deep")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(cast(dict[str, Any], value).values())
    return cast(list[Any], value) if isinstance(value, list) else []
