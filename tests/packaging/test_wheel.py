"""The wheel, installed beside a project that has packages of the same names as our folders."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.pictures import textured

ROOT = Path(__file__).parents[2]
SHADOWS = ("jobs", "pipeline", "schemas")
# Without the path to this checkout that tests may run with.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A virtual environment with the wheel and, by a .pth file, what the wheel depends on."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", str(ROOT)]
    build += ["--outdir", str(folder / "dist")]
    quickly = os.environ | {"CFLAGS": "-O1"}
    subprocess.run(build, check=True, capture_output=True, timeout=500, env=quickly)
    venv.create(folder / "venv", with_pip=True)
    site = next((folder / "venv").glob("lib/python*/site-packages"))
    before = set(site.iterdir())
    [wheel] = (folder / "dist").iterdir()
    pip = [folder / "venv/bin/python", "-m", "pip", "install", "--no-deps", "--no-index", wheel]
    subprocess.run(pip, check=True, capture_output=True, env=ENVIRONMENT)
    added = {path.name for path in set(site.iterdir()) - before}
    # Of the environment that runs the tests, only installed packages count: its own .pth files,
    # among them the one that leads to this checkout, are not read.
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
    (folder / "added").write_text("\n".join(sorted(added)))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose own packages end every program that imports one of them."""
    for name in SHADOWS:
        (tmp_path / "project" / name).mkdir(parents=True)
        text = f"raise SystemExit('the package {name} of the project was imported')"
        (tmp_path / "project" / name / "__init__.py").write_text(text)
    return tmp_path / "project"


def test_one_top_level_name_is_installed(environment: Path) -> None:
    added = (environment / "added").read_text().split()
    assert [name for name in added if not name.endswith(".dist-info")] == ["seec"]
    assert [name for name in added if name.startswith("seec_archive-")]


def test_the_wheel_archives_verifies_and_restores_beside_packages_of_the_same_names(
    environment: Path, project: Path
) -> None:
    photos = project / "photos"
    photos.mkdir()
    for number in range(3):
        Image.fromarray(textured(30, 40 + number)).save(photos / f"{number}.png")

    def seec(*arguments: str) -> str:
        command = [str(environment / "venv/bin/seec"), *arguments]
        done = subprocess.run(
            command, cwd=project, capture_output=True, text=True, check=False, env=ENVIRONMENT
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    seec("archive", "photos", "kept")
    seec("verify", "kept")
    seec("restore", "kept", "back")
    for path in photos.iterdir():
        with Image.open(path) as before, Image.open(project / "back" / path.name) as after:
            assert before.tobytes() == after.tobytes()

    where = (
        "import fsspec, seec; print(seec.__file__, list(seec.open('kept').paths()), "
        "fsspec.filesystem('seec', target='kept').ls('', detail=False))"
    )
    # -P: a program of the project has its folder first on the path, where packages of it may lie.
    command = [str(environment / "venv/bin/python"), "-c", where]
    done = subprocess.run(
        command, cwd=project, capture_output=True, text=True, check=True, env=ENVIRONMENT
    )
    assert str(environment) in done.stdout
    assert "['0.png', '1.png', '2.png'] ['0.png', '1.png', '2.png']" in done.stdout
