"""A worker process of our own: runs one function at a time, and may die without harm to others."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

# The path is appended, so that it shadows nothing; -P keeps the current folder away.
_MAIN = "import sys; sys.path.append({root!r}); from {module} import main; main({descriptor})"


class Died(Exception):
    """The process is gone, and has not said what came of its work."""


class WorkerProcess:
    """Starts at once. Calls are answered in their order, each with a value or an exception."""

    def __init__(self) -> None:
        here, there = socket.socketpair()
        with there:
            there.set_inheritable(True)
            code = _MAIN.format(root=code_folder(), module=__name__, descriptor=there.fileno())
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", code],
                pass_fds=[there.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the process that started it
            )
        self.connection = Connection(here.detach())

    def send(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Have the process call the function. Raises Died."""
        try:
            self.connection.send((function, arguments))
        except OSError:
            raise Died from None

    def receive(self) -> tuple[bool, Any]:
        """Whether a call went well, and its value or its exception. Raises Died."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            raise Died from None

    def kill(self) -> int:
        """End the process, whatever it is doing. Returns its exit status as `subprocess` does."""
        self.connection.close()
        self._process.kill()
        return self._process.wait()


def code_folder() -> str:
    """The folder that holds the package `seec`."""
    package = sys.modules["seec"]
    return str(Path(str(package.__file__)).parents[1])


def main(descriptor: int) -> None:
    """The worker process: calls functions until the other end is closed."""
    connection = Connection(descriptor)
    while True:
        try:
            function, arguments = connection.recv()
        except (EOFError, OSError):
            os._exit(0)
        try:
            answer: tuple[bool, Any] = (True, function(*arguments))
        except Exception as error:  # noqa: BLE001, the other end decides what it means
            answer = (False, error)
        try:
            connection.send(answer)
        except OSError:
            os._exit(0)
        except Exception as error:  # noqa: BLE001, what cannot be sent is told in words
            connection.send((False, RuntimeError(f"{answer[1]!r} cannot be sent: {error}")))
