"""The file system behind a URL, set up as a store needs it.

fsspec is imported where it is used: a program that reads one file out of a local archive spends
most of its time on imports, and does without this one.
"""

from typing import Any, cast
from urllib.parse import urlsplit

from seec.pipeline.storage.access import Options, refuse_password
from seec.pipeline.storage.location import local_path
from seec.schemas.errors import StorageError, StoreUnavailable

_S3 = ("s3", "s3a")
_AWS = (".amazonaws.com", ".amazonaws.com.cn")  # a name of a bucket says all there
_NO_FOLDERS = ("http", "https", "data")
# s3fs and botocore would try five times each: one request became up to 25, with hidden pauses.
# `Retry` alone tries again.
_ONE_ATTEMPT = {"total_max_attempts": 1}


def open_url(url: str, options: Options) -> tuple[Any, str]:
    """The file system of a path or URL, and the path in it; local ones are absolute, without links.

    Raises StorageError if no file system serves the URL or the URL holds a password,
    StoreUnavailable if the file system refuses the options.
    """
    path = local_path(url)
    if path is None:
        refuse_password(url)
    try:
        if path is not None:
            return _local()(**_arguments(url, options)), path
        fs, root = fsspec().url_to_fs(url, **_arguments(url, options))
        if is_s3(fs):
            fs.retries = 1
            if options.values:
                fs.connect()  # only connecting refuses unknown options
    except Exception as error:
        if options.values:
            raise StoreUnavailable(f"{url}: {options.refused(error)}") from None
        if isinstance(error, ValueError | ImportError):
            raise StorageError(f"{url}: {error}") from None
        raise
    return fs, root


def _arguments(url: str, options: Options) -> dict[str, Any]:
    """Arguments of a file system, in addition to the configuration of fsspec."""
    # Another writer may add objects at any time, so listings are never cached.
    arguments = {**options.copy(), "use_listings_cache": False}
    if url.partition("://")[0] in _S3:
        conf = fsspec().config.conf
        configured = [conf.get(protocol, {}).get("config_kwargs", {}) for protocol in _S3]
        config: Any = arguments.get("config_kwargs", {**configured[0], **configured[1]})
        arguments["config_kwargs"] = {"retries": _ONE_ATTEMPT.copy(), **config}
    return arguments


def fsspec() -> Any:
    """The package fsspec."""
    import fsspec as package  # pyright: ignore[reportMissingTypeStubs]

    return package


def is_local(fs: Any) -> bool:
    """Whether a file system is that of this machine."""
    return isinstance(fs, _local())


def _local() -> Any:
    from fsspec.implementations import local  # pyright: ignore[reportMissingTypeStubs]

    return cast(Any, local).LocalFileSystem


def refuse_unlisted(url: str) -> None:
    """Raise StorageError for a URL below which nothing can be listed, as an archive or a source."""
    if (protocol := url.partition("://")[0].rpartition("::")[2]) in _NO_FOLDERS:
        raise StorageError(
            f"{url}: {protocol} has no folders that can be listed; give a path, s3://, gs://, "
            "az:// or sftp://"
        )


def refuse_read_only(url: str, fs: Any) -> None:
    """Raise StorageError for a store that archives and restored files cannot be written to."""
    refuse_unlisted(url)
    kind: Any = cast(Any, type(fs))
    base = async_base() if issubclass(kind, async_base()) else fsspec().AbstractFileSystem
    removes = any(
        getattr(kind, name, None) is not getattr(base, name, None)
        for name in ("rm_file", "_rm_file", "rm", "_rm")
    )
    if not removes or url.startswith("ftp://"):
        lacks = "removes no files" if not removes else "tells no times, by which writers are told"
        raise StorageError(
            f"{url}: the file system that serves it {lacks}; give a path, s3://, gs://, az:// or "
            "sftp://"
        )


def async_base() -> Any:
    """The class of file systems whose methods are coroutines."""
    from fsspec import asyn  # pyright: ignore[reportMissingTypeStubs]

    return cast(Any, asyn).AsyncFileSystem  # whose import takes longer than to read a local file


def is_s3(fs: Any) -> bool:
    """Whether a file system is that of s3fs."""
    return hasattr(fs, "call_s3")


def server_of(options: dict[str, Any]) -> str:
    """`host` or `host:port` of a file system that takes these from a URL or options; else ''."""
    host, port = options.get("host"), options.get("port")
    return f"{host}:{port}" if host and port else str(host or "")


def endpoint_of(fs: Any) -> str:
    """Where an object store answers, if its URLs do not tell; without user and password.

    Empty for AWS and wherever the URL says all.
    """
    if is_s3(fs):
        fs.connect()
        parts = urlsplit(str(fs.s3.meta.endpoint_url))
        host = parts.hostname or ""
        if host.endswith(_AWS):
            return ""
        return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
    return str(getattr(fs, "account_name", None) or "")  # of Azure
