"""Large objects on S3: written in parts side by side, and what interrupted writes leave there.

The parts of an upload are no object until it is completed, and take room until it is completed or
aborted. Who is killed leaves them; nothing but a listing of uploads shows that.
"""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from pipeline.storage.failures import code_of, condition_failed, unsupported
from pipeline.storage.limits import Gate
from pipeline.storage.local import PARTIAL_PREFIX
from schemas.errors import TransientStorageError

PART_SIZE_BYTES = 16 << 20  # at least 5 MiB, says S3
LARGE_BYTES = 32 << 20
_MAX_PARTS = 10_000
_MAX_WHOLE_BYTES = 5 << 30

# Whether a file system completes uploads below a root only where there is no object yet.
_proven: dict[tuple[Any, str], bool] = {}


@dataclass(frozen=True)
class Upload:
    """An upload that was begun and neither completed nor aborted.

    name: of the object that it would be, in its store. size_bytes: of the parts that are there, of
    the first 1000. begun_s: seconds since 1970.
    """

    name: str
    id: str
    size_bytes: int
    begun_s: float


def is_s3(fs: Any) -> bool:
    """Whether a file system is that of s3fs."""
    return hasattr(fs, "call_s3")


def are_worth_it(data: bytes) -> bool:
    """Whether an object is large enough to be written in parts."""
    return len(data) >= LARGE_BYTES


class Parts:
    """Writes objects of one S3 store. Raises what s3fs raises; every request passes the gate."""

    def __init__(self, fs: Any, root: str, gate: Gate, threads: int) -> None:
        """root: path of the store. threads: how many parts to send at once."""
        self._fs, self._root, self._let, self._threads = fs, root, gate.let, threads

    def create(self, path: str, data: bytes) -> None:
        """Write an object that does not exist yet; a failed condition if it does.

        In one piece where the store does not answer for the condition on completion, up to the
        5 GiB that S3 takes in one piece.
        """
        if self._completes_only_new(path) or len(data) > _MAX_WHOLE_BYTES:
            self._upload(path, data, {"IfNoneMatch": "*"})
        else:
            self.put_whole(path, data, "create")

    def replace(self, path: str, data: bytes) -> None:
        """Write an object, replacing what is there."""
        self._upload(path, data, {})

    def put_whole(self, path: str, data: bytes, mode: str) -> None:
        """Write an object in one piece."""
        size = len(data)
        # s3fs decides by the size of chunks whether to make several of them.
        self._let(lambda: self._fs.pipe_file(path, data, mode=mode, chunksize=size + 1), size)

    def left(self) -> Iterator[Upload]:
        """All uploads of objects of the store."""
        bucket, key, _ = self._fs.split_path(f"{self._root}/")
        markers: dict[str, str] = {}
        seen: set[str] = set()
        while True:
            page = self._call("list_multipart_uploads", Bucket=bucket, Prefix=key, **markers)
            new = [item for item in page.get("Uploads") or () if item["UploadId"] not in seen]
            for item in new:
                seen.add(item["UploadId"])
                path, begun_s = f"{bucket}/{item['Key']}", item["Initiated"].timestamp()
                size_bytes = self._size_bytes(path, item["UploadId"])
                yield Upload(path[len(self._root) + 1 :], item["UploadId"], size_bytes, begun_s)
            # Some servers say that there is more, and give no or the same markers.
            if not new or not page.get("IsTruncated"):
                return
            markers = {"KeyMarker": new[-1]["Key"], "UploadIdMarker": new[-1]["UploadId"]}

    def abort(self, path: str, upload_id: str) -> None:
        """Give up an upload; nothing happens if it is gone already."""
        bucket, key, _ = self._fs.split_path(path)
        try:
            self._call("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload_id)
        except FileNotFoundError as error:
            if code_of(error) == "NoSuchBucket":
                raise

    def _size_bytes(self, path: str, upload_id: str) -> int:
        bucket, key, _ = self._fs.split_path(path)
        try:
            page = self._call("list_parts", Bucket=bucket, Key=key, UploadId=upload_id)
        except FileNotFoundError:
            return 0  # completed or aborted since it was listed
        return sum(int(part["Size"]) for part in page.get("Parts") or ())

    def _upload(self, path: str, data: bytes, condition: dict[str, str]) -> None:
        bucket, key, _ = self._fs.split_path(path)
        begun = self._call("create_multipart_upload", Bucket=bucket, Key=key)
        upload = {"Bucket": bucket, "Key": key, "UploadId": begun["UploadId"]}
        try:
            parts = self._send(data, upload)
            made = {"MultipartUpload": {"Parts": parts}, **upload, **condition}
            self._call("complete_multipart_upload", **made)
        except BaseException as error:
            with suppress(Exception):
                self.abort(path, begun["UploadId"])
            if code_of(error) == "NoSuchUpload":
                # Given up by someone, or completed, and the answer was lost.
                raise TransientStorageError(f"write {path}: the upload is gone") from error
            raise

    def _send(self, data: bytes, upload: dict[str, str]) -> list[dict[str, Any]]:
        """Send all parts; after an error there is none on its way any more."""
        size = max(PART_SIZE_BYTES, -(-len(data) // _MAX_PARTS))

        def send(start: int) -> dict[str, Any]:
            number, body = start // size + 1, data[start : start + size]
            sent = self._call("upload_part", len(body), Body=body, PartNumber=number, **upload)
            return {"PartNumber": number, "ETag": sent["ETag"]}

        pool = ThreadPoolExecutor(self._threads)
        try:
            return list(pool.map(send, range(0, len(data), size)))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _completes_only_new(self, path: str) -> bool:
        """Whether the store was seen to refuse to complete an upload where there is an object."""
        known = (self._fs, self._root)
        if known not in _proven:
            folder = path.rpartition("/")[0]
            _proven[known] = self._refuses_at(f"{folder}/{PARTIAL_PREFIX}{secrets.token_hex(8)}")
        return _proven[known]

    def _refuses_at(self, probe: str) -> bool:
        self.put_whole(probe, b"first", "overwrite")
        try:
            self._upload(probe, b"second", {"IfNoneMatch": "*"})
        except Exception as error:
            if condition_failed(error):
                return True
            if not unsupported(error):
                raise
        finally:
            with suppress(OSError):
                self._let(lambda: self._fs.rm_file(probe))
        return False

    def _call(self, method: str, size_bytes: int = 0, /, **arguments: Any) -> dict[str, Any]:
        answer = self._let(lambda: self._fs.call_s3(method, **arguments), size_bytes)
        return cast(dict[str, Any], answer)
