"""On which line of a TOML text a value begins: tomllib does not tell."""

import tomllib
from collections.abc import Iterable
from typing import Any, cast

# Names of tables and keys, and positions in arrays, from the outermost in.
Keys = tuple[str | int, ...]


def lines_of(text: str, places: Iterable[Keys]) -> dict[Keys, int]:
    """The line, from 1, on which each value begins; of what is not there, that of what holds it.

    text: sound TOML. The first lines of a text are TOML by themselves wherever no value is open, so
    a value is on the lines with which it first appears. Time grows with the square of the lines.
    """
    lines = text.splitlines()
    wanted = {place[:length] for place in places for length in range(1, len(place) + 1)}
    found: dict[Keys, int] = {(): 1}
    begin = 1
    for end in range(1, len(lines) + 1):
        try:
            values = tomllib.loads("\n".join(lines[:end]))
        except tomllib.TOMLDecodeError:
            continue  # a value is open: it began on line `begin`
        for place in sorted(wanted - found.keys(), key=len):
            if _holds(values, place):
                found[place] = begin
        begin = end + 1
    return {place: found[_nearest(place, found)] for place in places}


def _nearest(place: Keys, found: dict[Keys, int]) -> Keys:
    while place not in found:
        place = place[:-1]
    return place


def _holds(values: Any, place: Keys) -> bool:
    for key in place:
        if isinstance(key, int):
            if not isinstance(values, list) or not key < len(cast(list[Any], values)):
                return False
        elif not isinstance(values, dict) or key not in values:
            return False
        values = cast(Any, values)[key]
    return True
