"""Actors of one kind, and which of them has least to do."""

import time
from collections import Counter
from collections.abc import Callable
from math import inf
from typing import Any

import ray
from ray.exceptions import RayActorError

from seec.schemas.errors import SeecError

RESTART_TIMEOUT_S = 600.0
_PAUSE_S = 0.2


class Pool:
    """Actors that all do the same. Ray restarts those that die.

    One that is not up, because the cluster is busy or has lost its machine, gets no work and
    is waited for only when there is no other.
    """

    def __init__(self, size: int, start: Callable[[], Any]) -> None:
        """start: starts one actor, which has a method `ready`."""
        started = [start() for _ in range(size)]
        self._actors: list[Any] = []
        self._starting = {actor.ready.remote(): actor for actor in started}
        self._load: Counter[Any] = Counter()
        self._proven = False  # whether one has come up, so that any other will, too

    @property
    def starting(self) -> list[Any]:
        """Ray objects: when one is there, `take` may have an actor more to choose from."""
        return list(self._starting)

    def take(self, most: float = inf) -> Any | None:
        """The actor with least to do; None while all that are up have `most` pieces of work.

        Raises what an actor's constructor raised if no actor has come up before.
        """
        self._welcome()
        actor = min(self._actors, key=lambda one: self._load[one], default=None)
        if actor is None or self._load[actor] >= most:
            return None
        self._load[actor] += 1
        return actor

    def give_back(self, actor: Any) -> None:
        """One piece of work less for this actor."""
        self._load[actor] -= 1

    def wait_until_ready(self) -> None:
        """After a failure: find out which actors are up, and wait until one is.

        SeecError if none comes back.
        """
        self._starting |= {actor.ready.remote(): actor for actor in self._actors}
        self._actors = []
        end = time.monotonic() + RESTART_TIMEOUT_S
        while not self._actors:
            if time.monotonic() > end:
                raise SeecError(
                    "no worker came back after a failure; look at the cluster, run again"
                )
            ray.wait(list(self._starting), num_returns=1, timeout=1)
            time.sleep(_PAUSE_S)
            self._welcome()

    def close(self) -> None:
        """End all actors: they hold processors until nothing in this process refers to them."""
        if ray.is_initialized():  # an error may have ended the cluster before
            for actor in (*self._actors, *self._starting.values()):
                ray.kill(actor)
        self._actors, self._starting = [], {}

    def _welcome(self) -> None:
        """Take in the actors that are up by now."""
        if not self._starting:
            return
        done, _ = ray.wait(list(self._starting), num_returns=len(self._starting), timeout=0)
        for ref in done:
            actor = self._starting.pop(ref)
            try:
                ray.get(ref)
            except RayActorError:
                if not self._proven:
                    raise
                self._starting[actor.ready.remote()] = actor
            else:
                self._proven = True
                self._actors.append(actor)
