"""What runs the stages: the interface of executors, and how work on them ends."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from seec.schemas.errors import SeecError

# What a task that reads or writes asks for: it waits most of the time.
TASK_CPUS = 0.25
Ticket = Any  # stands for a value that an executor computes


@dataclass(frozen=True)
class Task:
    """A function that an executor runs.

    cpus: how much of a processor the function keeps busy. returns: how many values it has; with
    more than one, each value has a ticket of its own and moves between workers alone. memory_bytes:
    that no other task, which says so too, may take beside this one; 0 for what any task takes.
    gpus: how much of a GPU the function asks for.
    """

    function: Callable[..., Any]
    cpus: float = 1
    returns: int = 1
    memory_bytes: int = 0
    gpus: float = 0


@dataclass(frozen=True)
class Placement:
    """How much to run at once, and where networks run.

    cpus: tasks that keep one processor busy. encoders, segmenters: actors of each kind. gpus: that
    are there; the first so many encoders, and all segmenters, run on them. encoder_options,
    gpu_encoder_options, segmenter_options: what each asks of the cluster.
    """

    cpus: int
    encoders: int
    segmenters: int
    gpus: int = 0
    encoder_options: dict[str, Any] = field(default_factory=dict[str, Any])
    gpu_encoder_options: dict[str, Any] = field(default_factory=dict[str, Any])
    segmenter_options: dict[str, Any] = field(default_factory=dict[str, Any])


class WorkerCrashed(SeecError):
    """A process died while it worked; what it worked on may be the cause."""


class NodeLost(SeecError):
    """A machine went away, with the work and the values it had; no file is the cause."""


class ClusterLost(SeecError):
    """The cluster is gone; what is committed counts, and the same command goes on from there."""


def cluster_lost(what: str) -> ClusterLost:
    """The error for a cluster that has gone during the work."""
    return ClusterLost(f"{what}; what is committed counts, and the same command goes on from there")


class Executor(Protocol):
    """Runs tasks, and methods of actors, away from this process.

    Arguments may be tickets: then the function gets their values.
    """

    @property
    def placement(self) -> Placement:
        """How much to run at once."""
        ...

    def submit(self, task: Task, *arguments: Any) -> Any:
        """Begin a task. Returns its ticket, or a sequence of `task.returns` tickets."""
        ...

    def share(self, value: Any) -> Ticket:
        """A ticket that stands for a value of this process, which moves to each worker once."""
        ...

    def start(self, kind: type, options: dict[str, Any], *arguments: Any) -> Any:
        """Begin to make an actor, `kind(*arguments)`. An actor that dies is made again."""
        ...

    def ready(self, actor: Any) -> Ticket:
        """A ticket that is done once the actor is up; its error is that of the constructor."""
        ...

    def call(self, actor: Any, method: str, *arguments: Any, returns: int = 1) -> Any:
        """Begin a method of an actor; tickets as of `submit`. Methods run one after the other."""
        ...

    def end(self, actor: Any) -> None:
        """End an actor, whatever it is doing."""
        ...

    def wait(self, tickets: Sequence[Ticket], timeout_s: float | None = None) -> list[Ticket]:
        """Those that are done, at least one; none if the time is over before.

        Raises ClusterLost.
        """
        ...

    def result(self, ticket: Ticket) -> Any:
        """The value of a ticket that is done.

        Raises what the function raised, WorkerCrashed, NodeLost or ClusterLost.
        """
        ...

    def cancel(self, tickets: Sequence[Ticket]) -> None:
        """End the tasks of these tickets if they still run, and forget their values."""
        ...


def fetch(executor: Executor, task: Task, *arguments: Any) -> Any:
    """The value of one task of one value; raises as `Executor.result`."""
    ticket = executor.submit(task, *arguments)
    try:
        executor.wait([ticket])
        return executor.result(ticket)
    except BaseException:
        executor.cancel([ticket])
        raise
