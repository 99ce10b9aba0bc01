"""About how many bytes of image files hold pixels that were decoded from JPEG, by a few of them.

A run carries a model of JPEG files only where that pays. Files are decoded in a process of their
own, which a damaged one may crash or hold up.
"""

from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Self

from seec.pipeline.decoded.finding import shows_jpeg
from seec.pipeline.images.files import read_header
from seec.pipeline.stages.process import Died, WorkerProcess
from seec.pipeline.storage import Source
from seec.schemas.errors import SourceError
from seec.schemas.kinds import FILE
from seec.schemas.plan import SourceFile

LOOKED_AT = 12  # files
# The model saves a tenth of JPEG files, and of these files at least a fifth: as much as of so many
# times their bytes.
AS_JPEG = 2
_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pnm", ".qoi")
_MOST_BYTES, _MOST_PIXELS = 1 << 26, 1 << 24  # of a file that is looked at
_SECONDS = 30  # that one may take


def decoded_bytes(source: Source, files: Iterable[SourceFile], enough: int) -> int:
    """About how many bytes of files, spread over them; 0 if all together are not enough.

    Reads up to LOOKED_AT of them, only where enough have the name of such a file.
    """
    named = [file for file in files if is_candidate(file)]
    whole = sum(file.size_bytes for file in named)
    if whole < enough:
        return 0
    count = min(LOOKED_AT, len(named))
    chosen = [named[len(named) * i // count] for i in range(count)]
    return int(whole * decoded_share(source.read, chosen))


def is_candidate(file: SourceFile) -> bool:
    """Whether a file has the name of an image without loss, and a size at which it is looked at."""
    named = file.path.lower().endswith(_SUFFIXES)
    readable = file.kind == FILE and file.problem is None and file.same_file is None
    return named and readable and 0 < file.size_bytes <= _MOST_BYTES


def decoded_share(read: Callable[[SourceFile], bytes], files: Sequence[SourceFile]) -> float:
    """The share of the bytes of files, all of which are read, whose pixels were JPEG."""
    found = looked = 0
    with _Looking() as looking:
        for file in files:
            try:
                data = read(file)
            except SourceError:
                continue
            looked += file.size_bytes
            found += file.size_bytes if looking.shows(data) else 0
    return found / max(looked, 1)


class _Looking:
    """Looks at one file after the other, in a process that is started again where one ends it."""

    def __init__(self) -> None:
        self._process: WorkerProcess | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def shows(self, data: bytes) -> bool:
        """Whether a file holds pixels that were JPEG; False too if it cannot be decoded."""
        self._process = self._process or WorkerProcess()
        try:
            self._process.send(_shows, data)
            if self._process.connection.poll(_SECONDS):
                good, answer = self._process.receive()
                return good and bool(answer)
        except Died:
            pass
        self._end()
        return False

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process = None


def _shows(data: bytes) -> bool:
    """In the process."""
    header = read_header(data)
    if header.pixels > _MOST_PIXELS:
        return False
    pixels = header.read().pixels
    return pixels is not None and shows_jpeg(pixels.reshape(*pixels.shape[:2], -1))
