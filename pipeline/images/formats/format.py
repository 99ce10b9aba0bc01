"""What an image format answers: one subclass of `Format` a format, one entry in the registry."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, NamedTuple

from seec.pipeline.images.raster import Raster
from seec.schemas.planes import Shape

ReadAt = Callable[[int, int], bytes]
# How what signs a file begins, or what names it: JUMBF of C2PA, and packets of XMP.
_SIGNATURES = (
    (b"jumdc2pa", "Content Credentials"),
    (b"dcterms:provenance", "Content Credentials kept elsewhere"),
    (b"http://www.w3.org/2000/09/xmldsig#", "an XML signature"),
)


class Content(NamedTuple):
    """An image file as rasters, and as an envelope: all that it holds beside their samples.

    exact: whether `Format.write` gives the same bytes back. Otherwise it gives a file with the
    same samples and metadata.
    """

    rasters: Sequence[Raster]
    envelope: bytes
    exact: bool


class Format(ABC):
    """A lossless image format. Instances hold no state.

    name: of the format in manifests; it is part of the archive's format.
    has_comments: whether `with_comment` adds one.

    Every method but `matches` raises UnreadableImage, with the reason, for files that are damaged,
    not lossless, or of a kind that could not be written back.
    """

    name: ClassVar[str]
    has_comments: ClassVar[bool] = False

    @abstractmethod
    def matches(self, data: bytes) -> bool:
        """Whether the first bytes are those of this format. data: the file, or its beginning."""

    @abstractmethod
    def shapes(self, data: bytes) -> list[Shape]:
        """The shapes of the file's rasters, from its headers alone: nothing is decoded.

        A caller compares them with its limits before `read`, which allocates as much.
        """

    @abstractmethod
    def read(self, data: bytes, *, keep_file: bool) -> Iterator[Content]:
        """The ways to keep a file, the best first.

        An exact one is tried by the caller: where `write` does not give `data` back, the caller
        asks for the next. keep_file: whether any other than an exact one is of use.
        """

    @abstractmethod
    def write(
        self, rasters: Sequence[Raster], envelope: bytes, *, exact: bool, quick: bool = False
    ) -> bytes:
        """The bytes of a file. All arguments come from a `Content`, or from a damaged archive.

        quick: whether a file that is not exact may be larger than need be.
        """

    @abstractmethod
    def extent(self, head: bytes, read_at: ReadAt) -> tuple[int, int]:
        """Width and height in pixels of the first picture, as the file announces them.

        A first guess, for which the file is not read as a whole: little is checked.
        head: the first 4096 bytes of the file. read_at: other parts, by offset and length.
        Raises struct.error, too, if the file is too short.
        """

    def signature(self, data: bytes) -> str | None:
        """What in the file signs its bytes, so that no others will do; None where nothing does."""
        return next((name for mark, name in _SIGNATURES if mark in data), None)

    def with_comment(self, data: bytes, text: str) -> bytes:
        """The same file with a comment. text: ASCII. Unchanged where the format has no comments."""
        del text
        return data
