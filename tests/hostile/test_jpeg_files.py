"""Mutated JPEG files come back or are refused; `make fuzz` tries many more, with sanitisers."""

from tests.hostile.fuzz_jpeg import main


def test_mutated_files_and_recipes_break_nothing():
    seen = main(1500)
    assert sum(seen.values()) == 1500
    assert min(seen[what] for what in ("back", "refused", "recipe refused", "recipe read")) > 50
