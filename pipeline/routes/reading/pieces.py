"""Route `pieces`: a file that was cut, whose pieces are rows of their own."""

from seec.pipeline.routes.reading.reader import Models, Reader
from seec.schemas.errors import UnreadableImage
from seec.schemas.pieces import parse_pieces
from seec.schemas.routes import PIECES
from seec.schemas.rows import Row


class PiecesReader(Reader):
    """Its payload says which pieces; `pipeline.archive.pieces` finds them."""

    name = PIECES

    def restore(self, row: Row, payload: bytes, models: Models) -> bytes:
        """Raises UnreadableImage: such a file may be larger than memory."""
        del payload, models
        raise UnreadableImage(f"{row.path}: is in pieces, which are read one by one")

    def check(self, row: Row, payload: bytes, models: Models) -> None:
        """Prove that its pieces are as long as the file; each has a row that proves the rest."""
        del models
        parse_pieces(row.path, payload, row.source_size_bytes)
