"""What is remembered of a job between its runs: one JSON object, replaced after each part."""

import json
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import Any, cast

from seec.schemas.errors import SectionCorrupt
from seec.schemas.jobs_file import COPY
from seec.schemas.json_text import parse_json

VERSION = 1
MAX_BYTES = 4 << 20
# How many findings of a part are kept here; its report in the archive has all.
MAX_FINDINGS = 20


@dataclass(frozen=True)
class PartState:
    """How a part of a job ended last.

    slot: the time of its schedule that this run was for; None if it has none. Times are in UTC.
    exit_code: of the command. error: what it said at its end, '' if it ended well. figures: what it
    printed as JSON, without long lists. succeeded: when it last ended well.
    """

    slot: datetime | None
    started: datetime
    ended: datetime
    exit_code: int
    error: str = ""
    figures: dict[str, Any] = field(default_factory=dict[str, Any])
    findings: tuple[dict[str, Any], ...] = ()
    succeeded: datetime | None = None


@dataclass(frozen=True)
class JobState:
    """How a job stands.

    started, ended, exit_code, run_id: of its last run. succeeded: when a run last ended well.
    failing_since: the end of the first run that failed after that; None while all is well.
    archive: figures of the archive after the last run that could read it.
    """

    parts: dict[str, PartState] = field(default_factory=dict[str, PartState])
    run_id: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    exit_code: int | None = None
    succeeded: datetime | None = None
    failing_since: datetime | None = None
    archive: dict[str, Any] = field(default_factory=dict[str, Any])

    def with_part(self, name: str, part: PartState) -> "JobState":
        """The state with another part in place of the one of this name."""
        return replace(self, parts={**self.parts, name: part})

    @property
    def damaged(self) -> bool:
        """Whether findings are not mended, a part of the last run met damage, or the last copy.

        The archive does not know what a copy met.
        """
        met = (
            part.exit_code == _DAMAGE
            and (name == COPY or (self.started is not None and part.started >= self.started))
            for name, part in self.parts.items()
        )
        return bool(self.archive.get("findings")) or any(met)


_DAMAGE = 4


def serialise(state: JobState) -> bytes:
    """The bytes of a state."""
    return json.dumps({"version": VERSION, **asdict(state)}, default=_text, indent=1).encode()


def parse(where: str, data: bytes) -> JobState:
    """The state of these bytes; SectionCorrupt, with the name of the object, if they are none."""
    try:
        body = cast(dict[str, Any], parse_json(data))
        if body.pop("version") != VERSION:
            raise SectionCorrupt(f"{where}: of another version; delete it, and the job starts anew")
        parts = {str(name): _part(part) for name, part in body.pop("parts").items()}
        return JobState(parts=parts, **_values(JobState, body))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SectionCorrupt(f"{where}: no state of a job ({error})") from None


def _part(body: dict[str, Any]) -> PartState:
    values = _values(PartState, body)
    values["findings"] = tuple(cast(list[dict[str, Any]], body["findings"]))
    return PartState(**values)


def _values(kind: type, body: dict[str, Any]) -> dict[str, Any]:
    moments = {one.name for one in fields(kind) if "datetime" in str(one.type)}
    return {
        key: datetime.fromisoformat(value) if key in moments and value is not None else value
        for key, value in body.items()
    }


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)
