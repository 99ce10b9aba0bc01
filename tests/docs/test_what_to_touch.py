"""The table of CONTRIBUTING.md: a command, a profile and a store are added as the table says."""

import inspect
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import click
import fsspec
import numpy as np
import pytest
from click.testing import CliRunner
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from seec.jobs import cli, train
from seec.jobs.exit_codes import ExitCode
from seec.jobs.interface import command
from seec.pipeline.codec import decode, encode, packaged_model, packaged_profiles
from seec.pipeline.codec.model.profile import PROFILES, Predictor, Profile
from seec.pipeline.images.split import is_validation
from seec.pipeline.storage import Store
from tests.contracts import test_store
from tests.docs.pages import ROOT
from tests.pictures import textured


@dataclass(frozen=True)
class Settings:
    """What the toy counts to."""

    end: int


@dataclass(frozen=True)
class Summary:
    """What the toy counted."""

    numbers: tuple[int, ...]
    exit_code: int = ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        return {"numbers": self.numbers}

    def lines(self) -> Iterator[str]:
        yield from map(str, self.numbers)


def run(settings: Settings) -> Summary:
    """Count."""
    return Summary(tuple(range(settings.end)))


@command("toy", examples=["seec toy --end 3"])
@click.option("--end", type=int, default=2, help="Where to stop.")
def main(**options: Any) -> Summary:
    """Count from 0."""
    return run(Settings(**options))


@pytest.fixture
def toy_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module and the line that add a command."""
    module = ModuleType("seec.jobs.toy")
    module.main = main  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(cli._COMMANDS, "toy", "Count.")


def test_a_command_is_a_module_and_a_line(toy_command: None, tmp_path: Path) -> None:
    (tmp_path / "toy.toml").write_text("end = 4\n")

    def numbers(*arguments: str, **environment: str) -> Any:
        result = CliRunner().invoke(cli.main, ["toy", "--json", *arguments], env=environment)
        assert result.exit_code == ExitCode.OK, result.output
        return len(json.loads(result.stdout)["numbers"])

    assert "toy " in CliRunner().invoke(cli.main, ["--help"]).stdout
    assert numbers() == 2
    assert numbers("--config", str(tmp_path / "toy.toml")) == 4
    assert numbers("--config", str(tmp_path / "toy.toml"), SEEC_TOY_END="5") == 5
    assert numbers("--end", "6", SEEC_TOY_END="5") == 6
    text = CliRunner().invoke(cli.main, ["toy", "--help"]).stdout
    assert "seec toy --end 3" in text
    assert "Exit codes" in text


@pytest.mark.slow
def test_a_profile_is_a_line_and_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The reference trains slowly: a predictor that hardly moves does.
    quick = Predictor(taps=3, every=64, sweeps=1)
    toy = Profile("toy", 16, 16, 16, entropy_models=1, mixtures=2, predictors=(quick,))
    monkeypatch.setitem(PROFILES, toy.name, toy)
    photos = tmp_path / "photos"
    photos.mkdir()
    names = [f"{number}.png" for number in range(20)]
    learn, validate = (next(n for n in names if is_validation(n) == side) for side in (False, True))
    for name in (learn, validate):
        Image.fromarray(textured(80, 80)).save(photos / name)
    packaged = sys.modules[packaged_model.__module__]
    weights = Path(shutil.copytree(str(packaged._FOLDER), tmp_path / "models"))
    train.run(
        train.Settings(
            photos,
            tmp_path / "toy.checkpoint",
            profile=toy.name,
            steps=2,
            batch=2,
            validate_every=2,
            export=weights / "toy.safetensors",
        )
    )
    monkeypatch.setattr(packaged, "_FOLDER", weights)
    _forget(packaged)
    try:
        assert "toy" in packaged_profiles()
        image = textured(24, 32)
        blob = encode(image, model=packaged_model("toy"))
        assert np.array_equal(decode(blob), image)
    finally:
        _forget(packaged)


def _forget(module: ModuleType) -> None:
    """Clear all caches of a module."""
    for value in vars(module).values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()


class ToyFileSystem(MemoryFileSystem):
    """A protocol of fsspec's that SEEC has never heard of."""

    protocol = ("toy",)
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(path.replace("toy://", "memory://", 1))


@pytest.fixture
def toy_store() -> Iterator[Store]:
    """The line that tells fsspec of a protocol; packages do it by an entry point."""
    fsspec.register_implementation("toy", ToyFileSystem, clobber=True)
    yield Store("toy://bucket/place", test_store.QUICK)
    ToyFileSystem.store.clear()


def _contract() -> list[Callable[[Store], None]]:
    """The tests of every store that need nothing but a store."""
    return [
        test
        for name, test in vars(test_store).items()
        if name.startswith("test_") and list(inspect.signature(test).parameters) == ["store"]
    ]


@pytest.mark.parametrize("rule", _contract(), ids=lambda rule: rule.__name__)
def test_a_store_is_a_protocol_of_fsspec(rule: Callable[[Store], None], toy_store: Store) -> None:
    rule(toy_store)


def test_the_map_of_rooms_is_complete_and_true() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    plan = text.partition("```text\n")[2].partition("```")[0]
    mapped: list[Path] = []
    for line in plan.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        mapped[depth:] = [*mapped[depth:depth], Path(line.split()[0])]
        assert ROOT.joinpath(*mapped).is_dir(), line
    rooms = [
        folder.name
        for root in (ROOT / "pipeline", ROOT / "pipeline" / "codec", ROOT / "pipeline" / "lab")
        for folder in root.iterdir()
        if (folder / "__init__.py").exists()
    ]
    assert [room for room in rooms if f" {room}/" not in plan] == []
