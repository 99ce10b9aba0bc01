"""The life of an archive against a plain dictionary: what must be had back at each commit.

Without Ray, with files of a few bytes. A run, a compaction or a repair may be killed at any write.
"""

import fnmatch
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from seec.jobs import compact, gc, repair
from seec.pipeline.archive.catalogue import sorted_rows
from seec.pipeline.storage import Store
from tests.archives.life import archive, findings, opened, texts
from tests.faults.points import repair_in_process

NAMES = st.sampled_from("abcde")
CHANGES = st.dictionaries(NAMES, st.none() | st.text("xyz", max_size=3), min_size=1)
WRITES = st.integers(0, 12)


class Killed(BaseException):
    """What a process that dies does not survive."""


class Life(RuleBasedStateMachine):
    """source, current, at: what is there, what the archive must give, and gave at each commit.

    damaged: the object that is, or ''. texts: all that files ever held.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.source, self.root = self.folder / "source", self.folder / "archive"
        self.copy = self.folder / "copy"
        self.files: dict[str, str] = {}
        self.current: dict[str, str] = {}
        self.at: dict[int, dict[str, str]] = {}
        self.clock = 1
        self.damaged = ""
        self.texts: set[str] = set()

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @initialize()
    def begin(self) -> None:
        self.source.mkdir()
        for name in "abcde":
            self.change(name, "x")
        archive(self.source, self.root)
        self.current = dict(self.files)
        self.note()

    def change(self, name: str, text: str | None) -> None:
        """Write a file, or take it away; never the last one."""
        path = self.source / f"{name}.txt"
        if text is not None:
            path.write_text(text)
            self.clock += 1
            os.utime(path, ns=(self.clock, self.clock))
            self.files[name] = text
            self.texts.add(text)
        elif self.files.keys() - {name}:
            path.unlink(missing_ok=True)
            self.files.pop(name, None)

    @precondition(lambda self: not self.damaged)
    @rule(changes=CHANGES, prune=st.booleans(), check=st.booleans(), writes=st.none() | WRITES)
    def run(
        self, changes: dict[str, str | None], prune: bool, check: bool, writes: int | None
    ) -> None:
        for name, text in changes.items():
            self.change(name, text)
        options = {"prune_missing": prune, "check_content": check}
        if writes is not None:
            self.killed(writes, lambda: archive(self.source, self.root, **options))
        archive(self.source, self.root, **options)
        self.current = dict(self.files if prune else self.current | self.files)
        self.note()

    @precondition(lambda self: not self.damaged)
    @rule(writes=WRITES)
    def killed_compaction(self, writes: int) -> None:
        self.killed(writes, lambda: compact.run(compact.Settings(str(self.root))))
        compact.run(compact.Settings(str(self.root)))
        self.note()

    @precondition(lambda self: not self.damaged)
    @rule(keep=st.none() | st.integers(1, 5))
    def collect(self, keep: int | None) -> None:
        options = gc.Settings(str(self.root), delete=True, older_than_s=0, keep_commits=keep)
        gc.run(options)
        oldest = opened(self.root).state.oldest
        self.at = {sequence: held for sequence, held in self.at.items() if sequence >= oldest}
        self.note()

    @precondition(lambda self: not self.damaged)
    @rule(data=st.data())
    def damage(self, data: st.DataObject) -> None:
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.root, self.copy)
        names = [
            record.name
            for shard in opened(self.root).state.in_order()
            for record in shard.objects
            if (self.root / record.name).stat().st_size
        ]
        path = self.root / data.draw(st.sampled_from(names)) if names else None
        if path is not None:
            self.damaged = str(path.relative_to(self.root))
            path.write_bytes(b"\0" + path.read_bytes()[1:] + b"\0")

    @precondition(lambda self: self.damaged)
    @rule(writes=WRITES, anew=st.booleans())
    def mend(self, writes: int, anew: bool) -> None:
        """anew: with no copy of the archive, but another archive of the same contents."""
        assert findings(self.root)
        anew = anew and self.damaged.startswith("blobs/")
        other = self.other_archive() if anew else self.copy
        options = repair.Settings(str(self.root), (str(other),), str(self.source))
        self.killed(writes, lambda: repair_in_process(options))
        assert repair_in_process(options).lost == ()
        self.damaged = ""
        self.note()

    def other_archive(self) -> Path:
        """Of every content that there ever was, under other names."""
        source, root = self.folder / "other source", self.folder / "other"
        for path in (source, root):
            shutil.rmtree(path, ignore_errors=True)
        source.mkdir()
        for number, text in enumerate(sorted(self.texts)):
            (source / f"{number}.txt").write_text(text)
        archive(source, root)
        return root

    def killed(self, writes: int, job: Any) -> None:
        """Run a job that dies before one of its writes, or comes to its end."""
        put_new, left = Store.put_new, writes

        def put(store: Store, name: str, *pieces: bytes | memoryview) -> None:
            nonlocal left
            if left == 0:
                raise Killed
            left -= 1
            put_new(store, name, *pieces)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Store, "put_new", put)
            try:
                job()
            except Killed:
                return

    def note(self) -> None:
        self.at[opened(self.root).state.sequence] = dict(self.current)

    @invariant()
    def everything_is_had_back(self) -> None:
        if self.damaged or not self.at:
            return
        assert findings(self.root) == []
        assert texts(self.root) == self.current
        for pattern in ("*", "[a-c]*", "d.txt"):
            paths = [row.path for row in sorted_rows(opened(self.root), (pattern,))]
            assert paths == fnmatch.filter(sorted(f"{name}.txt" for name in self.current), pattern)
        for sequence, held in self.at.items():
            assert texts(self.root, sequence) == held


def lives(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            # To shrink what failed takes far longer than to read a dozen steps.
            phases=(Phase.generate,),
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )


def test_an_archive_gives_back_what_it_must_whatever_happens_to_it():
    lives(examples=8, steps=12)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_many_lives_of_an_archive():
    lives(examples=100, steps=20)
