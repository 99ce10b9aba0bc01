"""A proxy before an S3 server that fails as networks and servers do.

Clients talk to the proxy as if it were the server: what they sign names its address, which it
passes on. What befalls a request is for a plan to say; without one all requests pass.
"""

import http.client
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# What may befall a request. DROPPED, BROKEN: the connection ends before the request arrives, or
# in the middle of it. LOST, LOST_500: the request succeeds, and no answer comes, or error 500.
# CUT: the answer ends in the middle.
DROPPED, BROKEN, LOST, LOST_500, CUT, LATE = "dropped", "broken", "lost", "lost 500", "cut", "late"
INTERNAL, UNAVAILABLE, SLOW_DOWN = "InternalError", "ServiceUnavailable", "SlowDown"
_STATUS = {
    INTERNAL: 500,
    UNAVAILABLE: 503,
    SLOW_DOWN: 503,
    "AccessDenied": 403,
    "InvalidAccessKeyId": 403,
    "QuotaExceeded": 403,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "EntityTooLarge": 413,
    "InsufficientStorage": 507,
}
PASSING = (DROPPED, BROKEN, LOST, LOST_500, CUT, LATE, INTERNAL, UNAVAILABLE, SLOW_DOWN)
# That an object is gone is no fault of the store.
LASTING = tuple(name for name in _STATUS if name not in (*PASSING, "NoSuchKey"))
_LATE_S = 0.2
_TIMEOUT_S = 120.0
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "expect"}


@dataclass(frozen=True)
class Request:
    """What was asked: HTTP method, and path with query."""

    method: str
    target: str
    at_s: float


@dataclass
class Plan:
    """What befalls requests. fault: of each request, None for none.

    in_flight, most: how many requests the proxy is at work on, and were at most at once. sizes:
    bytes of bodies, of requests and of answers, by method and path.
    """

    fault: Callable[[Request], str | None] = lambda request: None
    requests: list[Request] = field(default_factory=list[Request])
    struck: Counter[str] = field(default_factory=Counter[str])
    size_bytes: int = 0
    sizes: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    in_flight: int = 0
    most: int = 0
    guard: threading.Lock = field(default_factory=threading.Lock)

    def befalls(self, request: Request) -> str | None:
        """Count a request; the fault that befalls it."""
        with self.guard:
            self.requests.append(request)
            self.in_flight += 1
            self.most = max(self.most, self.in_flight)
            found = self.fault(request)
            if found is not None:
                self.struck[found] += 1
            return found

    def done(self, request: Request, size_bytes: int) -> None:
        """Count the end of a request, and the bytes of its body and of its answer's."""
        with self.guard:
            self.in_flight -= 1
            self.size_bytes += size_bytes
            self.sizes[request.method, urlsplit(request.target).path] += size_bytes


def some(
    share: float, seed: int, faults: tuple[str, ...] = PASSING
) -> Callable[[Request], str | None]:
    """Faults of some requests, of all kinds in turn."""
    chance, turn = random.Random(seed), 0

    def fault(request: Request) -> str | None:
        nonlocal turn
        if chance.random() >= share:
            return None
        turn += 1
        return faults[turn % len(faults)]

    return fault


def always(name: str, method: str, part: str = "") -> Callable[[Request], str | None]:
    """A fault of every request of a method, for targets that hold a part."""
    return lambda request: (
        name if (request.method, part in request.target) == (method, True) else None
    )


class Proxy:
    """A running proxy. plan: of what befalls requests from now on."""

    def __init__(self, server: str) -> None:
        """server: URL of what it stands before."""
        self.plan = Plan()
        self._address = urlsplit(server).netloc

    def answer(self, handler: "_Handler") -> None:
        """Pass a request on, and its answer back, or let a fault befall it."""
        plan, request = self.plan, Request(handler.command, handler.path, time.monotonic())
        fault = plan.befalls(request)
        size_bytes = 0
        try:
            if fault == DROPPED:
                handler.hang_up()
                return
            if fault == BROKEN:
                handler.read_some()
                handler.hang_up()
                return
            body = handler.read_body()
            size_bytes = len(body)
            if fault in _STATUS:
                handler.answer_error(_STATUS[fault], fault)
                return
            if fault == LATE:
                time.sleep(_LATE_S)
            status, headers, data = self._pass_on(handler, body)
            size_bytes += len(data)
            if fault == LOST:
                handler.hang_up()
            elif fault == LOST_500:
                handler.answer_error(500, INTERNAL)
            else:
                handler.answer_with(status, headers, data, whole=fault != CUT)
        finally:
            plan.done(request, size_bytes)

    def _pass_on(
        self, handler: "_Handler", body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self._address, timeout=_TIMEOUT_S)
        try:
            connection.putrequest(
                handler.command, handler.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in handler.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: Proxy

    def read_body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def read_some(self) -> None:
        """Half of the body, if its length is known."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)) // 2)

    def hang_up(self) -> None:
        """End the connection with no answer."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def answer_error(self, status: int, code: str) -> None:
        text = f"<Error><Code>{code}</Code><Message>{code} by plan</Message></Error>"
        self.answer_with(status, [("Content-Type", "application/xml")], text.encode(), whole=True)

    def answer_with(
        self, status: int, headers: list[tuple[str, str]], data: bytes, *, whole: bool
    ) -> None:
        self.send_response_only(status)
        lengths = [value for name, value in headers if name.lower() == "content-length"]
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        if self.command == "HEAD":
            self.send_header("Content-Length", lengths[0] if lengths else "0")
            data = b""
        elif status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data if whole else data[: len(data) // 2])
        if not whole:
            self.wfile.flush()
            self.hang_up()

    def handle(self) -> None:
        with suppress(ConnectionError, BrokenPipeError):
            super().handle()

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        self.proxy.answer(self)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


@contextmanager
def before(server: str) -> Iterator[tuple[str, Proxy]]:
    """A proxy before a server while the block runs; yields its URL."""
    proxy = Proxy(server)
    with serving(proxy) as url:
        yield url, proxy


@contextmanager
def serving(proxy: Proxy) -> Iterator[str]:
    """A proxy answers while the block runs; yields its URL."""
    handler = type("_Bound", (_Handler,), {"proxy": proxy})
    listening = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_address[1]}"
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()
