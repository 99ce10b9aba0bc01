"""Chooses what runs a job: two processes of our own for a small one, Ray for all others."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from seec.pipeline.stages.executor import Executor
from seec.pipeline.stages.local import local_executor
from seec.schemas.plan import PlanSettings

# Up to here two processes of our own are mostly done before Ray has started; the measurement is in
# docs/decisions/small-jobs-without-ray.md.
SMALL_FILES = 64
SMALL_BYTES = 2 << 20
_WORKERS = 2
_proxies: list[Executor] = []  # that are open; the last one is used


@contextmanager
def execution(
    address: str | None,
    cpus: int | None,
    *,
    small: bool,
    shard_bytes: int = PlanSettings.shard_size_bytes,
) -> Iterator[Executor]:
    """An executor while the block runs.

    address, cpus, shard_bytes: as `seec.pipeline.stages.cluster.cluster` takes them. small: whether
    the job is within SMALL_FILES and SMALL_BYTES; without a cluster it then runs without Ray. Ray
    runs in a process of its own, unless this process is connected to it already. A block within
    another shares its Ray.
    """
    if _proxies:
        yield _proxies[-1]
        return
    connected = _is_connected()
    if small and address is None and "RAY_ADDRESS" not in os.environ and not connected:
        with local_executor(min(cpus or _WORKERS, _WORKERS)) as executor:
            yield executor
    elif connected:
        from seec.pipeline.stages.cluster import cluster  # importing Ray takes long

        with cluster(address, cpus) as executor:
            yield executor
    else:
        from seec.pipeline.stages.proxy import proxied_cluster

        with proxied_cluster(address, cpus, shard_bytes) as executor:
            _proxies.append(executor)
            try:
                yield executor
            finally:
                _proxies.remove(executor)


def is_small(files: int, size_bytes: int) -> bool:
    """Whether a job of so many files is done sooner without Ray."""
    return files <= SMALL_FILES and size_bytes <= SMALL_BYTES


def _is_connected() -> bool:
    ray = sys.modules.get("ray")
    return ray is not None and ray.is_initialized()
