"""Runs work on Ray, and tells what a file may have caused from what a machine did."""

import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import ray
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

from seec.pipeline.stages.executor import (
    NodeLost,
    Placement,
    Task,
    Ticket,
    WorkerCrashed,
)
from seec.schemas.errors import SeecError

_LOOK_S = 1.0  # how often to see, while waiting, whether the cluster is there
_PROBE_TIMEOUT_S = 3.0


class RayExecutor:
    """An executor on the cluster that this process is connected to."""

    def __init__(self, placement: Placement, check: Callable[[], None] = lambda: None) -> None:
        """check: raises ClusterLost if the cluster is gone."""
        self.placement = placement
        self._check = check
        self._starting: dict[Ticket, Any] = {}  # actors, by the ticket of `ready`
        self._actor_of: dict[Ticket, str] = {}  # ids, of methods that run
        self._node_of: dict[str, str] = {}  # ids of nodes, by those of actors

    def submit(self, task: Task, *arguments: Any) -> Any:
        """As `Executor.submit`."""
        remote = _remote(replace(task, memory_bytes=0))
        if task.memory_bytes:
            remote = remote.options(memory=min(task.memory_bytes, _most_memory()))
        return remote.remote(*arguments)

    def share(self, value: Any) -> Ticket:
        """As `Executor.share`."""
        return ray.put(value)

    def start(self, kind: type, options: dict[str, Any], *arguments: Any) -> Any:
        """As `Executor.start`. options: of a Ray actor."""
        made: Any = ray.remote(max_restarts=-1, max_task_retries=0)(kind)
        return made.options(**options).remote(*arguments)

    def ready(self, actor: Any) -> Ticket:
        """As `Executor.ready`."""
        ticket = actor.__ray_call__.remote(_node_id)
        self._starting[ticket] = actor
        return ticket

    def call(self, actor: Any, method: str, *arguments: Any, returns: int = 1) -> Any:
        """As `Executor.call`."""
        tickets: Any = getattr(actor, method).options(num_returns=returns).remote(*arguments)
        actor_id: str = actor._actor_id.hex()
        self._actor_of.update(dict.fromkeys([tickets] if returns == 1 else tickets, actor_id))
        return tickets

    def end(self, actor: Any) -> None:
        """As `Executor.end`."""
        if ray.is_initialized():  # an error may have ended the connection before
            ray.kill(actor)

    def wait(self, tickets: Sequence[Ticket], timeout_s: float | None = None) -> list[Ticket]:
        """As `Executor.wait`."""
        left_s = timeout_s
        while True:
            self._check()
            look_s = _LOOK_S if left_s is None else min(_LOOK_S, left_s)
            done, rest = ray.wait(list(tickets), num_returns=1, timeout=look_s)
            if done:
                more, _ = ray.wait(rest, num_returns=len(rest), timeout=0) if rest else ([], [])
                return done + more
            if left_s is not None and (left_s := left_s - look_s) <= 0:
                return []

    def result(self, ticket: Ticket) -> Any:
        """As `Executor.result`."""
        actor, actor_id = self._starting.pop(ticket, None), self._actor_of.pop(ticket, None)
        try:
            value: Any = ray.get(ticket)
        except RayError as error:
            self._check()
            raise self._meaning(error, actor_id) from None
        if actor is not None:
            self._node_of[actor._actor_id.hex()] = value
        return value

    def cancel(self, tickets: Sequence[Ticket]) -> None:
        """As `Executor.cancel`; methods of actors end when those do."""
        for ticket in tickets:
            self._starting.pop(ticket, None)
            if self._actor_of.pop(ticket, None) is None and ray.is_initialized():
                ray.cancel(ticket, force=True)

    def _meaning(self, error: RayError, actor_id: str | None) -> Exception:
        """What went wrong, without Ray's account of where."""
        cause: Any = error.cause if isinstance(error, RayTaskError) else error
        if isinstance(cause, NodeDiedError | ObjectLostError):
            return NodeLost("a machine of the cluster went away")
        if isinstance(cause, OutOfMemoryError):
            return WorkerCrashed("a worker ran out of memory")
        if isinstance(cause, RayActorError | ActorUnavailableError):
            if getattr(cause, "actor_init_failed", False):
                last_line = str(cause).strip().splitlines()[-1]
                return SeecError(f"a worker could not start: {last_line}")
            actor_id = getattr(cause, "actor_id", None) or actor_id
            node_id = self._node_of.get(str(actor_id))
            if node_id is not None and not _answers(node_id):
                return NodeLost("a machine of the cluster went away")
            return WorkerCrashed("a worker died at its work")
        if isinstance(cause, WorkerCrashedError):
            return WorkerCrashed("a worker died at its work")
        return cause


@lru_cache(maxsize=64)
def _remote(task: Task) -> Any:
    made: Any = ray.remote(
        num_cpus=task.cpus, num_gpus=task.gpus, max_retries=0, num_returns=task.returns
    )
    return made(task.function)


def _most_memory() -> int:
    """Bytes that Ray would give to tasks on the largest machine: one that wants more never runs."""
    return int(max(node["Resources"].get("memory", 0) for node in ray.nodes() if node["Alive"]))


def _node_id(_: Any) -> str:
    """In the process of an actor."""
    return ray.get_runtime_context().get_node_id()


def _answers(node_id: str) -> bool:
    """Whether a machine is there. Ray itself takes many seconds to see that one is not."""
    for node in ray.nodes():
        if node["NodeID"] == node_id:
            where = (node["NodeManagerAddress"], node["NodeManagerPort"])
            return bool(node["Alive"]) and answers(*where)
    return False


def answers(address: str, port: int) -> bool:
    """Whether something listens there."""
    try:
        socket.create_connection((address, port), _PROBE_TIMEOUT_S).close()
    except OSError:
        return False
    return True
