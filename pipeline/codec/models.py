"""The weights that ship with the package."""

from functools import cache
from importlib import resources

from pipeline.codec.weights import Model, load_model

DEFAULT = "lite-1.safetensors"


@cache
def default_model() -> Model:
    """The packaged `lite` model, loaded and checked once per process."""
    return load_model((resources.files("pipeline.codec") / "models" / DEFAULT).read_bytes())
