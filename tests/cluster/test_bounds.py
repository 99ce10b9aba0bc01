"""Memory does not grow with the collection, and the cluster file is one that Ray accepts."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray.autoscaler
import yaml

from seec.jobs import archive
from seec.pipeline.stages import archiving
from tests.sources import write_tiny_source

ROOT = Path(__file__).parents[2]


@pytest.mark.usefixtures("ray_cluster")
def test_work_in_flight_is_bounded_however_many_files_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    budget_bytes, limit = 8000, 2
    monkeypatch.setattr("seec.pipeline.stages.batch.MAX_FILES", 4)
    monkeypatch.setattr("seec.pipeline.stages.batch.MAX_PIXELS", 640)
    monkeypatch.setattr("seec.pipeline.stages.archiving.BUDGET_BYTES", budget_bytes // 2)
    seen: list[tuple[int, int]] = []

    class Watched(archiving.ArchivingRun):
        """Keeps how many bytes are in flight, and how many shards in work."""

        def _next_part(self) -> Any:
            part = super()._next_part()
            seen.append((self._window._flying_bytes, self._in_work))
            return part

    monkeypatch.setattr(archive, "ArchivingRun", Watched)
    write_tiny_source(tmp_path / "source", 60)
    settings = archive.Settings(
        str(tmp_path / "source"), str(tmp_path / "archive"), shard_files=10, cpus=limit
    )
    assert archive.run(settings).files_added == 60
    assert max(size for size, _ in seen) <= budget_bytes
    assert max(shards for _, shards in seen) <= 2


@pytest.mark.usefixtures("ray_cluster")
def test_nothing_is_begun_while_more_than_enough_waits_to_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("seec.pipeline.stages.batch.MAX_FILES", 1)
    monkeypatch.setattr("seec.pipeline.stages.batch.MAX_PIXELS", 640)
    monkeypatch.setattr("seec.pipeline.stages.archiving.BUDGET_BYTES", 3000)  # two at a time
    source = tmp_path / "source"
    source.mkdir()
    for index in range(12):
        (source / f"{index:02}.bin").write_bytes(os.urandom(1000))
    digests: list[str] = []
    for enough in (4000, 10**9):
        seen: list[tuple[int, int]] = []

        class Watched(archiving.ArchivingRun):
            """Keeps how much waits, and what is in flight, where a part is begun."""

            def _next_part(self, seen: Any = seen) -> Any:
                part = super()._next_part()
                if part is not None:
                    seen.append((sum(self._held.values()), self._window.is_busy))
                return part

        monkeypatch.setattr(archiving, "waiting_bytes", lambda *_, enough=enough: enough)
        monkeypatch.setattr(archive, "ArchivingRun", Watched)
        settings = archive.Settings(str(source), str(tmp_path / str(enough)), cpus=2)
        digests.append(archive.run(settings).digest)
        assert all(held <= enough for held, busy in seen if busy)
        assert any(held > 4000 for held, _ in seen)
        assert len(seen) == 12
    assert digests[0] == digests[1]


@pytest.mark.slow
def test_the_driver_needs_no_more_memory_for_many_files_than_for_few(
    tmp_path: Path, ray_cluster: str
):
    peaks: list[int] = []
    for count in (30, 600):
        source, root = tmp_path / f"source {count}", tmp_path / f"archive {count}"
        write_tiny_source(source, count)
        command = [sys.executable, "-m", "seec.jobs.archive", str(source), str(root)]
        options = ["--ray-address", ray_cluster, "--shard-files", "10"]
        process = subprocess.Popen([*command, *options], cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        peaks.append(usage.ru_maxrss)
    assert peaks[1] - peaks[0] < 30_000, f"peaks in KiB: {peaks}"


def test_the_cluster_file_is_one_that_ray_accepts():
    text = (ROOT / "cluster.yaml").read_text(encoding="utf-8")
    config: Any = yaml.safe_load(text)
    schema = Path(ray.autoscaler.__file__).parent / "ray-schema.json"
    jsonschema.validate(config, json.loads(schema.read_text(encoding="utf-8")))
    assert "python -m seec.jobs.archive" in text
