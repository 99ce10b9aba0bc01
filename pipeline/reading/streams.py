"""Files of an archive opened for reading: in memory, or by ranges where they may be larger."""

import io
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from seec.pipeline.images.ranges import Ranges


class RangesFile(io.BufferedReader):
    """A file of which only what is read is fetched and decoded.

    What is read is compared with digests of its own, and not with that of the whole file: reading
    raises as `seec.Archive.read`. size: in bytes. Not for several threads.
    """

    def __init__(self, ranges: "Ranges") -> None:
        super().__init__(_Raw(ranges), _BUFFER_BYTES)
        self.size = ranges.size_bytes

    def write(self, *_: Any) -> NoReturn:
        """Raises io.UnsupportedOperation."""
        raise io.UnsupportedOperation("not writable: a file of an archive")


_BUFFER_BYTES = 1 << 16


class _Raw(io.RawIOBase):
    def __init__(self, ranges: "Ranges") -> None:
        super().__init__()
        self._ranges, self._at = ranges, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._ranges.size_bytes}[whence]
        if base + offset < 0:
            raise ValueError(f"a position of {base + offset}")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self._ranges.read(self._at, len(view))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)
