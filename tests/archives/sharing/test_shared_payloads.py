"""Files whose bytes the archive holds already are neither encoded nor stored again."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest

import seec
from seec.jobs import archive as archive_job
from seec.jobs import gc
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.archive.catalogue import current_rows, sorted_rows
from seec.pipeline.codec.encoder import Encoder
from seec.pipeline.stages.local import local_executor
from seec.pipeline.standing.sizes import sizes_of
from seec.schemas.archive import blob_name
from seec.schemas.commit import ObjectRecord, ShardRecord
from seec.schemas.errors import SectionCorrupt
from seec.schemas.manifest import parse_manifest, serialise_manifest
from seec.schemas.routes import PIECES, SEEC, SEEC_JPEG, SPANS, STORE
from seec.schemas.rows import Row
from seec.schemas.trees import in_blob
from tests.archives import plain_reader
from tests.archives.life import archive, held, opened
from tests.archives.sharing import (
    COUNT,
    FILES,
    LARGE,
    PIECE_BYTES,
    TINY,
    blobs,
    comes_back,
    rename,
    rows,
    run,
    shards,
)
from tests.archives.test_format import decode_with
from tests.archives.test_repair import spoil
from tests.archives.test_stacks import top, write
from tests.containers import tar
from tests.faults import points
from tests.pictures import gray, textured
from tests.sources import files_below, image_bytes, same_image


@pytest.fixture
def nothing_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def encode_batch(_: Encoder, pictures: list[Any], *__: Any, **___: Any) -> list[bytes]:
        assert not pictures
        return []

    monkeypatch.setattr(Encoder, "encode_batch", encode_batch)


@pytest.mark.usefixtures("nothing_encoded")
def test_a_renamed_folder_adds_no_payload(source: Path, root: Path):
    before = blobs(root)
    (first, _) = shards(root)
    rename(source)
    summary = run(source, root, prune_missing=True)
    assert (summary.source_size_bytes, summary.shared_size_bytes) == (COUNT, COUNT)
    assert f"{COUNT:,} of these bytes were in the archive already" in "\n".join(summary.lines())
    assert (summary.files_added, summary.files_quarantined) == (summary.files_removed, 0)
    found = rows(root)
    # The list of the pieces of a file says in which shards they are.
    listed = found["renamed/large.bin"]
    assert (listed.route, listed.blob) == (PIECES, None)
    assert summary.blob_size_bytes == listed.length
    assert before.items() <= blobs(root).items()
    assert shards(root)[0].referenced == (first.blob,)
    routes = {path.removeprefix("renamed/"): row.route for path, row in found.items() if row.blob}
    assert routes == dict.fromkeys(TINY, SEEC) | {
        "deep/photo.jpg": SEEC_JPEG,
        "drawing.bmp": SEEC,
        "larger when coded.png": STORE,
        "large.bin, piece 0": STORE,
        "pictures.tar": SPANS,
        "words.txt": STORE,
    }
    assert len({found[f"renamed/{path}"].offset for path in TINY}) == 1
    assert {top(found[f"renamed/{path}"]) for path in TINY} != {None}
    comes_back(root, source)


def test_a_plain_reader_finds_what_is_shared(tmp_path: Path):
    source, root = tmp_path / "source", tmp_path / "archive"
    pictures = {f"pictures/{path}": FILES[path] for path in ("drawing.bmp", "tiny/0.png")}
    large = {"pictures.tar": tar(list(pictures.items())), "large.bin": LARGE}
    write(source / "photos", pictures | large)
    run(source, root)
    rename(source)
    run(source, root, prune_missing=True)
    assert {row.route for row in rows(root).values() if row.blob} == {SEEC, SPANS, STORE}
    found = dict(plain_reader.restored(root, decode_with))
    for name, data in files_below(source).items():
        assert found[name] == data or same_image(found[name], data), name
    plain_reader.check_trees(root)
    assert plain_reader.digest(root) == opened(root).digest()


def test_states_before_and_after_a_folder_was_renamed_can_be_listed(source: Path, root: Path):
    last = opened(root).state.sequence
    rename(source)
    run(source, root, prune_missing=True)
    for at, folder in ((last, "photos"), (None, "renamed")):
        listed = [row.path for row in sorted_rows(opened(root, at)) if row.kind == "file"]
        assert listed == sorted(f"{folder}/{path}" for path in FILES)
        reader = seec.open(str(root), at=at)
        for path, data in FILES.items():
            found = reader.read(f"{folder}/{path}")
            assert found == data or same_image(found, data), path


@pytest.mark.usefixtures("nothing_encoded")
def test_a_copy_has_its_own_name_time_and_permissions(source: Path, root: Path):
    copied = source / "copied.bmp"
    shutil.copyfile(source / "photos" / "drawing.bmp", copied)
    os.utime(copied, ns=(0, 1_234_567))
    copied.chmod(0o600)
    os.link(copied, source / "linked.bmp")
    summary = run(source, root)
    assert (summary.files_added, summary.blob_size_bytes) == (2, 0)
    found = rows(root)
    own = found["copied.bmp"]
    assert (own.source_mtime_ns, own.permissions, own.same_file) == (1_234_567, 0o600, None)
    assert found["linked.bmp"].same_file == "copied.bmp"
    assert own.blob == found["linked.bmp"].blob != None  # noqa: E711
    comes_back(root, source)


def test_the_table_says_which_blob_has_a_payload(source: Path, root: Path):
    shutil.copyfile(source / "photos" / "drawing.bmp", source / "copied.bmp")
    (first, _) = shards(root)
    run(source, root)
    table = seec.open(str(root)).table(["blob"])
    assert table.column_names == ["blob"]
    assert table.column("blob").to_pylist().count(first.blob.name) == 1
    assert table.column("blob").null_count == len(table) - 1


@pytest.mark.usefixtures("nothing_encoded")
def test_what_was_shared_is_shared_on_from_where_it_is(source: Path, root: Path):
    for name in ("second.bmp", "third.bmp"):
        shutil.copyfile(source / "photos" / "drawing.bmp", source / name)
        run(source, root)
    (first, *_) = opened(root).state.in_order()
    assert rows(root)["third.bmp"].blob == first.blob.name
    comes_back(root, source)


@pytest.mark.usefixtures("nothing_encoded")
def test_a_file_whose_time_alone_changed_is_not_stored_again(source: Path, root: Path):
    os.utime(source / "photos" / "drawing.bmp", ns=(0, 0))
    assert run(source, root).blob_size_bytes == 0
    assert rows(root)["photos/drawing.bmp"].source_mtime_ns == 0
    comes_back(root, source)


def test_a_file_of_the_same_size_and_other_bytes_is_encoded(source: Path, root: Path):
    (source / "other.bmp").write_bytes(image_bytes(textured(80, 90, 5), "BMP"))
    assert len(FILES["drawing.bmp"]) == (source / "other.bmp").stat().st_size
    summary = run(source, root)
    assert (summary.shared_size_bytes, rows(root)["other.bmp"].blob) == (0, None)
    assert summary.blob_size_bytes
    assert shards(root)[0].referenced == ()
    comes_back(root, source)


def test_an_archive_in_which_nothing_is_shared_does_not_say_so(made: Path):
    root = made / "archive"
    for shard in shards(root):
        assert "blob" not in pq.read_schema(root / shard.manifest.name).names
    assert all(b"referenced" not in path.read_bytes() for path in (root / "commits").iterdir())


def test_with_dedupe_shard_earlier_runs_share_nothing(source: Path, root: Path):
    shutil.copyfile(source / "photos" / "drawing.bmp", source / "copied.bmp")
    assert run(source, root, dedupe="shard").blob_size_bytes
    assert rows(root)["copied.bmp"].blob is None


def test_pixels_shared_within_a_shard_leave_what_is_elsewhere_alone(source: Path, root: Path):
    shutil.copyfile(source / "photos" / "drawing.bmp", source / "copied.bmp")
    (source / "same pixels.ppm").write_bytes(image_bytes(textured(80, 90, 2), "PPM"))
    run(source, root, dedupe="pixels")
    found = rows(root)
    assert found["copied.bmp"].blob is not None
    assert (found["same pixels.ppm"].route, found["same pixels.ppm"].blob) == (SEEC, None)
    comes_back(root, source)


def test_where_every_byte_is_to_come_back_only_what_promises_that_is_shared(
    source: Path, root: Path
):
    rename(source)
    run(source, root, keep="file")
    shared = {path for path, row in rows(root).items() if row.blob is not None}
    exact = {"deep/photo.jpg", "large.bin, piece 0", "larger when coded.png", "pictures.tar"}
    assert shared == {f"renamed/{path}" for path in {*exact, "words.txt"}}
    (source / "renamed").rename(source / "once more")
    assert run(source, root, keep="file").shared_size_bytes == COUNT
    comes_back(root, source)


def test_what_has_a_lossy_background_is_not_shared(tmp_path: Path):
    source, root, masks = (tmp_path / name for name in ("source", "archive", "masks"))
    mask = gray(64, 64) * 0
    mask[:16, :16] = 1
    write(source, {"a.bmp": image_bytes(textured(64, 64, 1), "BMP")})
    write(masks, {"a.png": image_bytes(mask, "PNG")})
    lossy = {"roi": f"masks:{masks}", "background_error": 4, "allow_lossy_background": True}
    assert run(source, root, **lossy, model=None).files_lossy == 1
    shutil.copyfile(source / "a.bmp", source / "b.bmp")
    run(source, root)
    assert rows(root)["b.bmp"].blob is None
    assert held(root)["b.bmp"] == (source / "b.bmp").read_bytes()


def test_what_was_stored_for_a_limit_is_encoded_where_the_limit_is_another(tmp_path: Path):
    source, root = tmp_path / "source", tmp_path / "archive"
    write(source, {"a.bmp": FILES["drawing.bmp"]})
    run(source, root, max_pixels=10)
    shutil.copyfile(source / "a.bmp", source / "b.bmp")
    run(source, root, max_pixels=10)
    assert rows(root)["b.bmp"].blob is not None
    shutil.copyfile(source / "a.bmp", source / "c.bmp")
    run(source, root)
    assert (rows(root)["c.bmp"].blob, rows(root)["c.bmp"].route) == (None, SEEC)
    comes_back(root, source)


@pytest.mark.parametrize("gone", [False, True])
def test_what_is_damaged_is_not_shared(source: Path, root: Path, gone: bool):
    (shard, _) = shards(root)
    if gone:
        (root / shard.blob.name).unlink()
    else:
        spoil(root, shard, "photos/drawing.bmp")
    for name in ("drawing.bmp", "words.txt"):
        shutil.copyfile(source / "photos" / name, source / name)
    run(source, root)
    found = rows(root)
    assert found["drawing.bmp"].blob is None
    assert found["words.txt"].blob == (None if gone else shard.blob.name)
    assert seec.open(str(root)).read("drawing.bmp") == FILES["drawing.bmp"]


def test_killed_and_resumed_it_gives_the_same_archive(source: Path, root: Path, tmp_path: Path):
    options: Any = {"shard_files": 4, "piece_size_bytes": PIECE_BYTES, "jpeg": "seec"}
    options |= {"moved": True, "prune_missing": True}
    rename(source)
    other = Path(shutil.copytree(root, tmp_path / "undisturbed"))
    code, labels = points.archive(source, other, **options)
    assert (code, len(labels) > 100) == (ExitCode.OK, True)
    for at in range(5, len(labels), len(labels) // 6):
        killed = Path(shutil.copytree(root, tmp_path / f"killed at {at}"))
        assert points.archive(source, killed, at, **options)[0] < 0
        gc.run(gc.Settings(str(killed), delete=True, older_than_s=0))
        points.archive(source, killed, **options)
        assert opened(killed).digest() == opened(other).digest()
        comes_back(killed, source)


def test_shared_bytes_are_counted_once(source: Path, root: Path):
    before = sizes_of(sorted_rows(opened(root), pieces=True)).total
    shutil.copytree(source / "photos", source / "copied")
    run(source, root)
    after = sizes_of(sorted_rows(opened(root), pieces=True)).total
    assert after.source_bytes == 2 * before.source_bytes
    assert after.stored_bytes == before.stored_bytes + rows(root)["copied/large.bin"].length


def test_a_source_and_an_archive_in_a_bucket(s3_url: str, tmp_path: Path):
    source, root = f"{s3_url}/shared/source", f"{s3_url}/shared/archive"

    def put(folder: str) -> None:
        for path, data in FILES.items():
            with fsspec.open(f"{source}/{folder}/{path}", "wb") as handle:
                handle.write(data)  # pyright: ignore[reportAttributeAccessIssue]

    put("photos")
    archive(source, root, shard_files=100, piece_size_bytes=PIECE_BYTES, jpeg="seec")  # pyright: ignore[reportArgumentType]
    put("renamed")
    summary = archive(source, root, shard_files=100, piece_size_bytes=PIECE_BYTES, jpeg="seec")  # pyright: ignore[reportArgumentType]
    assert (summary.files_added, summary.shared_size_bytes) == (len(FILES), COUNT)
    reader = seec.open(root)
    for path, data in FILES.items():
        found = reader.read(f"renamed/{path}")
        assert found == data or same_image(found, data), path
    assert list(reader.verify()) == []


@pytest.mark.usefixtures("ray_cluster")
def test_on_a_cluster(source: Path, root: Path):
    rename(source)
    settings = archive_job.Settings(
        str(source), str(root), moved=True, piece_size_bytes=PIECE_BYTES, ray_address="auto"
    )
    assert archive_job.run(settings).shared_size_bytes == COUNT
    comes_back(root, source)


def test_in_processes_of_our_own(source: Path, root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archive_job, "execution", lambda *_, **__: local_executor(2))
    rename(source)
    settings = archive_job.Settings(
        str(source), str(root), moved=True, piece_size_bytes=PIECE_BYTES
    )
    assert archive_job.run(settings).shared_size_bytes == COUNT
    comes_back(root, source)


def test_rows_and_commits_that_lead_elsewhere_are_refused(source: Path, root: Path):
    shutil.copyfile(source / "photos" / "pictures.tar", source / "copied.tar")
    run(source, root)
    (shard,) = shards(root)
    row = rows(root)["copied.tar"]

    def parsed(row: Row) -> list[Row]:
        return parse_manifest("part", serialise_manifest([row]))

    assert parsed(row) == [row]
    with pytest.raises(SectionCorrupt, match="no name of a blob"):
        parsed(in_blob(row, "../../elsewhere"))
    with pytest.raises(SectionCorrupt, match="another blob than its file"):
        parsed(replace(row, members=(in_blob(row.members[0], None), *row.members[1:])))

    first, other = shard.referenced[0], ObjectRecord("blobs/0001-0123456789abcdef/0.blob", 1, "")
    small = replace(first, size_bytes=row.end - 1)
    for referenced in (
        (small,),
        (replace(first, name=blob_name("0001-0123456789abcdef/000009")),),
    ):
        archived = opened(root)
        archived.state.shards[shard.shard] = replace(shard, referenced=referenced)
        with pytest.raises(SectionCorrupt, match="out of the blobs that its commit names"):
            list(current_rows(archived))
    for referenced in ((first, first), (shard.blob,), (shard.manifest,), (other,)):
        with pytest.raises(SectionCorrupt):
            ShardRecord.parse("here", as_read(replace(shard, referenced=referenced)))
    assert ShardRecord.parse("here", as_read(shard)) == shard


def as_read(shard: ShardRecord) -> dict[str, Any]:
    return json.loads(json.dumps(shard.members()))
