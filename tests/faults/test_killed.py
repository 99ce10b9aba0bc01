"""Processes killed in the middle: nothing missing, nothing twice, the same bytes."""

import os
import random
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.exceptions import ObjectStoreFullError

from seec.jobs import archive, gc, restore, verify
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.archive import Archive
from seec.pipeline.archive.catalogue import current_quarantine, current_rows
from seec.pipeline.routes.reading import jpegxl_jpeg as jpegxl
from seec.pipeline.stages import archiving, batch, restoring, tasks, verifying
from seec.pipeline.stages.ray_executor import RayExecutor
from seec.pipeline.stages.window import MAX_ATTEMPTS
from seec.pipeline.storage import Store
from seec.pipeline.verify import shards
from tests.faults.drivers import SHARD_FILES, start_driver, wait_for
from tests.faults.points import MODEL
from tests.faults.sweep import objects
from tests.jpegs import detailed, jpeg
from tests.pictures import textured
from tests.sources import image_bytes, write_tiny_source


def archive_of(source: Path, root: Path) -> archive.ArchiveSummary:
    return archive.run(archive.Settings(str(source), str(root), shard_files=SHARD_FILES))


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_a_driver_killed_at_random_leaves_the_same_archive_in_the_end(
    kills: int, tmp_path: Path, ray_cluster: str
):
    source = tmp_path / "source"
    write_tiny_source(source, 12 * kills)
    undisturbed = archive_of(source, tmp_path / "undisturbed")
    seed = random.randrange(10**6)
    rng = random.Random(seed)
    root = tmp_path / "killed"
    for kill in range(kills):
        process = start_driver(source, root, ray_cluster)
        patterns = ["archive.json", "plans/*"] if kill == 0 else ["blobs/*/*", "manifest/*/*"]
        pattern = rng.choice([*patterns, "commits/*"])
        wait_for(root, process, pattern, len(list(root.glob(pattern))) + 1)
        time.sleep(rng.uniform(0, 0.1))
        assert process.poll() is None, "it ended before it was killed"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert start_driver(source, root, ray_cluster).wait(timeout=300) == ExitCode.OK
    killed = Archive.open(Store(str(root)))
    assert killed.digest() == undisturbed.digest, f"seed {seed}"
    assert killed.state.open_run is None
    paths = [row.path for _, rows in current_rows(killed) for row in rows]
    assert sorted(paths) == sorted(path.name for path in source.iterdir())
    gc.run(gc.Settings(str(root), delete=True, older_than_s=0))
    assert objects(root) == objects(tmp_path / "undisturbed")
    assert verify.run(verify.Settings(str(root))).exit_code == ExitCode.OK


@pytest.mark.parametrize("copies", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_encoders_killed_in_the_middle_of_a_shard_cost_a_retry_and_nothing_else(
    copies: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_cluster: str
):
    source = tmp_path / "source"
    source.mkdir()
    for index in range(12):  # too large for stacks
        (source / f"{index:03d}.png").write_bytes(image_bytes(textured(60, 80, index), "PNG"))
    if copies > 1:  # each in a batch of its own, which waits for what another encoder makes
        monkeypatch.setattr(batch, "MAX_FILES", 1)
        for path in list(source.iterdir()):
            for index in range(1, copies):
                shutil.copy(path, path.with_name(f"{path.stem}-{index}.png"))
    undisturbed = archive_of(source, tmp_path / "undisturbed")
    killed: set[str] = set()  # not the encoders: Ray would keep them, with their processors

    call = RayExecutor.call

    def watched(executor: Any, actor: Any, method: str, *others: Any, **options: Any) -> Any:
        """Kills each encoder once, as soon as it has work."""
        pid: Any = None
        if method == "encode" and str(actor) not in killed:
            pid = ray.get(actor.__ray_call__.remote(lambda _: os.getpid()))
        tickets = call(executor, actor, method, *others, **options)
        if pid is not None:
            killed.add(str(actor))
            os.kill(pid, signal.SIGKILL)
        return tickets

    monkeypatch.setattr(RayExecutor, "call", watched)
    summary = archive_of(source, tmp_path / "killed")
    assert len(killed) == 2
    assert (summary.exit_code, summary.digest) == (ExitCode.OK, undisturbed.digest)
    assert verify.run(verify.Settings(str(tmp_path / "killed"))).exit_code == ExitCode.OK


@pytest.mark.parametrize("stage", ["READ", pytest.param("WRITE", marks=pytest.mark.slow)])
def test_workers_killed_while_they_read_or_write_cost_a_retry_and_nothing_else(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_cluster: str
):
    source = tmp_path / "source"
    write_tiny_source(source, 4)
    undisturbed = archive_of(source, tmp_path / "undisturbed")
    task, marker = getattr(tasks, stage), tmp_path / "killed once"

    def dies_once(*arguments: Any) -> Any:
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return task.function(*arguments)

    monkeypatch.setattr(archiving, stage, replace(task, function=dies_once))
    summary = archive_of(source, tmp_path / "disturbed")
    assert marker.exists()
    assert (summary.exit_code, summary.digest) == (ExitCode.OK, undisturbed.digest)


class PoisonedEncoding(tasks.Encoding):
    """The real encoder, but one size of image kills its process."""

    def encode(self, drafts: Any, *others: Any) -> Any:
        if any(picture.shape[:2] == (13, 17) for made in drafts for picture in made.pictures):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(drafts, *others)

    def stack(self, paths: Any, *small: Any) -> Any:
        self.encode([made for part in small for made in part if made.row.path in paths], None)
        return super().stack(paths, *small)


@pytest.mark.slow
def test_a_file_that_kills_its_encoder_is_stored_and_the_others_are_coded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_cluster: str
):
    source = tmp_path / "source"
    write_tiny_source(source, 6)
    (source / "003.png").write_bytes(image_bytes(textured(13, 17), "PNG"))
    monkeypatch.setattr(archiving, "Encoding", PoisonedEncoding)
    summary = archive_of(source, tmp_path / "archive")
    assert (summary.exit_code, summary.files_added) == (ExitCode.OK, 6)
    opened = Archive.open(Store(str(tmp_path / "archive")))
    rows = {row.path: row for _, part in current_rows(opened) for row in part}
    assert rows["003.png"].reason == "could not be encoded"
    assert [row.route for path, row in rows.items() if path != "003.png"] == ["seec"] * 5
    assert verify.run(verify.Settings(str(tmp_path / "archive"))).exit_code == ExitCode.OK


@pytest.mark.parametrize("how", ["dies", "out of memory"])
def test_a_file_that_fails_its_reader_each_time_is_quarantined_alone_and_after_some_tries(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_cluster: str
):
    source, tries = tmp_path / "source", tmp_path / "tries"
    write_tiny_source(source, 6)
    tries.touch()
    task = tasks.READ

    def poisoned(*arguments: Any) -> Any:
        paths = [file.path for file in arguments[2].files]
        if "003.png" in paths:
            with tries.open("a") as log:
                log.write(f"{paths}\n")
            if how == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ObjectStoreFullError
        return task.function(*arguments)

    monkeypatch.setattr(archiving, "READ", replace(task, function=poisoned))
    summary = archive.run(
        archive.Settings(str(source), str(tmp_path / "archive"), model=MODEL, shard_files=6)
    )
    assert (summary.exit_code, summary.files_added) == (ExitCode.INCOMPLETE, 5)
    opened = Archive.open(Store(str(tmp_path / "archive")))
    ((_, (failed,)),) = current_quarantine(opened)
    reason = {"dies": "took its worker down", "out of memory": "failed with ObjectStoreFullError"}
    assert (failed.path, failed.reason) == ("003.png", f"{reason[how]} on every attempt")
    rows = {row.path: row.route for _, part in current_rows(opened) for row in part}
    assert set(rows.values()) == {"seec"}
    together, *alone = tries.read_text().splitlines()
    assert together.count(".png") == 2, "a part of the batch, which is the last of the run"
    # With a look at what it is, then without, as often as `MAX_ATTEMPTS` says.
    assert alone == ["['003.png']"] * (2 * MAX_ATTEMPTS - 2)


def crashes_on(module: Any, name: str, poison: Any, task: Any) -> Any:
    """A task, but in its worker a function of a module dies as a fault in native code does."""

    def poisoned(*arguments: Any) -> Any:
        call = getattr(module, name)

        def deadly(data: Any, *others: Any) -> Any:
            if data == poison:
                os.kill(os.getpid(), signal.SIGSEGV)
            return call(data, *others)

        setattr(module, name, deadly)
        try:
            return task.function(*arguments)
        finally:
            setattr(module, name, call)

    return replace(task, function=poisoned)


def test_a_payload_that_crashes_its_decoder_is_found_and_the_others_are_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_cluster: str
):
    source, root, out = (tmp_path / name for name in ("source", "archive", "out"))
    source.mkdir()
    for index in range(3):
        (source / f"{index}.jpg").write_bytes(jpeg(detailed(index)))
    archive_of(source, root)
    opened = Archive.open(Store(str(root)))
    (shard,) = opened.state.in_order()
    row = opened.rows(shard)[1]
    payload = opened.store.get_range(shard.blob.name, row.offset, row.length)
    for module, task in ((restoring, "_ROWS"), (verifying, "_IMAGES")):
        poisoned = crashes_on(jpegxl, "unpack", payload, getattr(module, task))
        monkeypatch.setattr(module, task, poisoned)
    checked = verify.run(verify.Settings(str(root)))
    assert checked.exit_code == ExitCode.DAMAGE
    assert [finding.paths for finding in checked.findings] == [("1.jpg",)]
    restored = restore.run(restore.Settings(str(root), str(out)))
    assert restored.exit_code == ExitCode.DAMAGE
    assert [(item.path, item.error) for item in restored.failed] == [("1.jpg", "FormatError")]
    assert sorted(path.name for path in out.iterdir()) == ["0.jpg", "2.jpg"]


def test_a_shard_that_crashes_its_check_is_found_and_the_others_are_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_cluster: str
):
    source, root = tmp_path / "source", tmp_path / "archive"
    write_tiny_source(source, 3)
    archive.run(archive.Settings(str(source), str(root), model=MODEL, shard_files=1))
    opened = Archive.open(Store(str(root)))
    _, shard, _ = opened.state.in_order()
    poisoned = crashes_on(shards, "parse_manifest", shard.manifest.name, verifying._SHARD)
    monkeypatch.setattr(verifying, "_SHARD", poisoned)
    checked = verify.run(verify.Settings(str(root)))
    assert (checked.exit_code, checked.images_decoded) == (ExitCode.DAMAGE, 2)
    (finding,) = checked.findings
    assert (finding.kind, finding.object) == ("manifest-damaged", shard.manifest.name)
