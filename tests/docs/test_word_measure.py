import importlib.util
import subprocess
import sys
from types import ModuleType

import pytest

from tests.docs.pages import DOCS

TOOL = DOCS / "tools" / "word_measure.py"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("word_measure", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_words_vague_words_and_sentences_are_counted(tool: ModuleType) -> None:
    found = tool.measure("It reads all of them twice. A scrub names each damaged object!")
    assert (found.words, found.vague, found.sentences) == (12, 2, (6, 6))


def test_code_and_link_targets_are_no_prose(tool: ModuleType) -> None:
    text = "See [the page](that/which.md) for `it`.\n\n```text\nthat that\n```\n\n    what = that\n"
    assert tool.measure(tool.prose(text)).vague == 0
    assert "the page" in tool.prose(text)


def test_docstrings_and_comments_are_found(tool: ModuleType) -> None:
    source = '"""One fact."""\n\n# Why\n# so.\nx = 1\n\n\ndef f():\n    """Another fact."""\n'
    assert [text.strip() for text in tool.docstrings(source)] == ["One fact.", "Another fact."]
    assert tool.comments(source).split() == ["Why", "so."]


def test_the_report_has_a_row_for_each_kind_of_text() -> None:
    lines = subprocess.run(
        [sys.executable, str(TOOL)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == [
        "README",
        "docs",
        "CONTRIBUTING, SECURITY, CHANGELOG",
        "FORMAT",
        "docstrings",
        "comments",
    ]
