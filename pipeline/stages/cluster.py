"""Connects to Ray: to a cluster that runs, or to one that is started here for this run alone."""

import logging
import os
import secrets
import signal
import site
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import ray
from ray import _raylet as raylet  # pyright: ignore[reportAttributeAccessIssue]
from ray._private import ray_constants, services
from ray._private import worker as ray_worker
from ray.job_config import JobConfig

from seec.pipeline.stages.bounds import store_bytes
from seec.pipeline.stages.executor import TASK_CPUS, ClusterLost, Placement, cluster_lost
from seec.pipeline.stages.folder import private_folder
from seec.pipeline.stages.lean import needed_processes_only
from seec.pipeline.stages.process import code_folder
from seec.pipeline.stages.ray_executor import RayExecutor, answers
from seec.schemas.plan import PlanSettings

# An encoder is busy almost all the time, and tasks that read and write almost never: together
# they fill one CPU.
ENCODER_CPUS = 1 - TASK_CPUS
# Without GPUs; the packaged network takes about a tenth of the time that encoding takes.
_ENCODERS_PER_SEGMENTER = 8
_START_ATTEMPTS = 3
# Of a cluster of this run. A worker takes most of a second of a processor to start, and Ray ends
# those that have had no task for a second while encoders fill the processors. A busy machine may
# take minutes to start one.
_LOCAL_CONFIG = {
    "idle_worker_killing_time_threshold_ms": 60_000,
    "worker_register_timeout_seconds": 300,
    # What the store of objects has no room for, for so many seconds, lies in a file that is mapped.
    # Ray's own way would write it to disk, and read it again, by processes of 40 MB each.
    "automatic_object_spilling_enabled": False,
    "oom_grace_period_s": 1,
}
# Read by Ray: how long its parts may take to start on a busy machine.
_PATIENCE = {
    "RAY_gcs_server_port_wait_time_s": "120",
    "RAY_gcs_server_request_timeout_seconds": "120",
}
_MOST_OF_MEMORY = 0.3  # for the store of objects
_PROBE_INTERVAL_S = 10.0
_PROBES = 3  # of a cluster that does not answer
_AUTHENTICATION = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


def placement(cpus: int, gpus: int) -> Placement:
    """One encoder per CPU; what to do with GPUs is chosen by `pipeline.stages.devices`."""
    return Placement(
        cpus=cpus,
        encoders=cpus,
        segmenters=-(-cpus // _ENCODERS_PER_SEGMENTER),
        gpus=gpus,
        encoder_options={"num_cpus": ENCODER_CPUS},
        segmenter_options={"num_cpus": 0},
    )


@contextmanager
def cluster(
    address: str | None = None,
    cpus: int | None = None,
    folder: Path | None = None,
    shard_bytes: int = PlanSettings.shard_size_bytes,
) -> Iterator[RayExecutor]:
    """An executor on Ray while the block runs, in this process.

    address: of a running cluster; None means RAY_ADDRESS if set, else one of this run alone. cpus:
    how many to use, also to make an autoscaling cluster grow; default: all that are up. folder: of
    a cluster of this run, by `private_folder`, which is made if None. shard_bytes: of the shards
    that a cluster of this run makes, for which its store of objects has room. A connection that
    exists already is used and left open. Raises ClusterLost if there is none.
    """
    if ray.is_initialized():
        yield RayExecutor(_placement_here(cpus))
    elif address is None and "RAY_ADDRESS" not in os.environ:
        with _own_cluster(cpus, folder, shard_bytes) as check:
            yield RayExecutor(_placement_here(cpus), check)
    else:
        with _joined_cluster(address) as check:
            yield RayExecutor(_placement_here(cpus), check)


def _placement_here(cpus: int | None) -> Placement:
    resources = ray.cluster_resources()
    up = max(1, int(resources.get("CPU", 1)))
    return placement(cpus or up, int(resources.get("GPU", 0)))


class _Job(JobConfig):
    """What Ray tells workers of this run.

    Ray would put the current folder on their path, so that a file `queue.py` beside photographs
    would run there. Only the folder of this package is needed, where it is not installed.
    """

    def __init__(self) -> None:
        installed = code_folder() in (*site.getsitepackages(), site.getusersitepackages())
        super().__init__(_py_driver_sys_path=[] if installed else [code_folder()])

    def _runtime_env_has_working_dir(self) -> bool:
        return True  # which is when Ray adds nothing


@contextmanager
def _joined_cluster(address: str | None) -> Iterator[Callable[[], None]]:
    """A connection to a running cluster; yields what raises ClusterLost once that is gone."""
    submitted = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ  # by `ray job submit`, with its folder
    with _signals_kept(), _loopback_only() if _is_on_loopback(address) else nullcontext():
        try:
            _init(address=address, job_config=None if submitted else _Job())
        except ConnectionError as error:
            where = address or os.environ.get("RAY_ADDRESS")
            raise ClusterLost(f"no Ray cluster answers at {where}: {error}") from None
    host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
    last = time.monotonic()

    def check() -> None:
        nonlocal last
        if time.monotonic() - last < _PROBE_INTERVAL_S:
            return
        if not any(answers(host, int(port)) for _ in range(_PROBES)):
            raise cluster_lost(f"the Ray cluster at {host}:{port} is gone")
        last = time.monotonic()

    try:
        yield check
    finally:
        ray.shutdown()


@contextmanager
def _own_cluster(
    cpus: int | None, folder: Path | None, shard_bytes: int
) -> Iterator[Callable[[], None]]:
    """A cluster of this run: on the loopback interface, with a token and a folder of its own."""
    with nullcontext(folder) if folder else private_folder() as home, _private_environment(home):
        node = _start(home, cpus, shard_bytes)
        try:
            yield partial(_check_processes, node)
        except ClusterLost:
            _end_by_force(node)
            raise
        finally:
            ray.shutdown()


def _start(folder: Path, cpus: int | None, shard_bytes: int) -> Any:
    """Start Ray's processes; several times if the machine is too busy. Returns Ray's own node."""
    for attempt in range(_START_ATTEMPTS):
        home = folder / str(attempt)
        home.mkdir()
        try:
            with _signals_kept(), _loopback_only(), needed_processes_only(agent=attempt > 0):
                _init(
                    # Without an address Ray would join whatever cluster it finds on this machine.
                    address="local",
                    num_cpus=cpus,
                    include_dashboard=False,
                    object_store_memory=_store_bytes(cpus, shard_bytes),
                    job_config=_Job(),
                    _node_ip_address="127.0.0.1",
                    _temp_dir=str(home),
                    _system_config=_LOCAL_CONFIG,
                )
        except Exception as error:  # noqa: BLE001, Ray raises Exception itself
            ray.shutdown()
            reason = " ".join(str(error).split())
        else:
            return ray_worker._global_node
    raise ClusterLost(
        f"Ray did not start on this machine in {_START_ATTEMPTS} attempts; is it very busy, or out "
        f"of memory or of space in {folder.parent}? Ray says: {reason}"
    )


def _store_bytes(cpus: int | None, shard_bytes: int) -> int:
    """How large the store of objects may become.

    Ray itself would take 30 % of the memory, and use more and more of it: what is freed is not
    given back, and is not always what is used next.
    """
    most = int(_MOST_OF_MEMORY * psutil.virtual_memory().total)
    return min(store_bytes(cpus or os.cpu_count() or 1, shard_bytes), most)


def _init(**options: Any) -> None:
    # What Ray tells of its processes goes to stdout, even without logs of the driver.
    ray_worker.print_to_stdstream = _print_nothing
    ray.init(configure_logging=True, logging_level=logging.CRITICAL, log_to_driver=False, **options)


def _print_nothing(*_: Any, **__: Any) -> None:
    pass


@contextmanager
def _private_environment(folder: Path) -> Iterator[None]:
    """Environment of Ray's processes: a random token that only this run knows."""
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(secrets.token_hex(32))
    ours = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    saved = {name: os.environ.pop(name, None) for name in (*_AUTHENTICATION, *_PATIENCE)}
    os.environ.update({**_PATIENCE, **ours})
    _read_environment_again()
    try:
        yield
    finally:
        for name, value in saved.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        _read_environment_again()


def _is_on_loopback(address: str | None) -> bool:
    """Whether a cluster answers there, and nowhere else, as one of another run on this machine."""
    host, _, port = (address or os.environ["RAY_ADDRESS"]).rpartition(":")
    if host not in ("127.0.0.1", "localhost") or not port.isdecimal():
        return False
    return not answers(services.get_node_ip_address(), int(port))


def _read_environment_again() -> None:
    """Ray reads its settings when it is imported, and keeps a token that it has read."""
    ours: Any = raylet
    ours.Config.initialize("")
    ours.AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _loopback_only() -> Iterator[None]:
    """Ray replaces 127.0.0.1 by an address that others can reach, unless this setting is off."""
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray sets a handler of SIGTERM of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check_processes(node: Any) -> None:
    for kind in ("gcs_server", "raylet"):
        for info in node.all_processes.get(kind, ()):
            if info.process.poll() is not None:
                raise cluster_lost(f"Ray's process {kind} has ended")


def _end_by_force(node: Any) -> None:
    """End what is left of a cluster that is broken: Ray's own way out waits for what is gone."""
    left: list[Any] = []
    for info in node.all_processes.get("raylet", ()):
        with suppress(psutil.Error):
            left += psutil.Process(info.process.pid).children(recursive=True)
    node.kill_all_processes(check_alive=False, allow_graceful=False)
    for process in left:  # agents look only now and then whether their raylet is there
        with suppress(psutil.Error):
            process.kill()
