"""Measure the prose of the project: words, pronouns that lean on something far away, sentences.

    python docs/tools/word_measure.py [ROOT]

Prints one Markdown row for each kind of text. The share counts "it, that, what, those, which,
them, this" among all words: readers lose the subject of a sentence where that share is high.
Code, links' targets and tables' rules are left out. A report, not a gate.
"""

import ast
import io
import re
import statistics
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

VAGUE = frozenset({"it", "that", "what", "those", "which", "them", "this"})
LONG = 30  # words in a sentence
CODE = ("docs", "examples", "jobs", "pipeline", "schemas", "seec")

_FENCE = re.compile(r"^( *)(`{3,}|~{3,}).*?^\1\2\s*$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"^( {4}|\t).*$", re.MULTILINE)
_INLINE_CODE = re.compile(r"`+[^`]*`+")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_URL = re.compile(r"<?https?://\S+>?")
_BREAK = re.compile(r"[.!?](?=[\s)*_]|$)|\n\s*\n|\n\s*[-*#>|]|\s\|\s|\|$", re.MULTILINE)
_WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")


@dataclass(frozen=True)
class Measure:
    """Words of a text, how many of them are vague, and the words of each sentence."""

    words: int
    vague: int
    sentences: tuple[int, ...]

    @property
    def share(self) -> float:
        """Vague words of all words, 0 to 1."""
        return self.vague / self.words if self.words else 0.0


def measure(text: str) -> Measure:
    """Measure a text without code."""
    words = [word.lower() for word in _WORD.findall(text)]
    lengths = (len(_WORD.findall(part)) for part in _BREAK.split(text))
    # Fewer words are headings, labels and table cells.
    sentences = tuple(length for length in lengths if length >= 4)
    return Measure(len(words), sum(word in VAGUE for word in words), sentences)


def prose(markdown: str) -> str:
    """The text of a Markdown page without its code and link targets."""
    text = _FENCE.sub("\n\n", markdown)
    text = _INDENTED.sub("", text)
    text = _LINK.sub(r"\1", text)
    return _URL.sub("", _INLINE_CODE.sub("", text))


def docstrings(source: str) -> Iterator[str]:
    """Every docstring of a Python module, without examples and inline code."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield prose(re.sub(r"^(>>>|\.\.\.).*$", "", text, flags=re.MULTILINE))


def comments(source: str) -> str:
    """All comments of a Python module; adjacent lines are one text."""
    text, last = "", -1
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith(("# pyright", "# noqa")):
            text += (" " if token.start[0] == last + 1 else "\n\n") + token.string.lstrip("# ")
            last = token.start[0]
    return prose(text)


def texts(root: Path) -> dict[str, str]:
    """All prose below a checkout, by kind."""
    pages = sorted(p for p in (root / "docs").rglob("*.md"))
    modules = [p for name in CODE for p in sorted((root / name).rglob("*.py"))]
    sources = [path.read_text() for path in modules]
    found = {
        "README": (root / "README.md").read_text(),
        "docs": "\n\n".join(path.read_text() for path in pages),
        "CONTRIBUTING, SECURITY, CHANGELOG": "\n\n".join(
            path.read_text()
            for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
            if (path := root / name).exists()
        ),
        "FORMAT": (root / "schemas" / "FORMAT.md").read_text(),
    }
    return {kind: prose(text) for kind, text in found.items()} | {
        "docstrings": "\n\n".join(text for source in sources for text in docstrings(source)),
        "comments": "\n\n".join(comments(source) for source in sources),
    }


def row(kind: str, m: Measure) -> str:
    """One row of the report."""
    lengths = m.sentences or (0,)
    long = sum(length > LONG for length in lengths) / len(lengths)
    return (
        f"| {kind} | {m.words:,} | {m.share:.1%} | {statistics.mean(lengths):.1f} "
        f"| {max(lengths)} | {long:.1%} |"
    )


def main() -> None:
    """Print the report."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2]
    lines = [
        f"| text | words | {', '.join(sorted(VAGUE))} | words a sentence | longest | over {LONG} |",
        "| --- | --- | --- | --- | --- | --- |",
        *(row(kind, measure(text)) for kind, text in texts(root).items()),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
