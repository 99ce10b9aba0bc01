"""The coefficient models that ship with the package: `models/<profile>-<number>.dct`.

Of a profile the largest number encodes.
"""

from functools import cache
from importlib import resources

from seec.pipeline.dct.weights import DctModel, load_model
from seec.schemas.errors import UnknownModel

_FOLDER = resources.files("seec.pipeline.dct") / "models"
_SUFFIX = ".dct"


def packaged_profiles() -> tuple[str, ...]:
    """The profiles that there are coefficient models of, by name."""
    return tuple(sorted({profile for profile, _ in _names()}))


def packaged_model(profile: str) -> DctModel:
    """The newest coefficient model of a profile, loaded and checked once per process.

    UnknownModel, which lists the profiles there are, if there is none.
    """
    numbers = [number for name, number in _names() if name == profile]
    if not numbers:
        raise UnknownModel(
            f"no coefficient model of profile {profile!r} is packaged; there are "
            f"{', '.join(packaged_profiles())}"
        )
    return _load(profile, max(numbers))


def find_packaged(short_id: bytes) -> DctModel | None:
    """The packaged coefficient model whose id begins so, or None."""
    return next((m for n in _names() if (m := _load(*n)).short_id == short_id), None)


@cache
def _names() -> tuple[tuple[str, int], ...]:
    files = sorted(f.name for f in _FOLDER.iterdir() if f.name.endswith(_SUFFIX))
    parts = [name.removesuffix(_SUFFIX).rpartition("-") for name in files]
    return tuple((profile, int(number)) for profile, _, number in parts)


@cache
def _load(profile: str, number: int) -> DctModel:
    return load_model((_FOLDER / f"{profile}-{number}{_SUFFIX}").read_bytes())
