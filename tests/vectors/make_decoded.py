"""Writes the golden files of decoded pixels: `python -m tests.vectors.make_decoded`."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.dct.jpeg import Jpeg
from seec.pipeline.dct.weights import DctModel, load_model
from seec.pipeline.decoded.coding import apart, encode
from seec.pipeline.decoded.headers import recipe_of
from seec.pipeline.decoded.making import pixels_of
from tests.vectors.drawn_dct import draw

FOLDER = Path(__file__).parent / "decoded"
# Shapes of `drawn_dct`, with height, width and channels of the image.
CASES = {
    "gray": (30, 37, 1),
    "gray as RGB": (25, 40, 3),
    "4-4-4": (23, 24, 3),
    "4-2-2 odd": (23, 31, 3),
    "4-2-0": (31, 45, 3),
}


def case_file(name: str) -> Path:
    """The golden file."""
    return FOLDER / f"{name.replace(' ', '-')}.bin"


def golden_model() -> DctModel:
    """The model that all golden files are coded with."""
    return load_model((FOLDER.parent / "dct" / "contexts.dct").read_bytes())


def draw_image(name: str) -> tuple[NDArray[np.uint8], Jpeg]:
    """An image, and the JPEG file that gives all but a few of its pixels."""
    height, width, channels = CASES[name]
    luma, *chroma = draw(name.removesuffix(" as RGB"), 9, loud=20)
    components = (luma, *(replace(c, quantisation=chroma[0].quantisation) for c in chroma))
    jpeg = Jpeg.of(width, height, components, recipe_of(width, height, components))
    image = pixels_of(jpeg).repeat(channels if len(components) == 1 else 1, 2)
    image[2::5, 3::7] += np.arange(1, channels + 1, dtype=np.uint8)
    return image, jpeg


def main() -> None:
    """Write the files."""
    FOLDER.mkdir(exist_ok=True)
    for name in CASES:
        case_file(name).write_bytes(encode(apart(*draw_image(name)), golden_model()))


if __name__ == "__main__":
    main()
