"""Actors of one kind, and which of them has least to do."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

from seec.pipeline.stages.executor import Executor, NodeLost, Ticket, WorkerCrashed
from seec.schemas.errors import SeecError

RESTART_TIMEOUT_S = 600.0


class Pool:
    """Actors that all do the same. The executor makes those anew that die.

    One that is not up, because the cluster is busy or has lost its machine, gets no work and
    is waited for only when there is no other.
    """

    def __init__(self, executor: Executor, size: int, start: Callable[[], Any]) -> None:
        """start: starts one actor."""
        self._executor = executor
        self._actors: list[Any] = []
        self._starting: dict[Ticket, Any] = {}
        self._load: Counter[Any] = Counter()
        self._proven = False  # whether one has come up, so that any other will, too
        self._down_since = time.monotonic()
        for _ in range(size):
            self._await(start())

    def place(self, most: float = inf) -> "PoolPlace":
        """A place at the actor with least to do, once that has less than `most` to do.

        Who takes the place gives it back.
        """
        return PoolPlace(self, most)

    def take(self, most: float) -> Any | None:
        """An actor; None while all that are up have `most` pieces of work.

        Raises what an actor's constructor raised if no actor has come up before, and SeecError if
        none comes back after a failure.
        """
        self._welcome()
        actor = min(self._actors, key=lambda one: self._load[one], default=None)
        if actor is None or self._load[actor] >= most:
            return None
        self._load[actor] += 1
        return actor

    def starting(self) -> list[Ticket]:
        """Tickets: when one is done, `take` may have an actor more to choose from."""
        return list(self._starting)

    def give_back(self, actor: Any, *, failed: bool = False) -> None:
        """One piece of work less for this actor. failed: it gets no more until it is up again."""
        self._load[actor] -= 1
        if failed and actor in self._actors:
            self._actors.remove(actor)
            self._down_since = time.monotonic()
            self._await(actor)

    def close(self) -> None:
        """End all actors: they hold processors until nothing in this process refers to them."""
        for actor in (*self._actors, *self._starting.values()):
            self._executor.end(actor)
        self._actors, self._starting = [], {}

    def _await(self, actor: Any) -> None:
        self._starting[self._executor.ready(actor)] = actor

    def _welcome(self) -> None:
        """Take in the actors that are up by now."""
        if not self._starting:
            return
        for ticket in self._executor.wait(list(self._starting), timeout_s=0):
            actor = self._starting.pop(ticket)
            try:
                self._executor.result(ticket)
            except (WorkerCrashed, NodeLost):
                if not self._proven:
                    raise
                self._await(actor)
            else:
                self._proven = True
                self._actors.append(actor)
        down_s = time.monotonic() - self._down_since
        if self._proven and not self._actors and down_s > RESTART_TIMEOUT_S:
            raise SeecError("no worker came back after a failure; look at the cluster, run again")


@dataclass(frozen=True)
class PoolPlace:
    """A place in a pool, as a `Window` waits for it."""

    pool: Pool
    most: float

    def take(self) -> Any | None:
        """The actor, or None if there is no place now."""
        return self.pool.take(self.most)

    def starting(self) -> list[Ticket]:
        """As `Pool.starting`."""
        return self.pool.starting()
