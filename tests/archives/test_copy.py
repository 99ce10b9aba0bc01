"""A second copy is the archive as it was after some commit, at each moment, and mends the first."""

import json
import random
import shutil
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from seec.jobs import compact, copy, gc, repair
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.archive import Archive, copying
from seec.pipeline.storage import Limits, Store
from seec.schemas.errors import (
    DigestMismatch,
    NotAnArchive,
    SeecError,
    StorageError,
    TransientStorageError,
)
from tests.archives import life, plain_reader
from tests.archives.life import findings, opened, put_files, texts
from tests.faults import filesystem
from tests.faults.filesystem import FLIPPED, Plan
from tests.faults.points import repair_in_process

FILES = {"a": "one", "b": "two", "c": "three", "d": "four"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source and its archive: two shards, a file that changed, one that vanished."""
    folder = tmp_path_factory.mktemp("copy")
    put_files(folder / "source", **FILES)
    archive(folder / "source", folder / "archive")
    put_files(folder / "source", a="one, later", e="five")
    (folder / "source" / "d.txt").unlink()
    archive(folder / "source", folder / "archive", prune_missing=True)
    return folder


@pytest.fixture
def source(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "source", tmp_path / "source"))


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "archive", tmp_path / "archive"))


@pytest.fixture
def second(tmp_path: Path) -> Path:
    return tmp_path / "second"


def archive(source: Path, root: Path, **options: Any) -> None:
    """Archive a source that may have moved."""
    known = (root / "commits").exists()
    life.archive(source, root, **({"moved": True} if known else {}), **options)


def copied(root: Path | str, target: Path | str, **options: float | bool) -> copy.CopySummary:
    return copy.run(copy.Settings(str(root), str(target), **options))  # pyright: ignore[reportArgumentType]


def objects(root: Path) -> dict[str, bytes]:
    """All but reports and what locks leave."""
    files = (path for path in root.rglob("*") if path.is_file())
    found = {str(path.relative_to(root)): path.read_bytes() for path in files}
    return {name: data for name, data in found.items() if not name.startswith("reports/")}


def needed(root: Path) -> set[str]:
    """What the states need that are kept, and what is always there."""
    archived = opened(root)
    history = copying.Retained()
    for commit, _ in archived.commits(1, archived.state.sequence):
        history.apply(commit)
    commits = {f"commits/{number:010d}.json" for number in archived.sequences()}
    return history.names() | commits | {"archive.json", "FORMAT.md.gz"}


def test_a_copy_has_every_object_that_counts_and_nothing_else(root: Path, second: Path):
    (root / "blobs" / "0001-0123456789abcdef").mkdir()
    (root / "blobs" / "0001-0123456789abcdef" / "000000.blob").write_bytes(b"a leftover")
    summary = copied(root, second)
    assert (summary.exit_code, summary.digest) == (ExitCode.OK, opened(root).digest())
    assert objects(second).keys() == needed(root)
    assert objects(second).items() <= objects(root).items()
    assert findings(second) == []
    assert texts(second) == texts(root)
    assert plain_reader.digest(second) == summary.digest
    assert summary.size_bytes == sum(
        len(data) for name, data in objects(second).items() if "/" in name and "commits" not in name
    )


def test_what_is_there_is_not_copied_again(root: Path, source: Path, second: Path):
    first = copied(root, second)
    again = copied(root, second)
    assert (again.commits, again.objects, again.digest) == (0, 0, first.digest)
    assert next(iter(again.lines())) == "nothing to copy: the copy is up to date"
    put_files(source, f="six")
    archive(source, root)
    more = copied(root, second)
    assert 0 < more.objects < first.objects
    assert texts(second) == texts(root)


def test_an_archive_without_commits_is_copied(tmp_path: Path, second: Path):
    Archive.open_or_create(Store(str(tmp_path / "empty")), b"format")
    assert copied(tmp_path / "empty", second).digest == opened(tmp_path / "empty").digest()
    assert opened(second).digest() == opened(tmp_path / "empty").digest()


def test_a_copy_follows_what_was_collected_compacted_and_repaired(
    root: Path, source: Path, second: Path, tmp_path: Path
):
    """Whether it was made before or after, it has the same objects."""
    early = tmp_path / "early"
    copied(root, early)
    compact.run(compact.Settings(str(root), shard_files=8))
    shard = next(opened(root).state.in_order())
    (root / shard.blob.name).write_bytes(b"rot")
    assert repair_in_process(repair.Settings(str(root), (str(early),), "/nowhere")).exit_code == 0
    (root / shard.blob.name).unlink()
    repair_in_process(repair.Settings(str(root), (), str(source)))
    gc.run(gc.Settings(str(root), delete=True, older_than_s=0, keep_commits=1))
    put_files(source, g="seven")
    archive(source, root)
    for target in (early, second):
        assert copied(root, target).exit_code == ExitCode.OK
        assert findings(target) == []
        assert texts(target) == texts(root)
        for place in (target, root):
            gc.run(gc.Settings(str(place), delete=True, older_than_s=0))
        assert objects(target) == objects(root)


def test_each_mends_the_other(root: Path, second: Path):
    copied(root, second)
    whole = objects(second)
    for damaged, sound in ((root, second), (second, root)):
        for number, name in enumerate(sorted(whole)):
            if name == max(n for n in whole if n.startswith("commits/")):
                continue
            path = damaged / name
            path.unlink() if number % 2 else path.write_bytes(b"rot")
            settings = repair.Settings(str(damaged), (str(sound),), "/nowhere")
            assert repair_in_process(settings).objects == (name,)
        assert {n: d for n, d in objects(damaged).items() if n in whole} == whole


def test_damage_does_not_go_over_and_the_rest_does(root: Path, second: Path):
    shards = list(opened(root).state.in_order())
    blob, part = shards[0].blob.name, shards[1].manifest.name
    sound = {name: (root / name).read_bytes() for name in (blob, part)}
    (root / blob).write_bytes(sound[blob][:-1] + b"!")
    (root / part).unlink()
    summary = copied(root, second)
    assert (summary.exit_code, sorted(summary.missed)) == (ExitCode.DAMAGE, sorted((blob, part)))
    assert "content differs from its digest" in summary.missed[blob]
    assert "is gone" in summary.missed[part]
    assert objects(second).keys() == needed(root) - {blob, part}
    for name, data in sound.items():
        (root / name).write_bytes(data)
    again = copied(root, second)
    assert (again.exit_code, again.objects, again.commits) == (ExitCode.OK, 2, 0)
    assert findings(second) == []


def test_a_large_object_is_compared_while_it_comes(
    root: Path, second: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(copying, "_PIECE_BYTES", 2)
    blob = next(opened(root).state.in_order()).blob.name
    sound = (root / blob).read_bytes()
    for rotten in (sound[:-1] + b"!", sound + b"!", sound[:-1]):
        (root / blob).write_bytes(rotten)
        assert list(copied(root, second).missed) == [blob]
        assert not (second / blob).exists()
    (root / blob).write_bytes(sound)
    assert copied(root, second).exit_code == ExitCode.OK
    assert objects(second).keys() == needed(root)


def test_an_object_that_was_cut_short_in_the_copy_is_copied_again(root: Path, second: Path):
    copied(root, second)
    blob = next(opened(root).state.in_order()).blob.name
    (second / blob).write_bytes(b"")
    assert copied(root, second).objects == 1
    assert findings(second) == []


def test_an_archive_that_was_set_back_is_refused(root: Path, source: Path, second: Path):
    """As is one that another command committed to."""
    copied(root, second)
    put_files(source, h="eight")
    fork = Path(shutil.copytree(root, root.with_name("fork")))
    archive(source, fork)
    last = max((root / "commits").iterdir())
    taken = last.read_bytes()
    last.unlink()
    before = objects(second)
    with pytest.raises(DigestMismatch, match="set back"):
        copied(root, second)
    last.write_bytes(taken)
    put_files(source, h="another")
    archive(source, root)
    copied(root, second)
    with pytest.raises(DigestMismatch, match="committed to by another"):
        copied(fork, second)
    with pytest.raises(DigestMismatch, match="committed to by another"):
        copied(second, fork)
    assert before.items() <= objects(second).items()


def test_only_a_copy_or_an_empty_place_takes_it(root: Path, made: Path, tmp_path: Path):
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "letter").write_text("mine")
    with pytest.raises(StorageError, match="give an empty or new place"):
        copied(root, tmp_path / "strange")
    put_files(tmp_path / "others", z="other")
    archive(tmp_path / "others", tmp_path / "other")
    with pytest.raises(DigestMismatch, match="committed to by another"):
        copied(root, tmp_path / "other")
    with pytest.raises(NotAnArchive):
        copied(tmp_path / "others", tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_damaged_commits_of_the_copy_are_mended_first(root: Path, second: Path):
    copied(root, second)
    commits = sorted((second / "commits").iterdir())
    (commits[-1]).write_bytes(b"{}")
    with pytest.raises(DigestMismatch, match=f"seec repair {second} --from {root}"):
        copied(root, second)
    commits[-1].unlink()
    assert copied(root, second).commits == 1
    commits[0].unlink()
    with pytest.raises(DigestMismatch, match=f"seec repair {second} --from {root}"):
        copied(root, second)
    settings = repair.Settings(str(second), (str(root),), "/nowhere")
    assert repair_in_process(settings).exit_code == ExitCode.OK
    assert copied(root, second).commits == 0


def test_it_follows_a_writer(
    root: Path, source: Path, second: Path, monkeypatch: pytest.MonkeyPatch
):
    """A run, gc and a pause of the store between, while it goes on."""
    failures = [TransientStorageError("busy")]
    refuse = copying.Copy._read

    def read(self: copying.Copy) -> None:
        if second.exists() and (second / "commits").exists() and failures:
            raise failures.pop()
        refuse(self)

    monkeypatch.setattr(copying.Copy, "_read", read)
    outcome: list[copy.CopySummary] = []
    follower = threading.Thread(
        target=lambda: outcome.append(
            copied(root, second, follow=True, every_s=0.1, max_duration_s=20)
        )
    )
    follower.start()
    for number in range(3):
        put_files(source, **{f"n{number}": f"number {number}"})
        archive(source, root)
        gc.run(gc.Settings(str(root), delete=True, older_than_s=0, keep_commits=2))
    end = time.monotonic() + 15
    while time.monotonic() < end and not _is_last(root, second):
        time.sleep(0.05)
    assert _is_last(root, second)
    monkeypatch.setattr(copy.time, "monotonic", lambda: float("inf"))
    follower.join()
    assert not failures
    assert outcome[0].exit_code == ExitCode.OK
    assert texts(second) == texts(root)
    assert findings(second) == []


def _is_last(root: Path, second: Path) -> bool:
    last = max(path.name for path in (root / "commits").iterdir())
    return (second / "commits" / last).exists()


def test_it_keeps_to_the_bandwidth(tmp_path: Path, root: Path, source: Path, second: Path):
    for number in range(4):
        (source / f"{number}.bin").write_bytes(random.Random(number).randbytes(1 << 18))
    archive(source, root)
    start = time.monotonic()
    copy.run(copy.Settings(str(root), str(second), limits=Limits(bytes_per_s=2 << 20)))
    assert time.monotonic() - start > 0.3  # a megabyte takes half a second


def test_the_command_says_what_it_did(root: Path, second: Path):
    result = CliRunner().invoke(copy.main, [str(root), str(second), "--json"])
    assert result.exit_code == ExitCode.OK, result.output
    assert json.loads(result.stdout)["digest"] == opened(root).digest()
    blob = root / next(opened(root).state.in_order()).blob.name
    blob.unlink()
    (second / blob.relative_to(root)).unlink()
    result = CliRunner().invoke(copy.main, [str(root), str(second)])
    assert result.exit_code == ExitCode.DAMAGE
    assert "seec repair" in result.stdout
    result = CliRunner().invoke(copy.main, [str(root), str(second), "--max-duration", "1s"])
    assert result.exit_code == ExitCode.USAGE


@pytest.mark.slow
def test_to_a_real_server_and_back(root: Path, source: Path, tmp_path: Path, s3_url: str):
    (source / "large.bin").write_bytes(bytes(range(251)) * 160_000)  # goes to S3 in parts
    archive(source, root, max_file_size_bytes=1 << 30)
    there = f"{s3_url}/{uuid.uuid4()}/copy"
    assert copied(root, there).exit_code == ExitCode.OK
    store = Store(there)
    blob = max(opened(root).state.in_order(), key=lambda shard: shard.blob.size_bytes).blob.name
    whole = store.get(blob)
    store.put(blob, b"rot")
    settings = repair.Settings(there, (str(root),), "/nowhere")
    assert repair_in_process(settings).objects == (blob,)
    assert store.get(blob) == whole
    (root / blob).unlink()
    settings = repair.Settings(str(root), (there,), "/nowhere")
    assert repair_in_process(settings).objects == (blob,)
    put_files(source, i="nine")
    archive(source, root)
    assert copied(root, there).commits > 0
    assert copied(there, tmp_path / "third").digest == opened(root).digest()
    assert objects(tmp_path / "third").items() <= objects(root).items()


def test_a_header_that_is_damaged_on_the_way_is_not_copied(root: Path, tmp_path: Path):
    """Whichever time it is read."""
    whole = (root / "archive.json").read_bytes()
    flipped = 0
    for number in range(20):
        second = tmp_path / f"second {number}"
        plan = Plan(FLIPPED, number)
        with filesystem.plan(plan):
            try:
                copied(f"{filesystem.PROTOCOL}://{root}", second)
            except SeecError:
                assert plan.struck
        flipped += plan.struck and plan.requests[number].path.endswith("archive.json")
        if (second / "archive.json").exists():
            assert (second / "archive.json").read_bytes() == whole
    assert flipped > 1
