"""Route `lost`: a repair found the file nowhere."""

from seec.pipeline.routes.reading.reader import Models, WholeFileReader
from seec.schemas.errors import Lost
from seec.schemas.routes import LOST
from seec.schemas.rows import Row


class LostReader(WholeFileReader):
    """There is no payload and no file."""

    name = LOST

    def unpack(self, row: Row, payload: bytes, models: Models) -> bytes:
        """Raises Lost."""
        del payload, models
        raise Lost(f"{row.path}: is lost: {row.reason}; seec repair --from or --source may find it")
