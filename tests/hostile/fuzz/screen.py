"""Mutated words of screen coding: each decodes to the same samples in C and Python, or neither."""

import random
from collections.abc import Callable
from unittest.mock import patch

from seec.pipeline.codec import screen
from seec.pipeline.codec.coding.tiles import tile_groups
from seec.schemas.errors import SectionCorrupt
from tests.hostile.fuzz.mutation import mutated
from tests.pictures import screenshot, textured


class Fuzzed:
    """Tries groups of a few tiles."""

    def __init__(self) -> None:
        self._seeds = [
            (screen.encode_screen(samples, tiles, channels), tiles, channels)
            for make in (screenshot, textured)
            for channels in (1, 3)
            for height, width, tile_size in ((9, 17, 16), (40, 33, 16), (8, 30, 32))
            for picture in (make(height, width)[..., :channels],)
            for tiles in tile_groups(height, width, tile_size, 9)
            for samples in (b"".join(picture[t.rows, t.columns].tobytes() for t in tiles),)
        ]

    def __call__(self, random_: random.Random) -> str:
        """What became of a mutation. AssertionError where C and Python differ."""
        words, tiles, channels = random_.choice(self._seeds)
        if random_.random() < 0.1:
            channels = random_.choice((1, 3))
        words = mutated(words, random_)
        words += bytes(-len(words) % 4)
        found = _outcome(lambda: screen.decode_screen(words, tiles, channels))
        if random_.random() < 0.01:  # takes a hundred times as long
            with patch.object(screen, "native", None):
                assert _outcome(lambda: screen.decode_screen(words, tiles, channels)) == found
        return "refused" if found is None else "decoded"


def _outcome(decode: Callable[[], bytes]) -> bytes | None:
    try:
        return decode()
    except SectionCorrupt:
        return None
