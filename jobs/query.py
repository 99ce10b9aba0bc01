"""Ask an archive in SQL: `python -m seec.jobs.query ARCHIVE SQL`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.jobs.options import access_option, at_option
from seec.pipeline.extras import needs
from seec.pipeline.reading import open_archive


@dataclass(frozen=True)
class Settings:
    """Which archive, and what is asked. at: as of which commit; None is the last."""

    archive: str
    sql: str
    at: int | None = None


@dataclass(frozen=True)
class Answer:
    """Rows, whose values are those of JSON."""

    columns: Sequence[str]
    rows: list[tuple[Any, ...]] = field(default_factory=list[tuple[Any, ...]])
    exit_code: int = ExitCode.OK

    def as_dict(self) -> list[dict[str, Any]]:
        """A list with an object for each row."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def lines(self) -> Iterator[str]:
        """A heading and the rows, in columns that are as wide as their widest value."""
        texts = [list(self.columns), *([_text(value) for value in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        for row in texts:
            cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
            yield "  ".join(cells).rstrip()


def run(settings: Settings) -> Answer:
    """The answer to a query of the table `files`.

    Raises MissingPackage, NotAnArchive, UnknownCommit, FormatError or FixityError; UsageError where
    DuckDB refuses the query.
    """
    with needs("query", "seec query"):
        import duckdb
    files = open_archive(settings.archive, at=settings.at).table()
    with duckdb.connect() as connection:
        connection.register("files", files)
        try:
            answer = connection.sql(settings.sql)
            if answer is None:  # a statement that gives nothing
                return Answer(())
            columns = answer.columns
            rows = [tuple(map(_json, row)) for row in answer.fetchall()]
        except duckdb.Error as error:
            raise click.UsageError(f"DuckDB refuses the query: {error}") from None
    return Answer(columns, rows)


def _json(value: Any) -> Any:
    """A value as JSON has it: digests in hexadecimal, times and other kinds as their text."""
    if isinstance(value, bytes | bytearray):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): _json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_json(one) for one in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _text(value: Any) -> str:
    return "" if value is None else str(value)


@command(
    "query",
    examples=[
        "seec query photos.seec-archive 'select route, count(*) from files group by route'",
        "seec query s3://bucket/archive \"select path from files where route = 'store'\" --json",
        "seec query photos.seec-archive 'select count(*) from files' --at 12",
    ],
)
@click.argument("archive", metavar="ARCHIVE")
@click.argument("sql", metavar="SQL")
@at_option
@access_option
def main(**options: Any) -> Answer:
    """Ask an archive in SQL, which DuckDB answers.

    ARCHIVE is a path or a URL. SQL names the table files: a row for each path that counts, so
    without what later runs replaced or removed. Its columns are those of the manifest.
    """
    return run(Settings(**options))


if __name__ == "__main__":
    main()
