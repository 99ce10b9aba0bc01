"""When a schedule was due last, and when it is due next."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

# Cron knows no smaller time.
_STEP = timedelta(seconds=1)


def last_slot(schedule: str, zone: str, now: datetime) -> datetime | None:
    """The last time, up to now, at which a schedule was due; in UTC.

    schedule: a cron expression, in the time zone of this name, with the rules of Debian's cron
    where clocks change. None if the schedule was not due in the last 50 years.
    """
    return _slot(schedule, now.replace(microsecond=0) + _STEP, zone, back=True)


def next_slot(schedule: str, zone: str, now: datetime) -> datetime | None:
    """The next time after now at which a schedule is due, as `last_slot`."""
    return _slot(schedule, now, zone, back=False)


def _slot(schedule: str, moment: datetime, zone: str, *, back: bool) -> datetime | None:
    local = moment.astimezone(ZoneInfo(zone))
    found = next(CronSim(schedule, local, reverse=back), None)
    return None if found is None else found.astimezone(UTC)
