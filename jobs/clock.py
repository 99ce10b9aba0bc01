"""The time of day: one place that jobs ask, so that a test can live through weeks."""

from datetime import UTC, datetime


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)
