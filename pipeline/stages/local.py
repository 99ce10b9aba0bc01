"""Runs small jobs in a few processes of our own, which start much sooner than Ray."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Any

from seec.pipeline.stages.executor import Placement, Task, WorkerCrashed
from seec.pipeline.stages.process import Died, WorkerProcess, may_fork


@dataclass(eq=False)
class _Value:
    """What is, or will be, one value of a task."""

    done: bool = False
    value: Any = None
    error: Exception | None = None


@dataclass(eq=False)
class _Actor:
    """How an actor is made, in the process that it lives in."""

    kind: type
    arguments: tuple[Any, ...]
    worker: "_Worker"


@dataclass(eq=False)
class _Job:
    """A call that waits or runs. actor: whose method it is; None for a task.

    takes_memory: as one of these at a time may.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    values: tuple[_Value, ...]
    actor: _Actor | None = None
    takes_memory: bool = False

    def lacks(self) -> bool:
        """Whether an argument is not there yet."""
        return any(isinstance(one, _Value) and not one.done for one in self.arguments)


@dataclass(eq=False)
class _Worker:
    """A process, if it has been needed, and what it is at."""

    process: WorkerProcess | None = None
    job: _Job | None = None

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
        self.process = self.job = None


@dataclass
class LocalExecutor:
    """An executor whose workers are children of this process, at work on one call each."""

    placement: Placement
    _workers: list[_Worker] = field(default_factory=list[_Worker])
    _waiting: deque[_Job] = field(default_factory=deque[_Job])
    _actors: int = 0  # that were started

    def submit(self, task: Task, *arguments: Any) -> Any:
        """As `Executor.submit`."""
        takes_memory = task.memory_bytes > 0
        return self._queue(task.function, arguments, task.returns, None, takes_memory)

    def share(self, value: Any) -> _Value:
        """As `Executor.share`; a pipe takes it to the worker with each call."""
        return _Value(True, value)

    def start(self, kind: type, options: dict[str, Any], *arguments: Any) -> _Actor:
        """As `Executor.start`; the actor is made with its first call."""
        self._actors += 1
        return _Actor(kind, arguments, self._workers[self._actors % len(self._workers)])

    def ready(self, actor: _Actor) -> _Value:
        """As `Executor.ready`."""
        return self._queue(_make, (actor.kind, actor.arguments), 1, actor)

    def call(self, actor: _Actor, method: str, *arguments: Any, returns: int = 1) -> Any:
        """As `Executor.call`."""
        what = (actor.kind, actor.arguments, method, *arguments)
        return self._queue(_call, what, returns, actor)

    def end(self, actor: _Actor) -> None:
        """As `Executor.end`; the process of the actor ends with it."""
        actor.worker.end()

    def wait(self, tickets: Sequence[_Value], timeout_s: float | None = None) -> list[_Value]:
        """As `Executor.wait`."""
        while True:
            self._send()
            if done := [ticket for ticket in tickets if ticket.done]:
                return done
            busy = {w.process.connection: w for w in self._workers if w.job and w.process}
            there = wait(list(busy), timeout_s)
            if not there:
                return []
            for connection in there:
                self._receive(busy[connection])  # pyright: ignore[reportArgumentType]

    def result(self, ticket: _Value) -> Any:
        """As `Executor.result`."""
        if ticket.error is not None:
            raise ticket.error
        return ticket.value

    def cancel(self, tickets: Sequence[_Value]) -> None:
        """As `Executor.cancel`; what runs is ended with its process."""
        wanted = set(tickets)
        self._waiting = deque(job for job in self._waiting if not wanted & set(job.values))
        for worker in self._workers:
            if worker.job is not None and wanted & set(worker.job.values):
                worker.end()

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.end()

    def _queue(
        self,
        function: Any,
        arguments: tuple[Any, ...],
        returns: int,
        actor: _Actor | None,
        takes_memory: bool = False,
    ) -> Any:
        values = tuple(_Value() for _ in range(returns))
        self._waiting.append(_Job(function, arguments, values, actor, takes_memory))
        return values[0] if returns == 1 else values

    def _send(self) -> None:
        """Give each idle process the first call that it can make."""
        for worker in self._workers:
            while worker.job is None and (job := self._next(worker)) is not None:
                self._waiting.remove(job)
                self._begin(worker, job)

    def _next(self, worker: _Worker) -> _Job | None:
        taken = any(one.job is not None and one.job.takes_memory for one in self._workers)
        for job in self._waiting:
            if job.takes_memory and taken:
                continue
            elsewhere = job.actor is not None and job.actor.worker is not worker
            if not elsewhere and not job.lacks():
                return job
        return None

    def _begin(self, worker: _Worker, job: _Job) -> None:
        failed = [one.error for one in job.arguments if isinstance(one, _Value) and one.error]
        if failed:
            _settle(job, failed[0])
            return
        arguments = [one.value if isinstance(one, _Value) else one for one in job.arguments]
        worker.process = worker.process or WorkerProcess(fork=may_fork())
        try:
            worker.process.send(job.function, *arguments)
        except Died:
            worker.end()
            _settle(job, WorkerCrashed("a worker process is gone"))
        else:
            worker.job = job

    def _receive(self, worker: _Worker) -> None:
        job, process = worker.job, worker.process
        assert job is not None
        assert process is not None
        worker.job = None
        try:
            good, answer = process.receive()
        except Died:
            worker.end()
            _settle(job, WorkerCrashed("a worker process died at its work"))
            return
        if not good:
            _settle(job, answer)
            return
        for value, part in zip(
            job.values, (answer,) if len(job.values) == 1 else answer, strict=True
        ):
            value.done, value.value = True, part


def _settle(job: _Job, error: Exception) -> None:
    for value in job.values:
        value.done, value.error = True, error


@contextmanager
def local_executor(workers: int) -> Iterator[LocalExecutor]:
    """An executor for a small job; its processes start when they are needed."""
    executor = LocalExecutor(
        Placement(cpus=workers, encoders=workers, segmenters=1), [_Worker() for _ in range(workers)]
    )
    try:
        yield executor
    finally:
        executor.close()


# What follows runs in a worker process. An actor is known by how it is made.
_actors: list[tuple[type, tuple[Any, ...], Any]] = []


def _make(kind: type, arguments: tuple[Any, ...]) -> None:
    _find(kind, arguments)


def _call(kind: type, arguments: tuple[Any, ...], method: str, *rest: Any) -> Any:
    return getattr(_find(kind, arguments), method)(*rest)


def _find(kind: type, arguments: tuple[Any, ...]) -> Any:
    for known, made_of, actor in _actors:
        if known is kind and made_of == arguments:
            return actor
    actor = kind(*arguments)
    _actors.append((kind, arguments, actor))
    return actor
