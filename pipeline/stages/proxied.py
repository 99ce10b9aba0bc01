"""The process that speaks with Ray for a `ProxyExecutor`, one call after the other."""

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from multiprocessing.connection import Connection
from typing import Any

from seec.pipeline.stages.cluster import cluster
from seec.pipeline.stages.executor import ClusterLost
from seec.pipeline.stages.process import send_answer
from seec.pipeline.stages.proxy import Reference
from seec.pipeline.stages.ray_executor import RayExecutor


def main(descriptor: int) -> None:
    """Answer calls until the other end is closed; then end all that was started."""
    connection = Connection(descriptor)
    # The other end is gone, or has the error.
    with suppress(EOFError, ConnectionError, ClusterLost), ExitStack() as held:
        _, where = connection.recv()
        try:
            executor = held.enter_context(cluster(*where))
        except Exception as error:  # noqa: BLE001, the other end decides what it means
            send_answer(connection, False, error)
            return
        send_answer(connection, True, executor.placement)
        _Served(executor).serve(connection)


class _Served:
    """An executor, with the tickets and actors that the other end has handles of, by number."""

    def __init__(self, executor: RayExecutor) -> None:
        self._executor = executor
        self._made: dict[int, Any] = {}

    def serve(self, connection: Connection) -> None:
        """Answer calls. Raises EOFError or ConnectionError at the end, or ClusterLost."""
        while True:
            dropped, message = connection.recv()
            for number in dropped:
                self._made.pop(number, None)
            try:
                answer = self._answer(*message)
            except Exception as error:
                send_answer(connection, False, error)
                if isinstance(error, ClusterLost):
                    raise
            else:
                send_answer(connection, True, answer)

    def _answer(self, method: str, numbers: Sequence[int], *arguments: Any) -> Any:
        """Make one call; numbers: of the handles that the other end has of what it makes."""
        values = [self._made[a.number] if isinstance(a, Reference) else a for a in arguments]
        match method:
            case "wait":
                timeout_s, *tickets = values
                done = set(self._executor.wait(tickets, timeout_s))
                there = zip(arguments[1:], tickets, strict=True)
                return [reference.number for reference, ticket in there if ticket in done]
            case "cancel":
                return self._executor.cancel(values)
            case "call":
                result = self._executor.call(*values, returns=len(numbers))
            case _:
                result = getattr(self._executor, method)(*values)
        if not numbers:
            return result
        made = [result] if len(numbers) == 1 else result
        self._made.update(zip(numbers, made, strict=True))
        return None
