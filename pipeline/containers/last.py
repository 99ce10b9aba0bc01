"""What a process knows of the file that it was asked for last: it gets the pieces of one file."""

from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

from seec.pipeline.images.ranges import Ranges, identity_of
from seec.schemas.errors import UnreadableImage

_Known = TypeVar("_Known")


class Last(Generic[_Known]):
    """Makes what is to be known of a file, and keeps that of the last one."""

    def __init__(self, make: Callable[[Ranges], _Known]) -> None:
        """make: raises UnreadableImage for a file of which nothing is known."""
        self._make = make
        self._lock = Lock()
        self._known: tuple[Hashable, _Known | UnreadableImage] | None = None

    def get(self, ranges: Ranges) -> _Known:
        """What is known of a file; UnreadableImage if nothing is. Raises what `ranges` raises."""
        identity = identity_of(ranges)
        if identity is None:
            return self._make(ranges)
        with self._lock:
            if self._known is None or self._known[0] != identity:
                self._known = (identity, self._tried(ranges))
            found = self._known[1]
        if isinstance(found, UnreadableImage):
            raise UnreadableImage(str(found))
        return found

    def _tried(self, ranges: Ranges) -> _Known | UnreadableImage:
        try:
            return self._make(ranges)
        except UnreadableImage as error:
            return error.with_traceback(None)  # which holds the bytes that were read
