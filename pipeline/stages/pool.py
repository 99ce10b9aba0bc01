"""Actors of one kind, and which of them has least to do."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError

from schemas.errors import SeecError

RESTART_TIMEOUT_S = 120.0


class Pool:
    """Actors that all do the same. Ray restarts those that die.

    On a busy cluster some may wait long for their place: they get no work until they are up.
    """

    def __init__(self, size: int, start: Callable[[], Any]) -> None:
        """Wait for the first actor. start: starts one, which has a method `ready`."""
        started = [start() for _ in range(size)]
        self._starting = {actor.ready.remote(): actor for actor in started}
        self._actors: list[Any] = []
        self._load: Counter[Any] = Counter()
        self._welcome(timeout_s=None)

    def take(self) -> Any:
        """The actor with least to do."""
        if self._starting:
            self._welcome(timeout_s=0)
        actor = min(self._actors, key=lambda one: self._load[one])
        self._load[actor] += 1
        return actor

    def give_back(self, actor: Any) -> None:
        """One piece of work less for this actor."""
        self._load[actor] -= 1

    def wait_until_ready(self) -> None:
        """Wait for actors that are being restarted; leave out those that do not come back."""
        self._actors = [actor for actor in self._actors if _is_ready(actor)]
        if not self._actors:
            raise SeecError("no worker came back after a failure; check the cluster's resources")

    def _welcome(self, timeout_s: float | None) -> None:
        done, _ = ray.wait(list(self._starting), num_returns=1, timeout=timeout_s)
        for ref in done:
            actor = self._starting.pop(ref)
            ray.get(ref)  # raises what the constructor raised
            self._actors.append(actor)


def _is_ready(actor: Any) -> bool:
    end = time.monotonic() + RESTART_TIMEOUT_S
    while (left := end - time.monotonic()) > 0:
        try:
            return ray.get(actor.ready.remote(), timeout=left)
        except GetTimeoutError:
            return False
        except RayActorError:
            time.sleep(0.2)
    return False
