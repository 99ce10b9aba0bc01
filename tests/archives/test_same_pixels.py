"""Images with the same pixels share a code: plan, encoder, shard and repair."""

import hashlib
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from seec.jobs.exit_codes import ExitCode
from seec.pipeline.archive.duplicates import gathered, images, same_extent
from seec.pipeline.archive.planning import cut_shards
from seec.pipeline.archive.shard import share_codes
from seec.pipeline.codec import load_model
from seec.pipeline.routes.writing import Candidate, RunModels, draft, samples_digest
from seec.pipeline.stages import tasks
from seec.pipeline.storage import Source
from seec.schemas.plan import PlanSettings, SourceFile
from seec.schemas.routes import SEEC, STORE
from seec.schemas.rows import Entry, ImageFacts, Row, SampleFacts
from tests.archives.life import archive, findings, held, opened
from tests.archives.test_repair import mend
from tests.faults import points
from tests.pictures import textured
from tests.sources import image_bytes

ONE = textured(40, 50)
COPIES = {
    "a/one.png": image_bytes(ONE, "PNG"),
    "b/one.bmp": image_bytes(ONE, "BMP"),
    "c/one.tiff": image_bytes(ONE, "TIFF"),
    "d/one.webp": image_bytes(ONE, "WEBP", lossless=True),
}


def files(**sizes: int) -> list[SourceFile]:
    return [SourceFile(path, size, 0) for path, size in sizes.items()]


def shards(listing: list[SourceFile], signs: dict[str, bytes], **limits: Any) -> list[str]:
    planned = gathered(listing, signs, one_shard=True)
    settings = PlanSettings("", **limits)
    return ["".join(file.path for file in shard) for shard in cut_shards(planned, settings)]


def test_copies_are_cut_apart_only_where_no_shard_holds_them():
    listing = files(a=1, b=1, c=1, d=1, e=1, f=1)
    signs = {"b": b"1", "d": b"1", "f": b"1", "c": b"2", "a": b"3"}
    assert shards(listing, signs, shard_files=3) == ["a", "bdf", "ce"]
    assert shards(listing, signs, shard_files=2) == ["a", "bd", "cf", "e"]
    assert shards(listing, signs, shard_size_bytes=3) == ["a", "bdf", "ce"]
    assert shards(files(a=1, b=2, c=2), {"b": b"1", "c": b"1"}, shard_size_bytes=3) == [
        "a",
        "b",
        "c",
    ]


def test_images_of_one_size_are_found_by_their_first_bytes(tmp_path: Path):
    others = {
        "e/small.png": image_bytes(ONE[:20], "PNG"),
        "f/words.txt": b"words" * 1000,
        "g/alone.png": image_bytes(ONE[:30], "PNG"),
        "h/gray.pgm": image_bytes(ONE[:20, :, 0], "PPM"),
        "i/empty.png": b"",
    }
    for path, data in (COPIES | others).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(data)
    source, seen = Source(str(tmp_path)), list[None]()
    listing = [file for file in source.files() if file.kind == "file"]
    listing.append(SourceFile("z/gone.png", 100, 0))

    def compared(settings: PlanSettings) -> dict[str, int]:
        looked_at = images(listing, settings)
        found = same_extent(source, looked_at, settings, lambda: seen.append(None))
        return {file.path: pixels for file, pixels in found}

    whole = compared(PlanSettings(""))
    assert whole == dict.fromkeys(COPIES, 2000) | {"e/small.png": 1000, "h/gray.pgm": 1000}
    assert len(seen) == len(listing) - 1  # there is nothing to look at in an empty file
    assert compared(PlanSettings("", max_pixels=1999)).keys() == {"e/small.png", "h/gray.pgm"}
    assert "b/one.bmp" not in compared(PlanSettings("", max_file_size_bytes=6000))


def test_a_digest_of_samples_is_that_of_the_row():
    for data in (*COPIES.values(), image_bytes(textured(20, 20)[..., :2].copy(), "PNG", mode="LA")):
        made = draft(Candidate(SourceFile("", len(data), 0), data, 2000))
        assert made.coded is not None
        assert made.coded.row.samples is not None
        assert (
            samples_digest(Candidate(SourceFile("a", 0, 0), data, 2000))
            == made.coded.row.samples.digest
        )
        assert samples_digest(Candidate(SourceFile("a", 0, 0), data, 100)) is None
    assert samples_digest(Candidate(SourceFile("a", 0, 0), b"no image", 100)) is None


def entry(path: str, code: bytes, **fields: Any) -> Entry:
    digest, source_digest = hashlib.sha256(code).digest(), hashlib.sha256(path.encode()).digest()
    row = Row(path, 99, 0, source_digest, SEEC, length=len(code), blob_digest=digest)
    row = replace(row, image=ImageFacts(2, 4, "L", "PNG"), samples=SampleFacts(b"pixels", 8))
    return Entry(replace(row, **fields), code)


def test_the_smallest_code_is_kept_whatever_the_order():
    entries = [
        entry("a", b"longer"),
        entry("b", b"codes"),
        entry("c", b"CODES"),
        entry("lossy", b"odd", samples=SampleFacts(b"pixels", 8, background_error=2)),
        entry("other", b"pix", samples=SampleFacts(b"others", 8)),
        entry("stored", b"it", route=STORE),
    ]
    for some in permutations(entries):
        shared = {one.row.path: one for one in share_codes(some)}
        assert [one.row.path for one in share_codes(some)] == [one.row.path for one in some]
        assert [shared[path].payload for path in "abc"] == [b"codes"] * 3
        assert {shared[path].row.blob_digest for path in "abc"} == {entries[1].row.blob_digest}
        assert {(shared[path].row.length, shared[path].row.rate_bpsp) for path in "abc"} == {(5, 5)}
        assert {shared[path].row.source_digest for path in "abc"} == {
            one.row.source_digest for one in entries[:3]
        }
        assert [shared[one.row.path] for one in entries[3:]] == entries[3:]


def test_a_picture_is_encoded_once(monkeypatch: pytest.MonkeyPatch):
    model = load_model(points.MODEL.read_bytes())
    actor = tasks.Encoding("cpu", *tasks.in_pieces(RunModels(model)))
    pixels: list[int] = []
    encode_batch = actor._encoder.encode_batch

    def counted(pictures: Any, *others: Any, **options: Any) -> Any:
        pixels.append(sum(picture.shape[0] * picture.shape[1] for picture in pictures))
        return encode_batch(pictures, *others, **options)

    monkeypatch.setattr(actor._encoder, "encode_batch", counted)
    drafts = [draft(Candidate(SourceFile(p, len(d), 0), d, 2000)) for p, d in COPIES.items()]
    together, _ = actor.encode(drafts, None)
    assert pixels == [2000]
    again, _ = actor.encode(drafts[1:], None, together[:1])
    assert pixels == [2000, 0]
    alone = [actor.encode([one], None)[0][0] for one in drafts]
    assert together == alone
    assert again == alone[1:]
    assert [one.row.route for one in alone] == [SEEC, SEEC, SEEC, STORE]  # that one is smaller
    assert len({one.payload for one in alone}) == 2


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a PNG and a BMP file of the same pixels, and their archive."""
    folder = tmp_path_factory.mktemp("pixels")
    for path in ("a/one.png", "b/one.bmp"):
        (folder / "source" / path).parent.mkdir(parents=True)
        (folder / "source" / path).write_bytes(COPIES[path])
    archive(folder / "source", folder / "archive", shard_files=9)
    return folder


def rows_of(root: Path) -> dict[str, Row]:
    archived = opened(root)
    return {
        row.path: row
        for shard in archived.state.in_order()
        for row in archived.rows(shard)
        if row.kind == "file"
    }


def test_one_of_two_files_mends_the_code_that_they_share(made: Path):
    source, root = made / "source", made / "archive"
    before = held(root)
    rows = rows_of(root)
    assert len({(row.offset, row.blob_digest) for row in rows.values()}) == 1
    assert len({row.source_digest for row in rows.values()}) == 2
    (source / "b/one.bmp").unlink()
    (shard,) = opened(root).state.in_order()
    blob = root / shard.blob.name
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    (found,) = findings(root)
    assert found.paths == ("a/one.png", "b/one.bmp")
    summary = mend(root, source)
    assert (summary.exit_code, summary.lost) == (ExitCode.OK, ())
    assert findings(root) == []
    assert held(root) == before
    assert rows_of(root) == rows
