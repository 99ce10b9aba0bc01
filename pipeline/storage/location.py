"""What a user typed as a place: a local path first, else a URL of a store."""

import os
from pathlib import Path

from seec.schemas.errors import StorageError

_LOCAL_SCHEMES = ("file", "local")


def local_path(text: str) -> str | None:
    """The absolute path, without links, that a text names; None if the text is a URL of a store.

    What exists, and what holds no `://`, is a path; so is a `file://` URL. `~` is a home folder
    unless there is such a file. Raises StorageError for an empty text.
    """
    if not text:
        raise StorageError("an empty text is no place; give a path or a URL")
    scheme, mark, below = text.partition("://")
    if not os.path.lexists(text):
        if mark and scheme not in _LOCAL_SCHEMES:
            return None
        text = below if mark else os.path.expanduser(text)
    return os.path.realpath(text)


def chained_to_absolute(text: str) -> str:
    """A URL like `zip://photos::pack.zip` with the absolute path of the file that it reads."""
    above, chain, last = text.rpartition("::")
    path = local_path(last) if chain and "://" in above and local_path(text) is None else None
    return text if path is None else f"{above}{chain}file://{path}"


def holds(outer: str, inner: str) -> bool:
    """Whether one real path is the other or lies above it, under whatever name it is mounted."""
    places = (inner, *map(str, Path(inner).parents))
    return outer in places or any(_is_same(outer, place) for place in places)


def _is_same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
