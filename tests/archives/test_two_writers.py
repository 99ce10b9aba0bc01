"""A repair that another writer began before, and does not know of, is not undone by that one."""

from pathlib import Path
from typing import Any

import pytest

from seec.jobs import compact, parity
from seec.pipeline.archive import compaction, protection
from seec.pipeline.stages.repairing import Repair
from seec.schemas.errors import ArchiveLocked
from tests.archives.life import archive, findings, opened, put_files, texts
from tests.archives.test_repair import mend, shards, spoil

PAIRS = ("ab", "cd", "ef", "gh")
FILES = {name: f"file {name}" for pair in PAIRS for name in pair}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "source"


@pytest.fixture
def root(tmp_path: Path, source: Path) -> Path:
    """An archive of four shards of two files."""
    for pair in PAIRS:
        put_files(source, **{name: FILES[name] for name in pair})
        archive(source, tmp_path / "archive")
    return tmp_path / "archive"


def lose_the_last(root: Path) -> None:
    """Damage the last file, and have it given up."""
    spoil(root, shards(root)[-1], "h.txt")
    assert mend(root).lost == ("h.txt",)


def mended_before(root: Path, source: Path, begun: list[str]) -> None:
    """The first time, another writer finds the lost file."""
    if not begun:
        begun.append("repair")
        assert mend(root, source).files_mended == 1
        assert texts(root) == FILES


def test_by_a_compaction(root: Path, source: Path, monkeypatch: pytest.MonkeyPatch):
    lose_the_last(root)
    begun: list[str] = []
    write_shard = compaction.write_shard

    def later(*what: Any) -> Any:
        mended_before(root, source, begun)
        return write_shard(*what)

    monkeypatch.setattr(compaction, "write_shard", later)
    with pytest.raises(ArchiveLocked):
        compact.run(compact.Settings(str(root), shard_files=4))
    assert texts(root) == FILES
    compact.run(compact.Settings(str(root), shard_files=4))
    assert len(shards(root)) == 2
    assert texts(root) == FILES


def test_by_parity(root: Path, source: Path, monkeypatch: pytest.MonkeyPatch):
    lose_the_last(root)
    begun: list[str] = []
    commit = protection._commit  # pyright: ignore[reportPrivateUsage]

    def later(*what: Any) -> None:
        mended_before(root, source, begun)
        commit(*what)

    monkeypatch.setattr(protection, "_commit", later)
    monkeypatch.setattr(protection, "_SHARDS_OF_A_COMMIT", 1)
    with pytest.raises(ArchiveLocked):
        parity.run(parity.Settings(str(root), share=1000))
    assert texts(root) == FILES
    parity.run(parity.Settings(str(root), share=1000))
    assert all(shard.parity for shard in shards(root))
    assert texts(root) == FILES


def test_by_another_repair(root: Path, source: Path, monkeypatch: pytest.MonkeyPatch):
    first, *_, last = shards(root)
    spoil(root, first, "a.txt")
    spoil(root, last, "h.txt")
    commit = Repair._commit  # pyright: ignore[reportPrivateUsage]
    begun: list[str] = []

    def later(self: Repair, record: Any, case: Any) -> None:
        if not begun:
            begun.append("repair")
            mend(root, source)
        elif record.shard == first.shard and len(begun) == 1:
            begun.append("left to the first repair")
            return
        commit(self, record, case)

    monkeypatch.setattr(Repair, "_commit", later)
    with pytest.raises(ArchiveLocked):
        mend(root)
    assert not any(row.lost for row in opened(root).rows(shards(root)[-1]))
    monkeypatch.undo()
    mend(root, source)
    assert findings(root) == []
    assert texts(root) == FILES
