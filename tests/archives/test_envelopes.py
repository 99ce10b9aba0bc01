"""What a file holds beside its picture: a few bytes in its row, more in the blob."""

import random
import shutil
from pathlib import Path

import pytest

from seec.pipeline.archive.catalogue import current_rows, sorted_rows
from seec.pipeline.routes.reading import restore
from seec.pipeline.routes.reading.envelopes import split
from seec.pipeline.routes.writing import Candidate, draft
from seec.schemas.errors import SectionCorrupt
from seec.schemas.plan import SourceFile
from seec.schemas.routes import SEEC, STORE
from seec.schemas.rows import ENVELOPE_BYTES_IN_ROW, Row
from tests.archives.life import archive, findings, held, opened
from tests.archives.plain_reader import restored
from tests.archives.test_format import decode_with
from tests.archives.test_repair import mend, shards, spoil
from tests.pictures import textured
from tests.rows import with_samples
from tests.sources import image_bytes

PIXELS = textured(80, 90)
BMP, TIFF = image_bytes(PIXELS, "BMP"), image_bytes(PIXELS, "TIFF")


def noise(size_bytes: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size_bytes)


FILES = {
    "a-short.bmp": BMP + noise(1000),
    "b-long.bmp": BMP + noise(9000),
    "c-longer.tiff": TIFF + noise(5000, 1) + bytes(30_000),
    "d-long.bmp": BMP + noise(9000),
    "e-raw.tiff": TIFF + noise(300_000),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("envelopes")
    (folder / "source").mkdir()
    for path, data in FILES.items():
        (folder / "source" / path).write_bytes(data)
    archive(folder / "source", folder / "archive", shard_files=10)
    archive(folder / "source", folder / "shared", shard_files=10, dedupe="pixels")
    return folder


def rows(root: Path) -> dict[str, Row]:
    return {row.path: row for _, part in current_rows(opened(root)) for row in part}


@pytest.mark.parametrize("name", ["archive", "shared"])
def test_every_file_comes_back(made: Path, name: str):
    assert findings(made / name) == []
    assert held(made / name) == FILES
    plain = restored(made / name, decode_with)
    assert {path.decode(): data for path, data in plain} == FILES


def test_manifests_hold_short_envelopes_only(made: Path):
    by_path = rows(made / "archive")
    sizes = {path: row.envelope_length for path, row in by_path.items()}
    assert sizes["a-short.bmp"] is None
    assert 9000 < (sizes["b-long.bmp"] or 0) < 9200
    assert 5000 < (sizes["c-longer.tiff"] or 0) < 5500
    manifest = made / "archive" / shards(made / "archive")[0].manifest.name
    assert manifest.stat().st_size < 12_000
    places = {path: (row.offset, row.length) for path, row in by_path.items()}
    assert places["b-long.bmp"] == places["d-long.bmp"]
    assert len(set(places.values())) == 4
    rates = {row.rate_bpsp for row in by_path.values() if row.route == SEEC}
    assert len(rates) == 1  # one picture has one rate, whatever is beside it


def test_a_file_that_is_hardly_a_picture_is_stored(made: Path):
    row = rows(made / "archive")["e-raw.tiff"]
    assert (row.route, row.reason) == (STORE, "its picture is a small part of the file")
    for beside, stored in ((1000, False), (len(BMP) * 2, False), (len(BMP) * 4, True)):
        data = BMP + noise(beside)
        made_of_it = draft(Candidate(SourceFile("a.bmp", len(data), 0), data, 10**6))
        assert (made_of_it.coded is None) == stored


def test_listing_reads_no_envelope(made: Path):
    listed = list(sorted_rows(opened(made / "archive")))
    some = list(sorted_rows(opened(made / "archive"), ("a-*",)))
    for row in [*listed, *some]:
        assert row.samples is None or row.samples.envelope is None
    whole = list(rows(made / "archive").values())
    assert [with_samples(row, envelope=None) if row.samples else row for row in whole] == listed


def test_a_damaged_envelope_is_found_and_mended(made: Path, tmp_path: Path):
    root = Path(shutil.copytree(made / "shared", tmp_path / "archive"))
    [shard] = shards(root)
    row = rows(root)["c-longer.tiff"]
    blob = root / shard.blob.name
    data = bytearray(blob.read_bytes())
    data[row.offset + row.length - 1] ^= 1
    blob.write_bytes(data)
    assert [one.kind for one in findings(root)] == ["blob-damaged"]
    assert findings(root)[0].paths == ("c-longer.tiff",)
    assert mend(root).lost == ("c-longer.tiff",)  # the same pixels are there, its envelope is not
    assert mend(root, made / "source").files_mended == 1
    assert findings(root) == []
    assert held(root) == FILES


def test_a_lost_image_takes_the_code_but_not_the_envelope_of_another(made: Path, tmp_path: Path):
    root = Path(shutil.copytree(made / "archive", tmp_path / "archive"))
    for path in ("a-short.bmp", "c-longer.tiff"):
        spoil(root, shards(root)[0], path)
    source = Path(shutil.copytree(made / "source", tmp_path / "source"))
    (source / "a-short.bmp").unlink()
    assert mend(root, source).lost == ()
    assert findings(root) == []
    assert held(root) == FILES


def test_a_frame_of_another_size_than_the_row_allows_is_corrupt(made: Path):
    row = rows(made / "archive")["c-longer.tiff"]
    [shard] = shards(made / "archive")
    data = (made / "archive" / shard.blob.name).read_bytes()[row.offset :][: row.length]
    whole, payload = split(row, data)
    assert whole.samples is not None
    assert len(whole.samples.envelope or b"") > ENVELOPE_BYTES_IN_ROW
    assert len(payload) == row.payload_length
    lying = Row(**{**row.__dict__, "source_size_bytes": 30_000})
    with pytest.raises(SectionCorrupt, match="another size"):
        restore(lying, data, {})
    lying = Row(**{**row.__dict__, "envelope_length": 5})
    with pytest.raises(SectionCorrupt):
        restore(lying, data, {})
