"""Places that a command takes: none may lie in another one."""

import click

from seec.pipeline.storage import Store


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
