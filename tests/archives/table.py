"""Counts of what was tried and of what went well, and tables of them."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Count:
    """tried: cases. failures: of each that went wrong, which it was, and what is wrong."""

    tried: int = 0
    failures: list[str] = field(default_factory=list[str])

    def add(self, case: str, wrong: object = None) -> None:
        """Count a case. wrong: what is wrong, if anything."""
        self.tried += 1
        if wrong:
            self.failures.append(f"{case}: {wrong}")

    @property
    def well(self) -> int:
        """How many cases went well."""
        return self.tried - len(self.failures)


def printed(head: str, counts: Iterable[tuple[str, Count]]) -> int:
    """Print a row for each of these while they come; failures go to stderr. How many there are.

    head: names of the three columns, as `what | tried | well`.
    """
    print(f"| {head} |\n| --- | --- | --- |", flush=True)  # noqa: T201
    failures = 0
    for name, count in counts:
        print(f"| {name} | {count.tried} | {count.well} |", flush=True)  # noqa: T201
        for text in count.failures:
            print(f"{name}: {text}", file=sys.stderr, flush=True)  # noqa: T201
        failures += len(count.failures)
    return failures
