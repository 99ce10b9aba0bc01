"""Connect to Ray, and see what its machines offer."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray._private import worker as ray_worker
from ray.exceptions import (
    ActorUnavailableError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)

from seec.schemas.errors import SeecError

# What Ray raises when a process or machine went away, through no fault that code could report.
CRASHES = (
    ActorUnavailableError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    WorkerCrashedError,
)

# An encoder is busy almost all the time, and tasks that read and write almost never: together
# they fill one CPU.
ENCODER_CPUS = 0.75
TASK_CPUS = 0.25
# Without GPUs; the packaged network takes about a tenth of the time that encoding takes.
_ENCODERS_PER_SEGMENTER = 8
# Of a cluster in this process. A worker takes most of a second of a processor to start, and Ray
# ends those that have had no task for a second while encoders fill the processors.
_LOCAL_CONFIG = {"idle_worker_killing_time_threshold_ms": 60_000}


@dataclass(frozen=True)
class Placement:
    """How many actors of each kind to start, what each asks for, and where networks run.

    cpus: how many tasks that keep one busy can run at once.
    """

    cpus: int
    encoders: int
    segmenters: int
    encoder_options: dict[str, Any]
    segmenter_options: dict[str, Any]
    device: str


def cause_of(error: RayError) -> Exception:
    """What went wrong in a task, without Ray's account of where."""
    return error.cause if isinstance(error, RayTaskError) else error


def fetch(ref: Any) -> Any:
    """The value of an object; an error of ours that its task raised is raised as it was."""
    try:
        return ray.get(ref)
    except RayTaskError as error:
        if isinstance(error.cause, SeecError):
            raise error.cause from None
        raise


@contextmanager
def cluster(address: str | None = None, cpus: int | None = None) -> Iterator[Placement]:
    """A connection to Ray while the block runs.

    address: of a running cluster; None means RAY_ADDRESS if set, else one in this process. cpus:
    how many to use, also to make an autoscaling cluster grow; default: all that are up. A
    connection that exists already is used and left open.
    """
    owner = not ray.is_initialized()
    if owner:
        local = address is None and "RAY_ADDRESS" not in os.environ
        ray.init(
            # Without an address Ray would join whatever cluster it finds on this machine.
            address="local" if local else address,
            num_cpus=cpus if local else None,
            include_dashboard=False if local else None,
            _system_config=_LOCAL_CONFIG if local else None,
            configure_logging=True,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
        if local:
            _end_idle_daemons()
    try:
        resources = ray.cluster_resources()
        up = max(1, int(resources.get("CPU", 1)))
        yield placement(cpus or up, int(resources.get("GPU", 0)))
    finally:
        if owner:
            ray.shutdown()


def _end_idle_daemons() -> None:
    """End what a cluster in this process does not need: it cannot grow, and shows no logs.

    Two daemons would look every second whether there is something to do, and the one that makes
    clusters grow would take a second to end.
    """
    node = getattr(ray_worker, "_global_node", None)
    for end in ("kill_monitor", "kill_log_monitor"):
        if hasattr(node, end):
            getattr(node, end)(check_alive=False)


def placement(cpus: int, gpus: int) -> Placement:
    """One encoder per GPU, with a segmenter beside it; without GPUs, one encoder per CPU."""
    if gpus:
        return Placement(
            cpus=cpus,
            encoders=gpus,
            segmenters=gpus,
            encoder_options={"num_cpus": ENCODER_CPUS, "num_gpus": 0.75},
            segmenter_options={"num_cpus": 0, "num_gpus": 0.25},
            device="cuda",
        )
    return Placement(
        cpus=cpus,
        encoders=cpus,
        segmenters=-(-cpus // _ENCODERS_PER_SEGMENTER),
        encoder_options={"num_cpus": ENCODER_CPUS},
        segmenter_options={"num_cpus": 0},
        device="cpu",
    )
