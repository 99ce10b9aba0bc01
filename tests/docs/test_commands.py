import re
import shutil
import subprocess
import time
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from PIL import Image

from seec.jobs import cli, copy
from tests.docs.pages import DOCS, PAGES, ROOT, Command, Program, steps, titled
from tests.pictures import textured
from tests.time_stamps import make_server, serving

# Pages of which everything is run, in order, beside a folder `photos`.
RUN = (
    ROOT / "README.md",
    DOCS / "tutorial" / "index.md",
    DOCS / "how-to" / "update.md",
    DOCS / "how-to" / "python.md",
    DOCS / "how-to" / "fsspec.md",
    DOCS / "how-to" / "torch.md",
    DOCS / "how-to" / "datasets.md",
    DOCS / "how-to" / "query.md",
    DOCS / "how-to" / "prove.md",
    DOCS / "how-to" / "schedule.md",
    DOCS / "how-to" / "report.md",
    DOCS / "how-to" / "notify.md",
    DOCS / "how-to" / "second-copy.md",
    DOCS / "operate" / "monitoring.md",
    DOCS / "operate" / "retention.md",
    DOCS / "operate" / "sizing.md",
    DOCS / "reference" / "api.md",
)
# Pages that begin with an archive which the reader has.
BEGIN_WITH_ARCHIVE = {
    "python.md",
    "fsspec.md",
    "torch.md",
    "datasets.md",
    "query.md",
    "prove.md",
    "report.md",
    "second-copy.md",
    "monitoring.md",
    "retention.md",
}
# Servers of the pages, and those that stand for them while a page is run.
PLACES: dict[str, str] = {}
NEEDS = {
    "tutorial/index.md": "skimage",
    "how-to/query.md": "duckdb",
    "how-to/datasets.md": "pandas",
}


class _Waiting:
    """Time for commands that wait: a pause is over at once, and as much later."""

    def __init__(self) -> None:
        self._later_s = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self._later_s

    def sleep(self, seconds: float) -> None:
        self._later_s += seconds


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Certificates of a server of time-stamps, which runs meanwhile."""
    folder = tmp_path_factory.mktemp("stamps") / "server"
    made = make_server(folder, "stamps")
    with serving(folder) as url:
        PLACES["http://timestamp.example.org"] = url
        yield made


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_cluster: str) -> Path:
    """The folder in which a reader works."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(copy, "time", _Waiting())
    return tmp_path


def _photos(folder: Path) -> None:
    (folder / "photos" / "animals").mkdir(parents=True)
    for number, name in enumerate(("coffee.png", "animals/cat.png")):
        Image.fromarray(textured(24, 32 + number, number)).save(folder / "photos" / name)
    (folder / "photos" / "notes.txt").write_text("A cat, a cup.\n" * 8)
    for card in ("card1", "card2"):
        shutil.copytree(folder / "photos", folder / card)


def _run(step: Command | Program, names: dict[str, object]) -> None:
    if isinstance(step, Program):
        exec(step.text, names)
    elif step.program == "seec":
        words, target = _redirected(step.words)
        words = [_expanded(PLACES.get(word, word)) for word in words[1:]]
        result = CliRunner().invoke(cli.main, words, catch_exceptions=False)
        assert result.exit_code == step.exit_code, result.output
        if target is not None:
            Path(target).write_text(result.stdout)
    elif step.program in ("echo", "ssh-keygen"):
        subprocess.run(["sh", "-c", step.text], check=True)
    elif step.program == "make":
        # The targets run in CI; here they must exist.
        subprocess.run(["make", "--dry-run", *step.words[1:]], cwd=ROOT, check=True)
    elif step.program == "ray":
        assert step.words[:3] == ("ray", "job", "submit"), step  # of a cluster that the reader has
    else:
        assert step.words[:2] == ("pip", "install"), step
        _check_requirement(step.words[-1])


def _redirected(words: tuple[str, ...]) -> tuple[tuple[str, ...], str | None]:
    """The words of a command, and the file that its output goes to."""
    return (words[:-2], words[-1]) if ">" in words else (words, None)


def _expanded(word: str) -> str:
    """A word in which `$(cat FILE)` stands for the text of a file, as in a shell."""
    return re.sub(r"\$\(cat (\S+)\)", lambda found: Path(found[1]).read_text().strip(), word)


def _check_requirement(text: str) -> None:
    """A checkout or the distribution, with extras that exist."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    name, _, extras = text.removesuffix("]").partition("[")
    assert name in (".", project["name"])
    assert set(filter(None, extras.split(","))) <= set(project["optional-dependencies"])


@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_step_of_the_page_works(page: Path, reader: Path, roots: Path) -> None:
    name = str(page.relative_to(DOCS)) if page.is_relative_to(DOCS) else page.name
    if name in NEEDS and find_spec(NEEDS[name]) is None:
        pytest.skip(f"needs {NEEDS[name]}")
    if name != "tutorial/index.md":
        _photos(reader)
    shutil.copy(roots, reader / "roots.pem")
    if page.name in BEGIN_WITH_ARCHIVE:
        _run(Command(("seec", "archive", "photos", "photos.archive"), 0), {})
    for title, text in titled(page):
        if title.endswith(".toml"):
            (reader / title).write_text(text)
    names: dict[str, object] = {"__name__": "__main__"}
    done = [_run(step, names) for step in steps(page)]
    assert done


def _commands() -> list[tuple[str, Command]]:
    return [
        (str(page.relative_to(ROOT)), step)
        for page in PAGES
        for step in steps(page)
        if isinstance(step, Command)
    ]


def test_every_command_on_every_page_has_options_that_exist() -> None:
    group = click.Context(cli.main, info_name="seec")
    checked = 0
    for page, step in _commands():
        words, _ = _redirected(step.words)
        if words[:2] == ("ray", "exec"):
            continue
        if words[0] == "seec" and words[1] != "--version":
            command, rest = cli.main.get_command(group, words[1]), list(words[2:])
            if isinstance(command, click.Group):
                command = command.get_command(group, rest.pop(0))
            assert command is not None, f"{page}: no command {' '.join(words)}"
            context = click.Context(command, info_name=words[1])
            try:
                command.make_parser(context).parse_args(rest)
            except click.UsageError as error:
                raise AssertionError(f"{page}: {' '.join(words)}: {error.message}") from error
            checked += 1
        elif words[:2] == ("pip", "install") and "--upgrade" not in words:
            _check_requirement(words[-1])
    assert checked > 30


def test_make_targets_of_the_pages_exist() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = [step.words[1] for _, step in _commands() if step.program == "make"]
    assert targets
    assert all(f"\n{target}:" in text for target in targets)


def test_a_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().split()) <= 900
