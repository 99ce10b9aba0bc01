"""Reports of verifications: their names, and the last verification of an object."""

import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from seec.pipeline.storage import Store
from seec.pipeline.verify.faults import copy_back, fault
from seec.schemas.archive import REPORTS
from seec.schemas.errors import (
    FormatError,
    LimitExceeded,
    ObjectMissing,
    ObjectUnreadable,
    SectionCorrupt,
    SeecError,
    StorageError,
    StoreUnavailable,
)
from seec.schemas.limits import MAX_TABLE_BYTES
from seec.schemas.report import Checked, Previous, parse_about, parse_findings

_MOMENT = "%Y%m%dT%H%M%S.%fZ"
_NAME = re.compile(
    rf"{REPORTS}/verify-(?P<moment>[0-9]{{8}}T[0-9]{{6}}\.[0-9]{{6}}Z)-(?P<mode>[a-z]+)\.parquet"
)


def report_name(moment: datetime, mode: str) -> str:
    """reports/verify-<moment>-<mode>.parquet; moment: in UTC. Names sort by time."""
    return f"{REPORTS}/verify-{moment.strftime(_MOMENT)}-{mode}.parquet"


@dataclass(frozen=True)
class ReportName:
    """A report: its name, when it was made, in UTC, and in which mode."""

    name: str
    moment: datetime
    mode: str


def report_names(store: Store) -> list[ReportName]:
    """All reports of verifications, the newest first."""
    matches = (match for name in store.names(REPORTS) if (match := _NAME.fullmatch(name)))
    found: list[ReportName] = []
    for match in matches:
        with suppress(ValueError):  # no day of the calendar
            moment = datetime.strptime(match["moment"], _MOMENT).replace(tzinfo=UTC)
            found.append(ReportName(match.string, moment, match["mode"]))
    return sorted(found, key=lambda report: report.moment, reverse=True)


def readable_report(store: Store, report: ReportName) -> list[Checked] | None:
    """What a report says of each object; None if this release cannot read it."""
    try:
        return read_report(store, report.name)
    except (FormatError, ObjectMissing, ObjectUnreadable):
        return None


def read_report(store: Store, name: str) -> list[Checked]:
    """What a report of the archive says of each object.

    StorageError if there is none of this name; SectionCorrupt or UnsupportedVersion if it is none.
    """
    if _NAME.fullmatch(name) is None:
        raise StorageError(
            f"{name!r} is no report of a verification: seec verify prints the names of reports, "
            f"{REPORTS}/verify-..."
        )
    try:
        return parse_findings(name, store.get(name, MAX_TABLE_BYTES))
    except LimitExceeded as error:
        raise SectionCorrupt(str(error)) from None


def newest(store: Store) -> tuple[Previous | None, list[Checked]]:
    """The newest report, for the next one to name; and a finding if the one before it was changed.

    Reports may be removed: one that is missing is no finding. Nor is it one if there is no place
    for reports; who writes the next one hears of that.
    """
    try:
        names = sorted(name for name in store.names(REPORTS) if _NAME.fullmatch(name))
    except StoreUnavailable:
        raise
    except StorageError:
        names = []
    if not names:
        return None, []
    try:
        data = store.get(names[-1], MAX_TABLE_BYTES)
        about = parse_about(names[-1], data)
    except (FormatError, ObjectMissing, ObjectUnreadable) as error:
        return None, [_broken(store, names[-1], error)]
    previous = Previous(names[-1], hashlib.sha256(data).hexdigest())
    before = about and about.previous
    if before is None or before.name not in names:
        return previous, []
    try:
        found = hashlib.sha256(store.get(before.name, MAX_TABLE_BYTES)).hexdigest()
        if found != before.sha256:
            raise SectionCorrupt(f"{before.name}: is not what {names[-1]} says it was")
    except (FormatError, ObjectMissing, ObjectUnreadable) as error:
        return previous, [_broken(store, before.name, error)]
    return previous, []


def _broken(store: Store, name: str, error: SeecError) -> Checked:
    return Checked(name, findings=(fault(name, "report", error, copy_back(store)),))


def last_verified(store: Store, modes: Iterable[str], wanted: Iterable[str]) -> dict[str, str]:
    """The time of the last verification of each wanted object, in one of the modes, by name.

    Leaves out objects that were never verified. Reads reports from the newest on, until all objects
    are found. Skips reports that this release cannot read.
    """
    left, found = set(wanted), dict[str, str]()
    for report in report_names(store):
        if not left:
            break
        if report.mode not in set(modes):
            continue
        seen = left & {item.object for item in readable_report(store, report) or ()}
        found |= dict.fromkeys(seen, report.moment.strftime(_MOMENT))
        left -= seen
    return found
