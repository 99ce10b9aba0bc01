"""How single stores are reached: options of their file systems, from a TOML file.

    ["s3://photos"]
    endpoint_url = "https://minio.studio:9000"
    profile = "studio"

A table holds for the URL that it is named for, and for all below; of several the longest name wins.
Its values go to the file system of fsspec as keyword arguments. They may be secrets, so they are
never shown, and an error tells of them only what does not hold one.
"""

import tomllib
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from seec.schemas.errors import StorageError

_OURS = {"asynchronous", "protocol", "use_listings_cache"}
# People need these to understand an error; and what is too short for a secret is part of any text.
_SHOWN = {"endpoint_url", "profile", "region_name"}
_MIN_SECRET = 4


@dataclass(frozen=True)
class Options:
    """Keyword arguments of a file system.

    origin: where they are written, for messages.
    """

    values: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    origin: str = field(default="", compare=False)

    def __hash__(self) -> int:
        return hash(frozenset(self.values))  # values may be lists and tables, which have none

    def copy(self) -> dict[str, Any]:
        """The arguments, for a file system that may keep and change them."""
        return deepcopy(dict(self.values))

    def refused(self, error: Exception) -> str:
        """Why a file system does not take them, without a secret, and where they are."""
        reason = str(error)
        if not reason or any(secret in reason for secret in _secrets(self.values)):
            reason = f"{type(error).__name__}, whose text is left out: it holds a value of these"
        return f"{reason}; see {self.origin}"


@dataclass(frozen=True)
class Access:
    """Options by the URL that they hold for, without a slash at its end."""

    by_prefix: Mapping[str, Options] = field(default_factory=dict[str, Options])

    @classmethod
    def read(cls, path: Path) -> "Access":
        """What a file says. StorageError, which names it, if it cannot be read or understood."""
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
        """The options of the longest URL that is this one or above it; none if there is none."""
        whole = f"{url.rstrip('/')}/"
        fitting = [prefix for prefix in self.by_prefix if whole.startswith(f"{prefix}/")]
        return self.by_prefix[max(fitting, key=len)] if fitting else Options()


_in_use = Access()


@contextmanager
def using(access: Access) -> Generator[None]:
    """Open all stores with these options while the block runs, in every thread of this process.

    Other processes get them with the stores themselves, which keep their options when they pickle.
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


def _checked(url: str, values: object, path: Path) -> Options:
    """One table of a file."""
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
    """Each value that no message may hold, as text, and as Python would quote it."""
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
