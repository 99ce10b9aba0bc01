"""A machine of the cluster goes away in the middle: a retry, and nothing else."""

from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from jobs import archive, verify
from jobs.interface import ExitCode
from tests.faults.drivers import start_driver, wait_for
from tests.sources import write_tiny_source


@pytest.mark.slow
def test_a_node_that_dies_costs_a_retry_and_nothing_else(tmp_path: Path, ray_cluster: str):
    source, root = tmp_path / "source", tmp_path / "archive"
    write_tiny_source(source, 60)
    settings = archive.Settings(str(source), str(tmp_path / "undisturbed"), shard_files=3)
    undisturbed = archive.run(settings)
    machines = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        second = machines.add_node(num_cpus=1)
        machines.wait_for_nodes()
        driver = start_driver(source, root, str(machines.address))
        wait_for(root, driver, "commits/*", 3)
        assert driver.poll() is None
        machines.remove_node(second, allow_graceful=False)
        assert driver.wait(timeout=300) == ExitCode.OK
    finally:
        machines.shutdown()
    summary = verify.run(verify.Settings(str(root)))
    assert (summary.exit_code, summary.digest) == (ExitCode.OK, undisturbed.digest)
