"""Print the JSON Schema of jobs files: `seec jobs schema`."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.schemas.jobs_file import json_schema


@dataclass(frozen=True)
class Summary:
    """The schema."""

    schema: dict[str, Any]
    exit_code: int = ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        """The schema itself."""
        return self.schema

    def lines(self) -> Iterator[str]:
        """The same text as --json: it is for editors."""
        yield from json.dumps(self.schema, indent=2).splitlines()


def run() -> Summary:
    """The schema of this release."""
    return Summary(json_schema())


@command("jobs schema", examples=["seec jobs schema > jobs.schema.json"])
def main() -> Summary:
    """Print the JSON Schema of jobs files, by which editors complete and check them.

    `#:schema jobs.schema.json` as the first line of a jobs file leads editors there.
    """
    return run()


if __name__ == "__main__":
    main()
