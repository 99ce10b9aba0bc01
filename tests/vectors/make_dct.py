"""Writes the golden files of coded coefficients: `python -m tests.vectors.make_dct`."""

from pathlib import Path

from seec.pipeline.dct.native import Coder
from tests.vectors.drawn_dct import draw, draw_model

FOLDER = Path(__file__).parent / "dct"
CASES = [
    (shape, loud) for shape in ("gray", "4-2-0", "4-2-2 odd", "4-1-0", "four") for loud in (1, 60)
]
MODELS = ("contexts", "networks", "trunk")


def case_name(model: str, shape: str, loud: int) -> str:
    """The golden file's name."""
    return f"{model}-{shape.replace(' ', '-')}-{loud}.bin"


def main() -> None:
    """Write models and files."""
    FOLDER.mkdir(exist_ok=True)
    for name in MODELS:
        model = draw_model(name)
        (FOLDER / f"{name}.dct").write_bytes(model.payload)
        for shape, loud in CASES:
            coded = Coder(model).encode(draw(shape, 7, loud))
            (FOLDER / case_name(name, shape, loud)).write_bytes(coded)


if __name__ == "__main__":
    main()
