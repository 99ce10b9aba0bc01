"""`seec archive --dedupe pixels`, on Ray: one code for all files of the same pixels."""

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from seec.jobs import archive, compact, ls, repair, restore, verify
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.archive import Archive
from seec.pipeline.stages import comparing
from seec.pipeline.stages.executor import Placement
from seec.pipeline.stages.ray_executor import RayExecutor
from seec.pipeline.storage import Source, Store
from seec.schemas.plan import DEDUPE_PIXELS, PlanSettings
from seec.schemas.routes import SEEC, SEEC_PLANES
from seec.schemas.rows import Row
from tests.archives import plain_reader
from tests.archives.test_format import decode_with
from tests.pictures import textured
from tests.segmenters import write_mask
from tests.sources import files_below, image_bytes, same_image

pytestmark = pytest.mark.usefixtures("ray_cluster")

ONE, OTHER = textured(64, 96), textured(64, 96, 1)
ALPHA = np.dstack([OTHER, OTHER[..., 0]])
TEXT = PngInfo()
TEXT.add_text("Title", "another file")
CODED = {
    "a/one.png": image_bytes(ONE, "PNG"),
    "b/one.bmp": image_bytes(ONE, "BMP"),
    "c/said.png": image_bytes(ONE, "PNG", pnginfo=TEXT, compress_level=1),
    "d/one.tiff": image_bytes(ONE, "TIFF", description="words"),
    "e/one.ppm": image_bytes(ONE, "PPM"),
    "f/renamed": image_bytes(ONE, "PNG"),
}
PLANES = {
    "a/alpha.png": image_bytes(ALPHA, "PNG"),
    "d/alpha.tiff": image_bytes(ALPHA, "TIFF"),
    "f/alpha.tiff": image_bytes(ALPHA, "TIFF", compression="tiff_lzw"),
}
ALONE = {
    f"{letter}/{i}.png": image_bytes(textured(64, 96, 10 * i + n), "PNG")
    for n, letter in enumerate("abcdef")
    for i in (1, 2)
}
DAMAGED = {"b/cut.png": CODED["a/one.png"][:-200], "c/words.png": b"words" * 99}
FILES = CODED | PLANES | ALONE | DAMAGED


def write(source: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_bytes(data)
    return source


def settings(source: Path, root: Path, **others: Any) -> archive.Settings:
    others = {"dedupe": DEDUPE_PIXELS, "shard_files": 7} | others
    return archive.Settings(str(source), str(root), **others)


def rows_of(root: Path) -> dict[str, Row]:
    return {row.path: row for row in ls.run(ls.Settings(str(root))).rows}


def places(root: Path, paths: Any) -> set[tuple[str, int, bytes]]:
    rows = rows_of(root)
    return {(rows[path].shard, rows[path].offset, rows[path].blob_digest) for path in paths}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, ray_cluster: str) -> Path:
    """A folder with a source and its archive."""
    folder = tmp_path_factory.mktemp("same")
    write(folder / "source", FILES)
    summary = archive.run(settings(folder / "source", folder / "archive"))
    assert (summary.exit_code, summary.files_quarantined) == (ExitCode.OK, 0)
    return folder


def test_they_are_stored_once_and_each_comes_back(made: Path, tmp_path: Path):
    root, out = made / "archive", tmp_path / "out"
    rows = rows_of(root)
    assert len({row.shard for row in rows.values()}) > 3
    assert {rows[path].route for path in CODED} == {SEEC}
    assert {rows[path].route for path in PLANES} == {SEEC_PLANES}
    assert len(places(root, CODED)) == len(places(root, PLANES)) == 1
    assert len({rows[path].source_digest for path in CODED}) == len(CODED) - 1  # f/renamed
    assert len(places(root, ALONE)) == len(ALONE)
    opened = Archive.open(Store(str(root)))
    assert opened.state.last_run is not None
    assert opened.plan(opened.state.last_run).settings.dedupe == DEDUPE_PIXELS
    assert verify.run(verify.Settings(str(root))).exit_code == ExitCode.OK
    assert restore.run(restore.Settings(str(root), str(out))).exit_code == ExitCode.OK
    restored = files_below(out)
    assert restored.keys() == {os.fsencode(path) for path in FILES}
    for path, data in FILES.items():
        assert restored[os.fsencode(path)] == data or same_image(data, restored[os.fsencode(path)])
    plain = dict(plain_reader.restored(root, decode_with))
    assert plain[b"b/one.bmp"] == FILES["b/one.bmp"]
    assert plain[b"d/one.tiff"] == FILES["d/one.tiff"]


@pytest.mark.slow
def test_without_being_asked_for_only_neighbours_share(made: Path, tmp_path: Path):
    root = tmp_path / "archive"
    archive.run(settings(made / "source", root, dedupe="source"))
    assert len(places(root, CODED)) > 1


def test_an_interrupted_run_gives_the_same_archive(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    root, commit, commits = tmp_path / "archive", Archive.commit, list[None]()

    def interrupted(self: Archive, **changes: Any) -> Any:
        commits.append(None)
        if len(commits) == 3:
            raise KeyboardInterrupt
        return commit(self, **changes)

    with monkeypatch.context() as patch:
        patch.setattr(Archive, "commit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            archive.run(settings(made / "source", root))
    state = Archive.open(Store(str(root))).state
    assert state.open_run is not None
    assert len(state.shards) == 1
    summary = archive.run(settings(made / "source", root))
    assert summary.digest == Archive.open(Store(str(made / "archive"))).digest()


def test_damage_is_named_for_all_of_them_and_mended(made: Path, tmp_path: Path):
    root = Path(shutil.copytree(made / "archive", tmp_path / "archive"))
    before = [shard.blob.sha256 for shard in Archive.open(Store(str(root))).state.in_order()]
    ((shard, offset, _),) = places(root, CODED)
    (blob,) = (root / "blobs").glob(f"{shard}.blob")
    data = bytearray(blob.read_bytes())
    data[offset + 60] ^= 1
    blob.write_bytes(data)
    checked = verify.run(verify.Settings(str(root)))
    assert checked.exit_code == ExitCode.DAMAGE
    (finding,) = checked.findings
    assert set(finding.paths) == CODED.keys()
    summary = repair.run(repair.Settings(str(root), source=str(made / "source")))
    assert (summary.exit_code, summary.files_mended) == (ExitCode.OK, len(CODED))
    after = [shard.blob.sha256 for shard in Archive.open(Store(str(root))).state.in_order()]
    assert after == before


def test_compaction_keeps_one_code(made: Path, tmp_path: Path):
    root = Path(shutil.copytree(made / "archive", tmp_path / "archive"))
    before = ls.Totals(rows_of(root).values()).length
    assert compact.run(compact.Settings(str(root))).shards == 1
    assert len(places(root, CODED)) == len(places(root, PLANES)) == 1
    assert ls.Totals(rows_of(root).values()).length == before
    assert verify.run(verify.Settings(str(root))).exit_code == ExitCode.OK


@pytest.mark.slow
def test_one_code_serves_whatever_labels_each_file_has(tmp_path: Path):
    masks = tmp_path / "masks"
    masks.mkdir()
    for name, label in (("one.png", 0), ("two.bmp", 1)):
        write_mask(masks, f"{Path(name).stem}.png", np.full((64, 96), label, np.uint8))
    source = write(
        tmp_path / "source", {"one.png": CODED["a/one.png"], "two.bmp": CODED["b/one.bmp"]}
    )
    for dedupe, count in (("source", 2), (DEDUPE_PIXELS, 1)):
        root = tmp_path / f"archive-{dedupe}"
        made = archive.run(settings(source, root, segmentation=f"masks:{masks}", dedupe=dedupe))
        assert made.exit_code == ExitCode.OK
        assert len(places(root, ("one.png", "two.bmp"))) == count
        assert verify.run(verify.Settings(str(root))).exit_code == ExitCode.OK


def test_a_file_that_kills_its_process_is_no_copy_of_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    source = Source(str(write(tmp_path, FILES)))
    deadly = FILES["c/said.png"]
    task = comparing.DIGESTS

    def dies(source: Any, batch: Any, settings: Any) -> Any:
        if any(source.read(file) == deadly for file in batch.files):
            os.kill(os.getpid(), signal.SIGSEGV)
        return task.function(source, batch, settings)

    monkeypatch.setattr(comparing, "DIGESTS", replace(task, function=dies))
    files = [(file, 64 * 96) for file in source.files() if file.kind == "file"]
    done: list[int] = []
    signs = comparing.pixel_signs(
        source, files, PlanSettings(""), RayExecutor(Placement(2, 2, 1)), done.append
    )
    assert sum(done) == len(files)
    assert signs.keys() == FILES.keys() - DAMAGED.keys() - {"c/said.png"}
    assert len({signs[path] for path in CODED.keys() & signs.keys()}) == 1


def test_a_file_with_more_in_it_than_its_first_bytes_say_waits_for_its_turn(tmp_path: Path):
    pages = [Image.fromarray(OTHER)] * 3
    many = image_bytes(Image.fromarray(ONE), "TIFF", save_all=True, append_images=pages)
    source = Source(str(write(tmp_path, {"many.tiff": many, "one.png": CODED["a/one.png"]})))
    files = [(file, 64 * 96) for file in source.files() if file.kind == "file"]

    def signs(max_pixels: int) -> set[str]:
        plan = PlanSettings("", max_pixels=max_pixels)
        return set(comparing.pixel_signs(source, files, plan, RayExecutor(Placement(2, 2, 1))))

    assert signs(4 * 64 * 96) == {"many.tiff", "one.png"}
    assert signs(4 * 64 * 96 - 1) == {"one.png"}
