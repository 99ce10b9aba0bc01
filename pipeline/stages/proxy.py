"""Keeps Ray in a process of its own: its native code may end its process when a cluster breaks."""

import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

import psutil

from seec.pipeline.stages.executor import ClusterLost, Placement, Task, cluster_lost
from seec.pipeline.stages.folder import private_folder
from seec.pipeline.stages.process import new_process
from seec.schemas.plan import PlanSettings

_MODULE = "seec.pipeline.stages.proxied"
_LOOK_S = 1.0  # a question may take, so that the process sees soon when nobody asks any more
_END_S = 30.0  # Ray takes to end its processes, at most
_ENDING_S = 0.02  # between two looks whether they have
_LAST_BYTES = 1 << 16
_MAX_WORDS = 300


class _Handle:
    """A ticket or an actor of the process; the process forgets its own when this is collected."""

    __slots__ = ("_dropped", "number")

    def __init__(self, number: int, dropped: list[int]) -> None:
        self.number, self._dropped = number, dropped

    def __del__(self) -> None:
        self._dropped.append(self.number)

    def __reduce__(self) -> tuple[type["Reference"], tuple[int]]:
        return Reference, (self.number,)


class Reference:
    """What a handle is in the process: the number of a ticket or an actor."""

    def __init__(self, number: int) -> None:
        self.number = number


class ProxyExecutor:
    """An executor whose calls a process of its own makes, on a `RayExecutor`.

    The end of that process is ClusterLost. A call that an exception interrupts, such as that of a
    signal, is the last one.
    """

    def __init__(
        self,
        address: str | None,
        cpus: int | None,
        folder: Path | None,
        shard_bytes: int,
        errors: IO[bytes],
    ) -> None:
        """What comes before errors: as `seec.pipeline.stages.cluster.cluster` takes it.

        errors: gets what the process writes to stderr.
        """
        self._errors = errors
        here, there = socket.socketpair()
        with there:
            self._process = new_process(there, _MODULE, self._errors)
        self._connection = Connection(here.detach())
        self._usable = True
        self._last = 0
        self._dropped: list[int] = []
        self.placement = Placement(cpus=1, encoders=1, segmenters=1)
        try:
            self.placement = self._request(address, cpus, folder, shard_bytes)
        except BaseException:
            self._connection.close()
            self._end_by_force()
            raise

    def submit(self, task: Task, *arguments: Any) -> Any:
        """As `Executor.submit`."""
        return self._begin(task.returns, "submit", task, *arguments)

    def share(self, value: Any) -> Any:
        """As `Executor.share`."""
        return self._begin(1, "share", value)

    def start(self, kind: type, options: dict[str, Any], *arguments: Any) -> Any:
        """As `Executor.start`. options: of a Ray actor."""
        return self._begin(1, "start", kind, options, *arguments)

    def ready(self, actor: Any) -> Any:
        """As `Executor.ready`."""
        return self._begin(1, "ready", actor)

    def call(self, actor: Any, method: str, *arguments: Any, returns: int = 1) -> Any:
        """As `Executor.call`."""
        return self._begin(returns, "call", actor, method, *arguments)

    def end(self, actor: Any) -> None:
        """As `Executor.end`."""
        if self._usable:  # else all actors end with the process
            self._request("end", (), actor)

    def wait(self, tickets: Sequence[Any], timeout_s: float | None = None) -> list[Any]:
        """As `Executor.wait`."""
        known = {ticket.number: ticket for ticket in tickets}
        left_s = timeout_s
        while True:
            look_s = _LOOK_S if left_s is None else min(_LOOK_S, left_s)
            if done := self._request("wait", (), look_s, *tickets):
                return [known[number] for number in done]
            if left_s is not None and (left_s := left_s - look_s) <= 0:
                return []

    def result(self, ticket: Any) -> Any:
        """As `Executor.result`."""
        return self._request("result", (), ticket)

    def cancel(self, tickets: Sequence[Any]) -> None:
        """As `Executor.cancel`."""
        if self._usable:
            self._request("cancel", (), *tickets)

    def close(self) -> None:
        """End the process, with all that it has started."""
        self._connection.close()
        try:
            if self._process.returncode is None:
                self._let_end()
        finally:
            self._end_by_force()

    def _begin(self, returns: int, method: str, *arguments: Any) -> Any:
        handles = [_Handle(self._last + 1 + i, self._dropped) for i in range(returns)]
        self._last += returns
        if self._usable:  # else nothing more is computed, and `wait` says why
            self._request(method, tuple(handle.number for handle in handles), *arguments)
        return handles[0] if returns == 1 else handles

    def _request(self, *message: Any) -> Any:
        """Send a request to the process; its reply. Raises what it raised there, or ClusterLost."""
        if not self._usable:
            raise cluster_lost("the connection to Ray has ended")
        dropped, self._dropped[:] = self._dropped[:], []
        self._usable = False  # until the reply is there
        try:
            self._connection.send((dropped, message))
            succeeded, reply = self._connection.recv()
        except (EOFError, ConnectionError):
            raise self._lost() from None
        self._usable = succeeded or not isinstance(reply, ClusterLost)
        if succeeded:
            return reply
        raise reply

    def _lost(self) -> ClusterLost:
        self._end_by_force()
        status = self._process.wait()
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return cluster_lost(f"Ray's process driver has ended with {how}{self._last_words()}")

    def _last_words(self) -> str:
        """The line that says why native code ended the process, or else the last one."""
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - _LAST_BYTES))
        lines = self._errors.read().decode(errors="replace").splitlines()
        shown = [line for line in lines if line.strip()]
        words = next((line for line in shown if "Check failed" in line), shown[-1] if shown else "")
        return words and f" ({' '.join(words.split())[:_MAX_WORDS]})"

    def _let_end(self) -> None:
        """Give the process time to end all that it has started."""
        end = time.monotonic() + _END_S
        # Not by `wait`, after which the number of its session could be that of another one.
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self._process.pid)
            while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < end:
                time.sleep(_ENDING_S)

    def _end_by_force(self) -> None:
        """End what is left of the process and of those that it has started, which are its session.

        Some of Ray's processes look only now and then whether the others are there.
        """
        if self._process.returncode is not None:
            return
        for number in psutil.pids():
            with suppress(OSError):
                if os.getsid(number) == self._process.pid:
                    os.kill(number, signal.SIGKILL)
        self._process.wait()


@contextmanager
def proxied_cluster(
    address: str | None, cpus: int | None, shard_bytes: int = PlanSettings.shard_size_bytes
) -> Iterator[ProxyExecutor]:
    """An executor on Ray while the block runs, which this process survives.

    address, cpus, shard_bytes: as `seec.pipeline.stages.cluster.cluster` takes them. Raises
    ClusterLost if there is no cluster.
    """
    own = address is None and "RAY_ADDRESS" not in os.environ
    with private_folder() if own else nullcontext() as folder, tempfile.TemporaryFile() as errors:
        executor = ProxyExecutor(address, cpus, folder, shard_bytes, errors)
        try:
            yield executor
        finally:
            executor.close()
