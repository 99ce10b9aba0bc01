"""The weights that ship with the package.

`models/<profile>-<number>.safetensors`, each with its card beside it as JSON. Of a profile the
largest number encodes; the others stay, because files out there name them.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources

from seec.pipeline.codec.model.weights import Model, load_model
from seec.schemas.errors import UnknownModel

DEFAULT_PROFILE = "lite"
_FOLDER = resources.files("seec.pipeline.codec.model") / "models"
_WEIGHTS, _CARD = ".safetensors", ".json"


@dataclass(frozen=True, order=True)
class _Name:
    profile: str
    number: int

    def __str__(self) -> str:
        return f"{self.profile}-{self.number}"


def packaged_profiles() -> tuple[str, ...]:
    """The profiles that there are weights of, by name."""
    return tuple(sorted({name.profile for name in _names()}))


def packaged_model(profile: str = DEFAULT_PROFILE) -> Model:
    """The newest packaged model of a profile, loaded and checked once per process.

    Raises UnknownModel, which lists the profiles there are, if there is none.
    """
    names = [name for name in _names() if name.profile == profile]
    if not names:
        raise UnknownModel(
            f"no weights of profile {profile!r} are packaged; there are "
            f"{', '.join(packaged_profiles())}"
        )
    return _load(str(max(names)))


def default_model() -> Model:
    """The packaged model that encodes where nothing else is asked for."""
    return packaged_model()


def packaged_name(short_id: bytes) -> str | None:
    """The name of the packaged model whose id begins so, as `lite-1`; None if there is none.

    Reads cards, not weights.
    """
    return _names_by_id().get(short_id)


def find_packaged(short_id: bytes) -> Model | None:
    """The packaged model whose id begins so, or None. Loads no other."""
    name = packaged_name(short_id)
    return None if name is None else _load(name)


@cache
def _names_by_id() -> dict[bytes, str]:
    cards = {str(name): (_FOLDER / f"{name}{_CARD}").read_text("utf-8") for name in _names()}
    return {bytes.fromhex(json.loads(card)["id"])[:8]: name for name, card in cards.items()}


def _names() -> Iterator[_Name]:
    for file in _FOLDER.iterdir():
        if file.name.endswith(_WEIGHTS):
            profile, _, number = file.name.removesuffix(_WEIGHTS).rpartition("-")
            yield _Name(profile, int(number))


@cache
def _load(name: str) -> Model:
    return load_model((_FOLDER / f"{name}{_WEIGHTS}").read_bytes())
