"""JPEG files coded by their coefficients: the archive holds the model that their rows need."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from seec.jobs import archive as archive_job
from seec.jobs import gc, info, ls, planning, restore
from seec.jobs.archive import JPEG_AUTO, JPEG_SEEC, JPEG_XL, Settings
from seec.pipeline.archive import Archive
from seec.pipeline.dct.packaged import models_for, packaged_model
from seec.pipeline.dct.weights import load_model
from seec.pipeline.storage import Store
from seec.schemas.archive import model_name
from seec.schemas.kinds import LINK
from seec.schemas.plan import SourceFile
from seec.schemas.routes import JPEGXL_JPEG, SEEC, SEEC_JPEG, SPANS, STORE
from tests.archives import plain_reader
from tests.archives.life import findings
from tests.archives.test_repair import mend, no_images
from tests.jpegs import held, jpeg, refused
from tests.pictures import textured
from tests.sources import files_below, image_bytes

MODEL = packaged_model("fast")
OWN = Path(__file__).parent.parent / "vectors" / "dct" / "networks.dct"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.jpg").write_bytes(jpeg(textured(120, 160, number)))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "archive"


def archive(source: Path, root: Path, jpeg: str = JPEG_SEEC) -> None:
    settings = Settings(str(source), str(root), profile="fast", jpeg=jpeg)
    assert archive_job.run(settings).exit_code == 0


def routes(root: Path) -> dict[str, str]:
    return {
        row.path: row.route for row in ls.run(ls.Settings(str(root))).rows if "/" not in row.path
    }


def models(root: Path) -> set[str]:
    """Those that gc leaves."""
    gc.run(gc.Settings(str(root), delete=True, older_than_s=0))
    return set(Store(str(root)).names("models"))


def comes_back(source: Path, root: Path, out: Path) -> bool:
    restore.run(restore.Settings(str(root), str(out)))
    return files_below(source) == files_below(out)


def test_the_archive_holds_the_model_of_jpeg_and_no_other(source: Path, root: Path, tmp_path: Path):
    archive(source, root)
    assert set(routes(root).values()) == {SEEC_JPEG}
    assert models(root) == {model_name(MODEL.id)}
    assert Archive.open(Store(str(root))).state.models == {MODEL.id}
    assert f"{model_name(MODEL.id)} (fast, of JPEG files)" in "".join(info.run(str(root)).lines())
    assert findings(root) == []
    assert comes_back(source, root, tmp_path / "out")


def test_a_plain_reader_restores_them_with_what_the_archive_holds(tmp_path: Path, root: Path):
    source = tmp_path / "small"
    source.mkdir()
    (source / "gray.jpg").write_bytes(jpeg(textured(40, 56)[..., 0]))
    thumbnail = b"Exif\0\0" + jpeg(textured(24, 16))
    (source / "within.jpg").write_bytes(jpeg(textured(30, 30), exif=thumbnail))
    archive(source, root)
    assert set(routes(root).values()) == {SEEC_JPEG}
    assert dict(plain_reader.restored(root, no_images)) == files_below(source)


def test_all_kinds_of_jpeg_come_back_beside_other_images(source: Path, root: Path, tmp_path: Path):
    for kind, data in (held() | refused()).items():
        (source / f"{kind}.jpg").write_bytes(data)
    (source / "a.png").write_bytes(image_bytes(textured(40, 56), "PNG"))
    archive(source, root)
    found = routes(root)
    assert found.pop("a second picture behind.jpg") == SPANS
    assert {found.get(f"{kind}.jpg", SEEC_JPEG) for kind in held()} == {SEEC_JPEG}
    assert found["a.png"] == SEEC
    assert set(found.values()) <= {SEEC, SEEC_JPEG, JPEGXL_JPEG, SPANS, STORE}
    assert len(models(root)) == 2
    assert findings(root) == []
    restore.run(restore.Settings(str(root), str(tmp_path / "out")))
    out = files_below(tmp_path / "out")
    assert all(out[name] == data for name, data in files_below(source).items() if name != b"a.png")


def test_few_jpeg_files_are_not_worth_the_model(
    source: Path, root: Path, monkeypatch: pytest.MonkeyPatch
):
    archive(source, root, JPEG_AUTO)
    assert set(routes(root).values()) == {JPEGXL_JPEG}
    assert models(root) == set()
    monkeypatch.setattr(planning, "_WORTH_A_MODEL", 0)
    (source / "new.jpg").write_bytes(jpeg(textured(120, 160, 5)))
    archive(source, root, JPEG_AUTO)
    assert routes(root)["new.jpg"] == SEEC_JPEG
    monkeypatch.undo()  # the model is there by now
    (source / "newer.jpg").write_bytes(jpeg(textured(120, 160, 6)))
    archive(source, root, JPEG_AUTO)
    assert routes(root)["newer.jpg"] == SEEC_JPEG
    (source / "last.jpg").write_bytes(jpeg(textured(120, 160, 7)))
    archive(source, root, JPEG_XL)
    assert routes(root)["last.jpg"] == JPEGXL_JPEG


def test_many_small_jpeg_files_are_worth_the_model():
    def listing(files: int, size_bytes: int) -> list[SourceFile]:
        return [SourceFile(f"{number}.jpg", size_bytes, 0) for number in range(files)]

    (wanted,) = planning.bytes_worth(models_for(None))
    assert planning.jpeg_bytes(listing(600, 950)) > wanted  # 32 x 32 pixels each
    assert planning.jpeg_bytes(listing(200, 950)) < wanted
    assert planning.jpeg_bytes(listing(60, 14_000)) < wanted
    assert planning.jpeg_bytes([SourceFile("a.txt", 1 << 30, 0)]) == 0
    links = [SourceFile(f"{number}.jpg", 10, 0, kind=LINK) for number in range(600)]
    again = [replace(one, same_file="0.jpg") for one in listing(600, 950)]
    unreadable = [replace(one, problem="a device") for one in listing(600, 950)]
    assert planning.jpeg_bytes([*links, *again, *unreadable]) == 0


def test_a_larger_model_is_for_more_files():
    larger, smaller = models = models_for("max")
    assert len(larger.payload) > len(smaller.payload)
    worth = planning.bytes_worth(models)
    assert worth[0] > worth[1] > 0
    assert planning.worthwhile(models, worth, worth[0]) is larger
    assert planning.worthwhile(models, worth, worth[0] - 1) is smaller
    assert planning.worthwhile(models, worth, worth[1] - 1) is None
    assert planning.bytes_worth(models, {larger.id})[0] == 0
    worth_beside = planning.bytes_worth(models, {smaller.id})
    assert worth_beside[0] > worth[0]
    assert worth_beside[1] == 0


def test_a_model_of_ones_own_codes_jpeg_and_is_in_the_archive(
    source: Path, root: Path, tmp_path: Path
):
    settings = Settings(str(source), str(root), jpeg_model=OWN)
    assert archive_job.run(settings).exit_code == 0
    assert set(routes(root).values()) == {SEEC_JPEG}
    assert models(root) == {model_name(load_model(OWN.read_bytes()).id)}
    assert findings(root) == []
    assert comes_back(source, root, tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--jpeg-model", str(OWN), "--jpeg", "jpegxl"], "leave out --jpeg-model"),
        (["--jpeg-model", __file__], f"{__file__}: not a model"),
    ],
)
def test_a_model_that_cannot_be_used_is_refused_before_anything_is_written(
    source: Path, root: Path, options: list[str], complaint: str
):
    result = CliRunner().invoke(archive_job.main, [str(source), str(root), *options])
    assert result.exit_code != 0
    assert complaint in result.stderr
    assert not root.exists()


def test_a_lost_model_is_found_named_and_put_back(source: Path, root: Path, tmp_path: Path):
    archive(source, root)
    (root / model_name(MODEL.id)).unlink()
    assert "model-missing" in {finding.kind for finding in findings(root)}
    mend(root)
    assert findings(root) == []
    (root / model_name(MODEL.id)).write_bytes(b"\x28\xb5\x2f\xfd, but no model")
    assert "model-damaged" in {finding.kind for finding in findings(root)}
    mend(root)
    assert comes_back(source, root, tmp_path / "out")


def test_damaged_files_are_coded_again_from_the_source(source: Path, root: Path, tmp_path: Path):
    archive(source, root)
    (blob,) = root.glob("blobs/*/*.blob")
    data = bytearray(blob.read_bytes())
    data[1] ^= 1
    blob.write_bytes(data)
    mend(root, source)
    assert findings(root) == []
    assert set(routes(root).values()) == {SEEC_JPEG}
    assert comes_back(source, root, tmp_path / "out")


def test_a_run_without_a_model_of_jpeg_is_mended_without(
    source: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    other = Path(shutil.copytree(source, tmp_path / "other"))
    (source / "2.jpg").unlink()
    archive(source, root, JPEG_XL)
    (blob,) = root.glob("blobs/*/*.blob")
    blob.unlink()
    mend(root, other)
    assert set(routes(root).values()) == {JPEGXL_JPEG}
    assert findings(root) == []
