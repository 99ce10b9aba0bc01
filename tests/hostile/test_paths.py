"""Archives whose rows lie about where files go: typed errors, and nothing outside of the target."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seec.jobs import restore
from seec.pipeline.archive import Archive
from seec.pipeline.archive.runs import open_run
from seec.pipeline.archive.shard import write_shard
from seec.pipeline.stages.executor import Task
from seec.pipeline.storage import Store, Target
from seec.schemas.archive import shard_name
from seec.schemas.commit import SourceRecord
from seec.schemas.errors import SectionCorrupt
from seec.schemas.kinds import DIRECTORY, FILE, LINK
from seec.schemas.manifest import parse_manifest, serialise_manifest
from seec.schemas.plan import PlanSettings, SourceFile
from seec.schemas.routes import STORE
from seec.schemas.rows import Entry, Row
from tests.trees import nodes

pytestmark = pytest.mark.usefixtures("ray_cluster")


def entry(path: str, content: bytes = b"evil", kind: str = FILE, **fields: Any) -> Entry:
    content = b"" if kind == DIRECTORY else content
    digest = hashlib.sha256(content).digest()
    row = Row(path, len(content), 1, digest, STORE, "", 0, len(content), digest, kind=kind)
    return Entry(replace(row, **{"permissions": 0o777, **fields}), content)


def archive_of(root: Path, *shards: list[Entry]) -> Path:
    """An archive of these rows, whatever they say; one run."""
    opened = Archive.open_or_create(Store(str(root)), b"how to read all of this")
    files = [SourceFile(str(number), 0, 0) for number in range(len(shards))]
    run = open_run(opened, SourceRecord("/source"), files, PlanSettings("0" * 64, shard_files=1))
    for number, entries in enumerate(shards):
        shard = write_shard(opened.store, shard_name(run.run_id, number), entries, [])
        opened.commit(shards=(shard,))
    return root


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Where the target is: what lies beside it must stay as it is."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "theirs").write_bytes(b"theirs")
    return tmp_path


def restored(world: Path, *shards: list[Entry], **options: Any) -> dict[str, str]:
    """The kind of error by path, of what failed; what is outside was not touched."""
    before = nodes(world / "outside")
    root = world / "archive"
    if not root.exists():
        archive_of(root, *shards)
    summary = restore.run(restore.Settings(str(root), str(world / "out"), **options))
    assert nodes(world / "outside") == before
    assert {path.name for path in world.iterdir()} <= {"outside", "archive", "out"}
    return {item.path: item.error for item in summary.failed}


@pytest.mark.parametrize("kind", [FILE, LINK, DIRECTORY])
def test_paths_that_lead_out_fail_and_the_others_are_restored(world: Path, kind: str):
    bad = ["../evil", "/tmp/evil", "a/../../evil", "a//evil", "./evil", "evil/", ".."]
    entries = [*(entry(path, kind=kind) for path in bad), entry("good", kind=kind)]
    assert restored(world, entries) == dict.fromkeys(bad, "SourceError")
    assert nodes(world / "out").keys() == {b"good"}


def test_keys_that_lead_out_are_written_within(world: Path):
    keys = ["../evil", "/tmp/evil", "a/../../evil", "a//evil", "./evil", "evil/"]
    assert restored(world, [entry(key, permissions=None) for key in keys]) == {}
    found = nodes(world / "out")
    files = {name for name, node in found.items() if node.kind == FILE}
    assert files == {
        b"%2E%2E/evil",
        b"%/tmp/evil",
        b"a/%2E%2E/%2E%2E/evil",
        b"a/%/evil",
        b"%2E/evil",
        b"evil/%",
    }


def test_text_that_is_no_path_fails(world: Path):
    entries = [entry("a\\b"), entry("\\x2e\\x2e/evil"), entry("good")]
    assert restored(world, entries).keys() == {"a\\b", "\\x2e\\x2e/evil"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_nothing_is_written_through_a_link_that_the_archive_brings(world: Path, overwrite: bool):
    outside = str(world / "outside").encode()
    entries = [
        entry("a", outside, LINK),
        entry("a/evil"),
        entry("a/sub", kind=DIRECTORY),
        entry("b", b"../outside", LINK),
        entry("c/theirs"),
        entry("link", outside + b"/theirs", LINK),
    ]
    for _ in range(2):
        failed = restored(
            world, entries, [entry("b/evil"), entry("b/deep/evil")], overwrite=overwrite
        )
        assert failed.keys() <= {"a", "a/evil", "a/sub", "b", "b/evil", "b/deep/evil"}
    assert (world / "out" / "link").is_symlink()
    # Should the links have been first, in an earlier restore:
    for name in ("a", "b"):
        path = world / "out" / name
        if not path.is_symlink():
            path.rename(world / "out" / f"was {name}")
            path.symlink_to("../outside")
    failed = restored(world, overwrite=overwrite)
    assert failed == dict.fromkeys(["a/evil", "a/sub", "b/evil", "b/deep/evil"], "TargetError")


def test_links_that_can_point_nowhere_fail(world: Path):
    entries = [entry("empty", b"", LINK), entry("zero", b"a\0b", LINK), entry("good", b"x", LINK)]
    assert restored(world, entries) == dict.fromkeys(["empty", "zero"], "SectionCorrupt")


def test_two_rows_of_one_path_leave_one_file(world: Path):
    restored(world, [entry("a", b"one")], [entry("a", b"two"), entry("a/b", b"below a file")])
    content = nodes(world / "out")
    assert b"a" in content
    assert content[b"a"].kind == DIRECTORY or content[b"a"].content in (b"one", b"two")


def test_no_file_gets_the_rights_of_who_restores_it(world: Path):
    restored(world, [entry("a", permissions=0o7777)])
    assert nodes(world / "out")[b"a"].permissions == 0o777


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "device"},
        {"kind": DIRECTORY},
        {"permissions": 0o10000},
        {"permissions": -1},
        {"same_file": "nowhere"},
        {"same_file": "b"},
        {"same_file": "c"},
        {"same_file": "a", "source_mtime_ns": 2},
        {"same_file": "a", "route": "seec"},
        {"same_file": "a", "kind": LINK},
        {"offset": 1},
        {"offset": 0, "length": 3},
        {"offset": 0, "blob_digest": bytes(32)},
    ],
)
def test_manifest_parts_that_break_a_rule_of_trees_are_corrupt(tmp_path: Path, change: dict):
    entries = [entry("a"), entry("b", same_file="a"), entry("c", b"another")]
    store = Store(str(tmp_path))
    rows = parse_manifest("m", store.get(write_shard(store, "s/0", entries, []).manifest.name))
    assert [row.offset for row in rows] == [0, 0, 4]
    with pytest.raises(SectionCorrupt):
        parse_manifest("m", serialise_manifest([rows[0], replace(rows[1], **change), rows[2]]))


def test_names_that_a_file_system_might_take_for_one_come_back_where_it_does_not(
    world: Path, monkeypatch: pytest.MonkeyPatch
):
    names = ["A", "a", "\N{LATIN SMALL LETTER E WITH ACUTE}", "e\N{COMBINING ACUTE ACCENT}", "d"]
    entries = [entry(name, name.encode()) for name in names]
    monkeypatch.setattr("seec.pipeline.stages.restoring._FOLDS_NAMES", Task(_always))
    assert restored(world, entries) == {}
    assert len(nodes(world / "out")) == len(names)


def _always(_: Target) -> bool:
    """Whether a file system folds names, where every one does."""
    return True
