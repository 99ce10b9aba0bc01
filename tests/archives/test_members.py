"""Images within files have rows of their own; the files come back byte for byte."""

import gzip
import hashlib
import io
import os
import pickle
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest

import seec
from seec.jobs import archive as archive_job
from seec.jobs import compact, ls, repair, restore, verify
from seec.jobs.archive import Settings
from seec.pipeline import containers
from seec.pipeline.archive import Archive
from seec.pipeline.archive.catalogue import sorted_members, sorted_rows
from seec.pipeline.archive.pieces import jpeg_bytes_within
from seec.pipeline.reading.filesystem import SeecFileSystem
from seec.pipeline.reading.lookup import Lookup
from seec.pipeline.reading.parts import InPieces
from seec.pipeline.standing.sizes import sizes_of
from seec.pipeline.storage import Source, Store
from seec.schemas import trees as seec_trees
from seec.schemas.archive import blob_name
from seec.schemas.commit import ShardRecord
from seec.schemas.errors import DigestMismatch, SectionCorrupt, UnreadableImage
from seec.schemas.limits import MAX_MEMBER_DEPTH
from seec.schemas.manifest import parse_manifest, serialise_manifest
from seec.schemas.routes import LOST, PIECES, SEEC, SEEC_JPEG, SPANS, STORE
from seec.schemas.rows import Row
from seec.schemas.spans import PACKINGS
from seec.torch import ArchiveDataset, IterableArchiveDataset
from seec.webdataset import samples
from tests.archives import plain_reader
from tests.archives.life import findings
from tests.archives.test_format import decode_with
from tests.jpegs import jpeg
from tests.pictures import textured
from tests.sources import files_below, image_bytes

PIECE_BYTES = 1 << 16
NOISE = np.random.default_rng(7).bytes(5000)


def pictures() -> dict[str, bytes]:
    """Of several formats, under names as datasets have them."""
    files = {f"{number:04}.jpg": jpeg(textured(160, 200, number)) for number in range(6)}
    for number in (7, 8):
        files[f"{number:04}.png"] = image_bytes(textured(90, 120, number), "PNG")
    return files | {"0000.json": b'{"caption": "a picture"}'}


def tar_of(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


def zip_of(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return stream.getvalue()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "loose").mkdir(parents=True)
    files = pictures()
    (folder / "train.tar").write_bytes(tar_of(files))
    (folder / "train.zip").write_bytes(zip_of({"inner.tar": tar_of(files), **files}))
    (folder / "train.tgz").write_bytes(gzip.compress(tar_of(files), mtime=0))
    (folder / "two.mpo").write_bytes(jpeg(textured(80, 80, 1)) + jpeg(textured(80, 80, 2)))
    (folder / "loose" / "0003.jpg").write_bytes(files["0003.jpg"])
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "archive"


def archived(source: Path, root: Path, **settings: object) -> None:
    chosen = Settings(str(source), str(root), profile="fast", jpeg="seec", ray_address=None)
    assert archive_job.run(replace(chosen, **settings)).exit_code == 0  # pyright: ignore[reportArgumentType]


def rows_of(root: Path) -> dict[str, Row]:
    archive = Archive.open(Store(str(root)))
    return {row.path: row for shard in archive.state.in_order() for row in archive.rows(shard)}


def members(root: Path) -> dict[str, Row]:
    return {row.path: row for row in sorted_members(Archive.open(Store(str(root))))}


def restored(root: Path, out: Path, **settings: object) -> dict[bytes, bytes]:
    chosen = restore.Settings(str(root), str(out))
    assert restore.run(replace(chosen, **settings)).exit_code == 0  # pyright: ignore[reportArgumentType]
    return files_below(out)


def test_images_in_files_are_coded_and_the_files_come_back(
    source: Path, root: Path, tmp_path: Path
):
    archived(source, root)
    found = rows_of(root)
    assert {path: row.route for path, row in found.items()} == {
        "loose": STORE,
        "loose/0003.jpg": SEEC_JPEG,
        "train.tar": SPANS,
        "train.tgz": SPANS,
        "train.zip": SPANS,
        "two.mpo": SPANS,
    }
    routes = {row.path: row.route for row in found["train.tar"].tree()}
    assert routes["train.tar/0000.jpg"] == SEEC_JPEG
    assert routes["train.tar/0007.png"] == SEEC
    assert "train.tar/0000.json" not in routes  # what is no image stays between the members
    assert "train.tgz/0000.jpg" in {row.path for row in found["train.tgz"].tree()}
    assert "train.zip/inner.tar/0000.jpg" in {row.path for row in found["train.zip"].tree()}
    assert findings(root) == []
    assert restored(root, tmp_path / "out") == files_below(source)


def test_members_and_loose_files_of_the_same_bytes_share_them(source: Path, root: Path):
    archived(source, root)
    places = {(row.offset, row.length) for path, row in members(root).items() if "0003.jpg" in path}
    assert len(places) == 1
    assert sum("0003.jpg" in path for path in members(root)) == 5


def test_a_plain_reader_puts_them_together(tmp_path: Path, root: Path):
    source = tmp_path / "small"
    source.mkdir()
    files = {"a.jpg": jpeg(textured(24, 24)[..., 0]), "b.png": image_bytes(textured(16, 16), "PNG")}
    files |= {f"{n}.png": image_bytes(textured(24, 30, n), "PNG") for n in range(4)}
    (source / "nested.zip").write_bytes(zip_of({"inner.tar": tar_of(files)}))
    archived(source, root)
    assert any(row.samples and row.samples.top for row in members(root).values())
    held = dict(plain_reader.restored(root, decode_with))
    assert held == files_below(source)


def test_a_plain_reader_packs_what_was_unpacked(tmp_path: Path, root: Path):
    source = tmp_path / "small"
    source.mkdir()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bmp", image_bytes(textured(100, 100), "BMP"))
        archive.writestr("b.txt", b"text " * 40)
    (source / "packed.zip").write_bytes(stream.getvalue())
    small = {"a.jpg": jpeg(textured(24, 24)[..., 0])}
    (source / "packed.tgz").write_bytes(gzip.compress(tar_of(small)))
    archived(source, root)
    assert rows_of(root)["packed.zip"].members[0].packing == "deflate"
    assert dict(plain_reader.restored(root, decode_with)) == files_below(source)


def test_a_large_file_is_cut_in_pieces_and_comes_back(source: Path, root: Path, tmp_path: Path):
    (source / "noise.bin").write_bytes(np.random.default_rng(1).bytes(3 * PIECE_BYTES + 7))
    (source / "zeros.bin").write_bytes(bytes(2 * PIECE_BYTES + 1))
    archived(source, root, piece_size_bytes=PIECE_BYTES, shard_size_bytes=2 * PIECE_BYTES)
    listed = {row.path: row for row in ls.run(ls.Settings(str(root))).rows}
    assert {path for path, row in listed.items() if row.route == PIECES} >= {
        "noise.bin",
        "train.tar",
        "zeros.bin",
    }
    assert set(listed) == {path.decode() for path in files_below(source)} | {"loose"}
    assert "train.tar/0005.jpg" in members(root)
    assert findings(root) == []
    assert restored(root, tmp_path / "out") == files_below(source)
    # Nothing is new, and nothing of this is compacted.
    before = Store(str(root)).names("commits")
    archived(source, root, piece_size_bytes=PIECE_BYTES)
    assert list(Store(str(root)).names("commits")) == list(before)
    compact.run(compact.Settings(str(root)))
    assert restored(root, tmp_path / "again") == files_below(source)


def test_a_plain_reader_puts_pieces_together(tmp_path: Path, root: Path):
    source = tmp_path / "small"
    source.mkdir()
    picture = image_bytes(textured(16, 16), "PNG")
    noise = np.random.default_rng(1).bytes(PIECE_BYTES - 100)
    (source / "noise.bin").write_bytes(noise + picture + noise)
    archived(source, root, piece_size_bytes=PIECE_BYTES)
    assert dict(plain_reader.restored(root, decode_with)) == files_below(source)


def test_a_new_version_of_a_file_in_pieces_replaces_all_of_the_old(
    source: Path, root: Path, tmp_path: Path
):
    archived(source, root, piece_size_bytes=PIECE_BYTES)
    (source / "train.tar").write_bytes(tar_of({"new.jpg": jpeg(textured(300, 400, 9))}))
    archived(source, root, piece_size_bytes=PIECE_BYTES)
    inside = {path for path in members(root) if path.startswith("train.tar/")}
    assert inside == {"train.tar/new.jpg"}
    assert restored(root, tmp_path / "out") == files_below(source)
    old = restored(root, tmp_path / "old", at=first_commit_of_run(root, 1))
    assert b"train.tar" in old
    assert old[b"train.tar"] != (source / "train.tar").read_bytes()


def test_a_part_with_more_members_than_a_reader_takes_is_refused(monkeypatch: pytest.MonkeyPatch):
    whole = next(row for why, row in trees() if why == "overlap")
    first, second = whole.members
    row = replace(whole, members=(first, replace(second, start=10)))
    monkeypatch.setattr(seec_trees, "MAX_MEMBERS", 2)
    assert parse_manifest("part", serialise_manifest([row])) == [row]
    monkeypatch.setattr(seec_trees, "MAX_MEMBERS", 1)
    with pytest.raises(SectionCorrupt, match="one member too many"):
        parse_manifest("part", serialise_manifest([row]))


def test_a_plain_reader_knows_all_packings():
    assert set(plain_reader.PACK) == set(PACKINGS)


def test_rows_name_the_packings_that_containers_have():
    assert set(PACKINGS) == set(containers.PACKINGS)


@pytest.mark.parametrize("piece_size_bytes", [PIECE_BYTES, 1 << 24])
def test_a_listing_and_a_report_count_members_and_pieces(
    source: Path, root: Path, piece_size_bytes: int
):
    archived(source, root, piece_size_bytes=piece_size_bytes)
    archive = Archive.open(Store(str(root)))
    blobs = sum(shard.blob.size_bytes for shard in archive.state.in_order())
    listing = ls.run(ls.Settings(str(root))).as_dict()
    assert (listing["length"], listing["kinds"]["file"]) == (blobs, 5)
    assert listing["source_size_bytes"] == sum(map(len, files_below(source).values()))
    (tar,) = (file for file in listing["files"] if file["path"] == "train.tar")
    assert tar["length"] > 10_000
    assert sizes_of(sorted_rows(archive, pieces=True)).total.stored_bytes == blobs
    inside = ls.Totals(ls.run(ls.Settings(str(root), members=True)).rows)
    assert (inside.members, inside.kinds["file"]) == (len(members(root)) - 6, 5)
    with_members = ls.run(ls.Settings(str(root), members=True))
    assert "bytes" not in next(line for line in with_members.lines() if " members (" in line)
    assert ls.run(ls.Settings(str(root), members=True)).as_dict()["length"] is None


def first_commit_of_run(root: Path, ordinal: int) -> int:
    """The last commit before the run behind this one was opened."""
    archive = Archive.open(Store(str(root)))
    opened = [
        commit.sequence
        for commit, _ in archive.commits(1, archive.state.sequence)
        for run in commit.changes.runs
        if run.run_id.startswith(f"{ordinal + 1:04d}-")
    ]
    return opened[0] - 1


def test_members_are_restored_by_themselves(source: Path, root: Path, tmp_path: Path):
    archived(source, root)
    include = ("train.tar/*.png", "train.zip/inner.tar/0001.jpg")
    found = restored(root, tmp_path / "out", members=True, include=include)
    files = pictures()
    assert found == {
        b"train.tar/0007.png": files["0007.png"],
        b"train.tar/0008.png": files["0008.png"],
        b"train.zip/inner.tar/0001.jpg": files["0001.jpg"],
    }


def test_names_that_lead_out_or_come_twice_are_by_place(tmp_path: Path, root: Path):
    source = tmp_path / "source"
    source.mkdir()
    one, two = jpeg(textured(64, 80, 1)), jpeg(textured(64, 80, 2))
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, data in (
            ("../../up.jpg", one),
            ("/abs.jpg", two),
            ("x.jpg", one),
            ("x.jpg", two),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    (source / "slip.tar").write_bytes(stream.getvalue())
    archived(source, root)
    inside = sorted(path for path in members(root) if path != "slip.tar")
    assert len(inside) == 4
    assert "slip.tar/x.jpg" in inside
    assert sum(path.startswith("slip.tar/@") for path in inside) == 3
    found = restored(root, tmp_path / "out", members=True)
    assert all(path.startswith(b"slip.tar/") for path in found)
    assert sorted(found.values()) == sorted([one, two, one, two])


def test_damage_in_one_member_costs_one_member(source: Path, root: Path, tmp_path: Path):
    archived(source, root)
    bad = members(root)["train.tar/0002.jpg"]
    store = Store(str(root))
    blob = Path(store.path(Archive.open(store).state.shards[bad.shard].blob.name))
    data = bytearray(blob.read_bytes())
    data[bad.offset + bad.length // 2] ^= 1
    blob.write_bytes(data)
    report = verify.run(verify.Settings(str(root)))
    assert any("train.tar" in path for found in report.findings for path in found.paths)
    out = tmp_path / "out"
    chosen = restore.Settings(str(root), str(out), members=True, include=("train.tar/*",))
    summary = restore.run(chosen)
    assert [item.path for item in summary.failed] == ["train.tar/0002.jpg"]
    files = {f"train.tar/{name}".encode(): data for name, data in pictures().items()}
    expected = {k: v for k, v in files.items() if not k.endswith((b"0002.jpg", b".json"))}
    assert files_below(out) == expected


def closed_files() -> dict[str, tuple[bytes, str]]:
    """Files that look like containers, and why they are not opened."""
    device = tarfile.TarInfo("../dev/null")
    device.type = tarfile.CHRTYPE
    lying = tarfile.TarInfo("long.jpg")
    lying.size = 1 << 33
    locked = bytearray(zip_of({"a.jpg": jpeg()}))
    locked[6] |= 1
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a.jpg", jpeg())
    pixels = {f"{n}.png": image_bytes(textured(2, 2, n), "PNG") for n in range(4)}
    bare = image_bytes(textured(16, 16), "PNG") + bytes(100)
    return {
        "empty.tar": (tarfile.TarInfo("empty.jpg").tobuf() * 100, "no images are found in it"),
        "devices.tar": (device.tobuf() * 20, "no images are found in it"),
        "lying.tar": (lying.tobuf(tarfile.GNU_FORMAT) * 20, "a member leads out of the file"),
        "texts.tar": (tar_of({"a.txt": b"text " * 99}), "no images are found in it"),
        "tiny.tar": (tar_of(pixels), "no images are found in it"),
        "locked.zip": (bytes(locked), "its members are encrypted"),
        "bzip2.zip": (packed.getvalue(), "its members are compressed by method 12 of zip"),
        "texts.tgz": (gzip.compress(tar_of({"a.txt": NOISE})), "no images are found in it"),
        "cut.zip": (zip_of({"a.jpg": jpeg()})[:900], "a member leads out of the file"),
        "torn.parquet": (b"PAR1" + bytes(999), "its index is damaged, or has no column of bytes"),
        "text.pdf": (b"%PDF-1.7 " + b"text " * 99, "no images are found in it"),
        "bare.bin": (bare[8:], ""),
    }


def test_a_container_that_is_not_opened_says_why(tmp_path: Path, root: Path):
    source = tmp_path / "source"
    source.mkdir()
    files = closed_files()
    for name, (data, _) in files.items():
        (source / name).write_bytes(data)
    archived(source, root)
    listing = ls.run(ls.Settings(str(root)))
    reasons = {row["path"]: row["reason"] for row in listing.as_dict()["files"]}
    assert reasons.pop("bare.bin").startswith("not opened") is False
    assert reasons == {name: f"not opened: {why}" for name, (_, why) in files.items() if why}
    lines = "\n".join(ls.run(ls.Settings(str(root))).lines())
    assert "locked.zip (not opened: its members are encrypted)" in lines


def test_a_file_without_gain_is_stored_whole(tmp_path: Path, root: Path):
    source = tmp_path / "source"
    source.mkdir()
    tiny = {f"{n}.png": image_bytes(textured(2, 2, n), "PNG") for n in range(4)}
    (source / "tiny.tar").write_bytes(tar_of(tiny))
    archived(source, root)
    assert rows_of(root)["tiny.tar"].route == STORE
    assert restored(root, tmp_path / "out") == files_below(source)


def trees() -> Iterator[tuple[str, Row]]:
    """What no part may say of members, with the rule that forbids it."""
    digest = hashlib.sha256(b"").digest()
    file = Row("a.tar", 100, None, digest, SPANS, "r/0", 0, 1, digest)
    one = Row("a.tar/x", 10, None, digest, STORE, "r/0", 1, 1, hashlib.sha256(b"1").digest(), "")
    one = replace(one, start=0)
    two = replace(one, path="a.tar/y", start=5, offset=2, blob_digest=hashlib.sha256(b"2").digest())
    yield "overlap", replace(file, members=(one, two))
    yield "lead out", replace(file, members=(one, replace(two, start=91)))
    yield "no name of a member", replace(file, members=(replace(one, path="a.tar/../x"),))
    yield "begins nowhere", replace(file, members=(replace(one, start=None),))
    yield "do not go with", replace(file, route=STORE, members=(one,))
    yield "what no member has", replace(file, members=(replace(one, source_mtime_ns=1),))
    yield "packing", replace(file, members=(replace(one, packing="deflate"),))
    deep = one
    for _ in range(MAX_MEMBER_DEPTH):
        deep = replace(deep, route=SPANS, members=(deep,))
    yield "a member of nothing", replace(file, members=(deep,))


@pytest.mark.parametrize(("why", "row"), [*trees()], ids=[why for why, _ in trees()])
def test_a_part_that_lies_about_members_is_refused(why: str, row: Row):
    with pytest.raises(SectionCorrupt, match=why):
        parse_manifest("part", serialise_manifest([row]))


def damage(root: Path, row: Row) -> None:
    """One bit in the middle of a row's payload."""
    store = Store(str(root))
    blob = Path(store.path(Archive.open(store).state.shards[row.shard].blob.name))
    data = bytearray(blob.read_bytes())
    data[row.offset + row.length // 2] ^= 1
    blob.write_bytes(data)


def test_repair_mends_members_and_pieces_from_the_source(source: Path, root: Path, tmp_path: Path):
    (source / "noise.bin").write_bytes(np.random.default_rng(1).bytes(2 * PIECE_BYTES))
    archived(source, root, piece_size_bytes=PIECE_BYTES)
    rows = [row for s in shards_of(root) for row in Archive.open(Store(str(root))).rows(s)]
    damage(root, next(row for row in rows if row.path == "noise.bin" and row.piece == 0))
    damage(root, members(root)["two.mpo/@0.jpg"])
    summary = repair.run(repair.Settings(str(root)))
    assert (summary.exit_code, summary.files_mended) == (0, 2)
    assert findings(root) == []
    assert restored(root, tmp_path / "out") == files_below(source)


def test_repair_keeps_the_members_that_are_whole(source: Path, root: Path, tmp_path: Path):
    archived(source, root)
    shutil.move(source, tmp_path / "gone")
    damage(root, members(root)["two.mpo/@0.jpg"])
    damage(root, rows_of(root)["train.zip"])
    summary = repair.run(repair.Settings(str(root)))
    assert summary.lost == ("train.zip", "two.mpo")
    kept = {path: row.route for path, row in members(root).items()}
    assert kept["train.zip"] == LOST
    assert kept["train.zip/0007.png"] == SEEC
    assert kept["two.mpo/@0.jpg"] == LOST
    second = next(path for path in kept if path.startswith("two.mpo/") and path != "two.mpo/@0.jpg")
    out = tmp_path / "out"
    include = ("train.zip/0007.png", second)
    chosen = restore.Settings(str(root), str(out), members=True, include=include)
    assert restore.run(chosen).restored == 2


def shards_of(root: Path) -> list[ShardRecord]:
    return list(Archive.open(Store(str(root))).state.in_order())


def test_programs_read_members_by_their_paths(source: Path, root: Path):
    archived(source, root, piece_size_bytes=PIECE_BYTES)
    files = pictures()
    with_members = seec.open(str(root))
    assert with_members.read("train.tar/0005.jpg") == files["0005.jpg"]
    assert with_members.read("train.zip/0007.png") == files["0007.png"]
    assert with_members.read("train.tar") == (source / "train.tar").read_bytes()
    assert with_members.pixels("train.tar/0008.png").shape == (90, 120, 3)
    assert "train.tar/9999.jpg" not in with_members


def test_programs_read_all_images_of_files_one_after_the_other(source: Path, root: Path):
    archived(source, root, piece_size_bytes=PIECE_BYTES)
    opened = seec.open(str(root))
    images = {name: data for name, data in pictures().items() if not name.endswith(".json")}
    expected = {
        f"train.{ext}/{name}": data
        for ext in ("tar", "tgz", "zip")
        for name, data in images.items()
    }
    found = dict(opened.iter(["train.*"], members=True))
    inner = {f"train.zip/inner.tar/{name}": data for name, data in images.items()}
    assert found == expected | inner
    assert set(opened.paths(members=True)) >= {*found, "loose/0003.jpg"}
    assert "train.tar" not in set(opened.paths(members=True))
    pixels = dict(opened.iter(["train.tar/*.png"], members=True, pixels=True))
    assert {path: one.shape for path, one in pixels.items()} == {
        "train.tar/0007.png": (90, 120, 3),
        "train.tar/0008.png": (90, 120, 3),
    }


def test_images_within_files_are_samples_of_torch(source: Path, root: Path):
    archived(source, root, piece_size_bytes=PIECE_BYTES)
    data = ArchiveDataset(str(root), members=True, labels=str, crop=64)
    inside = {path for path in data.paths if path.startswith("train.tar/")}
    assert inside == {f"train.tar/{name}" for name in pictures() if not name.endswith(".json")}
    assert len(data) == len(set(data.paths)) == len(list(data.paths))
    samples = {path: pixels for pixels, path in (data[at] for at in range(len(data)))}
    assert {tuple(samples[path].shape) for path in inside} == {(3, 64, 64)}
    stream = IterableArchiveDataset(str(root), ["train.tar/*"], members=True, labels=str)
    assert {path for _, path in stream} == inside


def test_a_member_is_found_in_whichever_piece_it_is(source: Path, root: Path):
    archived(source, root, piece_size_bytes=PIECE_BYTES, shard_size_bytes=PIECE_BYTES)
    files = {name: data for name, data in pictures().items() if not name.endswith(".json")}
    shards = [shard for shard in shards_of(root) if shard.pieces and not shard.files]
    assert len(shards) > 1
    opened = seec.open(str(root))
    assert {name: opened.read(f"train.tar/{name}") for name in files} == files


def test_a_member_is_found_without_the_manifest_parts_of_other_pieces(
    source: Path, root: Path, monkeypatch: pytest.MonkeyPatch
):
    archived(source, root, piece_size_bytes=PIECE_BYTES, shard_size_bytes=PIECE_BYTES)
    opened = seec.open(str(root))
    pieces = {one.shard for one in shards_of(root) if one.pieces and not one.files}
    assert len(pieces) > 2
    read: list[str] = []
    part = Lookup.part

    def noted(self: Lookup, shard: ShardRecord):
        read.append(shard.shard)
        return part(self, shard)

    monkeypatch.setattr(Lookup, "part", noted)
    for name in ("0000.jpg", "0008.png"):
        read.clear()
        assert opened.read(f"train.tar/{name}") == pictures()[name]
        assert len(pieces & set(read)) <= 1


def test_a_member_is_found_where_the_list_of_pieces_is_damaged(source: Path, root: Path):
    archived(source, root, piece_size_bytes=PIECE_BYTES, shard_size_bytes=PIECE_BYTES)
    row = rows_of(root)["train.tar"]
    assert row.route == PIECES
    blob = root / Archive.open(Store(str(root))).state.shards[row.shard].blob.name
    data = bytearray(blob.read_bytes())
    data[row.offset + row.length // 2] ^= 1
    blob.write_bytes(data)
    opened = seec.open(str(root))
    assert opened.read("train.tar/0008.png") == pictures()["0008.png"]
    with pytest.raises(seec.FixityError):
        opened.read("train.tar")


def test_a_member_is_found_by_its_name_at_any_depth(source: Path, root: Path):
    archived(source, root)
    names = [path for path in members(root) if path.startswith(("train.tar/", "train.zip/"))]
    assert "train.zip/inner.tar/0007.png" in names
    part = Lookup(Archive.open(Store(str(root)))).part(shards_of(root)[0])
    for path in names:
        file, _, name = path.partition("/")
        found = part.member(file, name)
        assert found is not None
        assert replace(found, members=()) == members(root)[path]
    (inner,) = (one for one in rows_of(root)["train.zip"].members if one.members)
    assert len(inner.members) == len([name for name in names if "/inner.tar/" in name])
    assert part.member("train.zip", inner.path.removeprefix("train.zip/")) == inner
    assert part.member("train.zip", "no.jpg") is None
    assert part.member("no.zip", "0007.png") is None


def small_pictures() -> dict[str, bytes]:
    """More than one stack of them, among others; the first one twice."""
    files = {f"{n:03}.png": image_bytes(textured(30, 40, n), "PNG") for n in range(70)}
    files |= {"first.png": files["000.png"], "large.png": pictures()["0007.png"]}
    return dict(sorted((files | {"a.json": b"{}", "030.jpg": jpeg()}).items()))


@pytest.mark.parametrize("piece_bytes", [PIECE_BYTES, 1 << 24])
def test_small_images_within_a_file_are_stacked(tmp_path: Path, root: Path, piece_bytes: int):
    source = tmp_path / "source"
    source.mkdir()
    files = small_pictures()
    (source / "small.tar").write_bytes(tar_of(files))
    (source / "nested.zip").write_bytes(zip_of({"inner.tar": tar_of(files), **files}))
    archived(source, root, piece_size_bytes=piece_bytes)
    found = members(root)
    small = [found[f"small.tar/{n:03}.png"] for n in range(70)]
    stacks = {(row.shard, row.offset) for row in small}
    tops = {(row.shard, row.offset, row.samples and row.samples.top) for row in small}
    assert all(row.samples is not None and row.samples.top is not None for row in small)
    assert (len(stacks) < 12, len(tops)) == (True, 70)
    large = found["small.tar/large.png"].samples
    assert large is not None
    assert large.top is None
    if piece_bytes > PIECE_BYTES:
        assert len(stacks) == 2
        first, again = found["small.tar/000.png"], found["small.tar/first.png"]
        assert (first.offset, first.samples) == (again.offset, again.samples)
        stored = sum(shard.blob.size_bytes for shard in shards_of(root))
        assert stored < sum(len(data) for data in files.values())  # once for the tar and the zip
    assert findings(root) == []
    out = tmp_path / "out"
    assert restored(root, out) == files_below(source)
    opened = seec.open(str(root))
    for name in ("042.png", "first.png", "large.png", "030.jpg"):
        assert opened.read(f"small.tar/{name}") == files[name]
        assert opened.read(f"nested.zip/inner.tar/{name}") == files[name]
    images = {name: data for name, data in files.items() if not name.endswith(".json")}
    assert dict(opened.iter(["small.tar/*"], members=True)) == {
        f"small.tar/{name}": data for name, data in images.items()
    }
    with opened.open("small.tar") as file:
        file.seek(-40_000, io.SEEK_END)
        assert file.read() == (source / "small.tar").read_bytes()[-40_000:]


def test_damage_in_a_stack_costs_the_images_of_the_stack(tmp_path: Path, root: Path):
    source, files = tmp_path / "source", small_pictures()
    source.mkdir()
    (source / "small.tar").write_bytes(tar_of(files))
    archived(source, root)
    bad = members(root)["small.tar/002.png"]
    lost = {path for path, row in members(root).items() if row.blob_digest == bad.blob_digest}
    assert 1 < len(lost) < 70
    shutil.move(source, tmp_path / "gone")
    damage(root, bad)
    assert repair.run(repair.Settings(str(root))).lost == ("small.tar",)
    out = tmp_path / "out"
    chosen = restore.Settings(str(root), str(out), members=True, include=("small.tar/*",))
    assert {item.path for item in restore.run(chosen).lost} == lost
    images = {name for name in files if not name.endswith(".json")}
    left = {f"small.tar/{name}".encode() for name in images} - {one.encode() for one in lost}
    assert set(files_below(out)) == left
    opened = seec.open(str(root))
    assert opened.read("small.tar/large.png") == files["large.png"]


@pytest.mark.parametrize("piece_bytes", [PIECE_BYTES, 1 << 24])
def test_images_within_files_are_rows_of_ray_data(source: Path, root: Path, piece_bytes: int):
    pytest.importorskip("ray.data")
    from seec.ray import ArchiveDatasource

    sizes = {"piece_size_bytes": piece_bytes, "shard_size_bytes": PIECE_BYTES}
    archived(source, root, **sizes)
    (source / "train.tar").write_bytes(tar_of(dict(list(pictures().items())[:4])))
    os.link(source / "two.mpo", source / "again.mpo")
    archived(source, root, **sizes)
    expected = dict(seec.open(str(root)).iter(members=True))
    assert "train.tar/0003.jpg" in expected
    assert "train.tar/0008.png" not in expected
    tasks = ArchiveDatasource(str(root), members=True).get_read_tasks(3)
    assert len(tasks) == 3
    rows = [row for task in tasks for table in task() for row in table.to_pylist()]
    assert len(rows) == sum(task.metadata.num_rows or 0 for task in tasks) == len(expected)
    assert {row["path"]: row["bytes"] for row in rows} == expected
    some = ArchiveDatasource(str(root), ["train.tar/*.jpg"], form="pixels", members=True)
    tables = [table for task in some.get_read_tasks(1) for table in task()]
    assert {path for table in tables for path in table["path"].to_pylist()} == {
        path for path in expected if path.startswith("train.tar/") and path.endswith(".jpg")
    }


@pytest.fixture
def in_pieces(source: Path, root: Path) -> SeecFileSystem:
    """Files that hold images as folders; tar and zip are in pieces."""
    archived(source, root, piece_size_bytes=PIECE_BYTES)
    return fsspec.filesystem("seec", target=str(root), members=True)


def test_a_file_that_holds_images_is_a_folder_of_these(in_pieces: SeecFileSystem, source: Path):
    files = in_pieces
    images = {name: data for name, data in pictures().items() if not name.endswith(".json")}
    assert files.ls("train.tar", detail=False) == [f"train.tar/{name}" for name in sorted(images)]
    assert files.isdir("train.tar")
    assert files.info("train.tar/0003.jpg")["size"] == len(images["0003.jpg"])
    assert files.ls("train.tar/0003.jpg") == [files.info("train.tar/0003.jpg")]
    assert files.ls("train.zip/inner.tar", detail=False) == [
        f"train.zip/inner.tar/{name}" for name in sorted(images)
    ]
    assert "train.zip/inner.tar" in files.ls("train.zip", detail=False)
    assert len(files.glob("**/0003.jpg")) == 5
    assert files.find("train.tar") == [f"train.tar/{name}" for name in sorted(images)]
    for path in files.find(""):
        assert files.isfile(path)
        assert files.info(path)["size"] == len(files.cat(path)), path
    assert files.cat("train.tar/0008.png") == images["0008.png"]
    for folder in ("train.tar", "two.mpo", "train.zip/inner.tar"):
        with pytest.raises(IsADirectoryError):
            files.cat(folder)
    for missing in ("train.tar/no.jpg", "train.tar/0003.jpg/no", "train.tar/0000.json"):
        assert not files.exists(missing)
        with pytest.raises(FileNotFoundError):
            files.ls(missing)
    plain = fsspec.filesystem("seec", target=str(files.archive.url))
    assert plain.isfile("train.tar")
    assert plain.ls("train.tar", detail=False) == ["train.tar"]
    assert plain.cat("train.tar") == (source / "train.tar").read_bytes()


def test_a_range_of_a_file_in_pieces_decodes_no_other_pieces(
    source: Path, root: Path, monkeypatch: pytest.MonkeyPatch
):
    archived(source, root, piece_size_bytes=PIECE_BYTES // 4)
    data = (source / "train.tar").read_bytes()
    pieces = rows_of_pieces(root, "train.tar")
    files = fsspec.filesystem("seec", target=str(root))
    decoded: list[int] = []
    segments = InPieces._segments  # pyright: ignore[reportPrivateUsage]

    def noted(self: InPieces, number: int):
        decoded.append(number)
        return segments(self, number)

    monkeypatch.setattr(InPieces, "_segments", noted)
    assert files.cat_file("train.tar", 1000, 1100) == data[1000:1100]
    assert files.cat_file("train.tar", -600, None) == data[-600:]
    assert files.cat_file("train.tar", 50, 40) == b""
    assert 1 <= len(set(decoded)) <= 2 < pieces
    with files.open("train.tar") as file:
        file.seek(-100, io.SEEK_END)
        again = pickle.loads(pickle.dumps(file))  # noqa: S301
        assert again.read() == file.read() == data[-100:]
        assert (file.size, file.name, file.info()["size"]) == (len(data), "train.tar", len(data))
        file.seek(0)
        assert file.read() == data
        with pytest.raises(io.UnsupportedOperation):
            file.write(b"x")
    with files.open("train.tar") as file, tarfile.open(fileobj=file) as tar:
        found = tar.extractfile("0005.jpg")
        assert found is not None
        assert found.read() == pictures()["0005.jpg"]


def rows_of_pieces(root: Path, path: str) -> int:
    """How many pieces a file is in."""
    archive = Archive.open(Store(str(root)))
    rows = (row for shard in archive.state.in_order() for row in archive.rows(shard))
    return sum(row.path == path and row.piece is not None for row in rows)


@pytest.mark.filterwarnings("ignore:unclosed file")  # by webdataset
def test_tars_are_samples_of_webdataset(source: Path, root: Path):
    webdataset = pytest.importorskip("webdataset")
    captions = {f"{number:04}.json": b"{}" for number in range(9)}
    files = dict(sorted({**captions, **pictures(), "__meta__": b"x", "none": b"y"}.items()))
    (source / "train.tar").write_bytes(tar_of(files))
    archived(source, root, piece_size_bytes=PIECE_BYTES)
    expected = list(webdataset.WebDataset([str(source / "train.tar")], shardshuffle=False))
    found = list(samples(str(root)))
    assert len(found) == 9

    def bare(some: list[dict[str, object]]) -> list[dict[str, object]]:
        return [
            {k: v for k, v in one.items() if k in ("__key__", "jpg", "png", "json")} for one in some
        ]

    assert bare(found) == bare(expected)
    assert {one["__url__"] for one in found} == {f"seec://train.tar::{root}"}
    with pytest.raises(UnreadableImage, match="no tar file"):
        list(samples(str(root), ["two.mpo"]))


@pytest.mark.filterwarnings("ignore:unclosed file")  # by webdataset
def test_tars_with_gzip_are_samples_too(source: Path, root: Path):
    webdataset = pytest.importorskip("webdataset")
    (source / "train.tar.gz").write_bytes(gzip.compress(tar_of(pictures())))
    archived(source, root)
    url = str(source / "train.tar.gz")
    expected = list(webdataset.WebDataset([url], shardshuffle=False))
    found = list(samples(str(root), ["train.tar.gz"]))
    assert [(one["__key__"], one.get("png"), one.get("jpg")) for one in found] == [
        (one["__key__"], one.get("png"), one.get("jpg")) for one in expected
    ]


def test_a_damaged_list_of_pieces_hides_no_other_file(source: Path, root: Path):
    (source / "train.tar").write_bytes(tar_of(pictures()))
    archived(source, root, piece_size_bytes=PIECE_BYTES)
    row = seec.open(str(root)).bare_row("train.tar")
    blob = root / blob_name(row.shard)
    data = bytearray(blob.read_bytes())
    data[row.offset + 5] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)
    files = SeecFileSystem(str(root), members=True, skip_instance_cache=True)
    assert {one["name"]: one["type"] for one in files.ls("")}["train.tar"] == "file"
    with pytest.raises(DigestMismatch):
        files.cat_file("train.tar")


def test_a_member_behind_a_dot_has_its_name(source: Path, root: Path):
    files = {f"./inner/{name}": data for name, data in pictures().items()}
    (source / "dot.tar").write_bytes(tar_of(files))
    archived(source, root)
    opened = seec.open(str(root))
    for name, data in files.items():
        if not name.endswith(".json"):
            assert opened.read(f"dot.tar/{name.removeprefix('./')}") == data


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_the_model_of_jpeg_is_carried_for_pictures_within_files(
    tmp_path: Path, root: Path, compress: Callable[[bytes], bytes]
):
    source = tmp_path / "source"
    source.mkdir()
    noise = np.random.default_rng(5).integers(0, 256, (8, 300, 400, 3), np.uint8)
    photographs = [jpeg(pixels) for pixels in noise]
    tar = tar_of({f"{n}.jpg": d for n, d in enumerate(photographs)})
    (source / "train.tar").write_bytes(compress(tar))
    read = Source(str(source))
    size = (source / "train.tar").stat().st_size
    assert 0.8 * size < jpeg_bytes_within(read, read.files(), 1 << 40) <= size
    assert jpeg_bytes_within(read, read.files(), 1000) == 1000
