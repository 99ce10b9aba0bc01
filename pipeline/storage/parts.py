"""Large objects on S3: multipart uploads, and the leftovers of interrupted ones.

Parts become an object when their upload is completed, and take room until the upload is completed
or aborted. A killed writer leaves its upload, which only a listing of uploads shows.
"""

import secrets
from bisect import bisect_right
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from seec.pipeline.storage.failures import code_of, condition_failed, unsupported
from seec.pipeline.storage.limits import Gate
from seec.pipeline.storage.local import PARTIAL_PREFIX
from seec.pipeline.storage.retry import Retry
from seec.schemas.errors import ObjectMissing, StorageError, TransientStorageError

PART_SIZE_BYTES = 16 << 20  # at least 5 MiB, says S3
LARGE_BYTES = 32 << 20
_MAX_PARTS = 10_000
_MOST_AT_ONCE = 2  # parts of an object, each of which is in memory while it is sent
_MAX_WHOLE_BYTES = 5 << 30

# Of S3: their objects are read after a restore, which takes minutes to days.
COLD_CLASSES = ("GLACIER", "DEEP_ARCHIVE")
FROZEN, THAWING, THAWED = "frozen", "thawing", "thawed"
_ASKED_ALREADY = ("RestoreAlreadyInProgress", "ObjectAlreadyInActiveTierError")

# Whether a file system refuses, below a root, to complete an upload over an existing object.
_proven: dict[tuple[Any, str], bool] = {}


@dataclass(frozen=True)
class Upload:
    """An upload that was begun and neither completed nor aborted.

    name: of the future object, in its store. size_bytes: of the first 1000 parts. begun_s: seconds
    since 1970.
    """

    name: str
    id: str
    size_bytes: int
    begun_s: float


def are_worth_it(size_bytes: int) -> bool:
    """Whether an object is large enough to be written in parts."""
    return size_bytes >= LARGE_BYTES


class _Joined:
    """Pieces of bytes as one sequence, of which only slices are ever copied."""

    def __init__(self, pieces: Sequence[bytes | memoryview]) -> None:
        self._pieces = pieces
        self._ends = list(accumulate(map(len, pieces)))
        self.size_bytes = self._ends[-1] if pieces else 0

    def read(self, start: int, length: int) -> bytes:
        """The bytes from there, fewer where they end."""
        found: list[bytes | memoryview] = []
        number = bisect_right(self._ends, start)
        while length > 0 and number < len(self._pieces):
            at = start - (self._ends[number - 1] if number else 0)
            found.append(memoryview(self._pieces[number])[at : at + length])
            start, length = start + len(found[-1]), length - len(found[-1])
            number += 1
        return b"".join(found)


class Parts:
    """Writes objects of one S3 store.

    A method of one request raises the errors of s3fs. A method of several requests tries each one
    again by itself, and raises StorageErrors.
    """

    def __init__(self, fs: Any, root: str, gate: Gate, retry: Retry, threads: int) -> None:
        """root: path of the store. threads: how many parts to send at once, up to two."""
        self._fs, self._root, self._threads = fs, root, min(threads, _MOST_AT_ONCE)
        self._let, self._retry = gate.let, retry

    def create(self, path: str, *pieces: bytes | memoryview) -> None:
        """Write a new object. Raises an error for which `condition_failed` is true if it exists.

        Uses one piece if the store ignores the condition on completion, and if the object has at
        most the 5 GiB that S3 takes in one piece.
        """
        if self._completes_only_new(path) or sum(map(len, pieces)) > _MAX_WHOLE_BYTES:
            self._upload(path, pieces, {"IfNoneMatch": "*"})
        else:
            self.put_whole(path, b"".join(pieces), "create")

    def replace(self, path: str, *pieces: bytes | memoryview) -> None:
        """Write an object, replacing an existing one."""
        self._upload(path, pieces, {})

    def put_whole(self, path: str, data: bytes, mode: str) -> None:
        """Write an object in one piece."""
        size = len(data)
        # s3fs splits objects that are larger than a chunk.
        self._let(lambda: self._fs.pipe_file(path, data, mode=mode, chunksize=size + 1), size)

    def left(self) -> Iterator[Upload]:
        """All uploads of objects of the store."""
        bucket = self._root.partition("/")[0]
        markers: dict[str, str] = {}
        seen: set[str] = set()
        while True:
            page = self._call("list_multipart_uploads", f"{self._root}/", **markers)
            new = [item for item in page.get("Uploads") or () if item["UploadId"] not in seen]
            for item in new:
                seen.add(item["UploadId"])
                path, begun_s = f"{bucket}/{item['Key']}", item["Initiated"].timestamp()
                size_bytes = self._size_bytes(path, item["UploadId"])
                yield Upload(path[len(self._root) + 1 :], item["UploadId"], size_bytes, begun_s)
            # Some servers announce a further page, with no markers or the same ones.
            if not new or not page.get("IsTruncated"):
                return
            markers = {"KeyMarker": new[-1]["Key"], "UploadIdMarker": new[-1]["UploadId"]}

    def info(self, path: str) -> dict[str, Any]:
        """What a listing tells of one object. Raises ObjectMissing."""
        found = self._call("head_object", path)
        return {**found, "name": path, "size": found["ContentLength"], "type": "file"}

    def thawing(self, path: str) -> str:
        """Of an object in cold storage: FROZEN, THAWING, or THAWED."""
        found = self._call("head_object", path)
        cold = found.get("StorageClass") in COLD_CLASSES or "ArchiveStatus" in found
        restore = str(found.get("Restore", ""))
        if not cold or 'ongoing-request="false"' in restore:
            return THAWED
        return THAWING if restore else FROZEN

    def thaw(self, path: str, days: int, tier: str) -> None:
        """Ask for an object in cold storage."""
        wanted = {"Days": days, "GlacierJobParameters": {"Tier": tier}}

        def ask() -> None:
            try:
                self._once("restore_object", path, RestoreRequest=wanted)
            except Exception as error:
                if code_of(error) not in _ASKED_ALREADY:
                    raise

        self._retry.call(f"restore object {path}", ask)

    def abort(self, path: str, upload_id: str) -> None:
        """Give up an upload; an upload that is gone is no error."""
        with suppress(ObjectMissing):
            self._call("abort_multipart_upload", path, UploadId=upload_id)

    def _size_bytes(self, path: str, upload_id: str) -> int:
        try:
            page = self._call("list_parts", path, UploadId=upload_id)
        except ObjectMissing:
            return 0  # completed or aborted since it was listed
        return sum(int(part["Size"]) for part in page.get("Parts") or ())

    def _upload(
        self, path: str, pieces: Sequence[bytes | memoryview], condition: dict[str, str]
    ) -> None:
        """Raises TransientStorageError if a new upload from the beginning may succeed."""
        with _not_again():
            upload_id = self._call("create_multipart_upload", path)["UploadId"]
        try:
            with _not_again():
                parts = self._send(path, _Joined(pieces), upload_id)
            made = {"UploadId": upload_id, "MultipartUpload": {"Parts": parts}, **condition}
            # Never repeated: a second request would not repeat a lost answer.
            self._once("complete_multipart_upload", path, **made)
        except BaseException as error:
            with suppress(StorageError):
                self.abort(path, upload_id)
            if isinstance(error, ObjectMissing) or code_of(error) == "NoSuchUpload":
                raise TransientStorageError(f"write {path}: its upload was given up") from error
            raise

    def _send(self, path: str, data: _Joined, upload_id: str) -> list[dict[str, Any]]:
        """Send all parts; after an error no part is in flight any more."""
        from concurrent.futures import ThreadPoolExecutor  # who only reads does without

        size = max(PART_SIZE_BYTES, -(-data.size_bytes // _MAX_PARTS))

        def send(start: int) -> dict[str, Any]:
            number, body = start // size + 1, data.read(start, size)
            part = {"PartNumber": number, "UploadId": upload_id, "Body": body}
            sent = self._call("upload_part", path, **part)
            return {"PartNumber": number, "ETag": sent["ETag"]}

        pool = ThreadPoolExecutor(self._threads)
        try:
            return list(pool.map(send, range(0, data.size_bytes, size)))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _completes_only_new(self, path: str) -> bool:
        """Whether the store refuses to complete an upload over an existing object; proved once."""
        known = (self._fs, self._root)
        if known not in _proven:
            folder = path.rpartition("/")[0]
            _proven[known] = self._refuses_at(f"{folder}/{PARTIAL_PREFIX}{secrets.token_hex(8)}")
        return _proven[known]

    def _refuses_at(self, probe: str) -> bool:
        self.put_whole(probe, b"first", "overwrite")
        try:
            self._upload(probe, (b"second",), {"IfNoneMatch": "*"})
        except Exception as error:
            if condition_failed(error):
                return True
            if not unsupported(error):
                raise
        finally:
            with suppress(OSError):
                self._let(lambda: self._fs.rm_file(probe))
        return False

    def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        what = f"{method.replace('_', ' ')} {path}"
        return self._retry.call(what, lambda: self._once(method, path, **arguments))

    def _once(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        bucket, key, _ = self._fs.split_path(path)
        place = {"Bucket": bucket, "Prefix" if method.startswith("list_multi") else "Key": key}
        body = arguments.get("Body", b"")
        return self._let(lambda: self._fs.call_s3(method, **place, **arguments), len(body))


@contextmanager
def _not_again() -> Generator[None]:
    """Raise StorageError for TransientStorageError: the request was tried often enough."""
    try:
        yield
    except TransientStorageError as error:
        raise StorageError(str(error)) from error
