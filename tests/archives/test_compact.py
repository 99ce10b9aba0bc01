"""Small shards become large ones: every file stays, at every commit, and a kill changes nothing."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from seec.jobs import compact, gc
from seec.jobs.gc import DAY_S
from seec.pipeline.archive import compaction
from seec.pipeline.archive.gc import Survey, survey
from seec.pipeline.storage import Store
from seec.schemas.errors import ArchiveLocked, DigestMismatch, UnknownCommit
from seec.schemas.routes import SPANS
from tests.archives.life import archive, findings, held, opened, put_files, texts
from tests.archives.plain_reader import State, digest, restored
from tests.archives.test_stacks import write
from tests.containers import tar
from tests.pictures import textured
from tests.sources import image_bytes


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four runs: files added, changed and removed, and a link that leads to nothing."""
    folder = tmp_path_factory.mktemp("compact")
    source, root = folder / "source", folder / "archive"
    put_files(source, a="one", b="two", c="three")
    (source / "broken.txt").symlink_to(folder / "nothing")
    archive(source, root)
    put_files(source, b="two, later", d="four")
    archive(source, root)
    (source / "a.txt").unlink()
    put_files(source, e="five")
    archive(source, root, prune_missing=True)
    put_files(source, f="six")
    archive(source, root)
    return folder


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "archive", tmp_path / "archive"))


NOW = {"b": "two, later", "c": "three", "d": "four", "e": "five", "f": "six"}


def files(root: Path, at: int | None = None) -> dict[str, str]:
    return {name: text for name, text in texts(root, at).items() if name != "broken"}


def small(root: Path) -> compact.CompactSummary:
    return compact.run(compact.Settings(str(root)))


def no_images(*_: bytes) -> bytes:
    raise AssertionError


def test_every_file_stays_at_every_commit(root: Path):
    last = opened(root).state.sequence
    before = [files(root, at) for at in range(1, last + 1)]
    summary = small(root)
    assert (summary.shards, len(opened(root).state.shards)) == (1, 1)
    assert [files(root, at) for at in range(1, last + 1)] == before
    assert files(root) == before[-1] == NOW
    assert findings(root) == []
    assert digest(root) == opened(root).digest()
    plain = {name.decode()[:1]: data.decode() for name, data in restored(root, no_images)}  # pyright: ignore[reportArgumentType]
    assert plain == NOW
    assert State(root, 2).shards.keys() == opened(root, 2).state.shards.keys()
    assert survey(Store(str(root)), 0).garbage == []


def test_files_that_hold_images_are_copied(tmp_path: Path):
    source, root = tmp_path / "source", tmp_path / "archive"
    for number in range(2):
        pictures = {f"{n}.ppm": image_bytes(textured(90, 80, n), "PPM") for n in (0, number + 1)}
        write(source, {f"{number}.tar": tar(list(pictures.items()))})
        archive(source, root)
    assert small(root).shards == 1
    (shard,) = opened(root).state.in_order()
    assert {row.route for row in opened(root).rows(shard)} == {SPANS}
    assert held(root) == {path.name: path.read_bytes() for path in source.iterdir()}
    assert findings(root) == []


def test_done_again_there_is_nothing_to_do(root: Path):
    small(root)
    last = opened(root).state.sequence
    assert small(root).shards == 0
    assert opened(root).state.sequence == last


def test_a_run_after_it_adds_to_it(root: Path, made: Path, tmp_path: Path):
    small(root)
    source = Path(shutil.copytree(made / "source", tmp_path / "source", symlinks=True))
    put_files(source, g="seven", b="two, last")
    archive(source, root, moved=True)
    changed = NOW | {"g": "seven", "b": "two, last"}
    assert {name: text for name, text in files(root).items() if name in changed} == changed
    assert findings(root) == []


def test_interrupted_it_goes_on_to_the_same_archive(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    other = Path(shutil.copytree(root, tmp_path / "undisturbed"))
    settings = compact.Settings(str(other), shard_files=4)
    compact.run(settings)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(compaction, "write_shard", interrupt)
        with pytest.raises(KeyboardInterrupt):
            compact.run(compact.Settings(str(root), shard_files=4))
    assert files(root) == NOW
    gc.run(gc.Settings(str(root), delete=True, older_than_s=0))
    compact.run(compact.Settings(str(root), shard_files=4))
    assert opened(root).digest() == opened(other).digest()
    assert files(root) == NOW


def test_an_unfinished_run_is_not_disturbed(root: Path, made: Path, tmp_path: Path):
    old = opened(root)
    state = old.state
    shards = {name: s for name, s in state.shards.items() if s.run_id != state.last_run.run_id}  # pyright: ignore[reportOptionalMemberAccess]
    object.__setattr__(state, "shards", shards)
    with pytest.raises(ArchiveLocked):
        compaction.open_compaction(old, [list(shards.values())])


def test_damage_is_not_copied(root: Path):
    *_, shard = opened(root).state.in_order()
    blob = root / shard.blob.name
    blob.write_bytes(b"x" * len(blob.read_bytes()))
    before = opened(root).state.shards
    with pytest.raises(DigestMismatch, match="seec repair"):
        small(root)
    assert opened(root).state.shards == before


def test_gc_takes_old_shards_once_their_states_are_given_up(root: Path):
    old = {record.name for s in opened(root).state.in_order() for record in s.objects}
    small(root)
    keep = gc.Settings(str(root), older_than_s=0, keep_commits=1)
    assert old <= {item.name for item in gc.run(keep).garbage}
    assert opened(root).state.oldest == 1
    gc.run(gc.Settings(str(root), delete=True, older_than_s=0, keep_commits=1))
    assert not any((root / name).exists() for name in old)
    assert files(root) == NOW
    assert findings(root) == []
    with pytest.raises(UnknownCommit):
        opened(root).at(2)
    assert survey(Store(str(root)), 0) == Survey()


def test_states_are_given_up_once_however_often_that_is_asked(root: Path):
    settings = gc.Settings(str(root), delete=True, older_than_s=0, keep_commits=2)
    gc.run(settings)
    before = opened(root).state
    gc.run(settings)
    assert opened(root).state == before
    assert before.oldest == before.sequence - 2  # the last commit is the one that says so


def test_states_before_a_time_are_given_up(root: Path):
    for path in (root / "commits").iterdir():
        os.utime(path, (int(path.stem) * DAY_S, int(path.stem) * DAY_S))
    last = opened(root).state.sequence

    def give_up(before_s: float, keep_commits: int | None = None) -> int:
        settings = gc.Settings(
            str(root), older_than_s=0, before_s=before_s, keep_commits=keep_commits
        )
        gc.run(settings)
        assert opened(root).state.oldest == 1  # not without --delete
        copy = Path(shutil.copytree(root, root.with_name("copy")))
        gc.run(replace(settings, archive=str(copy), delete=True))
        oldest = opened(copy).state.oldest
        shutil.rmtree(copy)
        return oldest

    assert give_up(0) == give_up(DAY_S) == 1
    assert give_up(3 * DAY_S) == give_up(2.5 * DAY_S) == 3
    assert give_up((last + 1) * DAY_S) == last
    assert give_up((last + 1) * DAY_S, keep_commits=2) == last - 1
    assert give_up(2 * DAY_S, keep_commits=1) == 2
