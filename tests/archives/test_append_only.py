"""Nothing but `seec gc --delete` removes anything: over all commands, by what stores saw."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from seec.jobs import (
    cli,
    compact,
    copy,
    digest,
    gc,
    info,
    ls,
    parity,
    prove,
    repair,
    restore,
    sign,
    verify,
)
from seec.pipeline.archive import lease
from seec.pipeline.storage import Store
from tests.archives import life
from tests.archives.life import opened, put_files
from tests.archives.test_signing import ssh
from tests.faults.points import repair_in_process, verify_in_process
from tests.in_process import execution

# Commands that take no archive: they work on sources, single images, weights or measurements.
OTHERS = {"encode", "decode", "segment", "explain", "bench", "evaluate", "train", "verify-proof"}
OTHERS |= {"estimate"}
# `jobs` runs the others; what is mounted is read as `cat` reads it, by a process of its own.
OTHERS |= {"jobs", "mount"}


@dataclass
class Seen:
    """What stores were asked for: names, below the root of an archive."""

    removed: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)

    def clear(self) -> None:
        self.removed.clear()
        self.replaced.clear()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Also makes stores keep writers apart by a lease, which has upkeep."""
    found = Seen()
    remove, put, abort = Store.remove, Store.put, Store.abort

    def removing(store: Store, name: str) -> None:
        found.removed.append(name)
        remove(store, name)

    def putting(store: Store, name: str, *pieces: Any) -> None:
        if store.exists(name):
            found.replaced.append(name)
        put(store, name, *pieces)

    def aborting(store: Store, name: str, upload_id: str) -> None:
        found.removed.append(f"upload {name}")
        abort(store, name, upload_id)

    monkeypatch.setattr(Store, "remove", removing)
    monkeypatch.setattr(Store, "put", putting)
    monkeypatch.setattr(Store, "abort", aborting)
    monkeypatch.setattr(Store, "refuses_to_replace", lambda *_: False)
    monkeypatch.setattr(lease, "_LISTING_PAUSE_S", 0.0)
    return found


@dataclass
class Place:
    """An archive of all kinds of files, what it is of, and a copy of it."""

    folder: Path

    @property
    def source(self) -> Path:
        return self.folder / "source"

    @property
    def root(self) -> Path:
        return self.folder / "archive"

    @property
    def second(self) -> Path:
        return self.folder / "second"

    def archive(self) -> None:
        put_files(self.source, **{f"f{len(list(self.source.iterdir()))}": "more"})
        (self.source / "b.txt").unlink(missing_ok=True)
        life.archive(self.source, self.root, prune_missing=True, parity_share=500)

    def damage(self) -> None:
        """A blob that a copy has, one that only the source has, a spare and a commit."""
        shards = list(opened(self.root).state.in_order())
        (self.root / shards[0].blob.name).write_bytes(b"rot")
        for root in (self.root, self.second):
            (root / shards[-1].blob.name).write_bytes(b"rot")
        (self.root / "spare" / "archive.json").write_bytes(b"rot")
        (self.root / "commits" / "0000000001.json").write_bytes(b"rot")

    def repair(self) -> None:
        self.damage()
        settings = repair.Settings(str(self.root), (str(self.second),), str(self.source))
        assert repair_in_process(settings).exit_code == 0

    def sign(self) -> None:
        key = self.folder / "key"
        if not key.exists():
            ssh("-q", "-t", "ed25519", "-N", "", "-f", str(key))
        sign.run(sign.Settings(str(self.root), key=key))


def said(*words: str) -> str:
    """What a command prints."""
    result = CliRunner().invoke(cli.main, list(words))
    assert result.exit_code == 0, result.output
    return result.output


def commands(place: Place) -> dict[str, Callable[[], Any]]:
    """Each command that takes an archive, in an order in which each has something to do."""
    root, target = str(place.root), str(place.folder / "restored")
    return {
        "archive": place.archive,
        "copy": lambda: copy.run(copy.Settings(root, str(place.second))),
        "repair": place.repair,
        "parity": lambda: parity.run(parity.Settings(root, 700)),
        "compact": lambda: compact.run(compact.Settings(root, shard_files=100)),
        "sign": place.sign,
        "verify": lambda: verify_in_process(verify.Settings(root)),
        "restore": lambda: restore.run(restore.Settings(root, target)),
        "ls": lambda: list(ls.listing(ls.Settings(root)).lines()),
        "info": lambda: info.run(root),
        "cat": lambda: said("cat", root, "f3.txt"),
        "query": lambda: said("query", root, "select count(*) from files"),
        "export": lambda: said("export", root, "--webdataset", str(place.folder / "tars")),
        "report": lambda: said("report", root, str(place.folder / "page.html")),
        "digest": lambda: digest.run(digest.Settings(root)),
        "prove": lambda: prove.run(prove.Settings(root, "f3.txt")),
        "gc": lambda: gc.run(gc.Settings(root, older_than_s=0)),
    }


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    made = Place(tmp_path)
    put_files(made.source, a="one", b="two", c="three")
    made.archive()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(restore, "execution", execution)
        yield made


def test_no_other_command_removes_anything_but_its_locks(place: Place, seen: Seen):
    todo = commands(place)
    assert todo.keys() | OTHERS == cli._COMMANDS.keys()
    for name, run in todo.items():
        seen.clear()
        before = set(Store(str(place.root)).names())
        run()
        after = set(Store(str(place.root)).names())
        assert [one for one in seen.removed if not one.startswith("locks/")] == [], name
        assert before - after <= {one for one in before if one.startswith("locks/")}, name
        if name not in ("repair",):
            assert seen.replaced == [], name
    gc.run(gc.Settings(str(place.root), delete=True, older_than_s=0, keep_commits=1))
    assert any(name.startswith("blobs/") for name in seen.removed)


def test_only_damaged_objects_are_replaced_and_by_repair_alone(place: Place, seen: Seen):
    todo = commands(place)
    for name in ("archive", "copy"):
        todo[name]()
    shards = list(opened(place.root).state.in_order())
    seen.clear()
    todo["repair"]()
    allowed = {shards[0].blob.name, shards[-1].blob.name, "spare/archive.json"}
    assert set(seen.replaced) <= allowed | {"commits/0000000001.json"}
    assert "commits/0000000001.json" in seen.replaced
