"""Mutated JPEG files and recipes: each file comes back byte for byte or is refused."""

import random
from dataclasses import replace
from unittest.mock import patch

import numpy as np
from PIL import Image

from seec.pipeline.dct import planes
from seec.pipeline.dct.jpeg import Jpeg, layout, put_together, take_apart
from seec.schemas.errors import FormatError, UnreadableImage
from tests.hostile.fuzz.mutation import mutated
from tests.jpeg_scripts import Habits, progressive_script, rewritten, sequential_script
from tests.jpegs import jpeg
from tests.pictures import textured

# Small files are of several groups, or of one.
_GROUP_BLOCKS = 8, planes.GROUP_BLOCKS


def seeds() -> list[bytes]:
    """Small files of all kinds."""
    small = textured(33, 41, 7)
    plain = jpeg(small, 60)
    files = [
        plain,
        jpeg(small, 90, progressive=True),
        jpeg(small, 70, restart_marker_blocks=2),
        jpeg(small, 95, subsampling=0, optimize=True),
        jpeg(small[..., 0], 50),
        jpeg(Image.fromarray(small).convert("CMYK"), 60),
        jpeg(small, 60, exif=b"Exif\0\0" + jpeg(textured(8, 8), 30)),
    ]
    for seed in range(12):
        random_ = random.Random(seed)
        source = take_apart(random_.choice(files))
        progressive = seed % 4 > 0
        script = progressive_script if progressive else sequential_script
        habits = Habits(random_.choice((0, 2)), seed & 1, seed % 3, height_behind=seed == 5)
        steps = script(len(source.components), random_)
        files.append(rewritten(source, progressive, steps, habits))
    return files


def try_file(data: bytes) -> str:
    """What became of it: back, refused. AssertionError where it is neither."""
    try:
        parts = take_apart(data)
    except UnreadableImage:
        return "refused"
    assert put_together(parts) == data, "another file came back"
    said = layout(parts.recipe)
    assert (said.width, said.height) == (parts.width, parts.height)
    for part, component in zip(said.components, parts.components, strict=True):
        assert (part.rows, part.columns, 64) == component.coefficients.shape
        assert np.array_equal(part.quantisation, component.quantisation)
    return "back"


def try_recipe(parts: Jpeg, random_: random.Random) -> str:
    """What became of a damaged recipe, or of one with coefficients that are not its own."""
    recipe = mutated(parts.recipe, random_) if random_.random() < 0.8 else parts.recipe
    components = parts.components
    if random_.random() < 0.3:
        noise = np.random.default_rng(random_.randrange(1 << 30))
        scale = random_.choice((1, 100, 32767))
        components = tuple(
            replace(
                c,
                coefficients=noise.integers(-scale - 1, scale + 1, c.coefficients.shape, np.int16),
            )
            for c in components
        )
    try:
        layout(recipe)
        put_together(Jpeg.of(parts.width, parts.height, components, recipe))
    except FormatError:
        return "recipe refused"
    return "recipe read"


class Fuzzed:
    """Tries files, and each fifth time a recipe."""

    def __init__(self) -> None:
        self._files = seeds()
        self._sources = [take_apart(data) for data in self._files]

    def __call__(self, random_: random.Random) -> str:
        """What became of a mutation. AssertionError where it broke a rule."""
        with patch.object(planes, "GROUP_BLOCKS", random_.choice(_GROUP_BLOCKS)):
            return self._tried(random_)

    def _tried(self, random_: random.Random) -> str:
        if random_.randrange(5) == 0:
            return try_recipe(random_.choice(self._sources), random_)
        return try_file(mutated(random_.choice(self._files), random_))
