"""What the reading half of a route answers."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, TypeVar

from seec.schemas.errors import DigestMismatch, SectionCorrupt, UnknownModel
from seec.schemas.kinds import LINK
from seec.schemas.rows import ImageFacts, Row

if TYPE_CHECKING:
    from seec.pipeline.codec.model.weights import Model
    from seec.pipeline.dct.weights import DctModel

Models = Mapping[str, "Model | DctModel"]
Kind = TypeVar("Kind", "Model", "DctModel")


class Reader(ABC):
    """The way back from a row and its payload. Instances hold no state.

    name: of the route in manifests. Both methods take the bytes whose digest is `row.blob_digest`,
    and models by id. They raise DigestMismatch, FormatError or ModelError.
    """

    name: ClassVar[str]

    @abstractmethod
    def restore(self, row: Row, payload: bytes, models: Models) -> bytes:
        """The bytes of the file; of a link, where it points to."""

    @abstractmethod
    def check(self, row: Row, payload: bytes, models: Models) -> None:
        """Prove that `restore` gives what the row promises, by the digests that it records."""


class WholeFileReader(Reader):
    """A route whose payload gives the file back byte for byte."""

    @abstractmethod
    def unpack(self, row: Row, payload: bytes, models: Models) -> bytes:
        """The file. Whether it is the right one is for its digest to say."""

    def restore(self, row: Row, payload: bytes, models: Models) -> bytes:
        """As `Reader.restore`."""
        data = self.unpack(row, payload, models)
        if hashlib.sha256(data).digest() != row.source_digest:
            raise DigestMismatch(f"{row.path}: unpacks to a file that differs from its digest")
        if row.kind == LINK and (not data or b"\0" in data):
            raise SectionCorrupt(f"{row.path}: a symbolic link that can point nowhere")
        return data

    def check(self, row: Row, payload: bytes, models: Models) -> None:
        """As `Reader.check`."""
        self.restore(row, payload, models)


def image_of(row: Row) -> ImageFacts:
    """What the row of an image says of it; SectionCorrupt if that is nothing."""
    if row.image is None:
        raise SectionCorrupt(f"{row.path}: its row says nothing of an image")
    return row.image


def model_of(row: Row, models: Models, kind: type[Kind]) -> Kind:
    """The model that decodes the payload of a row.

    UnknownModel if it is not at hand, or of a kind that does not decode such payloads.
    """
    model = models.get(row.model_id or "")
    if not isinstance(model, kind):
        raise UnknownModel(f"{row.path}: no model {row.model_id} for route {row.route} at hand")
    return model
