"""Connect to Ray, and see what its machines offer."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import (
    ActorUnavailableError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    WorkerCrashedError,
)

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


@dataclass(frozen=True)
class Placement:
    """How many actors of each kind to start, what each asks for, and where networks run."""

    encoders: int
    segmenters: int
    encoder_options: dict[str, Any]
    segmenter_options: dict[str, Any]
    device: str


@contextmanager
def cluster(address: str | None = None, cpus: int | None = None) -> Iterator[Placement]:
    """A connection to Ray while the block runs.

    address: of a running cluster; None means RAY_ADDRESS if set, else one in this process, with
    `cpus` CPUs (default: all). A connection that exists already is used and left open.
    """
    owner = not ray.is_initialized()
    if owner:
        local = address is None and "RAY_ADDRESS" not in os.environ
        ray.init(
            address=address,
            num_cpus=cpus if local else None,
            include_dashboard=False if local else None,
            configure_logging=True,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    try:
        yield _placement(ray.cluster_resources())
    finally:
        if owner:
            ray.shutdown()


def _placement(resources: Mapping[str, float]) -> Placement:
    gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
    if gpus:
        return Placement(
            encoders=gpus,
            segmenters=gpus,
            encoder_options={"num_cpus": ENCODER_CPUS, "num_gpus": 0.75},
            segmenter_options={"num_cpus": 0, "num_gpus": 0.25},
            device="cuda",
        )
    return Placement(
        encoders=max(1, cpus),
        segmenters=1,
        encoder_options={"num_cpus": ENCODER_CPUS},
        segmenter_options={"num_cpus": 0},
        device="cpu",
    )
