"""TOML files of settings: one definition gives values, what is wrong with a file, a JSON Schema.

A table is a frozen dataclass whose fields are made by `setting`: each has a kind, which checks and
converts the value, and a sentence on what it means. A field `max_duration` is `max-duration` in
the file.
"""

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Protocol, cast

from seec.schemas.quantities import parse_duration
from seec.schemas.toml_lines import Keys

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_NAME_SAID = "1 to 40 of a-z, 0-9 and -, with a letter or digit at both ends"
Schema = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """What is wrong with a file, and where; the message says what was meant, or what may be."""

    place: Keys
    message: str


class Kind(Protocol):
    """What values a setting takes."""

    def convert(self, value: Any, place: Keys, problems: list[Problem]) -> Any:
        """The value as a program needs it; adds to problems, and gives anything, if it is none."""
        ...

    def schema(self) -> Schema:
        """The JSON Schema of the values in the file."""
        ...


@dataclass(frozen=True)
class Text:
    """Any text that is not empty. examples: for editors and messages."""

    examples: tuple[str, ...] = ()
    check: Callable[[str], object] | None = field(default=None, compare=False)
    pattern: str | None = None

    def convert(self, value: Any, place: Keys, problems: list[Problem]) -> Any:
        """A text that `check` accepts; see Kind."""
        if not isinstance(value, str) or not value:
            problems.append(_wrong(place, value, f"a text{_such_as(self.examples)}"))
        elif self.check is not None:
            try:
                self.check(value)
            except ValueError as error:
                problems.append(Problem(place, f"{place[-1]}: {error}"))
        return value

    def schema(self) -> Schema:
        """See Kind."""
        made: Schema = {"type": "string", "minLength": 1}
        if self.pattern is not None:
            made["pattern"] = self.pattern
        return made | ({"examples": list(self.examples)} if self.examples else {})


@dataclass(frozen=True)
class Choice:
    """One of several texts."""

    options: tuple[str, ...]

    def convert(self, value: Any, place: Keys, problems: list[Problem]) -> Any:
        """See Kind."""
        if value not in self.options:
            meant = nearest(str(value), self.options)
            problems.append(_wrong(place, value, f"one of {', '.join(self.options)}", meant))
        return value

    def schema(self) -> Schema:
        """See Kind."""
        return {"enum": list(self.options)}


@dataclass(frozen=True)
class Count:
    """A whole number."""

    least: int = 1
    most: int | None = None

    def convert(self, value: Any, place: Keys, problems: list[Problem]) -> Any:
        """See Kind."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole or value < self.least or (self.most is not None and value > self.most):
            upper = "or more" if self.most is None else f"to {self.most}"
            problems.append(_wrong(place, value, f"a whole number, {self.least} {upper}"))
        return value

    def schema(self) -> Schema:
        """See Kind."""
        most = {} if self.most is None else {"maximum": self.most}
        return {"type": "integer", "minimum": self.least, **most}


@dataclass(frozen=True)
class Flag:
    """True or false."""

    def convert(self, value: Any, place: Keys, problems: list[Problem]) -> Any:
        """See Kind."""
        if not isinstance(value, bool):
            problems.append(_wrong(place, value, "true or false"))
        return value

    def schema(self) -> Schema:
        """See Kind."""
        return {"type": "boolean"}


@dataclass(frozen=True)
class Duration:
    """A number and a unit, or 0; seconds for the program."""

    examples: tuple[str, ...] = ("30s", "20m", "2h")

    def convert(self, value: Any, place: Keys, problems: list[Problem]) -> Any:
        """See Kind."""
        try:
            return parse_duration(value if isinstance(value, str) else "")
        except ValueError:
            problems.append(_wrong(place, value, f"a duration{_such_as(self.examples)}"))
        return value

    def schema(self) -> Schema:
        """See Kind."""
        pattern = r"^(0|([0-9]+\.?[0-9]*|\.[0-9]+)[smhd])$"
        return {"type": "string", "pattern": pattern, "examples": list(self.examples)}


@dataclass(frozen=True)
class ListOf:
    """A list of values of one kind, at least one."""

    kind: Kind

    def convert(self, value: Any, place: Keys, problems: list[Problem]) -> Any:
        """A tuple; see Kind."""
        if not isinstance(value, list) or not value:
            problems.append(_wrong(place, value, "a list in brackets, with one value or more"))
            return ()
        items = enumerate(cast(list[Any], value))
        return tuple(self.kind.convert(item, (*place, index), problems) for index, item in items)

    def schema(self) -> Schema:
        """See Kind."""
        return {"type": "array", "minItems": 1, "items": self.kind.schema()}


@dataclass(frozen=True)
class Table:
    """A table of settings: the dataclass that defines it."""

    made: type

    def convert(self, value: Any, place: Keys, problems: list[Problem]) -> Any:
        """An instance of the dataclass, None if there are problems; see Kind."""
        if not isinstance(value, dict):
            problems.append(_wrong(place, value, f"a table, [{_header(place)}]"))
            return None
        given = cast(dict[str, Any], value)
        known = settings_of(self.made)
        count = len(problems)
        for key in given.keys() - known.keys():
            meant = nearest(key, list(known))
            hint = _did_you_mean(meant) or f"there are {', '.join(known)}"
            where = f"[{_header(place)}]" if place else "the file"
            problems.append(Problem((*place, key), f"no setting {key!r} in {where}; {hint}"))
        values: dict[str, Any] = {}
        for key, one in known.items():
            if key in given:
                values[one.name] = one.kind.convert(given[key], (*place, key), problems)
            elif one.required:
                problems.append(Problem(place, f"{key} is missing: {one.help}"))
        if len(problems) > count:
            return None
        made = self.made(**values)
        problems += [Problem(place, text) for text in getattr(made, "contradictions", tuple)()]
        return made

    def schema(self) -> Schema:
        """See Kind."""
        known = settings_of(self.made)
        required = [key for key, one in known.items() if one.required]
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                key: {"description": one.help, **one.kind.schema(), **one.default_schema()}
                for key, one in known.items()
            },
            **({"required": required} if required else {}),
        }


@dataclass(frozen=True)
class Named:
    """Tables by names of the user's choice."""

    made: type

    def convert(self, value: Any, place: Keys, problems: list[Problem]) -> Any:
        """A dict of instances by name; see Kind."""
        if not isinstance(value, dict) or not value:
            problems.append(_wrong(place, value, f"tables with names, [{_header(place)}.NAME]"))
            return {}
        made: dict[str, Any] = {}
        for name, table in cast(dict[str, Any], value).items():
            if not _NAME.fullmatch(name):
                message = f"{name!r} is no name: give {_NAME_SAID}"
                problems.append(Problem((*place, name), message))
            made[name] = Table(self.made).convert(table, (*place, name), problems)
        return made

    def schema(self) -> Schema:
        """See Kind."""
        return {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": False,
            "patternProperties": {f"^{_NAME.pattern}$": Table(self.made).schema()},
        }


@dataclass(frozen=True)
class Setting:
    """One setting of a table: `name` is that of the field."""

    name: str
    kind: Kind
    help: str
    required: bool
    written: Any

    def default_schema(self) -> Schema:
        """What an editor shows as the default, as it is written in the file."""
        return {} if self.written is None else {"default": self.written}


def setting(
    kind: Kind, help_text: str, *, default: Any = None, written: Any = None, key: str | None = None
) -> Any:
    """A field of a table. default: `...` if there is none; written: that, as in the file.

    key: in the file, if that is not the name of the field.
    """
    metadata = {"kind": kind, "help": help_text, "key": key, "written": written}
    if default is ...:
        return field(metadata=metadata)
    if isinstance(default, dict):
        return field(default_factory=dict[str, Any], metadata=metadata)
    return field(default=default, metadata=metadata)


def settings_of(made: type) -> dict[str, Setting]:
    """The settings of a table by their keys, in the order of the dataclass."""
    found: dict[str, Setting] = {}
    for one in fields(made):
        kind: Kind = one.metadata["kind"]
        required = one.default is MISSING and one.default_factory is MISSING
        key = one.metadata["key"] or one.name.replace("_", "-")
        written = one.metadata["written"]
        if written is None and isinstance(one.default, str | int):
            written = one.default
        found[key] = Setting(one.name, kind, one.metadata["help"], required, written)
    return found


def nearest(text: str, options: Sequence[str], likeness: float = 0.6) -> str | None:
    """What was probably meant; None if nothing is near. likeness: from 0 to 1 where it is equal."""
    found = difflib.get_close_matches(text.lower(), [o.lower() for o in options], 1, likeness)
    return next((o for o in options if found and o.lower() == found[0]), None)


def _wrong(place: Keys, value: Any, wanted: str, meant: str | None = None) -> Problem:
    shown = "a table" if isinstance(value, dict) else repr(cast(object, value))
    if isinstance(value, bool):
        shown = "true" if value else "false"
    hint = f"; {_did_you_mean(meant)}" if meant else ""
    names = [str(key) for key in place if not isinstance(key, int)]
    return Problem(place, f"{names[-1]} is {shown}, not {wanted}{hint}")


def _did_you_mean(meant: str | None) -> str:
    return f"did you mean {meant!r}?" if meant else ""


def _such_as(examples: tuple[str, ...]) -> str:
    quoted = [f'"{example}"' for example in examples]
    return f", such as {' or '.join(quoted)}" if quoted else ""


def _header(place: Keys) -> str:
    return ".".join(str(key) for key in place)
