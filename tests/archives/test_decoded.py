"""Images that were decoded from JPEG: kept as coefficients, restored pixel by pixel."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import seec
from seec.jobs import archive as archive_job
from seec.jobs import ls, planning, restore
from seec.jobs.archive import JPEG_AUTO, JPEG_SEEC, JPEG_XL, Settings
from seec.pipeline.archive.archive import Archive
from seec.pipeline.archive.models import archived_models
from seec.pipeline.archive.shard import payloads
from seec.pipeline.routes.reading import check
from seec.pipeline.storage import Store
from seec.schemas.errors import DigestMismatch, SectionCorrupt, SeecError
from seec.schemas.manifest import parse_manifest
from seec.schemas.routes import SEEC, SEEC_DECODED
from tests.archives import plain_reader
from tests.archives.life import findings
from tests.archives.test_repair import mend, no_images
from tests.jpegs import detailed, jpeg
from tests.sources import files_below, image_bytes

PICTURE = detailed()[:80, :64]


def decoded(form: str, **options: object) -> bytes:
    """An image file of what Pillow decodes a JPEG file to."""
    with Image.open(io.BytesIO(jpeg(PICTURE, 75, **options))) as image:
        return image_bytes(np.asarray(image), form)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "a.png").write_bytes(decoded("PNG", subsampling=2))
    (folder / "b.bmp").write_bytes(decoded("BMP", subsampling=0))
    with Image.open(io.BytesIO(jpeg(PICTURE[..., 1].copy(), 75))) as image:
        (folder / "gray.png").write_bytes(image_bytes(np.asarray(image), "PNG"))
    (folder / "none.png").write_bytes(image_bytes(PICTURE, "PNG"))
    return folder


def archive(source: Path, root: Path, jpeg: str = JPEG_SEEC) -> dict[str, str]:
    """The routes that files take."""
    settings = Settings(str(source), str(root), profile="fast", jpeg=jpeg)
    assert archive_job.run(settings).exit_code == 0
    return {row.path: row.route for row in ls.run(ls.Settings(str(root))).rows}


def pixels(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def test_they_take_the_route_of_coefficients_and_come_back(source: Path, tmp_path: Path):
    root = tmp_path / "archive"
    routes = archive(source, root)
    assert routes.pop("none.png") == SEEC
    assert set(routes.values()) == {SEEC_DECODED}
    assert findings(root) == []
    restore.run(restore.Settings(str(root), str(tmp_path / "out")))
    before, after = files_below(source), files_below(tmp_path / "out")
    assert before[b"b.bmp"] == after[b"b.bmp"]
    opened = seec.open(str(root))
    for name, data in before.items():
        np.testing.assert_array_equal(pixels(data), pixels(after[name]))
        path = name.decode()
        np.testing.assert_array_equal(opened.pixels(path), pixels(data))
        part = opened.pixels(path, region=(7, 9, 30, 21))
        np.testing.assert_array_equal(part, pixels(data)[9:30, 7:37])


def test_a_run_without_a_model_of_jpeg_codes_their_pixels(source: Path, tmp_path: Path):
    assert set(archive(source, tmp_path / "archive", JPEG_XL).values()) == {SEEC}


def test_a_plain_reader_restores_them_with_what_the_archive_holds(source: Path, tmp_path: Path):
    (source / "none.png").unlink()
    archive(source, tmp_path / "archive")
    found = dict(plain_reader.restored(tmp_path / "archive", no_images))
    for name, data in files_below(source).items():
        np.testing.assert_array_equal(pixels(found[name]), pixels(data))


def test_damaged_ones_are_found_and_coded_again_from_the_source(source: Path, tmp_path: Path):
    root = tmp_path / "archive"
    archive(source, root)
    (blob,) = root.glob("blobs/*/*.blob")
    data = bytearray(blob.read_bytes())
    data[40] ^= 1
    blob.write_bytes(data)
    assert findings(root) != []
    with pytest.raises(SeecError):
        seec.open(str(root)).pixels("a.png")
    mend(root, source)
    assert findings(root) == []
    assert archive(source, root)["a.png"] == SEEC_DECODED


def test_a_run_takes_the_model_where_enough_files_were_jpeg(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert set(archive(source, tmp_path / "few", JPEG_AUTO).values()) == {SEEC}
    monkeypatch.setattr(planning, "_WORTH_A_MODEL", 0.1)
    assert archive(source, tmp_path / "enough", JPEG_AUTO)["a.png"] == SEEC_DECODED


def test_a_row_that_promises_another_image_is_refused(source: Path, tmp_path: Path):
    archive(source, tmp_path / "archive")
    store = Store(str(tmp_path / "archive"))
    (shard,) = Archive.open(store).state.shards.values()
    rows = parse_manifest(shard.manifest.name, store.get(shard.manifest.name))
    row = next(row for row in rows if row.path == "b.bmp")
    ((_, payload),) = payloads(store, shard.blob.name, [row])
    models = archived_models(store, [row])
    check(row, payload, models)
    assert row.image is not None
    assert row.samples is not None
    for other in (
        replace(row, image=replace(row.image, mode="3x8")),
        replace(row, image=replace(row.image, mode="L")),
        replace(row, image=replace(row.image, width=row.image.width - 1)),
        replace(row, samples=replace(row.samples, size_bytes=row.samples.size_bytes - 3)),
    ):
        with pytest.raises(SectionCorrupt):
            check(other, payload, models)
    with pytest.raises(DigestMismatch):
        check(replace(row, samples=replace(row.samples, digest=bytes(32))), payload, models)
