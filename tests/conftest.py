"""Fixtures shared by all tests."""

from pathlib import Path

import pytest

from pipeline.codec import Model, load_model


@pytest.fixture(scope="session")
def golden_model() -> Model:
    """A tiny model that never changes; golden files of every version need it."""
    return load_model((Path(__file__).parent / "vectors" / "tiny.safetensors").read_bytes())
