"""Starts Ray without what a cluster of one run does not need: it takes memory and two seconds."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ray._private import ray_constants, services
from ray._private.node import Node

# Of `Node`: what shows pages, makes clusters grow, and shows logs.
_STARTS = ("start_api_server", "start_monitor", "start_log_monitor")
# The agent that answers whoever asks how the cluster stands, and the files that tell its ports.
# Ray's other agent makes environments for workers that want their own: it stays.
_AGENT = "PROCESS_TYPE_DASHBOARD_AGENT"
_PORTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port")
_COMMAND = "_build_python_executable_command_memory_profileable"  # of `services`
_STAND_IN = Path(__file__).with_name("stand_in.py")


@contextmanager
def needed_processes_only(*, agent: bool) -> Iterator[None]:
    """While the block runs, Ray starts no processes but those that a cluster of this run needs.

    agent: whether it starts its own agent all the same. What a version of Ray does not have is left
    alone.
    """
    with ExitStack() as held:
        for name in _STARTS:
            _replace(held, Node, name, lambda _: _nothing)
        if not agent:
            _replace(held, services, _COMMAND, _standing_in)
        yield


def _replace(held: ExitStack, where: Any, name: str, made: Callable[[Any], Any]) -> None:
    if (before := getattr(where, name, None)) is not None:
        setattr(where, name, made(before))
        held.callback(setattr, where, name, before)


def _nothing(*_: Any, **__: Any) -> None:
    pass


def _standing_in(command_of: Callable[..., list[str]]) -> Callable[..., list[str]]:
    agent = getattr(ray_constants, _AGENT, None)

    def command(component: str, *arguments: Any, **options: Any) -> list[str]:
        if component != agent:
            return command_of(component, *arguments, **options)
        # Behind it Ray appends its own script, and the arguments of that.
        return [sys.executable, "-S", "-E", str(_STAND_IN), ",".join(_PORTS)]

    return command
