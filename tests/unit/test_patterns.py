"""What is read of manifest parts where only some paths are asked for."""

import fnmatch
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seec.pipeline.archive.patterns import Patterns, Unmatched
from seec.schemas.errors import SectionCorrupt
from seec.schemas.manifest import parse_manifest, serialise_manifest
from seec.schemas.manifest_part import parse_matching
from seec.schemas.rows import Row
from tests.unit.test_records import a_row, a_shard

PATHS = st.text("ab/[*", max_size=5)


def asks_for(pattern: str, path: str) -> bool:
    tidy = pattern.rstrip("/")
    own = path == tidy or path.startswith(f"{tidy}/") or not tidy
    return own or any(fnmatch.fnmatchcase(path, one) for one in (pattern, tidy, f"{tidy}/*"))


COMPOSED, APART = "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe\N{COMBINING ACUTE ACCENT}"


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("holiday", "holiday/sea/a.png"),
        ("holiday/", "holiday/a.png"),
        ("./holiday/*", "holiday/a.png"),
        ("././holiday/a.png", "holiday/a.png"),
        (".", "holiday/a.png"),
        ("./", "a.png"),
        ("h*y", "holiday/a.png"),
        ("photo [1].png", "photo [1].png"),
        ("2024 [raw]", "2024 [raw]/a.png"),
        ("what?", "what?/a.png"),
        (COMPOSED, f"{APART}/a.png"),
        (APART, f"{COMPOSED}/a.png"),
        (f"{APART}/*.png", f"{COMPOSED}/a.png"),
        ("cafe*", f"{APART}.png"),
    ],
)
def test_what_a_user_writes_for_a_path_finds_it(pattern: str, path: str):
    wanted, unmatched = Patterns((pattern,)), Unmatched((pattern, "none"))
    assert wanted(path)
    assert wanted.may_be_in(replace(a_shard(0), path_range=(path, path)))
    assert unmatched.left == [pattern, "none"]
    unmatched.see(path)
    assert unmatched.left == ["none"]


@pytest.mark.parametrize(("pattern", "path"), [("holiday", "holidays/a"), (COMPOSED, "cafe/a")])
def test_what_only_begins_alike_is_not_found(pattern: str, path: str):
    assert not Patterns((pattern,))(path)


@given(st.lists(PATHS, min_size=1), st.lists(st.text("ab/[]*?!", max_size=5), max_size=3))
def test_a_shard_that_holds_what_matches_is_read(paths: list[str], include: list[str]):
    wanted = Patterns(include)
    shard = replace(a_shard(0), path_range=(min(paths), max(paths)))
    expected = [not include or any(asks_for(one, path) for one in include) for path in paths]
    assert list(map(wanted, paths)) == expected
    assert wanted.among(paths) == [index for index, one in enumerate(expected) if one]
    assert wanted.may_be_in(shard) or not any(expected)
    assert not wanted.may_be_in(replace(shard, files=0, path_range=None))


@pytest.mark.parametrize(("include", "may"), [("a/*", False), ("b*", True), ("bb/x", False)])
def test_a_shard_that_cannot_hold_it_is_not_read(include: str, may: bool):
    shard = replace(a_shard(0), path_range=("b/00", "b/99"))
    assert Patterns((include,)).may_be_in(shard) == may


def rows() -> list[Row]:
    """Of three row groups; one file in seven has a second name."""
    made: list[Row] = []
    for index in range(2500):
        row = a_row(f"{index:05d}.png", 4 * index)
        if index % 7 == 6:
            first = made[-1]
            row = replace(first, path=row.path, same_file=first.path)
        made.append(row)
    end, placed = 0, {}
    for row in made:
        offset = placed[row.same_file].offset if row.same_file else end
        placed[row.path] = replace(row, offset=offset)
        end += 0 if row.same_file else row.length
    return list(placed.values())


@pytest.mark.parametrize("pattern", ["*", "*17.png", "00006.png", "02*", "none", "0000[0-5].png"])
def test_the_rows_that_match_are_those_of_the_whole(pattern: str):
    data = serialise_manifest(rows())
    whole = parse_manifest("m", data)
    paths, found = parse_matching("m", data, Patterns((pattern,)).among)
    assert paths == [row.path for row in whole]
    assert found == [row for row in whole if fnmatch.fnmatchcase(row.path, pattern)]


@pytest.mark.parametrize(
    "change",
    [
        {"route": "zip"},
        {"length": -4},
        {"offset": -1},
        {"source_size_bytes": -1},
        {"route": "seec"},
        {"route": "lost"},
        {"same_file": "b"},
    ],
)
def test_a_row_that_breaks_a_rule_is_refused_alone_too(change: dict[str, Any]):
    data = serialise_manifest([a_row("a"), replace(a_row("b", 4), **change)])
    with pytest.raises(SectionCorrupt, match="m: b"):
        parse_matching("m", data, Patterns(("b",)).among)


def test_bytes_that_are_no_table_are_refused():
    for data in (b"", b"PAR1", serialise_manifest([a_row("a")])[:-9]):
        with pytest.raises(SectionCorrupt, match=r"^m: "):
            parse_matching("m", data, Patterns(("b",)).among)
