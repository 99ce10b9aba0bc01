"""Commands, programs and links of the documentation, as its readers see them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
# Everything in Markdown that people read in the repository.
PAGES = (
    *sorted(ROOT.glob("*.md")),
    *sorted(path for path in DOCS.rglob("*.md")),
)

_BLOCK = re.compile(r"^```(?P<language>\w+)[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_TITLED = re.compile(
    r'^```\w+ title="(?P<title>[^"]+)"\n(?P<text>.*?)^```$', re.MULTILINE | re.DOTALL
)
_EXIT_CODE = re.compile(r"# exit code (\d+)")
_LINK = re.compile(r"(?<!\\)\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """A line after `$` in a `console` block: words, as a shell would split them, and all of it."""

    words: tuple[str, ...]
    exit_code: int
    text: str = ""

    @property
    def program(self) -> str:
        """The first word."""
        return self.words[0]


@dataclass(frozen=True)
class Program:
    """A `python` block."""

    text: str


def steps(page: Path) -> Iterator[Command | Program]:
    """What a page asks its reader to run, in order."""
    for block in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        if block["language"] == "python":
            yield Program(block["text"])
        elif block["language"] == "console":
            lines = block["text"].replace("\\\n", " ").splitlines()
            for line in lines:
                if line.startswith("$ "):
                    found = _EXIT_CODE.search(line)
                    text = line.removeprefix("$ ")
                    words = tuple(shlex.split(text, comments=True))
                    yield Command(words, int(found[1]) if found else 0, text)


def blocks(page: Path, language: str) -> Iterator[str]:
    """All blocks of a language."""
    for block in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        if block["language"] == language:
            yield block["text"]


def titled(page: Path) -> Iterator[tuple[str, str]]:
    """All blocks that have a title, as a reader would save them."""
    for block in _TITLED.finditer(page.read_text(encoding="utf-8")):
        yield block["title"], block["text"]


def links(page: Path) -> Iterator[str]:
    """Targets of links that stay in the repository."""
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    for found in _LINK.finditer(text):
        if "://" not in found["target"]:
            yield found["target"]


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, by the rule of GitHub and of Python-Markdown's toc."""
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    found = set()
    for heading in _HEADING.finditer(text):
        words = re.sub(r"[^\w\s-]", "", heading["text"].lower()).strip()
        found.add(re.sub(r"[\s-]+", "-", words))
    return found
