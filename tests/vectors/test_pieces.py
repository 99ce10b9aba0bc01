"""Golden pieces of compressed samples, and a reader written from FORMAT.md alone."""

import pytest

from seec.pipeline.images.formats.piece_methods import METHODS
from tests.archives.plain_spliced import compressed
from tests.vectors.make_pieces import FOLDER, Piece, golden_pieces

PIECES = golden_pieces()
OTHERS_CHOOSE = {4, 5}  # how zstd and xz compress: their bytes are those of a version of a library


def test_there_is_a_golden_piece_of_every_method():
    assert {one.method for one in PIECES.values()} == METHODS.keys() - OTHERS_CHOOSE
    assert {path.stem for path in FOLDER.iterdir()} == PIECES.keys()


@pytest.mark.parametrize("name", PIECES)
def test_golden_recipes_give_their_pieces(name: str):
    golden, plain, recipe = (
        (FOLDER / f"{name}.{kind}").read_bytes() for kind in ("piece", "plain", "recipe")
    )
    one: Piece = PIECES[name]
    method, row = METHODS[one.method], one.row
    assert method.read(golden, len(plain), row) == (plain, recipe)
    assert method.write(plain, row, recipe) == golden
    rows = [plain[at : at + row.size_bytes] for at in range(0, len(plain), row.size_bytes)]
    assert len(rows) == one.rows
    assert compressed(rows, one.method, recipe, row.samples, row.bits // 8) == golden
