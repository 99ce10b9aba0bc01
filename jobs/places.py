"""Places that a command takes: none may lie in another one, and a source may have a name."""

import os

import click

from seec.pipeline.storage import Store
from seec.schemas.names import escape, is_safe, unescape


def check_apart(first: str, one: Store, second: str, other: Store) -> None:
    """Wrong use if one of two places holds the other, or both are the same.

    first, second: what each place is to the command. A command that writes below one place would
    read there what it wrote, or replace what it reads.
    """
    if one.overlaps(other):
        raise click.UsageError(
            f"{first} {one.url} and {second} {other.url} are one place, or one lies in the other; "
            "give two places apart"
        )


def source_name(name: str) -> str:
    """The name of a source as it was typed (--as), as a path of the archive; '' is no name."""
    text = escape(os.fsencode(name))
    if name and ("/" in name or not is_safe(unescape(text))):
        raise click.UsageError(f"--as {name!r}: a name without /, and neither . nor ..")
    return text
