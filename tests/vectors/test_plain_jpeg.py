"""FORMAT.md is enough: a reader written from it alone gives back JPEG files."""

import random

import pytest

from seec.pipeline.dct import templates
from seec.pipeline.dct.jpeg import take_apart
from seec.schemas.archive import format_text
from seec.schemas.errors import UnreadableImage
from tests.hostile.fuzz.jpeg import seeds
from tests.hostile.fuzz.mutation import mutated
from tests.jpegs import held
from tests.vectors import plain_jpeg

TEMPLATES = plain_jpeg.read_template_table(format_text())


def read(data: bytes) -> bytes:
    parts = take_apart(data)
    arrays = [component.coefficients for component in parts.components]
    return plain_jpeg.put_together(parts.recipe, arrays, TEMPLATES)


def test_it_states_all_templates():
    stated = [[[n or 0 for n in item] for item in TEMPLATES[i]] for i in range(len(TEMPLATES))]
    assert stated == [[list(item) for item in template] for template in templates.TEMPLATES]


@pytest.mark.parametrize("kind", ["baseline", "4:2:2", "gray", "optimised", "thumbnail"])
def test_usual_files(kind: str):
    assert read(held()[kind]) == held()[kind]


@pytest.mark.parametrize("number", range(len(seeds())))
def test_small_files_of_all_kinds_whole_and_damaged(number: int):
    whole = seeds()[number]
    assert read(whole) == whole
    for seed in range(4):
        data = mutated(whole, random.Random(seed))
        try:
            assert read(data) == data
        except UnreadableImage:
            continue
