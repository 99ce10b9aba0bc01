"""An executor that does each piece of work here and now, so that tests can patch what it meets."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from seec.pipeline.stages.executor import Placement, Task


class Done:
    """A ticket: what a call gave, or raised."""

    def __init__(self, value: Any = None, error: Exception | None = None) -> None:
        self.value, self.error = value, error


class InProcess:
    """Tasks and actors in this process, one after the other."""

    placement = Placement(cpus=1, encoders=1, segmenters=1)

    def submit(self, task: Task, *arguments: Any) -> Any:
        return _call(task.function, arguments, task.returns)

    def share(self, value: Any) -> Done:
        return Done(value)

    def start(self, kind: type, options: dict[str, Any], *arguments: Any) -> Any:
        return kind(*arguments)

    def ready(self, actor: Any) -> Done:
        return Done()

    def call(self, actor: Any, method: str, *arguments: Any, returns: int = 1) -> Any:
        return _call(getattr(actor, method), arguments, returns)

    def end(self, actor: Any) -> None:
        pass

    def wait(self, tickets: Sequence[Done], timeout_s: float | None = None) -> list[Done]:
        return list(tickets[:1])

    def result(self, ticket: Done) -> Any:
        if ticket.error is None:
            return ticket.value
        # Frames must not hold the error, which holds them and what they are in the middle of.
        error, ticket.error = ticket.error, None
        try:
            raise error
        finally:
            del error

    def cancel(self, tickets: Sequence[Done]) -> None:
        pass


def _call(function: Any, arguments: Sequence[Any], returns: int) -> Any:
    values = [one.value if isinstance(one, Done) else one for one in arguments]
    try:
        result = function(*values)
    except Exception as error:  # noqa: BLE001, raised where the result is asked for
        tickets = [Done(error=error) for _ in range(returns)]
    else:
        tickets = [Done(part) for part in (result if returns > 1 else (result,))]
    return tickets if returns > 1 else tickets[0]


@contextmanager
def execution(*_: Any, **__: Any) -> Iterator[InProcess]:
    """In place of `seec.pipeline.stages.execution.execution`."""
    yield InProcess()
