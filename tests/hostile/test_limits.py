"""Archives that ask for too much, with digests that all agree: refused, with little memory."""

import hashlib
import io
import json
import os
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
import zstandard

from seec.jobs import compact, ls
from seec.jobs import restore as restore_job
from seec.jobs import verify as verify_job
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.archive import Archive, State
from seec.pipeline.archive.catalogue import sorted_rows
from seec.pipeline.archive.compaction import open_compaction, small_shards
from seec.pipeline.archive.models import archived_model
from seec.pipeline.archive.runs import open_run
from seec.pipeline.archive.shard import write_shard
from seec.pipeline.codec import load_model
from seec.pipeline.images.files import read_image, write_image
from seec.pipeline.routes.reading.store import unpack
from seec.pipeline.stages import restoring
from seec.pipeline.standing.sizes import add_once
from seec.pipeline.storage import Store
from seec.pipeline.verify import shards
from seec.schemas.archive import ArchiveHeader, commit_name, model_name, shard_name
from seec.schemas.commit import Changes, Commit, ObjectRecord, ShardRecord, SourceRecord
from seec.schemas.errors import (
    DigestMismatch,
    LimitExceeded,
    ModelError,
    SectionCorrupt,
    UnreadableImage,
)
from seec.schemas.limits import MAX_COMMIT_BYTES, MAX_HEADER_BYTES, MAX_JSON_DEPTH
from seec.schemas.manifest import (
    MANIFEST,
    parse_manifest,
    parse_paths,
    serialise_manifest,
    to_record,
)
from seec.schemas.plan import PlanSettings, SourceFile
from seec.schemas.quarantine import QuarantineRow
from seec.schemas.rows import Entry, Row
from seec.schemas.sealed import seal, unseal
from seec.schemas.tables import serialise
from tests.archives.life import archive, put_files
from tests.faults.fault_sweep import restore_in_process
from tests.faults.points import MODEL, verify_in_process
from tests.pictures import gray
from tests.sources import image_bytes
from tests.unit.test_records import a_coded_row, a_run

FEW_BYTES = 100_000_000  # of memory that Python counts


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    before = pa.total_allocated_bytes()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < FEW_BYTES
        assert pa.total_allocated_bytes() - before < FEW_BYTES
    finally:
        tracemalloc.stop()


def row(path: str, content: bytes = b"evil", **changes: Any) -> Entry:
    digest = hashlib.sha256(content).digest()
    plain = Row(path, len(content), 1, digest, "store", "", 0, len(content), digest)
    return Entry(replace(plain, **changes), content)


def archive_of(root: Path, *shards: list[Entry], **lie: Any) -> Path:
    """An archive of these rows. lie: what rows of the first shard say."""
    archive = Archive.open_or_create(Store(str(root)), b"how to read all of this")
    files = [SourceFile(str(number), 0, 0) for number in range(len(shards))]
    model = MODEL.read_bytes()
    settings = PlanSettings(hashlib.sha256(model).hexdigest(), shard_files=1)
    archive.store.put_new(model_name(settings.model_id), model)
    run = open_run(archive, SourceRecord("/source"), files, settings)
    for number, entries in enumerate(shards):
        shard = write_shard(archive.store, shard_name(run.run_id, number), entries, [])
        if lie and number == 0:
            rows = archive.rows(shard)
            manifest = serialise_manifest([replace(one, **lie) for one in rows])
            (root / shard.manifest.name).write_bytes(manifest)
            record = ObjectRecord(shard.manifest.name, len(manifest), sha256(manifest))
            shard = replace(shard, manifest=record)
        archive.commit(shards=(shard,))
    return root


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def table(columns: dict[str, pa.Array], **options: Any) -> bytes:
    """A manifest part with these columns in place of sound ones of two rows."""
    good = [to_record(replace(row(path).row, shard="s")) for path in "ab"]
    schema = pq.read_schema(io.BytesIO(serialise(MANIFEST, good)))
    arrays = {
        f.name: columns.get(f.name, pa.array([r[f.name] for r in good], f.type)) for f in schema
    }
    fields = [
        schema.field(name)
        if a.type == schema.field(name).type and not a.null_count
        else pa.field(name, a.type, nullable=bool(a.null_count) or schema.field(name).nullable)
        for name, a in arrays.items()
    ]
    sink = io.BytesIO()
    made = pa.table(list(arrays.values()), schema=pa.schema(fields))
    with pq.ParquetWriter(sink, made.schema, store_schema=False, **options) as writer:
        writer.add_key_value_metadata({"seec.table": MANIFEST.label})
        writer.write_table(made)
    return sink.getvalue()


def bomb(rows: int, size: int, **options: Any) -> bytes:
    """A few kB that stand for `rows` times `size` bytes: one long string, again and again."""
    arrays: list[pa.Array] = []
    one = to_record(replace(row("a").row, shard="s", reason="x"))
    schema = pq.read_schema(io.BytesIO(serialise(MANIFEST, [one])))
    fields: list[pa.Field] = []
    for field in schema:
        if field.name == "reason":
            index = pa.array([0] * rows, pa.int32())
            arrays.append(pa.DictionaryArray.from_arrays(index, pa.array(["x" * size])))
            field = pa.field("reason", arrays[-1].type, nullable=True)
        elif one[field.name] is None:
            arrays.append(pa.nulls(rows, field.type))
        else:
            arrays.append(pa.repeat(pa.scalar(one[field.name], field.type), rows))
        fields.append(field)
    sink = io.BytesIO()
    made = pa.table(arrays, schema=pa.schema(fields))
    settings = {"dictionary_pagesize_limit": 1 << 30, "compression": "zstd"}
    with pq.ParquetWriter(
        sink, made.schema, store_schema=False, write_statistics=False, **settings, **options
    ) as writer:
        writer.add_key_value_metadata({"seec.table": MANIFEST.label})
        writer.write_table(made, rows)
    return sink.getvalue()


@pytest.mark.parametrize(("rows", "size"), [(1 << 20, 10), (1 << 16, 1 << 17), (1024, 3 << 20)])
def test_a_dictionary_that_expands_without_end_is_refused_first(rows: int, size: int):
    data = bomb(rows, size)
    assert len(data) < 300_000
    with little_memory(), pytest.raises(LimitExceeded, match="manifest/bomb"):
        parse_manifest("manifest/bomb", data)


def test_an_encoding_that_repeats_long_values_is_refused():
    text = pa.array(["x" * 1000, "x" * 1000])
    options: dict[str, Any] = {"use_dictionary": False}
    assert parse_paths("m", table({}, **options)) == ["a", "b"]
    data = table({"reason": text}, column_encoding={"reason": "DELTA_BYTE_ARRAY"}, **options)
    with pytest.raises(SectionCorrupt, match="an encoding"):
        parse_manifest("m", data)


def test_bytes_of_all_groups_together_are_bounded(monkeypatch: pytest.MonkeyPatch):
    data = serialise_manifest([replace(row(f"{n:05d}").row, shard="s") for n in range(3000)])
    assert len(parse_paths("m", data)) == 3000
    monkeypatch.setattr("seec.schemas.tables.MAX_EXPANDED_BYTES", 100_000)
    with pytest.raises(LimitExceeded, match="expands to more"):
        parse_manifest("m", data)


WRONG = {
    "null path": {"path": pa.array(["a", None])},
    "integer path": {"path": pa.array([1, 2])},
    "binary path": {"path": pa.array([b"\xff\xfe", b"b"])},
    "list path": {"path": pa.array([["a"], ["b"]])},
    "null size": {"source_size_bytes": pa.array([4, None], pa.int64())},
    "floating size": {"source_size_bytes": pa.array([4.0, 4.0])},
    "null route": {"route": pa.array([None, None], pa.string())},
    "short digest": {"source_digest": pa.array([b"x" * 3, b"y"])},
    "wide permissions": {"permissions": pa.array([1, 2], pa.int64())},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_columns_of_other_types_are_refused_however_they_are_read(wrong: str):
    data = table(WRONG[wrong])
    for parse in (parse_manifest, parse_paths):
        with pytest.raises(SectionCorrupt, match="other columns"):
            parse("m", data)


def test_text_that_is_not_utf8_is_refused():
    data = table({}, compression="none", use_dictionary=False, write_statistics=False)
    with pytest.raises(SectionCorrupt):
        parse_manifest("m", data.replace(b"store", b"st\xffre"))


@pytest.mark.parametrize("depth", [MAX_JSON_DEPTH + 2, 990, 100_000])
def test_records_that_nest_deep_are_refused(depth: int):
    text = b'{"a":' + b"[" * depth + b"]" * depth + b',"format":"seec-archive"}'
    with pytest.raises(SectionCorrupt, match="not JSON"):
        unseal("archive.json", text, "seec-archive", 1)


@pytest.mark.parametrize("depth", [MAX_JSON_DEPTH + 2, 990, 100_000])
def test_cards_that_nest_deep_are_refused(depth: int, golden_model: Any):
    tensors = safetensors.numpy.load(golden_model.payload)
    for card in ("[" * depth + "]" * depth, '{"profile":' * depth + "1" + "}" * depth):
        with pytest.raises(ModelError):
            load_model(safetensors.numpy.save(tensors, {"card": card}))


@pytest.mark.parametrize("name", ["commits/9999999999.json", commit_name(10**9)])
def test_a_stray_commit_of_a_huge_number_takes_no_loop(tmp_path: Path, name: str):
    root = archive_of(tmp_path / "archive", [row("a")])
    (root / name).write_bytes(b"{}")
    found = verify_in_process(verify_job.Settings(str(root))).findings
    assert [one.kind for one in found] == ["commit-missing", "commit-damaged"]


def test_digits_of_other_scripts_are_no_numbers(tmp_path: Path):
    root = archive_of(tmp_path / "archive", [row("a")])
    (root / "commits" / "٠٠٠٠٠٠٠٠٠٣.json").write_bytes(b"{}")
    assert Archive.open(Store(str(root))).sequences() == [1, 2]
    assert verify_in_process(verify_job.Settings(str(root))).findings == ()


@pytest.mark.parametrize("number", [-1, 1 << 63, 10**4000])
@pytest.mark.parametrize("key", ["files", "shards"])
def test_numbers_in_commits_are_bounded(number: int, key: str):
    body = {"sequence": 1, "previous": "", "recap": None, **Changes((a_run(),)).members()}
    body["runs"][0][key] = number
    with pytest.raises((LimitExceeded, SectionCorrupt)):
        Commit.parse(1, seal("seec-commit", 1, body))


def test_a_compaction_that_plans_other_shards_than_it_says_is_refused(tmp_path: Path):
    root = archive_of(tmp_path / "archive", [row("a")], [row("b")])
    archive = Archive.open(Store(str(root)))
    open_compaction(archive, small_shards(archive, 10, 1000))
    path = root / commit_name(archive.state.sequence)
    body = json.loads(path.read_bytes())
    for key in ("sha256", "format", "version"):
        body.pop(key)
    body["runs"][0]["shards"] = 1 << 24
    path.write_bytes(seal("seec-commit", 1, body))
    with pytest.raises(SectionCorrupt, match="plans 1 shards"):
        compact.run(compact.Settings(str(root)))


RECORDS: dict[str, tuple[Callable[[Path], Path], int]] = {
    "archive.json": (lambda root: root / "archive.json", MAX_HEADER_BYTES),
    "commit": (lambda root: root / commit_name(2), MAX_COMMIT_BYTES),
    "manifest part": (lambda root: next(root.glob("manifest/*/*")), 40 << 30),
    "plan": (lambda root: next(root.glob("plans/*")), 40 << 30),
}


@pytest.mark.parametrize("record", RECORDS)
def test_no_more_is_read_of_a_record_than_it_may_have(tmp_path: Path, record: str):
    root = archive_of(tmp_path / "archive", [row("a")], [row("b")])
    find, size = RECORDS[record]
    os.truncate(find(root), max(size + 1, 40 << 30))
    if record == "commit":  # the limit is large: what is read is not held by Python
        with pytest.raises(SectionCorrupt, match="longer than"):
            Archive.open(Store(str(root))).at(2)
        return
    with little_memory():
        found = verify_in_process(verify_job.Settings(str(root))).findings
    assert any(one.kind.endswith("-damaged") for one in found)


def test_no_more_is_read_of_a_model_than_it_may_have(tmp_path: Path):
    root = archive_of(tmp_path / "archive", [row("a")])
    path = next(root.glob("models/*"))
    os.truncate(path, 40 << 30)
    with little_memory(), pytest.raises(DigestMismatch, match="larger than recorded"):
        archived_model(Store(str(root)), path.stem)


def test_a_record_that_is_said_to_be_huge_is_not_read(tmp_path: Path):
    record = ObjectRecord(f"plans/{a_run().run_id}.parquet", 1 << 40, "00" * 32)
    archive = Archive(Store(str(tmp_path)), ArchiveHeader("", 4), State())
    with pytest.raises(LimitExceeded, match="over the limit"):
        archive.read(record)


@pytest.mark.parametrize(
    "lie",
    [
        {"length": 1 << 62},
        {"length": 5, "source_size_bytes": 5},
        {"offset": 1 << 62},
        {"source_size_bytes": (1 << 63) - 1},
    ],
)
def test_lengths_that_lead_out_of_the_blob_are_refused(tmp_path: Path, lie: dict[str, int]):
    root = archive_of(tmp_path / "archive", [row("a")], [row("b")], **lie)
    summary = verify_in_process(verify_job.Settings(str(root)))
    assert summary.exit_code == ExitCode.DAMAGE
    out = tmp_path / "out"
    restored = restore_in_process(restore_job.Settings(str(root), str(out)))
    assert restored.exit_code == ExitCode.DAMAGE
    assert [path.name for path in out.iterdir()] == ["b"]


@pytest.mark.parametrize("as_json", [False, True])
def test_a_listing_takes_no_more_memory_for_more_rows(tmp_path: Path, as_json: bool):
    """Two shards whose paths alternate, each with many rows of one file's bytes."""
    most: list[int] = []
    for count in (1500, 6000):
        parts = [[row(f"{n:06d}-{k}") for n in range(count)] for k in range(2)]
        root = archive_of(tmp_path / f"{count}", *parts)
        written = Written()
        tracemalloc.start()
        try:
            with redirect_stdout(written):
                code = ls.main.main([str(root), *["--json"] * as_json], standalone_mode=False)
            most.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert (code, written.lines > 2 * count) == (ExitCode.OK, True)
    assert most[1] < 2 * most[0] < 4_000_000  # a row takes 1 to 2 KiB


def test_a_listing_of_failures_holds_those_of_one_shard_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    put_files(tmp_path / "source", **{name: name * 50 for name in "abcdef"})
    archive(tmp_path / "source", tmp_path / "archive", max_file_size_bytes=20)
    read: list[str] = []
    quarantine = Archive.quarantine

    def counted(archive: Archive, shard: ShardRecord) -> list[QuarantineRow]:
        read.append(shard.shard)
        return quarantine(archive, shard)

    monkeypatch.setattr(Archive, "quarantine", counted)
    settings = ls.Settings(str(tmp_path / "archive"), ("*.txt", "none"), quarantine=True)
    found = ls.listing(settings)
    seen = [(row.path, len(read)) for row in found.failed]
    assert seen == [(f"{name}.txt", 1 + k // 2) for k, name in enumerate("abcdef")]
    assert found.unmatched.left == ["none"]


class Written(io.StringIO):
    """Counts the lines of what is written, and keeps nothing."""

    lines = 0

    def write(self, text: str) -> int:
        self.lines += text.count("\n")
        return len(text)


def test_ranges_count_once_however_they_come():
    order = [(0, 10), (10, 20), (0, 10), (40, 50), (20, 30), (30, 40), (35, 40), (60, 70)]
    ends: list[int] = []
    added = [add_once(ends, *one) for one in order]
    assert added == [True, True, False, True, True, True, False, True]
    assert ends == [0, 50, 60, 70]


def test_a_file_that_takes_more_memory_than_there_is_is_one_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root = archive_of(tmp_path / "archive", [row("a"), row("b")], [row("c")])

    def greedy(action: Callable[..., Any]) -> Callable[..., Any]:
        def takes(one: Row, *rest: Any) -> Any:
            return bytearray(1 << 62) if one.path == "a" else action(one, *rest)

        return takes

    monkeypatch.setattr(shards, "check", greedy(shards.check))
    (shard, _) = Archive.open(Store(str(root))).state.in_order()
    rows = Archive.open(Store(str(root))).rows(shard)
    found = shards.check_images(Store(str(root)), shard.blob.name, rows, {}).findings
    assert [(one.kind, one.paths) for one in found] == [("image-undecodable", ("a",))]
    assert "more memory than there is" in found[0].detail
    monkeypatch.setattr(restoring, "restore", greedy(restoring.restore))
    out = tmp_path / "out"
    restored = restore_in_process(restore_job.Settings(str(root), str(out)))
    assert restored.exit_code == ExitCode.DAMAGE
    assert [(one.path, "more memory" in (one.reason or "")) for one in restored.failed] == [
        ("a", True)
    ]
    assert sorted(path.name for path in out.iterdir()) == ["b", "c"]


def test_rows_of_another_shard_are_refused(tmp_path: Path):
    other = f"0099-{'a' * 16}/000000"
    root = archive_of(tmp_path / "archive", [row("a")], [row("b")], shard=other)
    with pytest.raises(SectionCorrupt, match="rows of another shard"):
        list(sorted_rows(Archive.open(Store(str(root)))))
    listing = ls.listing(ls.Settings(str(root)))
    assert [row.path for row in listing.rows] == ["b"]
    assert listing.exit_code == ExitCode.DAMAGE


@pytest.mark.parametrize("name", ["../../../../etc/passwd", "ab" * 31, "AB" * 32, "\u0660" * 64])
def test_a_model_is_named_by_its_digest_alone(name: str):
    with pytest.raises(SectionCorrupt, match="no id of a model"):
        parse_manifest("m", serialise_manifest([replace(a_coded_row("a"), model_id=name)]))


def test_a_frame_of_zstd_gives_no_more_than_it_can_hold():
    frame = zstandard.ZstdCompressor().compress(bytes(1000))
    assert unpack(frame, 1000) == bytes(1000)
    for size in (1 << 34, 1 << 50):
        header = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", size)
        with little_memory(), pytest.raises(SectionCorrupt, match="more than it can hold"):
            unpack(header + frame[-9:], size)


def test_a_recipe_of_a_gif_file_is_bounded():
    image = read_image(image_bytes(gray(40, 30), "GIF"))
    assert image.envelope[0] == 1
    (frames,) = struct.unpack_from("<I", image.envelope, 1)
    at = 5 + 5 * frames
    (size,) = struct.unpack_from("<I", image.envelope, at)
    compressor = zlib.compressobj(9)
    recipe = b"".join(compressor.compress(bytes(1 << 24)) for _ in range(16)) + compressor.flush()
    head, rest = image.envelope[:at], image.envelope[at + 4 + size :]
    envelope = head + struct.pack("<I", len(recipe)) + recipe + rest
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableImage):
            write_image(replace(image, envelope=envelope))
        assert tracemalloc.get_traced_memory()[1] < 3 * (1 << 26)
    finally:
        tracemalloc.stop()
