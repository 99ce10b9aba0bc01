"""How a loss that was asked for is said: in listings, in restored files, on a terminal.

A background error is the most by which a sub-pixel outside the region of interest may be off,
1 to MAX_BACKGROUND_ERROR; SKIP where nothing was coded there. None, where it occurs, means
that nothing is lost.
"""

from typing import Literal

MAX_BACKGROUND_ERROR = 127
SKIP: Literal[0] = 0


def describe(background_error: int) -> str:
    """What became of the background, in a few words."""
    if background_error == SKIP:
        return "background predicted only"
    return f"background within +-{background_error}"


def note(background_error: int) -> str:
    """What a restored image says of itself. ASCII, so that every text chunk can hold it."""
    if background_error == SKIP:
        return "SEEC: background predicted, not the original; the region of interest is exact"
    return (
        f"SEEC: background within {background_error} of the original; "
        "the region of interest is exact"
    )
