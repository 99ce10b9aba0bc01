"""Processes killed in the middle: nothing missing, nothing twice, the same bytes."""

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import ray

from jobs import archive, verify
from jobs.interface import ExitCode
from pipeline.archive import Archive
from pipeline.archive.catalogue import current_rows
from pipeline.stages import archiving, tasks
from pipeline.storage import Store
from tests.faults.drivers import SHARD_FILES, start_driver, wait_for
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
    assert verify.run(verify.Settings(str(root))).exit_code == ExitCode.OK


def test_encoders_killed_in_the_middle_of_a_shard_cost_a_retry_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_cluster: str
):
    source = tmp_path / "source"
    write_tiny_source(source, 12)
    undisturbed = archive_of(source, tmp_path / "undisturbed")
    killed: list[int] = []

    class Watched(archiving.ArchivingRun):
        """Kills each encoder once, as soon as it has work."""

        def _send(self, shard: Any, batch: Any) -> None:
            actor = self._encoders.take()
            self._encoders.give_back(actor)
            pid: Any = None
            if len(killed) < 2:
                pid = ray.get(actor.__ray_call__.remote(lambda _: os.getpid()))
            super()._send(shard, batch)
            if pid is not None and pid not in killed:
                killed.append(pid)
                os.kill(pid, signal.SIGKILL)

    monkeypatch.setattr(archive, "ArchivingRun", Watched)
    summary = archive_of(source, tmp_path / "killed")
    assert len(killed) == 2
    assert (summary.exit_code, summary.digest) == (ExitCode.OK, undisturbed.digest)
    assert verify.run(verify.Settings(str(tmp_path / "killed"))).exit_code == ExitCode.OK


@pytest.mark.parametrize("stage", ["read_batch", pytest.param("write", marks=pytest.mark.slow)])
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
        return task._function(*arguments)

    monkeypatch.setattr(archiving, stage, ray.remote(**task._default_options)(dies_once))
    summary = archive_of(source, tmp_path / "disturbed")
    assert marker.exists()
    assert (summary.exit_code, summary.digest) == (ExitCode.OK, undisturbed.digest)


_ENCODER: Any = tasks.EncodeActor


class PoisonedEncoder(_ENCODER.__ray_metadata__.modified_class):
    """The real encoder, but one size of image kills its process."""

    @ray.method(num_returns=2)
    def encode(self, drafts: Any, images: Any, labels: Any) -> Any:
        if any(image.shape[:2] == (13, 17) for image in images):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(drafts, images, labels)


@pytest.mark.slow
def test_a_file_that_kills_its_encoder_is_stored_and_the_others_are_coded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_cluster: str
):
    source = tmp_path / "source"
    write_tiny_source(source, 6)
    (source / "003.png").write_bytes(image_bytes(textured(13, 17), "PNG"))
    poisoned = ray.remote(max_restarts=-1, max_task_retries=0)(PoisonedEncoder)
    monkeypatch.setattr(archiving, "EncodeActor", poisoned)
    summary = archive_of(source, tmp_path / "archive")
    assert (summary.exit_code, summary.files_added) == (ExitCode.OK, 6)
    opened = Archive.open(Store(str(tmp_path / "archive")))
    rows = {row.path: row for _, part in current_rows(opened) for row in part}
    assert rows["003.png"].reason == "could not be encoded"
    assert [row.codec for path, row in rows.items() if path != "003.png"] == ["seec"] * 5
    assert verify.run(verify.Settings(str(tmp_path / "archive"))).exit_code == ExitCode.OK
