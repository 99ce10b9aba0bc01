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
    """Actors that all do the same. Ray restarts those that die."""

    def __init__(self, size: int, start: Callable[[], Any]) -> None:
        """start: starts one actor, which has a method `ready`. Raises what a constructor raises."""
        self._actors = [start() for _ in range(size)]
        self._load: Counter[Any] = Counter()
        ray.get(self._actors[0].ready.remote())

    def take(self) -> Any:
        """The actor with least to do."""
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
