"""`python -m tests.archives.copy_sweep [EVERY]`: counts of copies that were disturbed, as tables.

An archive with parity, of two runs that share payloads. Its copy is killed at each write point,
each request to both stores fails in each way, and each object of either side is damaged in each
way; then the command is run again, or the damage is repaired from the other side. With EVERY, only
each so many-th case is tried.
"""

import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import click

from seec.jobs import compact, copy, gc, repair
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.storage import Retry
from seec.schemas.archive import COMMITS, SPARE, parse_name, spared
from seec.schemas.errors import DigestMismatch, SeecError, StorageError
from tests.archives import life
from tests.archives.life import findings, put_files
from tests.archives.table import Count, printed
from tests.archives.test_parity import cut_short, damage, gone, rotten, too_long
from tests.faults import fault_sweep, filesystem, points
from tests.faults.filesystem import DOWN, Plan
from tests.faults.points import repair_in_process
from tests.faults.sweep import memory_folder

SHARE = 1000
DAMAGES = (rotten, cut_short, too_long, gone)


@dataclass(frozen=True)
class Made:
    """An archive, its source, and the objects of its copy."""

    folder: Path
    whole: dict[str, bytes] = field(repr=False)

    @property
    def source(self) -> Path:
        """What was archived."""
        return self.folder / "source"

    @property
    def root(self) -> Path:
        """The archive."""
        return self.folder / "archive"


def make(folder: Path, share: int = SHARE) -> Made:
    """The archive, with parity of this share. folder: a new one."""
    folder.mkdir()
    source = folder / "source"
    put_files(source, a="one", b="two", c="three", d="four")
    (source / "huge.bin").write_bytes(bytes(10_000))
    archive(source, folder / "archive", parity_share=share)
    put_files(source, a="one, later", e="five", copy="two", moved="four")
    (source / "d.txt").unlink()
    archive(source, folder / "archive", prune_missing=True)
    copied(folder / "archive", folder / "copy")
    return Made(folder, objects(folder / "copy"))


def archive(source: Path, root: Path, **options: Any) -> None:
    """Archive a source that may have moved, and of which one file is too large."""
    moved = {"moved": True} if (root / COMMITS).exists() else {}
    life.archive(source, root, max_file_size_bytes=5000, **moved, **options)


def grow(source: Path, root: Path) -> None:
    """A run, a compaction, another run; then what only old states need is removed."""
    put_files(source, f="six", third="two")
    archive(source, root)
    compact.run(compact.Settings(str(root), shard_files=8))
    put_files(source, g="seven", fourth="two")
    archive(source, root)
    gc.run(gc.Settings(str(root), delete=True, older_than_s=0, keep_commits=1))


def copied(root: Path | str, target: Path | str, **options: Any) -> copy.CopySummary:
    """`seec copy`."""
    return copy.run(copy.Settings(str(root), str(target), **options))


def objects(root: Path) -> dict[str, bytes]:
    """All but reports, locks, and what killed writers leave."""
    files = ((str(path.relative_to(root)), path) for path in root.rglob("*") if path.is_file())
    return {
        name: path.read_bytes()
        for name, path in files
        if not name.startswith(("reports/", "locks/")) and not _is_partial(name)
    }


def _is_partial(name: str) -> bool:
    """Whether a write did not end; `~` begins what `tests.faults.filesystem` did not end."""
    return ".partial-" in name or "/~" in name


def differs(target: Path, whole: dict[str, bytes]) -> str | None:
    """How a copy differs from what it must be, if it does."""
    if wrong := objects(target).items() ^ whole.items():
        return f"other objects: {sorted({name for name, _ in wrong})}"
    return f"damaged: {found}" if (found := findings(target)) else None


def strange(target: Path, whole: dict[str, bytes]) -> str | None:
    """Objects of an unfinished copy that are not as in the archive, if there are any."""
    there = objects(target) if target.exists() else {}
    wrong = [name for name, data in there.items() if whole.get(name) != data]
    return f"not as in the archive: {wrong}" if wrong else None


def killed(made: Made, every: int, folder: Path) -> Count:
    """Killed at each write point of the copy, and run again."""
    second, count = folder / "second", Count()
    _, labels = points.copy(made.root, second)
    for point in range(0, len(labels), every):
        shutil.rmtree(second, ignore_errors=True)
        assert points.copy(made.root, second, point)[0] < 0
        wrong = strange(second, made.whole)
        copied(made.root, second)
        count.add(labels[point], wrong or differs(second, made.whole))
    return count


def grown(made: Made, every: int, folder: Path) -> Count:
    """Killed at each write point, and run again when the archive is another by then."""
    root, second, count = folder / "archive", folder / "second", Count()
    shutil.copytree(made.root, root)
    grow(Path(shutil.copytree(made.source, folder / "source")), root)
    copied(root, folder / "copy")
    whole = _collected(folder / "copy")
    _, labels = points.copy(made.root, second)
    for point in range(0, len(labels), every):
        shutil.rmtree(second, ignore_errors=True)
        assert points.copy(made.root, second, point)[0] < 0
        copied(root, second)
        found = findings(second)
        count.add(labels[point], found or _collected(second).items() ^ whole.items())
    return count


def _collected(root: Path) -> dict[str, bytes]:
    """Objects of an archive once what only states need that were given up is gone."""
    gc.run(gc.Settings(str(root), delete=True, older_than_s=0))
    return objects(root)


def far(path: Path) -> str:
    """A place whose requests fail by plan."""
    return f"{filesystem.PROTOCOL}://{path}"


def requests(made: Made, every: int, folder: Path) -> Count:
    """Each request to either store fails in each way, as when the target is full; run again."""

    def check(at: Path, whole: bool) -> str | None:
        second = at / "second"
        if not whole:
            return strange(second, made.whole)
        # A store that denies an object once gets no spare of it; the next run makes that.
        missing = {name for name in made.whole if name.startswith(SPARE)} - objects(second).keys()
        return differs(second, {n: d for n, d in made.whole.items() if n not in missing})

    def job(name: str, run: Callable[[Path], Any]) -> fault_sweep.Job:
        job, plan = fault_sweep.Job(name, ExitCode.OK, run, check), Plan()
        assert job.attempt(folder / name, plan).code == ExitCode.OK
        job.requests = tuple(plan.requests)
        return job

    jobs = (
        job("from it", lambda at: copied(far(made.root), at / "second")),
        job("to it", lambda at: copied(made.root, far(at / "second"))),
    )
    count = Count()
    for case in [case for job in jobs for case in job.cases()][::every]:
        request = case.job.requests[case.at]
        wrong = fault_sweep.wrong_with(case, folder / f"{case.job.name} {case.at} {case.fault}")
        count.add(f"{case.job.name} {case.at} {request.verb} {request.path} {case.fault}", wrong)
    return count


def follows(made: Made, every: int, folder: Path) -> Count:
    """A store is down from some request on until the next look, while the archive grows."""
    later = Path(shutil.copytree(made.root, folder / "later"))
    grow(Path(shutil.copytree(made.source, folder / "source")), later)
    count = Count()
    for name in ("archive", "second"):
        plan = Plan()
        first = _follow(made, later, folder / name, name, plan)
        whole, asked = _collected(folder / name / "second"), list(plan.requests)
        for at in range(first, len(asked), every):
            place = folder / f"{name} {at}"
            wrong = None
            try:
                _follow(made, later, place, name, Plan(DOWN, at))
            except SeecError as error:
                wrong = f"ended: {error}"
            case = f"{name} {at} {asked[at].verb} {asked[at].path}"
            other = _collected(place / "second").items() ^ whole.items()
            count.add(case, wrong or other or findings(place / "second"))
            shutil.rmtree(place)
    return count


def _follow(made: Made, later: Path, at: Path, name: str, plan: Plan) -> int:
    """Follow an archive that becomes a later one while the copy waits; the first look's request.

    name: of the store that is far away. plan: of that, up to the first pause.
    """
    root, second, begun = at / "archive", at / "second", list[int]()
    shutil.copytree(made.root, root)
    steps = iter((partial(_become, root, later), lambda: None, lambda: None))

    def pause(_: float) -> None:
        plan.fault = None  # the store is back
        if (step := next(steps, None)) is None:
            raise KeyboardInterrupt
        step()

    once = copy._once

    def look(*arguments: Any) -> Any:
        begun.append(len(plan.requests))
        return once(*arguments)

    places = [far(one) if one.name == name else one for one in (root, second)]
    with (
        filesystem.plan(plan),
        patch.object(copy, "time", SimpleNamespace(sleep=pause, monotonic=time.monotonic)),
        patch.object(copy, "_once", look),
        patch.object(copy, "inform", lambda _: None),
        patch.object(copy, "warn", lambda _: None),
        patch("seec.pipeline.storage.store.Retry", partial(Retry, 2, 0.0)),
        suppress(KeyboardInterrupt),
    ):
        copied(*places, follow=True, every_s=0.0)
    return begun[0]


def _become(root: Path, later: Path) -> None:
    """Bring an archive to a later state: what is new first, then what is gone."""
    whole, before = objects(later), objects(root)
    for name, data in sorted(
        whole.items(), key=lambda item: (item[0].startswith(COMMITS), item[0])
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    for name in before.keys() - whole.keys():
        (root / name).unlink()


def damaged(made: Made, every: int, folder: Path) -> Count:
    """An object of the archive is damaged: the copy lacks it and nothing else, until it is mended.

    Where commits or `archive.json` are damaged, nothing is copied.
    """
    count = Count()
    root = Path(shutil.copytree(made.root, folder / "archive"))
    for number, (name, kind) in enumerate(_damages(made)):
        if number % every or not made.whole[name]:
            continue
        second = folder / "second"
        shutil.rmtree(second, ignore_errors=True)
        damage(root / name, kind(made.whole[name], random.Random(number)))
        wrong = _without(root, second, name, made.whole)
        (root / name).write_bytes(made.whole[name])
        copied(root, second)
        count.add(f"{name} {kind.__name__}", wrong or differs(second, made.whole))
    return count


def _without(root: Path, second: Path, name: str, whole: dict[str, bytes]) -> str | None:
    """What is wrong with how a damaged object is taken, if anything."""
    try:
        summary = copied(root, second)
    except SeecError as error:
        told = name in str(error) or name.startswith(COMMITS)
        return strange(second, whole) or (None if told else f"says {error}")
    if spared(name) is not None:  # the copy makes its own
        return differs(second, whole)
    if summary.exit_code == ExitCode.OK and name == _last(whole):
        return strange(second, whole)  # the archive of before, which is whole
    if (summary.exit_code, [*summary.missed]) != (ExitCode.DAMAGE, [name]):
        return f"ended with {summary.exit_code}, without {list(summary.missed)}"
    return strange(second, whole)


def _damages(made: Made) -> Iterator[tuple[str, Callable[..., bytes | None]]]:
    yield from product(sorted(made.whole), DAMAGES)


def refused(made: Made, _: int, folder: Path) -> Count:
    """The target is no copy of the archive: nothing there changes."""
    source, root = folder / "source", folder / "archive"
    shutil.copytree(made.source, source)
    shutil.copytree(made.root, root)
    put_files(folder / "others", z="other")
    archive(folder / "others", folder / "other")
    (folder / "things").mkdir()
    (folder / "things" / "letter").write_text("mine")
    put_files(source, h="eight")
    archive(source, Path(shutil.copytree(root, folder / "fork")))
    put_files(source, h="another")
    archive(source, root)
    copied(root, folder / "ahead")
    cases = {
        "another archive": (root, folder / "other"),
        "other things": (root, folder / "things"),
        "one that was committed to": (root, folder / "fork"),
        "one that is ahead of an archive that was set back": (made.root, folder / "ahead"),
        "the archive itself": (root, root),
        "a folder in the archive": (root, root / "inside"),
    }
    count = Count()
    for name, (archived, target) in cases.items():
        before = objects(target) if target.exists() else {}
        wrong = None
        try:
            wrong = copied(archived, target).exit_code or "was copied to"
        except (DigestMismatch, StorageError, click.UsageError):
            pass
        except Exception as error:  # noqa: BLE001, another one is a failure
            wrong = repr(error)
        after = objects(target) if target.exists() else {}
        count.add(name, wrong or before.items() ^ after.items())
    return count


Row = Callable[[Made, int, Path], Count]


def mended(made: Made, every: int, folder: Path) -> Iterator[tuple[str, Count]]:
    """By kind of object: damaged on one side, and repaired from the other."""
    sides = [Path(shutil.copytree(made.folder / one, folder / one)) for one in ("archive", "copy")]
    counts: dict[str, Count] = {}
    for number, (name, kind) in enumerate(_damages(made)):
        if number % every or not made.whole[name]:
            continue
        for here, there in (sides, sides[::-1]):
            whole = objects(here)
            damage(here / name, kind(whole[name], random.Random(number)))
            code = _mend(here, there, last=name == _last(whole) and kind is gone)
            wrong = None if code == ExitCode.OK else f"ended with {code}"
            if other := objects(here).items() ^ whole.items():
                wrong = f"other objects: {sorted({one for one, _ in other})}"
            counts.setdefault(_kind(name), Count()).add(
                f"{here.name}/{name} {kind.__name__}", wrong
            )
            for one, data in whole.items():
                (here / one).write_bytes(data)
    yield from sorted(counts.items())


def _mend(here: Path, there: Path, *, last: bool) -> int:
    """Repair one side from the other. last: the last commit is gone, which only a spare shows."""
    if last and not (here / SPARE).exists():
        return copied(there, here).exit_code
    return repair_in_process(repair.Settings(str(here), (str(there),), "/nowhere")).exit_code


def _last(whole: dict[str, bytes]) -> str:
    return max(name for name in whole if name.startswith(COMMITS))


def _kind(name: str) -> str:
    if spared(name) is not None:
        return "spare"
    if name.startswith(COMMITS):
        return "commit"
    return (parse_name(name) or (name, None))[0]


ROWS: dict[str, Row] = {
    "killed at a write point, run again": killed,
    "killed at a write point, run again when the archive was added to, compacted, collected": grown,
    "a request to one of both stores fails, run again": requests,
    "`--follow`: a store is down until the next look, and the archive grows": follows,
    "an object of the archive is damaged: left out, and copied once it is mended": damaged,
    "the target is something else: refused, and not changed": refused,
}


def main() -> None:
    """Print the tables."""
    every = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    with memory_folder() as folder:
        made, plain = make(folder / "made"), make(folder / "plain", share=0)

        def rows() -> Iterator[tuple[str, Count]]:
            for name, row in ROWS.items():
                (folder / row.__name__).mkdir()
                yield name, row(made, every, folder / row.__name__)

        failures = printed("what happens to `seec copy` | tried | well", rows())
        for archived, title in ((plain, "without parity"), (made, "with parity")):
            (folder / title).mkdir()
            head = f"damaged object, {title} | tried | mended, all else as before"
            failures += printed(head, mended(archived, every, folder / title))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
