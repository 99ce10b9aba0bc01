"""Mutations of all kinds break nothing; `make fuzz` tries many more, with sanitisers."""

from importlib import import_module

import pytest

from tests.hostile.fuzz import tried
from tests.hostile.fuzz.__main__ import NAMES

COUNT = 1500
EACH = {  # outcomes that must not be rare: else only one side of a reader was tried
    "coefficients": ("refused",),
    "deflate": ("back", "refused", "recipe refused", "recipe read"),
    "images": ("refused",),
    "jpeg": ("back", "refused", "recipe refused", "recipe read"),
    "lossless": ("refused", "came back"),
    "parts": ("refused", "recipe refused", "recipe read"),
    "rice": ("refused", "came back"),
    "samples": ("refused", "decoded"),
    "screen": ("refused",),
    "strips": ("refused", "came back"),
}


@pytest.mark.parametrize("name", NAMES)
def test_mutations_break_nothing(name: str):
    attempt = import_module(f"tests.hostile.fuzz.{name}").Fuzzed()
    count = COUNT // getattr(attempt, "cost", 1)
    seen = tried(attempt, count)
    assert sum(seen.values()) == count
    assert min(seen[what] for what in EACH[name]) > count // 50


def test_a_mutation_that_breaks_a_rule_is_named(capsys: pytest.CaptureFixture[str]):
    def attempt(random_):
        assert random_.random() < 0.5
        return "held"

    with pytest.raises(AssertionError):
        tried(attempt, 100, 7)
    assert "of seed 7" in capsys.readouterr().err
