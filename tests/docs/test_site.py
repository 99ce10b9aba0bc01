import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

import seec
from seec.jobs.exit_codes import ExitCode
from tests.docs.pages import DOCS, PAGES, ROOT, anchors, blocks, links

# Pages that the build makes from the code.
GENERATED = ("reference/cli/", "reference/format.md", "reference/hex.md", "reference/jobs-file.md")
# A loaded script, style, font or picture; a link that a reader may follow is none.
_LOADED = re.compile(r"<(?:script|link|img|iframe|source)[^>]*(?:src|href)=\"?(?:https?:)?//[^>]*>")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does."""
    if find_spec("mkdocs") is None:
        pytest.skip("needs mkdocs: pip install '.[docs]'")
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(target)]
    result = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert not result.stderr.strip(), result.stderr
    return target


@pytest.mark.slow
def test_the_site_builds_without_warnings_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 60
    for page in pages:
        found = _LOADED.search(page.read_text(encoding="utf-8"))
        assert found is None, f"{page}: {found}"


@pytest.mark.slow
def test_the_site_has_a_page_for_each_command_and_a_hex_dump(site: Path) -> None:
    archive = (site / "reference" / "cli" / "archive.html").read_text(encoding="utf-8")
    assert "--shard-files" in archive
    assert "SEEC_ARCHIVE_SHARD_FILES" in archive
    assert "8a 53 45 43" in (site / "reference" / "hex.html").read_text(encoding="utf-8")
    assert "SeecError" in (site / "reference" / "errors.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if there.is_relative_to(DOCS) and str(there.relative_to(DOCS)).startswith(GENERATED):
            continue
        assert there.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(there), f"{page}: {target}"


@pytest.mark.parametrize(
    ("language", "parse"),
    [
        ("json", json.loads),
        ("toml", tomllib.loads),
        ("yaml", yaml.safe_load),
    ],
)
def test_configuration_on_the_pages_is_well_formed(language: str, parse: Callable) -> None:
    found = [text for page in PAGES for text in blocks(page, language)]
    assert found
    for text in found:
        parse(text)


def test_the_table_of_exit_codes_is_complete() -> None:
    text = (DOCS / "reference" / "errors.md").read_text(encoding="utf-8")
    table = text.partition("## Exit codes")[2].partition("## Errors")[0]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == list(
        ExitCode
    )


def test_the_runbook_names_each_kind_of_finding() -> None:
    sources = [*(ROOT / "pipeline" / "verify").glob("*.py"), *(ROOT / "pipeline").rglob("*.py")]
    text = "".join(path.read_text(encoding="utf-8") for path in sources)
    states = "missing|damaged|unreadable"
    kinds = set(re.findall(rf'"([a-z]+(?:-[a-z]+)*-(?:{states}|differ|undecodable))"', text))
    parts = re.findall(r'(?:check_object|_damaged|fault)\([^()]*?"([a-z]+(?:-[a-z]+)*)"', text)
    kinds |= {f"{part}-{state}" for part in parts for state in states.split("|")}
    assert len(kinds) >= 18
    runbook = (DOCS / "operate" / "runbook.md").read_text(encoding="utf-8")
    assert [kind for kind in sorted(kinds) if f"`{kind}`" not in runbook] == []


def test_the_tests_of_the_checks_exist() -> None:
    text = (DOCS / "operate" / "checks.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", text)
    assert len(named) == text.count("::test_") >= 90
    rows = re.findall(r"^\| .+ \|$", text, re.MULTILINE)
    assert [row for row in rows if "::test_" not in row and "---" not in row] == [
        "| what is checked | by which test |"
    ] * text.count("\n## ")
    for path, test in named:
        source = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^def {test}\(", source, re.MULTILINE), f"{path}::{test}"


def test_the_api_page_has_every_public_name() -> None:
    text = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    shown = re.findall(r"^::: seec\.(\w+)$", text, re.MULTILINE)
    assert sorted(shown) == sorted(name for name in seec.__all__ if name != "__version__")


def test_the_citation_and_the_changelog_name_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == seec.__version__
    assert f"\n## {seec.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_licence_is_named_in_the_metadata() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in (ROOT / "LICENSE").read_text(encoding="utf-8")
