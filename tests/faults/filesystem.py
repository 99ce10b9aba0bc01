"""A file system that fails by plan: `faulty:///some/folder`, on a local folder.

It stands for a store far away: objects are written whole, exclusively if asked, and each request
may fail in the ways that stores and networks do. Requests are numbered from 0, in the order in
which they come. The plan is that of the process; without one nothing fails.
"""

import errno
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import fsspec
from fsspec import AbstractFileSystem

PROTOCOL = "faulty"
READ, LOOK, LIST, WRITE, REMOVE = "read", "look up", "list", "write", "remove"

# Once, and the same request succeeds when it is made again.
RESET, TIMEOUT, THROTTLED, LOST, CUT, SHORT, SLOW = (
    *("reset", "timeout", "throttled", "lost", "cut", "short", "slow"),
)
FLIPPED, ABSENT = "flipped", "absent"
# From then on.
DOWN, DENIED, FULL, QUOTA = "down", "denied", "full", "quota"

TRANSIENT = (RESET, TIMEOUT, THROTTLED, LOST, CUT, SHORT, SLOW)
LASTING = (DOWN, DENIED, FULL, QUOTA)
# Which fault can befall which request.
POSSIBLE = {
    READ: (RESET, TIMEOUT, THROTTLED, LOST, SLOW, FLIPPED, ABSENT, DOWN, DENIED),
    LOOK: (RESET, THROTTLED, ABSENT, DOWN, DENIED),
    LIST: (RESET, THROTTLED, DOWN, DENIED),
    WRITE: (RESET, TIMEOUT, THROTTLED, LOST, CUT, SHORT, SLOW, DOWN, DENIED, FULL, QUOTA),
    REMOVE: (RESET, LOST, DOWN, DENIED),
}


@dataclass(frozen=True)
class Request:
    """What was asked of the store, and of which object; what part of it was to be read."""

    verb: str
    path: str
    start: int | None = None
    end: int | None = None


@dataclass
class Plan:
    """A fault, and the request that it befalls, by number or by a part of the path of a verb.

    requests: all that came so far. careless: exclusive writes replace what is there.
    """

    fault: str | None = None
    at: int | None = None
    verb: str = ""
    part: str = ""
    careless: bool = False
    requests: list[Request] = field(default_factory=list)
    struck: bool = False

    def befalls(self, request: Request) -> str | None:
        """Count a request; the fault that befalls it, if any."""
        number = len(self.requests)
        self.requests.append(request)
        if self.fault is None:
            return None
        if self.struck:
            lasting = self.fault in LASTING and self.fault in POSSIBLE[request.verb]
            return self.fault if lasting else None
        chosen = number == self.at
        if self.at is None:
            chosen = request.verb == self.verb and self.part in request.path
        self.struck = chosen
        return self.fault if chosen else None


_plan = Plan()


@contextmanager
def plan(made: Plan) -> Iterator[Plan]:
    """Requests of this process follow this plan while the block runs."""
    global _plan
    before, _plan = _plan, made
    try:
        yield made
    finally:
        _plan = before


class QuotaExceeded(PermissionError):
    """As s3fs raises what it does not know, with what the server answered as its cause."""

    response: ClassVar = {
        "Error": {"Code": "QuotaExceeded"},
        "ResponseMetadata": {"HTTPStatusCode": 403},
    }


def _failure(fault: str) -> OSError:
    return {
        RESET: ConnectionResetError(errno.ECONNRESET, "connection reset by peer"),
        TIMEOUT: TimeoutError("no answer"),
        THROTTLED: OSError(errno.EBUSY, "please reduce your request rate"),
        LOST: ConnectionResetError(errno.ECONNRESET, "connection reset by peer"),
        CUT: ConnectionResetError(errno.ECONNRESET, "connection reset by peer"),
        ABSENT: FileNotFoundError(errno.ENOENT, "no such object"),
        DOWN: ConnectionRefusedError(errno.ECONNREFUSED, "connection refused"),
        DENIED: PermissionError(errno.EACCES, "access denied"),
        FULL: OSError(errno.ENOSPC, "no space left on device"),
        QUOTA: QuotaExceeded("quota exceeded"),
    }[fault]


class FaultyFileSystem(AbstractFileSystem):
    """See the module."""

    protocol = PROTOCOL
    root_marker = "/"
    cachable = False

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        path = str(self._strip_protocol(path))
        whole = bytes(value)

        def write(fault: str | None) -> None:
            kept = whole[: len(whole) // 2] if fault in (CUT, SHORT) else whole
            _write(path, kept, exclusive=mode == "create" and not _plan.careless)

        self._answer(Request(WRITE, path), write)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any):
        path = str(self._strip_protocol(path))

        def read(fault: str | None) -> bytes:
            data = Path(path).read_bytes()[start:end]
            if fault == FLIPPED and data:
                middle = len(data) // 2
                data = data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]
            return data

        return self._answer(Request(READ, path, start, end), read)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        path = str(self._strip_protocol(path))
        return self._answer(Request(LOOK, path), lambda _: _info(path))

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        path = str(self._strip_protocol(path))

        def entries(_: str | None) -> list[dict[str, Any]]:
            if not Path(path).is_dir():
                return [_info(path)]
            # What is being written has no name yet; what goes away meanwhile has none any more.
            found: list[dict[str, Any]] = []
            for item in Path(path).iterdir():
                with suppress(FileNotFoundError):
                    found += [_info(str(item))] if item.name[0] != "~" else []
            return found

        found = self._answer(Request(LIST, path), entries)
        return found if detail else [item["name"] for item in found]

    def rm_file(self, path: str) -> None:
        path = str(self._strip_protocol(path))
        self._answer(Request(REMOVE, path), lambda _: Path(path).unlink())

    def created(self, path: str) -> Any:
        raise NotImplementedError

    def _answer(self, request: Request, action: Callable[[str | None], Any]) -> Any:
        fault = _plan.befalls(request)
        if fault == SLOW:
            time.sleep(0.01)
        if fault in (None, SLOW, FLIPPED, SHORT):
            return action(fault)
        if fault in (LOST, CUT):
            action(fault)
        raise _failure(fault)


def _write(path: str, data: bytes, exclusive: bool) -> None:
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"~{secrets.token_hex(8)}")
    temporary.write_bytes(data)
    try:
        if exclusive:
            os.link(temporary, target)
        else:
            temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _info(path: str) -> dict[str, Any]:
    status = Path(path).stat()
    kind = "directory" if stat.S_ISDIR(status.st_mode) else "file"
    return {"name": path, "size": status.st_size, "type": kind, "mtime": status.st_mtime}


fsspec.register_implementation(PROTOCOL, FaultyFileSystem, clobber=True)
