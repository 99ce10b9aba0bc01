"""A proxy before an S3 server whose objects below some prefixes are in cold storage, as on Glacier.

Reading such an object is refused with InvalidObjectState until it was restored, which takes a while
from the request on. Listings and HEAD say the storage class; HEAD says how far restoring is.
"""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from tests.faults.proxy import Proxy, _Handler, serving

_CONTENTS = re.compile(rb"<Contents>.*?</Contents>", re.DOTALL)
_KEY = re.compile(rb"<Key>(.*?)</Key>", re.DOTALL)
_CLASS = re.compile(rb"<StorageClass>.*?</StorageClass>", re.DOTALL)
_REFUSED = (
    b"<Error><Code>InvalidObjectState</Code><Message>The operation is not valid for the object's "
    b"storage class</Message><StorageClass>GLACIER</StorageClass></Error>"
)


@dataclass
class Glacier:
    """cold: parts of keys that are in cold storage. takes_s: how long restoring takes.

    restored: when restoring was asked for, by key; refused: keys that were read in vain.
    """

    cold: tuple[str, ...] = ()
    takes_s: float = 0.0
    restored: dict[str, float] = field(default_factory=dict[str, float])
    refused: list[str] = field(default_factory=list[str])
    bodies: list[bytes] = field(default_factory=list[bytes])

    def is_cold(self, key: str) -> bool:
        return any(part in f"/{key}" for part in self.cold)

    def is_thawed(self, key: str) -> bool:
        asked = self.restored.get(key)
        return asked is not None and time.monotonic() - asked >= self.takes_s


class GlacierProxy(Proxy):
    """See the top of this module."""

    def __init__(self, server: str) -> None:
        super().__init__(server)
        self.glacier = Glacier()

    def _pass_on(self, handler: _Handler, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        url = urlsplit(handler.path)
        key = unquote(url.path).strip("/").partition("/")[2]
        if handler.command == "POST" and "restore" in url.query.split("&"):
            return self._restore(key, body)
        cold = key and self.glacier.is_cold(key)
        if cold and handler.command == "GET" and not self.glacier.is_thawed(key):
            self.glacier.refused.append(key)
            return 403, [("Content-Type", "application/xml")], _REFUSED
        status, headers, data = super()._pass_on(handler, body)
        if handler.command == "GET" and not key:
            data = _CONTENTS.sub(self._classed, data)
        if cold and handler.command == "HEAD" and status == 200:
            headers = [*headers, ("x-amz-storage-class", "GLACIER")]
            if key in self.glacier.restored:
                done = self.glacier.is_thawed(key)
                date = ', expiry-date="Fri, 21 Dec 2040 00:00:00 GMT"' if done else ""
                headers.append(
                    ("x-amz-restore", f'ongoing-request="{str(not done).lower()}"{date}')
                )
        return status, headers, data

    def _restore(self, key: str, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        self.glacier.bodies.append(body)
        if key in self.glacier.restored and not self.glacier.is_thawed(key):
            text = b"<Error><Code>RestoreAlreadyInProgress</Code><Message>wait</Message></Error>"
            return 409, [("Content-Type", "application/xml")], text
        known = key in self.glacier.restored
        self.glacier.restored.setdefault(key, time.monotonic())
        return (200 if known else 202), [], b""

    def _classed(self, match: re.Match[bytes]) -> bytes:
        entry = match[0]
        key = _KEY.search(entry)
        if key is None or not self.glacier.is_cold(unquote(key[1].decode())):
            return entry
        entry = _CLASS.sub(b"", entry)
        return entry.replace(b"</Contents>", b"<StorageClass>GLACIER</StorageClass></Contents>")


@contextmanager
def before(server: str) -> Iterator[tuple[str, GlacierProxy]]:
    """Such a proxy before a server while the block runs; yields its URL, too."""
    proxy = GlacierProxy(server)
    with serving(proxy) as url:
        yield url, proxy
