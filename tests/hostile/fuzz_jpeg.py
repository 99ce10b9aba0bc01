"""Mutated JPEG files and recipes: each file comes back byte for byte or is refused.

`python -m tests.hostile.fuzz_jpeg 100000` runs so many, with the C extension in the file that
the variable SEEC_JPEG_EXTENSION names; `make fuzz` makes one with sanitisers. Prints a line at the
end, or the mutation that broke a rule.
"""

import os
import random
import sys
from collections import Counter
from dataclasses import replace
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader

import numpy as np
from PIL import Image

from seec.pipeline.dct import scans
from seec.pipeline.dct.jpeg import Jpeg, layout, put_together, take_apart
from seec.schemas.errors import FormatError, UnreadableImage
from tests.jpeg_scripts import Habits, progressive_script, rewritten, sequential_script
from tests.jpegs import jpeg
from tests.pictures import textured


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


def mutated(data: bytes, random_: random.Random) -> bytes:
    """A few bytes of it altered, taken out, doubled or put in."""
    changed = bytearray(data)
    for _ in range(random_.choice((1, 1, 2, 4, 12))):
        at = random_.randrange(len(changed) + 1)
        size = random_.choice((1, 1, 2, 5, 40))
        match random_.randrange(7):
            case 0 if at < len(changed):
                changed[at] ^= 1 << random_.randrange(8)
            case 1 if at < len(changed):
                changed[at] = random_.choice((0, 255, 0xD0, 0xD9, random_.randrange(256)))
            case 2:
                del changed[at : at + size]
            case 3:
                changed[at:at] = changed[at : at + size]
            case 4:
                changed[at:at] = random_.randbytes(size)
            case 5:
                start = random_.randrange(len(changed) + 1)
                changed[at:at] = changed[start : start + 10 * size]
            case _ if random_.random() < 0.3:
                del changed[at:]
            case _:
                continue
        if not changed:
            break
    return bytes(changed)


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
        put_together(replace(parts, recipe=recipe, components=components))
    except FormatError:
        return "recipe refused"
    return "recipe read"


def main(count: int, seed: int = 0) -> Counter[str]:
    """Try so many mutations."""
    files = seeds()
    sources = [take_apart(data) for data in files]
    seen: Counter[str] = Counter()
    for number in range(count):
        random_ = random.Random((seed << 32) + number)
        try:
            if number % 5 == 4:
                seen[try_recipe(random_.choice(sources), random_)] += 1
            else:
                seen[try_file(mutated(random_.choice(files), random_))] += 1
        except BaseException:
            sys.stderr.write(f"mutation {number} of seed {seed}\n")
            raise
    return seen


def _load(path: str) -> None:
    name = "seec.pipeline.dct._jpeg"
    loader = ExtensionFileLoader(name, path)
    spec = spec_from_loader(name, loader)
    assert spec is not None
    scans._jpeg = module_from_spec(spec)
    loader.exec_module(scans._jpeg)


if __name__ == "__main__":
    if extension := os.environ.get("SEEC_JPEG_EXTENSION"):
        _load(extension)
    arguments = [int(argument) for argument in sys.argv[1:]]
    sys.stdout.write(f"{dict(main(*arguments))}\n")
