"""Standard streams that whoever started a command has closed."""

import os
import sys


def open_closed_streams() -> None:
    """Lead stdin, stdout and stderr to /dev/null where they are closed.

    Else the next file that is opened takes the number of a closed one: what a library prints, or a
    process that inherits the number writes, would land in an archive.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            os.set_inheritable(opened, True)  # else the number is free in a process that inherits
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
