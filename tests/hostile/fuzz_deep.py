"""Mutated codes of samples of any depth: each decodes to samples of its shape, or is refused.

`python -m tests.hostile.fuzz_deep 100000` runs so many, with the C extension in the file that the
variable SEEC_DEEP_EXTENSION names; `make fuzz` makes one with sanitisers. Prints a line at the end,
or the mutation that broke a rule.
"""

import os
import random
import struct
import sys
from collections import Counter
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader

import numpy as np

from seec.pipeline.deep import native
from seec.schemas.errors import SectionCorrupt

_WAYS = (0, 1, 2, 3, 9, 11)
Seed = tuple[bytes, tuple[int, int, int, int], int, int]  # code, shape, top, way


def seeds() -> list[Seed]:
    """Small groups of all kinds."""
    rng = np.random.default_rng(0)
    found: list[Seed] = []
    for top in (1, 7, 4095, 65535, (1 << 31) - 1):
        for slices, bands, height, width in ((1, 1, 9, 17), (2, 3, 5, 7), (3, 1, 1, 40)):
            walk = rng.integers(-9, 10, (slices, bands, height, width)).cumsum(3) * (top // 99 + 1)
            numbers = np.clip(walk + top // 2, 0, top).astype(np.uint32)
            for way in _WAYS:
                code = native.encode_group(numbers, top, way)
                found.append((code, numbers.shape, top, way))
    return found


def mutated(seed: Seed, random_: random.Random) -> Seed:
    """The same with other bytes, or said to be something else."""
    code, shape, top, way = seed
    changed = bytearray(code)
    for _ in range(random_.choice((1, 1, 2, 5, 20))):
        at = random_.randrange(len(changed) + 1)
        match random_.randrange(5):
            case 0 if at < len(changed):
                changed[at] ^= 1 << random_.randrange(8)
            case 1 if at < len(changed):
                changed[at] = random_.choice((0, 255, random_.randrange(256)))
            case 2:
                del changed[at : at + random_.choice((1, 3, 50))]
            case 3:
                changed[at:at] = random_.randbytes(random_.choice((1, 4, 60)))
            case _:
                changed += struct.pack("<I", random_.getrandbits(32))
    if random_.random() < 0.2:
        top = random_.choice((0, 1, top // 2, 2 * top & 0x7FFFFFFF, 0x7FFFFFFF))
    if random_.random() < 0.2:
        way = random_.choice(_WAYS)
    if random_.random() < 0.1:
        shape = tuple(random_.choice((1, 1, 2, 33)) for _ in range(4))
        shape = shape[0], min(shape[1], 32), shape[2], shape[3]
    return bytes(changed), shape, top, way


def main() -> None:
    """Try so many mutations."""
    if path := os.environ.get("SEEC_DEEP_EXTENSION"):
        loader = ExtensionFileLoader("_deep", path)
        spec = spec_from_loader("_deep", loader)
        assert spec is not None
        native.extension = module_from_spec(spec)
        loader.exec_module(native.extension)
    outcomes: Counter[str] = Counter()
    all_seeds = seeds()
    for number in range(int(sys.argv[1])):
        random_ = random.Random(number)
        code, shape, top, way = mutated(random_.choice(all_seeds), random_)
        level = random_.choice(native.levels())
        try:
            numbers = native.decode_group(code, shape, top, way, level)
        except SectionCorrupt:
            outcomes["refused"] += 1
            continue
        if int(numbers.max()) > top:
            raise SystemExit(f"mutation {number}: a number above {top}")
        outcomes["decoded"] += 1
    print(f"{sys.argv[1]} mutations: {dict(outcomes)}")  # noqa: T201


if __name__ == "__main__":
    main()
