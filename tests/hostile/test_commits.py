"""Commits and tables that an archive should not trust: typed errors, and little memory."""

import io
import tracemalloc
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.archive import blob_name, manifest_name, shard_name
from schemas.commit import Commit, ObjectRecord, RemovalRecord
from schemas.errors import LimitExceeded, SectionCorrupt
from schemas.manifest import parse_manifest, parse_paths
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
    commit = Commit(2, "", False, (), (shard,))
    with pytest.raises(SectionCorrupt, match=r"commits/0000000002\.json"):
        Commit.parse(2, commit.serialise())


@pytest.mark.parametrize(
    "change",
    [
        {"plan": an_object("plans/../archive.json")},
        {"plan": an_object(f"plans/{OTHER.partition('/')[0]}.parquet")},
        {"model": an_object("models/../../weights.safetensors")},
        {"run_id": "../0001"},
    ],
)
def test_a_run_that_names_what_is_not_its_own_is_refused(change: dict[str, Any]):
    commit = Commit(1, "", False, (replace(a_run(), **change),), ())
    with pytest.raises(SectionCorrupt):
        Commit.parse(1, commit.serialise())


def test_a_removal_elsewhere_is_refused():
    removal = RemovalRecord(RUN, 1, ObjectRecord("../removed.parquet", 1, "ab" * 32))
    commit = Commit(2, "", False, (), (), (removal,))
    with pytest.raises(SectionCorrupt):
        Commit.parse(2, commit.serialise())


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
