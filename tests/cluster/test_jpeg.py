"""JPEG in archives, on Ray: archived, verified, damaged, forged, restored."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from seec.jobs import archive, ls, restore, verify
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.archive import Archive
from seec.pipeline.archive.changes import commit_after
from seec.pipeline.archive.shard import rows_root
from seec.pipeline.storage import Store
from seec.schemas.commit import Commit, ObjectRecord, ShardRecord
from seec.schemas.manifest import serialise_manifest
from seec.schemas.report import Finding
from seec.schemas.routes import JPEGXL_JPEG, SEEC_JPEG, SPANS, STORE
from seec.schemas.rows import Row
from tests.jpegs import held, jpeg, refused
from tests.rows import with_image
from tests.sources import files_below, write_tiny_source

pytestmark = pytest.mark.usefixtures("ray_cluster")

HELD, REFUSED = held(), refused()


def write(source: Path) -> None:
    """PNG files, JPEG that is transcoded, JPEG that is stored."""
    write_tiny_source(source, 3)
    for kind, data in (HELD | REFUSED).items():
        (source / f"{kind}.jpg").write_bytes(data)


def rows_of(root: Path) -> tuple[Archive, ShardRecord, list[Row]]:
    opened = Archive.open(Store(str(root)))
    (shard,) = opened.state.in_order()
    return opened, shard, opened.rows(shard)


def findings(root: Path, mode: str) -> list[Finding]:
    return list(verify.run(verify.Settings(str(root), mode)).findings)


@pytest.mark.parametrize("codec", [archive.JPEG_XL, archive.JPEG_SEEC])
def test_a_tree_with_jpeg_goes_in_is_proved_and_comes_back(tmp_path: Path, codec: str):
    source, root, out = (tmp_path / name for name in ("source", "archive", "out"))
    write(source)
    first = archive.run(archive.Settings(str(source), str(root), jpeg=codec))
    again = archive.run(archive.Settings(str(source), str(tmp_path / "again"), jpeg=codec))
    assert (first.exit_code, first.files_added) == (ExitCode.OK, 3 + len(HELD) + len(REFUSED))
    assert again.digest == first.digest
    routes = ls.Totals(ls.run(ls.Settings(str(root), ("*.jpg",))).rows).routes
    if codec == archive.JPEG_XL:
        assert routes == {JPEGXL_JPEG: len(HELD) - 1, SPANS: 1, STORE: len(REFUSED)}
    else:
        assert routes[SEEC_JPEG] >= len(HELD) - 1
    for mode in ("checksum", "sample", "decode"):
        assert findings(root, mode) == []
    result = CliRunner().invoke(restore.main, [str(root), str(out), "--json"])
    assert json.loads(result.stdout)["restored"] == first.files_added
    before, after = files_below(source), files_below(out)
    assert before.keys() == after.keys()
    assert all(after[name] == data for name, data in before.items() if name.endswith(b".jpg"))


@pytest.fixture(params=[archive.JPEG_XL, archive.JPEG_SEEC])
def one_jpeg(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    source, root = tmp_path / "source", tmp_path / "archive"
    source.mkdir()
    (source / "a.jpg").write_bytes(jpeg())
    (source / "b.jpg").write_bytes(jpeg(quality=90))
    archive.run(archive.Settings(str(source), str(root), profile="fast", jpeg=request.param))
    expected = {archive.JPEG_XL: JPEGXL_JPEG, archive.JPEG_SEEC: SEEC_JPEG}[request.param]
    assert {row.route for row in rows_of(root)[2]} == {expected}
    return root


def test_flipped_bytes_of_a_payload_are_found_in_every_mode(tmp_path: Path, one_jpeg: Path):
    root = one_jpeg
    _, shard, rows = rows_of(root)
    blob = root / shard.blob.name
    sound = blob.read_bytes()
    for position in (0, 20, rows[0].length // 2, rows[0].length - 1):
        blob.write_bytes(sound[:position] + bytes([sound[position] ^ 4]) + sound[position + 1 :])
        for mode in ("checksum", "decode"):
            (found,) = findings(root, mode)
            assert (found.kind, found.paths) == ("blob-damaged", ("a.jpg",))
    result = restore.run(restore.Settings(str(root), str(tmp_path / "out")))
    assert [item.path for item in result.failed] == ["a.jpg"]
    assert (tmp_path / "out" / "b.jpg").read_bytes() == jpeg(quality=90)


def forge(root: Path, row: Row, payload: bytes) -> None:
    """Replace all that an archive of one shard holds by one row, with digests that fit."""
    opened, shard, _ = rows_of(root)
    digest = hashlib.sha256(payload).digest()
    row = replace(row, offset=0, length=len(payload), blob_digest=digest)
    records: list[ObjectRecord] = []
    for record, data in ((shard.blob, payload), (shard.manifest, serialise_manifest([row]))):
        (root / record.name).write_bytes(data)
        sha256 = hashlib.sha256(data).hexdigest()
        records.append(replace(record, size_bytes=len(data), sha256=sha256))
    last = max((root / "commits").iterdir())
    sequence = opened.state.sequence
    commit = Commit.parse(sequence, last.read_bytes())
    forged = replace(
        shard,
        files=1,
        path_range=(row.path, row.path),
        blob=records[0],
        manifest=records[1],
        rows_root=rows_root([row]).hex(),
    )
    changes = replace(commit.changes, shards=(forged,))
    before = opened.at(sequence - 1).state
    last.write_bytes(commit_after(before, changes, opened.header.recap_every).serialise())


def test_a_forged_row_is_found_when_it_is_decoded_and_not_restored(tmp_path: Path, one_jpeg: Path):
    root = one_jpeg
    _, shard, (row, other) = rows_of(root)
    payload = (root / shard.blob.name).read_bytes()[: row.length]
    for number, (forged, data, kind) in enumerate(
        (
            (row, b"garbage", "image-undecodable"),
            (row, b"\xff\x0a" + bytes(300), "image-undecodable"),
            (row, payload[:-9], "image-undecodable"),
            (row, payload[:200] + b"\0" * 99 + payload[299:], "image-undecodable"),
            (
                with_image(row, width=row.image.width + 1 if row.image else 1),
                payload,
                "image-undecodable",
            ),
            (replace(row, source_digest=other.source_digest), payload, "pixels-differ"),
        )
    ):
        forge(root, forged, data)
        assert findings(root, "checksum") == []
        (found,) = findings(root, "decode")
        assert (found.kind, found.paths) == (kind, ("a.jpg",))
        result = restore.run(restore.Settings(str(root), str(tmp_path / f"out {number}")))
        assert (result.exit_code, len(result.failed)) == (ExitCode.DAMAGE, 1)
        assert result.failed[0].error in ("SectionCorrupt", "Truncated", "DigestMismatch")
