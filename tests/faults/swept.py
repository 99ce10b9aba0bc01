"""The jobs that are killed at their write points, and the archives that they work on.

`archive` makes one from nothing. `share` adds a run whose files have the bytes of archived ones.
`compact` copies the shards of three runs into larger ones. `repair` finds damage of every kind,
some of which a copy mends, some the source, and some nothing. `repair shared` finds damage of blobs
that two runs share. `gc` gives up old states, and removes what those and a killed run left.
"""

import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seec.jobs.exit_codes import ExitCode
from seec.pipeline.archive import Archive
from seec.pipeline.storage import Store
from seec.schemas.archive import ARCHIVE_JSON, FORMAT_MD, commit_name, model_name
from seec.schemas.commit import ObjectRecord
from seec.schemas.routes import JPEGXL_JPEG, LOST, SEEC, STORE
from seec.schemas.rows import Row
from tests.faults import points
from tests.jpegs import detailed, jpeg
from tests.pictures import gray, textured
from tests.sources import image_bytes


@dataclass(frozen=True)
class Job:
    """A job to be killed.

    start: the archive as it is before, None where the job makes one. run: does it on an archive,
    up to a write point or to its end; gives its exit code and the points. codes: those that it may
    end with. check: AssertionError unless an archive that it made is what a sweep is to be about.
    damaged: objects that are, before.
    """

    start: Path | None
    run: Callable[[Path, int | None], tuple[int, list[str]]]
    codes: frozenset[ExitCode]
    check: Callable[[Path], None]
    damaged: frozenset[str] = frozenset()

    def begin(self, root: Path) -> None:
        """Put there what the job works on."""
        if self.start is not None:
            shutil.copytree(self.start, root)


def write_source(root: Path) -> None:
    """Ten files for five shards: all codecs, and one file that goes to quarantine."""
    root.mkdir(parents=True)
    for index in range(4):
        (root / f"{index}.bin").write_bytes(bytes(range(index, index + 200)))
    (root / "1.bin").write_bytes(b"compressible " * 100)
    (root / "4.jpg").write_bytes(jpeg(detailed()[:72, :90]))
    (root / "5.png").write_bytes(image_bytes(textured(16, 20), "PNG"))
    os.mkfifo(root / "6.png")
    (root / "7.png").write_bytes(image_bytes(gray(40, 50), "PNG"))
    (root / "8.bmp").write_bytes(image_bytes(textured(12, 16, 8), "BMP"))
    (root / "9.txt").write_bytes(b"")


def archiving(folder: Path) -> Job:
    """`seec archive` of the files of `write_source`. folder: a new one, as for the others."""
    source = folder / "source"
    write_source(source)

    def check(root: Path) -> None:
        assert Counter(row.route for row in _rows(root)) == {SEEC: 3, JPEGXL_JPEG: 1, STORE: 5}
        assert _opened(root).state.sequence > points.RECAP_EVERY

    def run(root: Path, kill_at: int | None) -> tuple[int, list[str]]:
        return points.archive(source, root, kill_at)

    return Job(None, run, frozenset({ExitCode.INCOMPLETE}), check)


def sharing(folder: Path) -> Job:
    """`seec archive` of a folder whose files have another name by now, and of a new file."""
    source, start = folder / "source", _shared(folder)
    _rename(source)

    def check(root: Path) -> None:
        state = _opened(root).state
        first, second, third = state.runs
        assert all(not shard.referenced for shard in state.shards_of(first))
        lent = {shard.blob.name for shard in state.shards_of(first)}
        for run_id in (second, third):
            named = {one.name for shard in state.shards_of(run_id) for one in shard.referenced}
            assert len(named) > 2
            assert named <= lent

    def run(root: Path, kill_at: int | None) -> tuple[int, list[str]]:
        return points.archive(source, root, kill_at, prune_missing=True)

    return Job(start, run, frozenset({ExitCode.INCOMPLETE}), check)


def repairing_shared(folder: Path) -> Job:
    """`seec repair` of blobs that two runs share: a copy mends one, the source one, none one."""
    source, start, copy = folder / "source", _shared(folder), folder / "copy"
    first, second, third, *_ = _opened(start).state.in_order()
    everywhere = _damage(start, [second.blob, third.blob], [])
    shutil.copytree(start, copy)
    here = _damage(start, [], [first.blob])
    for path in source.glob("**/*4.jpg"):  # the first of the third shard
        path.unlink()

    def check(root: Path) -> None:
        lost = [row.path for row in _rows(root) if row.route == LOST]
        assert lost == ["4.jpg", "again/4.jpg"]
        named = {one.name for shard in _opened(root).state.in_order() for one in shard.referenced}
        assert first.blob.name in named
        assert not named & everywhere

    def repair(root: Path, kill_at: int | None) -> tuple[int, list[str]]:
        return points.repair(root, source, copy, kill_at)

    return Job(start, repair, frozenset({ExitCode.INCOMPLETE}), check, everywhere | here)


def compacting(folder: Path) -> Job:
    """`seec compact` of an archive with files that changed, vanished or could not be read."""
    start = _three_runs(folder)
    old = _opened(start).state

    def check(root: Path) -> None:
        new = _opened(root).state
        # The second one goes on with what the first one left small.
        assert [run.compaction for run in new.runs.values()][len(old.runs) :] == [True, True]
        assert 1 < len(new.shards) < len(old.shards) // 2

    return Job(start, points.compact, frozenset({ExitCode.OK}), check)


def repairing(folder: Path) -> Job:
    """`seec repair` of an archive with all kinds of damage, from a damaged copy and the source."""
    source, start, copy = folder / "source", folder / "start", folder / "copy"
    write_source(source)
    _archive(source, start)
    state = _opened(start).state
    shards, (run,) = list(state.in_order()), state.runs.values()
    everywhere = _damage(start, [shards[0].blob], [shards[1].manifest, shards[2].blob])
    shutil.copytree(start, copy)
    # The copy has what is damaged from here on. The rest the source has, except one file.
    assert shards[3].quarantine is not None
    spoilt = [run.plan, shards[3].quarantine, shards[4].blob, shards[4].manifest]
    gone = [FORMAT_MD, model_name(run.model_id or ""), commit_name(3)]
    here = _damage(start, [ARCHIVE_JSON, commit_name(2), *spoilt], gone)
    (source / "5.png").unlink()

    def check(root: Path) -> None:
        assert [row.path for row in _rows(root) if row.route == LOST] == ["5.png"]
        now = _opened(root).state.in_order()
        assert [new == old for new, old in zip(now, shards, strict=True)] == [False] * 3 + [
            True
        ] * 2

    def repair(root: Path, kill_at: int | None) -> tuple[int, list[str]]:
        return points.repair(root, source, copy, kill_at)

    codes = frozenset({ExitCode.INCOMPLETE})  # a file is lost
    return Job(start, repair, codes, check, everywhere | here)


def collecting(folder: Path) -> Job:
    """`seec gc` of states given up, of what a killed run left, and of what none ever named."""
    start, source = _three_runs(folder), folder / "source"
    assert points.compact(start)[0] == ExitCode.OK
    (source / "a.bin").write_bytes(b"of a run that is killed")
    whole = shutil.copytree(start, folder / "whole")
    _, labels = points.archive(source, whole)
    last = max(index for index, label in enumerate(labels) if "manifest/" in label)
    assert points.archive(source, start, last)[0] == -signal.SIGKILL
    # A run with other files, since gc leaves alone what a run that is to be finished has written.
    (source / "b.bin").write_bytes(b"of a run that is not")
    _archive(source, start, new_plan=True)
    store = Store(str(start))
    store.put_new("plans/0003-0123456789abcdef.parquet", b"plan")
    store.put_new(f"models/{'0' * 64}.model", b"model")
    before = len(list(store.names("blobs")))

    def check(root: Path) -> None:
        assert _opened(root).state.oldest > _opened(start).state.oldest
        assert len(list(Store(str(root)).names("blobs"))) < before - 2

    def gc(root: Path, kill_at: int | None) -> tuple[int, list[str]]:
        return points.gc(root, kill_at, keep_commits=2)

    return Job(start, gc, frozenset({ExitCode.OK}), check)


JOBS: dict[str, Callable[[Path], Job]] = {
    "archive": archiving,
    "share": sharing,
    "compact": compacting,
    "repair": repairing,
    "repair shared": repairing_shared,
    "gc": collecting,
}


def _three_runs(folder: Path) -> Path:
    """An archive. Files changed and came before its second run, one vanished before the third."""
    source, root = folder / "source", folder / "start"
    write_source(source)
    _archive(source, root)
    (source / "2.bin").write_bytes(b"changed")
    (source / "5.png").write_bytes(image_bytes(textured(12, 20, 5), "PNG"))
    (source / "link").symlink_to("2.bin")
    _archive(source, root)
    (source / "0.bin").unlink()
    (source / "twin.bin").write_bytes((source / "3.bin").read_bytes())
    _archive(source, root, prune_missing=True)
    return root


def _shared(folder: Path) -> Path:
    """An archive of two runs: in the second, each file has a second name and the same bytes."""
    source, root = folder / "source", folder / "start"
    write_source(source)
    _archive(source, root)
    shutil.copytree(source, folder / "again", ignore=shutil.ignore_patterns("6.png")).rename(
        source / "again"
    )
    _archive(source, root)
    return root


def _rename(source: Path) -> None:
    """Let all files of the second run have other paths, and add one."""
    (source / "again").rename(source / "once more")
    (source / "new.bin").write_bytes(b"new" * 99)


def _archive(source: Path, root: Path, **options: bool) -> None:
    code, _ = points.archive(source, root, **options)
    assert code == ExitCode.INCOMPLETE


def _damage(
    root: Path, spoilt: Sequence[ObjectRecord | str], gone: Sequence[ObjectRecord | str]
) -> frozenset[str]:
    """Flip a bit of the first byte of some objects, and remove others; their names."""
    names = [[item if isinstance(item, str) else item.name for item in i] for i in (spoilt, gone)]
    for name in names[0]:
        first, *rest = (root / name).read_bytes()
        (root / name).write_bytes(bytes([first ^ 1, *rest]))
    for name in names[1]:
        (root / name).unlink()
    return frozenset(names[0] + names[1])


def _opened(root: Path) -> Archive:
    return Archive.open(Store(str(root)))


def _rows(root: Path) -> list[Row]:
    opened = _opened(root)
    return [row for shard in opened.state.in_order() for row in opened.rows(shard)]
