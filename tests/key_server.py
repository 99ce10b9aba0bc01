"""An S3 server that takes every key, as AWS does: `a//b`, `/a`, `a/../b`, `dir/`.

The server of `tests.object_store` keeps objects as files, and takes no such keys.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

_MODIFIED_S = 1_700_000_000


class _Handler(BaseHTTPRequestHandler):
    """Path-style requests: list, head, get (with ranges), put and delete; others fail."""

    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        headers = {"Content-Length": str(len(body)), **headers}
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _fail(self, status: int, code: str) -> None:
        self._answer(status, f"<Error><Code>{code}</Code></Error>".encode())

    @property
    def _place(self) -> tuple[str, dict[str, list[str]]]:
        path, _, query = self.path.partition("?")
        return unquote(path[1:]), parse_qs(query, keep_blank_values=True)

    def do_GET(self) -> None:
        place, query = self._place
        if "/" not in place or (place.endswith("/") and place.count("/") == 1):
            self._list(place.strip("/"), query)
        elif place not in self.objects:
            self._fail(404, "NoSuchKey")
        else:
            self._send(self.objects[place])

    do_HEAD = do_GET  # noqa: N815 - as http.server names it

    def _send(self, data: bytes) -> None:
        entity = {
            "ETag": f'"{md5(data).hexdigest()}"',
            "Last_Modified": formatdate(_MODIFIED_S, usegmt=True),
        }
        asked = self.headers.get("Range")
        if asked is None:
            self._answer(200, data, **entity)
            return
        start, _, end = asked.removeprefix("bytes=").partition("-")
        part = data[int(start) : int(end) + 1 if end else None]
        where = f"bytes {start}-{int(start) + len(part) - 1}/{len(data)}"
        self._answer(206, part, Content_Range=where, **entity)

    def _list(self, bucket: str, query: dict[str, list[str]]) -> None:
        prefix, delimiter = (query.get(name, [""])[0] for name in ("prefix", "delimiter"))
        files, folders = [], set()
        for place, data in sorted(self.objects.items()):
            key = place.removeprefix(f"{bucket}/")
            if key == place or not key.startswith(prefix):
                continue
            head, mark, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            if mark:
                folders.add(prefix + head + mark)
            else:
                files.append(
                    f"<Contents><Key>{escape(key)}</Key><Size>{len(data)}</Size>"
                    "<LastModified>2023-11-14T22:13:20.123Z</LastModified></Contents>"
                )
        common = "".join(
            f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>"
            for folder in sorted(folders)
        )
        body = f"<ListBucketResult>{''.join(files)}{common}</ListBucketResult>"
        self._answer(200, body.encode(), Content_Type="application/xml")

    def do_PUT(self) -> None:
        place, _ = self._place
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("If-None-Match") == "*" and place in self.objects:
            self._fail(412, "PreconditionFailed")
        else:
            self.objects[place] = body
            self._answer(200, ETag='"x"')

    def do_DELETE(self) -> None:
        self.objects.pop(self._place[0], None)
        self._answer(204)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def key_server() -> Iterator[tuple[str, dict[str, bytes]]]:
    """The URL of a server, and its objects by `bucket/key`, while the block runs."""
    objects: dict[str, bytes] = {}
    handler = type("Handler", (_Handler,), {"objects": objects})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", objects
        finally:
            server.shutdown()
