"""Work in flight: bounded by count and by bytes, tried again after crashes, given back when done.

Work is carried out in steps. A step is a ticket of an executor, or a place in a pool; the steps of
one piece of work are a generator, which yields each and gets its value:

    def steps(self, work, suspect):
        data = yield executor.submit(READ, work)
        yield Takes(data.size_bytes)
        actor = yield pool.place(2)
        ...
        return result
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from math import inf
from typing import Any, Generic, Protocol, TypeVar, cast

from seec.pipeline.stages.executor import Executor, NodeLost, Ticket, WorkerCrashed

MAX_ATTEMPTS = 3  # of work that is alone and cannot be split
MAX_LOSSES = 5  # of machines beside one piece of work, until it is under suspicion
Work = TypeVar("Work")
Result = TypeVar("Result")
Steps = Generator[Any, Any, Result]


@dataclass(frozen=True)
class Takes:
    """A step that waits for nothing: the work takes so many bytes, if it did not say more."""

    size_bytes: int


class Place(Protocol):
    """Something that steps wait for, and that no executor computes."""

    def take(self) -> Any | None:
        """What was waited for, or None if it is not there yet."""
        ...

    def starting(self) -> list[Ticket]:
        """Tickets: once one is done, `take` may have more to give."""
        ...


@dataclass(frozen=True)
class Failed:
    """What comes of work that fails on every attempt. error: of the last one."""

    error: Exception


@dataclass(eq=False)
class _Try(Generic[Work]):
    """A piece of work, how often it may have been what took a worker down, and its step."""

    work: Work
    attempts: int = 0
    losses: int = 0
    steps: Steps[Any] | None = None


class Window(Generic[Work, Result]):
    """Carries out work, a bounded amount at a time.

    A piece that a worker did not survive is under suspicion: it is split, and each part is tried
    again with nothing beside it. A piece whose machine went away is tried again beside the others.
    """

    def __init__(
        self,
        executor: Executor,
        steps: Callable[[Work, bool], Steps[Result]],
        *,
        split: Callable[[Work], Iterable[Work]],
        most: float = inf,
        most_bytes: float = inf,
        cost_bytes: Callable[[Work], int] = lambda _: 0,
        blames: Callable[[Exception], bool] = lambda error: isinstance(error, WorkerCrashed),
    ) -> None:
        """steps: of a piece of work, and whether it is under suspicion. split: its parts.

        most, most_bytes: pieces in flight, and bytes that they take by `cost_bytes`, or more where
        a step says so; one piece may take more when it is alone, and one that takes none waits for
        no room. blames: whether the work may be the cause of an error; what no work is the cause
        of is raised.
        """
        self._executor, self._steps, self._split = executor, steps, split
        self._most, self._most_bytes = most, most_bytes
        self._cost_bytes, self._blames = cost_bytes, blames
        self._again: deque[_Try[Work]] = deque()
        self._suspects: deque[_Try[Work]] = deque()
        self._next: _Try[Work] | None = None  # taken from where it came from, not begun
        self._flying: dict[_Try[Work], int] = {}  # what is in flight, with its bytes
        self._flying_bytes = 0
        self._tickets: dict[Ticket, _Try[Work]] = {}
        self._places: deque[tuple[Place, _Try[Work]]] = deque()
        self._outcomes: deque[tuple[Work, Result | Failed]] = deque()

    def add(self, works: Iterable[Work], *, suspect: bool = False) -> None:
        """Carry these out, too, before what is yet to come."""
        if suspect:
            self._suspects.extend(_Try(work, attempts=1) for work in works)
        else:
            self._again.extend(_Try(work) for work in works)

    @property
    def is_busy(self) -> bool:
        """Whether anything is in flight."""
        return bool(self._flying)

    def results(
        self, next_work: Callable[[], Work | None]
    ) -> Generator[tuple[Work, Result | Failed], None, None]:
        """Each piece of work with what comes of it, as soon as that is there.

        next_work: the next piece; None if there is none now. Ends when nothing is in flight and
        there is none. Work in flight is cancelled when the caller stops early.
        """
        try:
            while True:
                self._begin_what_fits(next_work)
                while self._outcomes:
                    yield self._outcomes.popleft()
                    self._begin_what_fits(next_work)
                if not self._flying:
                    return
                self._go_on()
        finally:
            self._cancel()

    def _begin_what_fits(self, next_work: Callable[[], Work | None]) -> None:
        while (one := self._choose(next_work)) is not None:
            self._flying[one] = self._cost_bytes(one.work)
            self._flying_bytes += self._flying[one]
            one.steps = self._steps(one.work, one.attempts > 0)
            self._resume(one, None)

    def _choose(self, next_work: Callable[[], Work | None]) -> _Try[Work] | None:
        """What to begin now, if anything."""
        if len(self._flying) == 1 and next(iter(self._flying)).attempts:
            return None
        if self._again:
            return self._again.popleft() if self._fits(self._again[0]) else None
        if self._suspects:
            return None if self._flying else self._suspects.popleft()
        if self._next is None and (not self._flying or len(self._flying) < self._most):
            work = next_work()
            self._next = None if work is None else _Try(work)
        if self._next is None or not self._fits(self._next):
            return None
        chosen, self._next = self._next, None
        return chosen

    def _fits(self, one: _Try[Work]) -> bool:
        if not self._flying:
            return True
        cost_bytes = self._cost_bytes(one.work)
        room = not cost_bytes or self._flying_bytes + cost_bytes <= self._most_bytes
        return len(self._flying) < self._most and room

    def _land(self, one: _Try[Work]) -> None:
        self._flying_bytes -= self._flying.pop(one)

    def _go_on(self) -> None:
        """Wait until a step is done, and take the next ones of its work."""
        starting = [ticket for place, _ in self._places for ticket in place.starting()]
        tickets = list(dict.fromkeys([*self._tickets, *starting]))
        for ticket in self._executor.wait(tickets):
            one = self._tickets.pop(ticket, None)
            if one is None:
                continue
            try:
                value = self._executor.result(ticket)
            except Exception as error:  # noqa: BLE001, its steps see it first
                self._resume(one, error)
            else:
                self._resume(one, value)
        for _ in range(len(self._places)):
            place, one = self._places.popleft()
            self._step(one, place)

    def _resume(self, one: _Try[Work], value: Any) -> None:
        """Give steps the value, or the error, that they wait for."""
        steps = cast(Steps[Result], one.steps)
        try:
            step = steps.throw(value) if isinstance(value, Exception) else steps.send(value)
        except StopIteration as end:
            self._land(one)
            self._outcomes.append((one.work, end.value))
        except Exception as error:
            self._land(one)
            if error is not value:  # not of the work, but of this process
                raise
            if isinstance(error, NodeLost) and one.losses < MAX_LOSSES:
                self._lost(one)
            elif isinstance(error, NodeLost) or self._blames(error):
                self._suspect(one, error)
            else:
                raise
        else:
            self._step(one, step)

    def _step(self, one: _Try[Work], step: Any) -> None:
        """Wait for a step, unless it is a place that can be taken now, or nothing to wait for."""
        if isinstance(step, Takes):
            more_bytes = max(0, step.size_bytes - self._flying[one])
            self._flying[one] += more_bytes
            self._flying_bytes += more_bytes
            self._resume(one, None)
            return
        if not hasattr(step, "take"):
            self._tickets[step] = one
            return
        try:
            taken = step.take()
        except Exception as error:  # noqa: BLE001, its steps see it first
            self._resume(one, error)
            return
        if taken is None:
            self._places.append((step, one))
        else:
            self._resume(one, taken)

    def _lost(self, one: _Try[Work]) -> None:
        again = self._suspects if one.attempts else self._again
        again.append(_Try(one.work, one.attempts, one.losses + 1))

    def _suspect(self, one: _Try[Work], error: Exception) -> None:
        parts, attempts = list(self._split(one.work)), one.attempts + 1
        if len(parts) > 1:
            self._suspects.extend(_Try(part, attempts) for part in parts)
        elif attempts < MAX_ATTEMPTS:
            self._suspects.append(_Try(one.work, attempts))
        else:
            self._outcomes.append((one.work, Failed(error)))

    def _cancel(self) -> None:
        """End what is in flight, and let its steps clean up."""
        tickets, flying = list(self._tickets), list(self._flying)
        self._tickets, self._places, self._flying = {}, deque(), {}
        for one in flying:
            if one.steps is not None:
                one.steps.close()
        self._executor.cancel(tickets)
