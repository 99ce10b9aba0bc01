"""What the writing half of a route answers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from seec.pipeline.codec import Model
from seec.pipeline.dct.weights import DctModel
from seec.pipeline.images.digest import pixel_digest
from seec.pipeline.images.files import ImageFile
from seec.pipeline.images.raster import Pixels
from seec.pipeline.routes.writing.draft import Candidate, Coded
from seec.schemas.rows import ImageFacts, Row, SampleFacts

MadeRow = Callable[..., Row]


def row_of_pixels(made_row: MadeRow, route: str, pixels: Pixels, image: ImageFile) -> Row:
    """The row of one picture of 8 bits, [H, W] or [H, W, 3]. made_row: as `Candidate.row`."""
    height, width = pixels.shape[:2]
    return made_row(
        route,
        image=ImageFacts(width, height, "L" if pixels.ndim == 2 else "RGB", image.format),
        samples=SampleFacts(pixel_digest(pixels), pixels.size, image.envelope),
    )


class Work(NamedTuple):
    """What looking into a file takes, by its headers.

    pixels: that are decoded, and stay in memory until they are encoded. passing_bytes: of memory,
    only while the file is looked into; measured, with room to spare.
    """

    pixels: int = 0
    passing_bytes: int = 0

    @classmethod
    def of_pixels(cls, pixels: int) -> "Work":
        """What it takes to decode and unpack pixels: 5 to 22 bytes for each."""
        return cls(pixels, 24 * pixels)


class RunModels(NamedTuple):
    """What a run encodes with: pixels, and JPEG files; None where JPEG XL codes those."""

    pixels: Model
    jpeg: DctModel | None = None


class Writer(ABC):
    """The way of a file into the archive. Instances hold no state.

    name: of the route in manifests. reason: why a file is stored that this route would keep in as
    many bytes or more.
    """

    name: ClassVar[str]
    reason: ClassVar[str]

    @abstractmethod
    def work(self, candidate: Candidate) -> Work:
        """What `draft` would take; nothing is decoded. UnreadableImage if it takes no such file."""

    @abstractmethod
    def draft(self, candidate: Candidate) -> Coded | None:
        """How this route would keep the file; None if files of its kind are for other routes.

        UnreadableImage, with the reason, if the file is of its kind and cannot be taken. Makes the
        payload where that takes neither a model nor an encoder.
        """

    def of_image(self, made_row: MadeRow, image: ImageFile) -> Coded | None:
        """As `draft`, of a file that was taken apart. made_row: as `Candidate.row`."""
        raise NotImplementedError(f"route {self.name} takes no images apart ({image.format})")

    def digest(self, candidate: Candidate) -> bytes | None:
        """The same for files that `draft` gives the same pictures of; None where none are wanted.

        Raises UnreadableImage as `draft`.
        """
        del candidate
        return None

    def pack(self, coded: Coded, codes: Sequence[bytes], models: RunModels) -> tuple[Row, bytes]:
        """The row, which names its model, and the payload. coded: of `draft`, without a payload.

        codes: a `.seec` file for each of its pictures, in their order, made by the model of pixels.
        UnreadableImage, with the reason, if the payload would not give the file back.
        """
        raise NotImplementedError(f"route {self.name} wants no codes ({coded.row.path})")
