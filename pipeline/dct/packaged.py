"""The coefficient models that ship with the package: `models/<profile>.dct`."""

from functools import cache
from importlib import resources

from seec.pipeline.dct.weights import DctModel, load_model
from seec.schemas.errors import UnknownModel

DEFAULT_PROFILE = "lite"
_FOLDER = resources.files("seec.pipeline.dct") / "models"
_SUFFIX = ".dct"


@cache
def packaged_profiles() -> tuple[str, ...]:
    """The profiles that there are coefficient models of, by name."""
    names = (file.name for file in _FOLDER.iterdir())
    return tuple(sorted(n.removesuffix(_SUFFIX) for n in names if n.endswith(_SUFFIX)))


@cache
def packaged_model(profile: str) -> DctModel:
    """The coefficient model of a profile, loaded and checked once per process.

    Raises UnknownModel, which lists the profiles there are, if there is none.
    """
    if profile not in packaged_profiles():
        raise UnknownModel(
            f"no coefficient model of profile {profile!r} is packaged; there are "
            f"{', '.join(packaged_profiles())}"
        )
    return load_model((_FOLDER / f"{profile}{_SUFFIX}").read_bytes())


def nearest_model(profile: str | None) -> DctModel:
    """The coefficient model of a profile, or of the default profile where there is none of it."""
    return packaged_model(profile if profile in packaged_profiles() else DEFAULT_PROFILE)


def models_for(profile: str | None) -> tuple[DctModel, ...]:
    """The nearest model of a profile, then the default one if it is smaller, for few files."""
    nearest, default = nearest_model(profile), packaged_model(DEFAULT_PROFILE)
    return (nearest, default) if len(default.payload) < len(nearest.payload) else (nearest,)


def packaged_name(short_id: bytes) -> str | None:
    """The profile whose coefficient model has an id that begins so; None if there is none."""
    named = (name for name in packaged_profiles() if packaged_model(name).short_id == short_id)
    return next(named, None)


def find_packaged(short_id: bytes) -> DctModel | None:
    """The packaged coefficient model whose id begins so, or None."""
    profile = packaged_name(short_id)
    return None if profile is None else packaged_model(profile)
