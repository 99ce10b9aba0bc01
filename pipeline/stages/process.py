"""A worker process of our own: runs one function at a time, and may die without harm to others."""

import ctypes
import gc
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import IO, Any

# The path is appended, so that it shadows nothing; -P keeps the current folder away.
# Read by the C library of Linux when a process starts. With its own choice each thread has a heap
# of its own, and what is freed of sizes that were freed before stays with the process.
_FRUGAL = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(8 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(8 << 20),
}
_MAIN = "import sys; sys.path.append({root!r}); from {module} import main; main({descriptor})"


class Died(Exception):
    """The process is gone, and has not said what came of its work."""


def may_fork() -> bool:
    """Whether a copy of this process can work as a new one does.

    Locks that other threads hold stay locked in a copy. Those of libraries count where these do not
    see to forks themselves, as OpenMP below torch and all of macOS do not.
    """
    alone = threading.active_count() == 1 and "torch" not in sys.modules
    return sys.platform == "linux" and alone


class WorkerProcess:
    """Starts at once. Calls are answered in their order, each with a value or an exception."""

    def __init__(self, *, fork: bool = False) -> None:
        """fork: copy this process, where `may_fork` allows, with what it has imported.

        Else the process is a new one, which takes a third of a second to import the same again.
        """
        here, there = socket.socketpair()
        with there:
            self._process = _copy(there.fileno()) if fork else new_process(there)
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
        if isinstance(self._process, subprocess.Popen):
            return self._process.wait()
        self._process.join()
        return self._process.exitcode or 0


def new_process(
    there: socket.socket, module: str = __name__, errors: IO[bytes] | int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """A process that calls `main` of a module of this package with its end of a pair of sockets.

    errors: what the process writes to stderr goes there. The process, and what it starts, gives
    memory back sooner than others do, unless the environment says how soon.
    """
    there.set_inheritable(True)
    code = _MAIN.format(root=code_folder(), module=module, descriptor=there.fileno())
    return subprocess.Popen(
        [sys.executable, "-P", "-c", code],
        pass_fds=[there.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        env={**_FRUGAL, **os.environ},
        start_new_session=True,  # Ctrl-C is for the process that started it
    )


def _copy(descriptor: int) -> BaseProcess:
    process = multiprocessing.get_context("fork").Process(
        target=_begin_copy, args=(descriptor,), daemon=True
    )
    # A signal between fork and `_begin_copy` would make the copy end the job of the first process.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        with warnings.catch_warnings():
            # Python 3.12 counts threads of libraries, too.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return process


def _begin_copy(descriptor: int) -> None:
    """Make the process as `new_process` does, but for its memory."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)
    # Others wait for the end of what they share with the first process. Not one by one: objects
    # that own these descriptors stay, and are never collected.
    gc.freeze()
    os.closerange(3, descriptor)
    os.closerange(descriptor + 1, os.sysconf("SC_OPEN_MAX"))
    main(descriptor)


def give_memory_back() -> None:
    """Half of what a piece or a shard took would stay with each worker that ever had one."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
    if trim is not None:
        trim(0)


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
            send_answer(connection, *answer)
        except OSError:
            os._exit(0)


def send_answer(connection: Connection, good: bool, value: Any) -> None:
    """Send whether a call went well, with its value or its exception. Raises OSError."""
    try:
        connection.send((good, value))
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001, what cannot be sent is told in words
        connection.send((False, RuntimeError(f"{value!r} cannot be sent: {error}")))
