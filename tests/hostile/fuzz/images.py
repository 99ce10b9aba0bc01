"""Mutated sections of .seec files, sealed with right checksums: each is refused.

A group that decodes gives other pixels than those whose digest the file holds.
"""

import random
from dataclasses import replace

from seec.pipeline.codec import decode, encode
from seec.schemas import container
from seec.schemas.errors import FormatError, ModelError
from tests.hostile.fuzz.mutation import mutated
from tests.pictures import gray, made_of_planes, screenshot, textured


class Fuzzed:
    """Tries pictures of all codings."""

    cost = 10

    def __init__(self) -> None:
        pictures = (textured(20, 33), gray(17, 20), screenshot(30, 20), made_of_planes(24, 24))
        self._seeds = [container.parse(encode(picture)) for picture in pictures]

    def __call__(self, random_: random.Random) -> str:
        """What became of a mutation. AssertionError where damage was not noticed."""
        seed = random_.choice(self._seeds)
        sections = list(seed.sections)
        number = random_.randrange(len(sections))
        payload = mutated(sections[number].payload, random_)
        if payload == sections[number].payload:
            return "unchanged"
        sections[number] = replace(sections[number], payload=payload)
        file = container.serialise(replace(seed, sections=tuple(sections)))
        try:
            decode(file)
        except (FormatError, ModelError) as error:
            return "other pixels" if "digest" in str(error) else "refused"
        # Words that are not read to their last bit leave the pixels as they were.
        return "the same pixels"
