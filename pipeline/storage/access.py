"""Options of single stores' file systems, from a TOML file.

    ["s3://photos"]
    endpoint_url = "https://minio.studio:9000"
    profile = "studio"

A table covers the URL in its name and everything below; the longest matching name wins. The values
are keyword arguments of the fsspec file system. Values may be secrets: messages never show one.
"""

import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from seec.schemas.errors import StorageError

_OURS = {"asynchronous", "protocol", "use_listings_cache"}
# People need these values to understand an error. Any text holds values below _MIN_SECRET letters.
_SHOWN = {"endpoint_url", "profile", "region_name"}
_MIN_SECRET = 4
# What follows the user up to the last @; ports and names of Amazon's resources have colons, too.
_PASSWORD = re.compile(r"(?<=://)(?!arn:)([^/@:]*):(?!\d*(?:/|$))[^@]*(?:@[^/@]*(?=@))*@")


@dataclass(frozen=True)
class Options:
    """Keyword arguments of a file system.

    origin: the file and table of the arguments, for messages.
    """

    values: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    origin: str = field(default="", compare=False)

    def __hash__(self) -> int:
        return hash(frozenset(self.values))  # values may be lists and tables: not hashable

    def copy(self) -> dict[str, Any]:
        """The arguments, for a file system that may keep and change them."""
        return deepcopy(dict(self.values))

    def refused(self, error: Exception) -> str:
        """Why a file system refuses the options, without a secret, and where the options are."""
        reason = str(error)
        if not reason or any(secret in reason for secret in _secrets(self.values)):
            reason = f"{type(error).__name__}, whose text is left out: it holds a value of these"
        return f"{reason}; see {self.origin}"


@dataclass(frozen=True)
class Access:
    """Options by the URL that they cover, without a slash at the end."""

    by_prefix: Mapping[str, Options] = field(default_factory=dict[str, Options])

    @classmethod
    def read(cls, path: Path) -> "Access":
        """Read a file. Raises StorageError, with the path, for an unreadable or invalid file."""
        import tomllib  # few programs have such a file

        try:
            tables = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from None
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise StorageError(f"{path}: not TOML: {error}") from None
        by_prefix: dict[str, Options] = {}
        for url, values in tables.items():
            options = _checked(url, values, path)
            prefix = url.rstrip("/")
            if prefix in by_prefix:
                raise StorageError(f"{options.origin}: is there twice")
            by_prefix[prefix] = options
        return cls(by_prefix)

    def options_of(self, url: str) -> Options:
        """The options of the longest URL at or above `url`; empty if no table covers `url`."""
        whole = f"{url.rstrip('/')}/"
        fitting = [prefix for prefix in self.by_prefix if whole.startswith(f"{prefix}/")]
        return self.by_prefix[max(fitting, key=len)] if fitting else Options()


_in_use = Access()


@contextmanager
def using(access: Access) -> Generator[None]:
    """Open all stores with these options while the block runs, in every thread of this process.

    Other processes get the options with each store: a pickled store keeps its options.
    """
    global _in_use
    before, _in_use = _in_use, access
    try:
        yield
    finally:
        _in_use = before


def options_of(url: str) -> Options:
    """The options in use for a URL."""
    return _in_use.options_of(url)


def refuse_password(url: str) -> None:
    """Raise StorageError, without the password, for a URL such as sftp://user:password@host.

    URLs are in lists of processes, histories of shells, plans, logs and messages.
    """
    shown = _PASSWORD.sub(r"\1:***@", url)
    if shown != url:
        raise StorageError(
            f"{shown}: holds a password, which everyone on this machine can see; write it into a "
            "file for --stores, as an option of the file system"
        )


def _checked(url: str, values: object, path: Path) -> Options:
    """One table of a file."""
    refuse_password(url)
    origin = f'["{url}"] in {path}'
    if "://" not in url:
        raise StorageError(f"{origin}: no URL, such as s3://bucket or s3://bucket/folder")
    if not isinstance(values, dict):
        raise StorageError(f"{origin}: not a table of options")
    table = cast(dict[str, Any], values)
    if ours := sorted(_OURS & set(table)):
        raise StorageError(f"{origin}: {', '.join(ours)} cannot be chosen")
    return Options(table, origin)


def _secrets(values: Mapping[str, Any]) -> Iterator[str]:
    """Each value that must not appear in a message, as text and as Python quotes text."""
    for name, value in values.items():
        if name not in _SHOWN or "@" in str(value):
            yield from _texts(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from _secrets(cast(dict[str, Any], value))
    elif isinstance(value, list):
        for item in cast(list[Any], value):
            yield from _texts(item)
    elif len(str(value)) >= _MIN_SECRET and not isinstance(value, bool):
        yield str(value)
        yield repr(str(value))[1:-1]
