"""The weights that ship with the package, one file for each profile.

`models/<profile>.safetensors`, each with its card beside it as JSON.
"""

import json
from functools import cache
from importlib import resources

from seec.pipeline.codec.model.weights import Model, load_model
from seec.schemas.errors import UnknownModel

DEFAULT_PROFILE = "lite"
_FOLDER = resources.files("seec.pipeline.codec.model") / "models"
_WEIGHTS, _CARD = ".safetensors", ".json"


@cache
def packaged_profiles() -> tuple[str, ...]:
    """The names of the profiles with packaged weights, sorted."""
    files = (file.name for file in _FOLDER.iterdir())
    return tuple(sorted(f.removesuffix(_WEIGHTS) for f in files if f.endswith(_WEIGHTS)))


@cache
def packaged_model(profile: str = DEFAULT_PROFILE) -> Model:
    """The packaged model of a profile, loaded and checked once per process.

    Raises UnknownModel, which lists the profiles with packaged weights, for any other name.
    """
    if profile not in packaged_profiles():
        raise UnknownModel(
            f"no weights of profile {profile!r} are packaged; there are "
            f"{', '.join(packaged_profiles())}"
        )
    return load_model((_FOLDER / f"{profile}{_WEIGHTS}").read_bytes())


def default_model() -> Model:
    """The packaged model that encodes where no other is asked for."""
    return packaged_model(DEFAULT_PROFILE)


def packaged_name(short_id: bytes) -> str | None:
    """The profile whose packaged model has an id that begins so; None if there is none.

    Reads cards, not weights.
    """
    return _profiles_by_id().get(short_id)


def find_packaged(short_id: bytes) -> Model | None:
    """The packaged model whose id begins so, or None. Loads no other."""
    profile = packaged_name(short_id)
    return None if profile is None else packaged_model(profile)


@cache
def _profiles_by_id() -> dict[bytes, str]:
    cards = {p: (_FOLDER / f"{p}{_CARD}").read_text("utf-8") for p in packaged_profiles()}
    return {bytes.fromhex(json.loads(card)["id"])[:8]: p for p, card in cards.items()}
