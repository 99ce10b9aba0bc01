"""Fixtures shared by all tests."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from seec.jobs import archive as archive_job
from seec.pipeline.codec import Model, load_model
from tests.object_store import BUCKET, s3_server
from tests.sources import write_source

torch.set_num_threads(1)  # small matrix products only get slower when they are shared out


@pytest.fixture(scope="session")
def golden_model() -> Model:
    """A tiny model that never changes; golden files of every version need it."""
    return load_model((Path(__file__).parent / "vectors" / "tiny.safetensors").read_bytes())


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[str]:
    """Ray on this machine, for all tests that need it; its address."""
    import ray

    from seec.pipeline.stages.cluster import cluster

    with cluster(cpus=2):
        yield ray.get_runtime_context().gcs_address


@pytest.fixture(scope="session")
def s3_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A bucket on a real S3 server; the environment tells clients the way while tests run."""
    with (
        s3_server(tmp_path_factory.mktemp("s3")) as clients,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in clients.items():
            patch.setenv(name, value)
        yield f"s3://{BUCKET}"


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one file of every kind that the routes tell apart, under odd names too."""
    root = tmp_path_factory.mktemp("source")
    write_source(root)
    return root


@pytest.fixture(scope="session")
def archived(source: Path, tmp_path_factory: pytest.TempPathFactory, ray_cluster: str) -> Path:
    """An archive of `source` in shards of twelve files. For reading only."""
    root = tmp_path_factory.mktemp("archived") / "archive"
    summary = archive_job.run(archive_job.Settings(str(source), str(root), shard_files=12))
    assert summary.exit_code == 0, list(summary.lines())
    return root


@pytest.fixture
def archive_copy(archived: Path, tmp_path: Path) -> Path:
    """A copy of `archived`, to be damaged."""
    return Path(shutil.copytree(archived, tmp_path / "archive"))
