"""Commits and tables that an archive should not trust: typed errors, and little memory."""

import hashlib
import io
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seec.pipeline.archive import Archive, State
from seec.pipeline.archive.catalogue import current_rows, sorted_rows
from seec.pipeline.archive.history import History
from seec.pipeline.storage import Store
from seec.pipeline.verify.records import check_records
from seec.schemas.archive import ArchiveHeader, blob_name, commit_name, manifest_name, shard_name
from seec.schemas.commit import Changes, Commit, ObjectRecord, Recap, RemovalRecord, ShardRecord
from seec.schemas.errors import LimitExceeded, SectionCorrupt
from seec.schemas.manifest import parse_manifest, parse_paths
from seec.schemas.merkle import NO_LEAVES
from seec.schemas.sealed import seal
from tests.archives.life import archive, findings, opened, put_files
from tests.unit.test_records import RUN, a_run, a_shard, an_object

OTHER = shard_name(f"0002-{'b' * 16}", 0)
HOSTILE_NAMES = [
    "../../etc/passwd",
    "/etc/passwd",
    "blobs/../../secret.blob",
    "archive.json",
    "commits/0000000001.json",
    blob_name(OTHER),
    blob_name(shard_name(RUN, 7)),
    manifest_name(shard_name(RUN, 0)),
    blob_name(shard_name(RUN, 0)) + "\n",
    "",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_blob_of_another_name_is_refused(name: str):
    shard = replace(a_shard(0), blob=an_object(name))
    commit = Commit(2, "", Changes(shards=(shard,)))
    with pytest.raises(SectionCorrupt, match=r"commits/0000000002\.json"):
        Commit.parse(2, commit.serialise())


@pytest.mark.parametrize(
    "change",
    [
        {"plan": an_object("plans/../archive.json")},
        {"plan": an_object(f"plans/{OTHER.partition('/')[0]}.parquet")},
        {"model_id": "../../weights"},
        {"jpeg_model_id": "ab" * 31},
        {"run_id": "../0001"},
    ],
)
def test_a_run_that_names_what_is_not_its_own_is_refused(change: dict[str, Any]):
    commit = Commit(1, "", Changes((replace(a_run(), **change),)))
    with pytest.raises(SectionCorrupt):
        Commit.parse(1, commit.serialise())


def test_a_removal_elsewhere_is_refused():
    removal = RemovalRecord(RUN, 1, ObjectRecord("../removed.parquet", 1, "ab" * 32))
    commit = Commit(2, "", Changes(removed=(removal,)))
    with pytest.raises(SectionCorrupt):
        Commit.parse(2, commit.serialise())


@pytest.mark.parametrize(
    "told", [[], ["a"], ["b", "a"], ["a", "b", "c"], ["a", 1], "ab", None, {"a": "b"}]
)
def test_a_range_of_paths_that_is_none_is_refused(told: Any):
    body = {"sequence": 1, "previous": "", "recap": None, **Changes().members()}
    shards = [{**a_shard(0).members(), "path_range": told}]
    with pytest.raises(SectionCorrupt, match=r"commits/0000000001\.json"):
        Commit.parse(1, seal("seec-commit", 1, {**body, "shards": shards}))


def test_a_range_of_paths_that_is_a_lie_is_found(tmp_path: Path):
    source, root = tmp_path / "source", tmp_path / "archive"
    put_files(source, a="one", b="two")
    tell = ShardRecord.members
    lie = {"path_range": ["a.txt", "az.txt"]}
    with patch.object(ShardRecord, "members", lambda self: {**tell(self), **lie}):
        archive(source, root)
    (found,) = findings(root)
    assert found.detail == "holds other paths than the commit says"
    for include in (), ("a*",):
        with pytest.raises(SectionCorrupt, match="other paths"):
            list(sorted_rows(opened(root), include))
        with pytest.raises(SectionCorrupt, match="other paths"):
            list(current_rows(opened(root), include))


@pytest.mark.parametrize("since", [-1, 3, 4, 5])
def test_a_recap_that_goes_nowhere_is_refused(since: int):
    with pytest.raises(SectionCorrupt, match=r"commits/0000000004\.json: a recap"):
        Commit.parse(4, Commit(4, "", Changes(), Recap(since, "", Changes())).serialise())


def test_a_recap_may_not_name_what_is_not_its_own_either():
    shard = replace(a_shard(0), blob=an_object(blob_name(OTHER)))
    commit = Commit(4, "", Changes(), Recap(0, "", Changes(shards=(shard,))))
    with pytest.raises(SectionCorrupt):
        Commit.parse(4, commit.serialise())


RECAP = Recap(0, "", Changes((a_run(),), (a_shard(0), a_shard(1))))
LIES = {
    "a shard too few": replace(RECAP, changes=replace(RECAP.changes, shards=(a_shard(0),))),
    "a shard too many": replace(
        RECAP, changes=replace(RECAP.changes, shards=(a_shard(0), a_shard(1), a_shard(2)))
    ),
    "other objects": replace(
        RECAP,
        changes=replace(
            RECAP.changes, shards=(a_shard(0), replace(a_shard(1), source_size_bytes=7))
        ),
    ),
    "no runs": replace(RECAP, changes=replace(RECAP.changes, runs=())),
    "a state given up": replace(RECAP, changes=replace(RECAP.changes, oldest=3)),
    "another commit": replace(RECAP, sha256="00" * 32),
    "a later commit": replace(RECAP, since=1),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_recap_that_lies_is_found(lie: str, tmp_path: Path):
    store = Store(str(tmp_path))
    store.put_new("FORMAT.md.gz", b"")
    header = ArchiveHeader(hashlib.sha256(b"").hexdigest(), 4)
    store.put_new("archive.json", header.serialise())
    before, told = header.sha256, LIES[lie]
    told = replace(told, sha256=told.sha256 or before)
    tree = NO_LEAVES
    for sequence, commit in enumerate(
        [
            Commit(1, "", Changes((a_run(),))),
            Commit(2, "", Changes(shards=(a_shard(0),))),
            Commit(3, "", Changes(shards=(a_shard(1),))),
            Commit(4, "", Changes(shards=(a_shard(3),)), told),
        ],
        1,
    ):
        tree = tree.extended(commit.changes.leaves)
        data = replace(commit, previous=before, tree=tree).serialise()
        store.put_new(commit_name(sequence), data)
        before = hashlib.sha256(data).hexdigest()
    about_commits = [
        finding.detail
        for item in check_records(store).checked
        for finding in item.findings
        if finding.object.startswith("commits/")
    ]
    assert about_commits == ["commit 4: its recap is not what the commits before it say"]
    archive = Archive(store, header, State())
    with pytest.raises(SectionCorrupt, match="recap"):
        History(archive).refresh()


def test_a_table_of_few_bytes_and_many_rows_is_refused_before_it_is_read():
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, pa.schema([("path", pa.string())]), compression="zstd") as writer:
        writer.write_table(pa.table({"path": pa.repeat("x" * 200, 2_000_000)}), 2_000_000)
    data = sink.getvalue()
    assert len(data) < 100_000
    tracemalloc.start()
    try:
        for parse in (parse_paths, parse_manifest):
            with pytest.raises((LimitExceeded, SectionCorrupt), match="manifest/bomb"):
                parse("manifest/bomb", data)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
