"""A store that fails while a piece of a file is looked into is no reason to store the piece."""

from dataclasses import dataclass

import pytest

from seec.pipeline.routes.writing import draft
from seec.pipeline.stages.apart import candidate_of, draft_apart
from seec.schemas.errors import SeecError, SourceChanged, StoreUnavailable
from seec.schemas.kinds import FILE
from seec.schemas.plan import PlanSettings, SourceFile
from tests.tiffs import RGB, written

DATA = written(RGB, photometric="rgb", tile=(32, 48), metadata=None)


@dataclass(frozen=True)
class Failing:
    """A file of which nothing can be read any more."""

    error: type[SeecError]
    size_bytes: int = len(DATA)

    def read(self, start: int, length: int) -> bytes:
        raise self.error(f"{length} bytes from {start} on could not be read")


@pytest.mark.parametrize("error", [StoreUnavailable, SourceChanged])
def test_what_cannot_be_read_is_said_and_not_taken_for_a_file_without_images(
    error: type[SeecError],
):
    file = SourceFile("a.tif", len(DATA), None, kind=FILE, pieces=2, piece=1)
    piece, start, settings = DATA[4000:], 4000, PlanSettings("0" * 64)
    with pytest.raises(error, match="could not be read"):
        draft(candidate_of(file, piece, settings, start, Failing(error)))
    with pytest.raises(error, match="could not be read"):
        draft_apart(file, piece, settings, start, Failing(error))
