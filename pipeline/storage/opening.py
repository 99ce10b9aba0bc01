"""The file system behind a URL, set up as a store needs it."""

from typing import Any, cast

import fsspec  # pyright: ignore[reportMissingTypeStubs]
from fsspec.config import conf  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

from schemas.errors import StorageError

_S3 = ("s3", "s3a")
_FSSPEC = cast(Any, fsspec)
# s3fs and botocore below it would try five times each, so that one request became up to 25, with
# pauses that nobody sees: `Retry` does that.
_ONE_ATTEMPT = {"retries": {"total_max_attempts": 1}}


def open_url(url: str) -> tuple[Any, str]:
    """A file system, and the path there; StorageError if nothing serves it."""
    # Another writer may add objects at any time, so listings are never cached.
    options: dict[str, Any] = {"use_listings_cache": False}
    if url.partition("://")[0] in _S3:
        given = [conf.get(protocol, {}).get("config_kwargs", {}) for protocol in _S3]
        options["config_kwargs"] = {**_ONE_ATTEMPT, **given[0], **given[1]}
    try:
        fs, root = _FSSPEC.url_to_fs(url, **options)
    except (ValueError, ImportError) as error:
        raise StorageError(f"{url}: {error}") from None
    if is_s3(fs):
        fs.retries = 1
    return fs, root


def is_s3(fs: Any) -> bool:
    """Whether a file system is that of s3fs."""
    return hasattr(fs, "call_s3")
