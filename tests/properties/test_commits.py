"""Whatever is committed, each way to read it tells the same."""

import shutil
import tempfile
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from seec.pipeline.archive import Archive
from seec.pipeline.archive.history import History
from seec.pipeline.storage import Store
from seec.pipeline.verify.records import check_records
from seec.schemas.archive import removed_name
from seec.schemas.commit import ObjectRecord, RemovalRecord, ShardRecord
from tests.archives import plain_reader
from tests.unit.test_records import a_run, a_shard

ACTS = st.lists(
    st.sampled_from(["run", "shard", "shards", "compaction", "repair", "removal", "give up"]),
    max_size=60,
)


class Writer:
    """Commits what it is told to, and notes the shards that count after each commit."""

    def __init__(self, every: int) -> None:
        with patch("seec.pipeline.archive.archive.RECAP_EVERY", every):
            self.archive = Archive.open_or_create(Store(f"memory://{uuid.uuid4()}"), b"format")
        self.at: dict[int, dict[str, ShardRecord]] = {}
        self.index = 0

    def commit(self, **changes: Any) -> None:
        self.archive.commit(**changes)
        state = self.archive.state
        repaired = {shard.shard: shard for shard in changes.get("repaired", ())}
        for held in self.at.values():
            held.update((name, shard) for name, shard in repaired.items() if name in held)
        self.at[state.sequence] = dict(state.shards)

    def do(self, act: str, pick: int) -> None:
        state = self.archive.state
        last = state.last_run
        known = sorted({name for held in self.at.values() for name in held})
        if act == "run" or last is None:
            number = len(state.runs) + 1
            self.commit(runs=(a_run(f"{number:04d}-{'a' * 16}", 99),))
        elif act == "removal":
            name = removed_name(f"{state.sequence:064x}")
            self.commit(removed=(RemovalRecord(last.run_id, 1, ObjectRecord(name, 1, "")),))
        elif act == "give up" and state.sequence > 1:
            self.commit(oldest=1 + pick % state.sequence)
        elif act == "repair" and known:
            shard = known[pick % len(known)]
            record = next(held[shard] for held in reversed(self.at.values()) if shard in held)
            self.commit(repaired=(replace(record, quarantined=record.quarantined + 1),))
        else:
            shards = [a_shard(self.index + i, last.run_id) for i in range(1 + (act == "shards"))]
            self.index += len(shards)
            older = [name for name, s in state.shards.items() if s.run_id != last.run_id]
            dropped = older[: 1 + pick % 3] if act == "compaction" else ()
            self.commit(shards=tuple(shards), dropped=tuple(dropped))


@given(ACTS, st.integers(2, 4), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_all_ways_to_read_commits_agree(acts: list[str], every: int, rng: Any):
    writer = Writer(every)
    for act in acts:
        writer.do(act, rng.randrange(100))
    archive = writer.archive
    opened = Archive.open(archive.store)
    assert opened.state == archive.state
    history = History(archive)
    steps = list(history.steps())
    assert history.state == archive.state
    assert [step.sequence for step in steps] == list(writer.at)
    assert sum(len(step.runs) for step in steps) == len(archive.state.runs)
    for sequence in range(archive.state.oldest, archive.state.sequence + 1):
        if sequence:
            assert opened.at(sequence).state.shards == writer.at[sequence]
    sound = {item.object: item.findings for item in check_records(archive.store).checked}
    assert not any(found for name, found in sound.items() if name.startswith("commits/"))
    if archive.state.sequence:
        same_for_a_stranger(archive, writer)


def same_for_a_stranger(archive: Archive, writer: Writer) -> None:
    """The reader that knows FORMAT.md alone reads the same state, and the same states before."""
    root = Path(tempfile.mkdtemp())
    try:
        for name in archive.store.names():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_bytes(archive.store.get(name))
        last = archive.state.sequence
        for sequence in (last, max(1, last // 2)):
            read = plain_reader.State(root, sequence)
            held = writer.at[sequence]
            assert {name: s["quarantined"] for name, s in read.shards.items()} == {
                name: shard.quarantined for name, shard in held.items()
            }
        assert plain_reader.State(root).runs == list(archive.state.runs)
        assert len(plain_reader.State(root).removed) == len(archive.state.removals)
    finally:
        shutil.rmtree(root)


@given(ACTS, st.integers(2, 4), st.integers(0, 30))
@settings(max_examples=30, deadline=None)
def test_one_who_looks_now_and_then_sees_what_one_who_opens_sees(
    acts: list[str], every: int, behind: int
):
    writer = Writer(every)
    reader = Archive.open(writer.archive.store)
    for index, act in enumerate(acts):
        writer.do(act, index)
        if index >= behind:
            reader.refresh()
            assert reader.state == writer.archive.state
    reader.refresh()
    assert reader.state == writer.archive.state
    assert reader.state == Archive.open(reader.store).state
