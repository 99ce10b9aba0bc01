"""Commits, archive.json, manifest parts and plans as bytes."""

import contextlib
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seec.pipeline.archive.state import State
from seec.schemas import mtime, tables
from seec.schemas.archive import (
    ArchiveHeader,
    blob_name,
    commit_name,
    commit_sequence,
    manifest_name,
    plan_name,
    quarantine_name,
    shard_name,
)
from seec.schemas.commit import (
    Changes,
    Commit,
    ObjectRecord,
    Recap,
    RunRecord,
    ShardRecord,
    SourceRecord,
)
from seec.schemas.errors import FixityError, FormatError, SectionCorrupt, UnsupportedVersion
from seec.schemas.limits import MAX_PIXEL_BYTES, MAX_STACK_PIXELS
from seec.schemas.manifest import MANIFEST, parse_identities, parse_manifest, serialise_manifest
from seec.schemas.plan import PlanSettings, SourceFile, parse_plan, run_id, serialise_plan
from seec.schemas.quarantine import (
    QUARANTINE,
    QuarantineRow,
    parse_quarantine,
    serialise_quarantine,
)
from seec.schemas.routes import JPEGXL_JPEG, LOST, SEEC, SEEC_PLANES, STORE
from seec.schemas.rows import ENVELOPE_BYTES_IN_ROW, ImageFacts, Row, SampleFacts, lost_row
from seec.schemas.sealed import seal, unseal


def an_object(name: str) -> ObjectRecord:
    return ObjectRecord(name, 5, "ab" * 32)


RUN = f"0001-{'a' * 16}"


def a_run(run: str = RUN, shards: int = 3) -> RunRecord:
    plan, source = an_object(plan_name(run)), SourceRecord("/photos/zoë", "", "zoë")
    return RunRecord(run, plan, source, shards, 9, "cd" * 32)


def a_shard(index: int, run: str = RUN) -> ShardRecord:
    name = shard_name(run, index)
    parts = an_object(blob_name(name)), an_object(manifest_name(name))
    return ShardRecord(name, 3, 0, 100, *parts, None, ("a", "z"), ("cd" * 32,))


def commits(*batches: tuple[ShardRecord, ...]) -> State:
    state = State()
    for number, shards in enumerate(batches, 1):
        runs = (a_run(),) if number == 1 else ()
        changes = Changes(runs, shards)
        tree = state.tree.extended(changes.leaves)
        commit = Commit(number, state.last_commit_sha256, changes, tree=tree)
        state = state.apply(commit, commit.serialise())
    return state


# The ends of 64-bit nanoseconds, in the years 1677 and 2262, and those of 64-bit seconds.
TIMES = (None, 0, -1, 2**63, -(2**63) - 1, 10**9 * 2**63 - 1, -(10**9) * 2**63)


@pytest.mark.parametrize("mtime_ns", TIMES)
def test_any_time_of_a_file_system_comes_back(mtime_ns: int | None):
    row = replace(a_row("a"), source_mtime_ns=mtime_ns)
    manifest = serialise_manifest([row])
    assert [found.source_mtime_ns for found in parse_manifest("part", manifest)] == [mtime_ns]
    assert [found.source_mtime_ns for found in parse_identities("part", manifest)] == [mtime_ns]
    failed = QuarantineRow("a", 1, mtime_ns, "SourceError", "why", RUN)
    assert parse_quarantine("part", serialise_quarantine([failed])) == [failed]
    file = SourceFile("a", 1, mtime_ns)
    plan = parse_plan("plan", serialise_plan([[file]], PlanSettings(model_id="cd" * 32)))
    assert plan.shard(0) == [file]


@pytest.mark.parametrize(("seconds", "fraction_ns"), [(1, None), (None, 1), (1, -1), (1, 10**9)])
def test_a_time_that_is_none_is_refused(seconds: int | None, fraction_ns: int | None):
    with pytest.raises(SectionCorrupt, match="a time of"):
        mtime.joined("part", seconds, fraction_ns)


def test_a_commit_comes_back():
    part = an_object(quarantine_name(shard_name(RUN, 1)))
    quarantined = replace(a_shard(1), quarantined=1, quarantine=part)
    commit = Commit(7, "cd" * 32, Changes((a_run(),), (a_shard(0), quarantined)))
    assert Commit.parse(7, commit.serialise()) == commit
    told = replace(commit, recap=Recap(4, "ef" * 32, Changes((a_run(),), dropped=("x",), oldest=2)))
    assert Commit.parse(7, told.serialise()) == told
    empty = replace(a_shard(2), files=0, path_range=None, models=())
    changes = Changes((replace(a_run(), model_id=None),), (empty,), repaired=(a_shard(0),))
    told = replace(commit, changes=changes)
    assert Commit.parse(7, told.serialise()) == told


def test_every_flipped_bit_of_a_commit_is_an_error():
    data = Commit(7, "", Changes((a_run(),), (a_shard(0),))).serialise()
    for position in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[position // 8] ^= 1 << position % 8
        with pytest.raises((FormatError, FixityError)):
            Commit.parse(7, bytes(damaged))


def test_every_truncation_of_archive_json_is_an_error():
    data = ArchiveHeader("ab" * 32, 16).serialise()
    for length in range(len(data)):
        with pytest.raises((FormatError, FixityError)):
            ArchiveHeader.parse(data[:length])


def test_a_sealed_commit_with_members_of_other_types_is_corrupt():
    tree = {"size": 0, "peaks": []}
    body = {"sequence": 1, "previous": "", "recap": None, "tree": tree, **Changes().members()}
    Commit.parse(1, seal("seec-commit", 1, body))
    for change in (
        {"shards": [1]},
        {"runs": {}},
        {"recap": 1},
        {"previous": None},
        {"oldest": ""},
        {"tree": []},
    ):
        with pytest.raises(SectionCorrupt):
            Commit.parse(1, seal("seec-commit", 1, body | change))


def test_a_newer_version_says_so():
    with pytest.raises(UnsupportedVersion, match="x: version 2; this release reads 1"):
        unseal("x", seal("kind", 2, {}), "kind", 1)


def test_commit_names_count_and_nothing_else_does():
    assert commit_sequence(commit_name(12)) == 12
    assert commit_sequence("commits/12.json") is None
    assert commit_sequence("commits/0000000012.json.bak") is None


def test_the_digest_covers_all_commits_and_their_order():
    a, b, c = (a_shard(i) for i in range(3))
    told = [((a,), (b,), (c,)), ((c,), (b,), (a,)), ((a, b), (c,)), ((a, b, c),), ((a, b),)]
    assert len({commits(*batches).digest for batches in told}) == len(told)


def test_a_run_is_open_until_its_last_shard_counts():
    assert commits((a_shard(0),), (a_shard(2),)).open_run == a_run()
    assert commits((a_shard(0), a_shard(1)), (a_shard(2),)).open_run is None


def test_a_commit_that_does_not_follow_is_refused():
    state = commits((a_shard(0),))
    second, third = (a_run(f"{number:04d}-{'b' * 16}") for number in (2, 3))
    for changes in (
        Changes((third,)),
        Changes((a_run(),)),
        Changes((second, second)),
        Changes((second,), (a_shard(1),)),
        Changes(oldest=3),
        Changes(oldest=0),
    ):
        with pytest.raises(SectionCorrupt):
            state.apply(Commit(2, state.last_commit_sha256, changes), b"")
    for commit in (
        Commit(3, state.last_commit_sha256, Changes(shards=(a_shard(1),))),
        Commit(2, "00" * 32, Changes(shards=(a_shard(1),))),
        Commit(2, state.last_commit_sha256, Changes(shards=(a_shard(0),))),
        Commit(2, state.last_commit_sha256, Changes(shards=(a_shard(0, f"0002-{'b' * 16}"),))),
    ):
        with pytest.raises(SectionCorrupt):
            state.apply(commit, b"")


def a_row(path: str, offset: int = 0) -> Row:
    digest = b"d" * 32
    return Row(path, 10, 1, digest, STORE, f"{RUN}/000000", offset, 4, digest)


def a_coded_row(path: str = "a", offset: int = 0, **samples: Any) -> Row:
    facts = SampleFacts(b"p" * 32, 18, b"envelope")
    image = ImageFacts(3, 2, "RGB", "PNG")
    row = replace(a_row(path, offset), route=SEEC, image=image, model_id="ab" * 32)
    return replace(row, samples=replace(facts, **samples))


def a_jpeg_row(**image: Any) -> Row:
    facts = ImageFacts(3, 2, "RGB", "JPEG")
    return replace(a_row("a"), route=JPEGXL_JPEG, image=replace(facts, **image))


def test_rows_of_all_routes_come_back_side_by_side():
    planes = replace(a_coded_row("c", 8), route=SEEC_PLANES)
    gone = lost_row("f", 1, None, b"d" * 32, "nowhere")
    rows = [
        a_jpeg_row(),
        a_row("b", 4),
        planes,
        a_coded_row("d", 12, background_error=0),
        replace(a_row("e", 4), kind="link", permissions=None, source_mtime_ns=None),
        replace(gone, shard=f"{RUN}/000000", offset=16),
        replace(a_coded_row("g", 16, envelope=None), envelope_length=1),
        a_coded_row("h", 20, size_bytes=36, top=0),
        a_coded_row("i", 20, size_bytes=36, top=2),
    ]
    assert parse_manifest("m", serialise_manifest(rows)) == rows
    rates = [None, None, 8 * 4 / 18, 8 * 4 / 18, None, None, 8 * 3 / 18, 8 * 4 / 36, 8 * 4 / 36]
    assert [row.rate_bpsp for row in rows] == rates
    assert {row.run_id for row in rows} == {RUN}
    assert [row.stored_bytes for row in rows] == [4, 4, 4, 4, 4, 0, 4, 2, 2]


def test_a_table_of_another_version_is_refused_as_such():
    newer = MANIFEST._replace(version=2)
    data = tables.serialise(newer, [])
    with pytest.raises(UnsupportedVersion, match=r"m: a manifest table of version 2; .* reads 1"):
        parse_manifest("m", data)
    for other in (QUARANTINE, MANIFEST._replace(kind="")):
        with pytest.raises(SectionCorrupt, match="m: not a manifest table"):
            parse_manifest("m", tables.serialise(other, []))


def test_columns_can_be_queried_by_name():
    table = pq.read_table(pa.BufferReader(serialise_manifest([a_coded_row()])))
    columns = [column.name for column in MANIFEST.columns if not column.optional]
    assert table.column_names == columns
    elsewhere = replace(a_coded_row(), blob=blob_name("0001-0123456789abcdef/000000"))
    assert parse_manifest("m", serialise_manifest([elsewhere])) == [elsewhere]
    names = pq.read_schema(pa.BufferReader(serialise_manifest([elsewhere]))).names
    assert names == [*columns, "blob"]
    found = table.select(["route", "width", "mode", "sample_bytes"]).to_pylist()
    assert found == [{"route": "seec", "width": 3, "mode": "RGB", "sample_bytes": 18}]


def test_settings_of_a_plan_come_back():
    settings = PlanSettings("model", region_source="salient", background_error=0)
    assert parse_plan("p", serialise_plan([[]], settings)).settings == settings


def test_manifest_parts_are_reproducible_and_come_back():
    rows = [a_row("a"), a_row("b", 4)]
    assert serialise_manifest(rows) == serialise_manifest(rows)
    assert parse_manifest("m", serialise_manifest(rows)) == rows
    assert parse_manifest("m", serialise_manifest([])) == []


@pytest.mark.parametrize(
    "rows",
    [
        [a_row("b"), a_row("a", 4)],
        [a_row("a"), a_row("a", 4)],
        [a_row("a"), a_row("b", 5)],
        [a_row("a", 1)],
        [replace(a_row("a"), route="other")],
        [replace(a_row("a"), route=SEEC)],
        [replace(a_row("a"), model_id="ab" * 32)],
        [replace(a_coded_row(), route=STORE)],
        [replace(a_coded_row(), image=None)],
        [replace(a_coded_row(), samples=None)],
        [replace(a_coded_row(), model_id=None)],
        [replace(a_coded_row(background_error=8), route=SEEC_PLANES)],
        [a_coded_row(background_error=128)],
        [a_coded_row(background_error=-1)],
        [a_coded_row(top=-1)],
        [a_coded_row(top=(MAX_STACK_PIXELS - 3) // 3)],
        [a_coded_row(top=0, background_error=0)],
        [a_coded_row(top=0, size_bytes=MAX_STACK_PIXELS * MAX_PIXEL_BYTES + 1)],
        [replace(a_coded_row(top=0), image=ImageFacts(3, 2, "0x8", "PNG"))],
        [replace(a_coded_row(top=0, envelope=None), envelope_length=1)],
        [replace(a_jpeg_row(), samples=a_coded_row(top=0).samples)],
        [a_coded_row(digest=None)],
        [a_coded_row(envelope=None)],
        [a_coded_row(envelope=bytes(ENVELOPE_BYTES_IN_ROW + 1))],
        [replace(a_coded_row(), envelope_length=2)],
        [replace(a_row("a"), envelope_length=2)],
        *([replace(a_coded_row(envelope=None), envelope_length=n)] for n in (-1, 0, 4)),
        [a_coded_row(size_bytes=0)],
        [replace(a_jpeg_row(), image=None)],
        [replace(a_jpeg_row(), samples=a_coded_row().samples)],
        [a_jpeg_row(width=None)],
        [a_jpeg_row(mode=None)],
        [a_jpeg_row(height=0)],
        [replace(a_row("a"), route=LOST)],
    ],
)
def test_manifest_parts_that_break_a_rule_are_corrupt(rows: list[Row]):
    with pytest.raises(SectionCorrupt):
        parse_manifest("m", serialise_manifest(rows))


def test_damaged_parquet_is_corrupt_never_another_error():
    data = serialise_manifest([a_row(f"{i:03d}", 4 * i) for i in range(20)])
    for position in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[position] ^= 0x55
        with contextlib.suppress(SectionCorrupt):
            parse_manifest("m", bytes(damaged))


def test_a_plan_is_reproducible_and_read_shard_by_shard():
    settings = PlanSettings("model", shard_files=2)
    shards = [
        [SourceFile("a", 1, 2), SourceFile("b", 3, None)],
        [SourceFile("c", 4, 5, "a symbolic link to nothing")],
    ]
    data = serialise_plan(iter(shards), settings)
    assert data == serialise_plan(iter(shards), settings)
    plan = parse_plan("p", data)
    assert (plan.settings, plan.shards, plan.files) == (settings, 2, 3)
    assert [plan.shard(i) for i in range(2)] == shards
    assert [plan.counts[i] for i in range(2)] == [2, 1]
    assert run_id(1, data).startswith("0001-")
    assert run_id(2, data) != run_id(1, data)


def test_a_plan_of_many_shards_has_a_small_footer_and_every_shard():
    # One row group a shard would take a kilobyte of the footer each, which readers limit.
    count = 70_000
    shards = ([SourceFile(f"{i:09d}", i, None)] * (1 + i % 2) for i in range(count))
    data = serialise_plan(shards, PlanSettings("model"))
    assert pq.read_metadata(pa.BufferReader(data)).serialized_size < 8_000
    plan = parse_plan("p", data)
    assert (plan.shards, plan.files) == (count, count * 3 // 2)
    for i in (0, 1, 21_844, 21_845, 43_690, count - 1):
        assert plan.shard(i) == [SourceFile(f"{i:09d}", i, None)] * (1 + i % 2)


@pytest.mark.parametrize("numbers", [[1], [-1], [0, 2], [0, 1, 0], [1, 0]])
def test_parts_that_are_not_numbered_one_by_one_are_corrupt(numbers: list[int]):
    table = tables.Table("t", 1, (tables.Column("number", "int32"),))
    data = tables.serialise(table, [{"number": number} for number in numbers])
    with pytest.raises(SectionCorrupt, match="numbered"):
        tables.Numbered("t", data, table)
    split = tables.serialise_groups(table, [[{"number": 0}], [{"number": 0}]])
    with pytest.raises(SectionCorrupt, match="numbered"):
        tables.Numbered("t", split, table)


def test_bytes_that_are_no_plan_are_corrupt():
    for data in (b"", b"PAR1", serialise_manifest([])):
        with pytest.raises(SectionCorrupt):
            parse_plan("p", data)


def test_row_groups_are_kept_up_to_a_number_of_bytes():
    kept = tables.KeptGroups(3000)
    made: list[int] = []

    def get(number: int) -> int:
        def read() -> pa.Table:
            made.append(number)
            return pa.table({"number": pa.array([number] * 100, pa.int64())})

        return kept.get((number, 0), read).column(0)[0].as_py()

    assert [get(number) for number in (1, 2, 1, 3, 4, 1)] == [1, 2, 1, 3, 4, 1]
    assert made == [1, 2, 3, 4]  # 800 bytes each: 2 was used longest ago when 4 came
    assert get(2) == 2
    assert made == [1, 2, 3, 4, 2]
    assert get(1) == 1
    assert made == [1, 2, 3, 4, 2]
