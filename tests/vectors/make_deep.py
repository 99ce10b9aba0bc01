"""Writes the golden files of samples of any depth: `python -m tests.vectors.make_deep`."""

from pathlib import Path

from seec.pipeline import deep
from tests.vectors.drawn_deep import rasters

FOLDER = Path(__file__).parent / "deep"


def main() -> None:
    """Write all files."""
    FOLDER.mkdir(exist_ok=True)
    for name, (samples, depth) in rasters().items():
        code = deep.encode(samples, depth)
        assert code is not None
        (FOLDER / f"{name}.bin").write_bytes(code)


if __name__ == "__main__":
    main()
