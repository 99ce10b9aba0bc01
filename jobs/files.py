"""One file at a path or URL: where commands on single images read and write."""

from collections.abc import Callable

import click

from seec.pipeline.storage import Store
from seec.pipeline.storage.access import options_of


def read(url: str, most: int | None = None) -> bytes:
    """The bytes of a file, at most so many. Raises ObjectMissing, StorageError, LimitExceeded."""
    store, name = _split(url)
    return store.get(name, most)


def range_reader(url: str) -> Callable[[int, int], bytes]:
    """Reads ranges (offset, size) of a file without reading all of it."""
    store, name = _split(url)
    return lambda offset, size: store.get_range(name, offset, size)


def exists(url: str) -> bool:
    """Whether there is a file at this place; a directory is none."""
    store, name = _split(url)
    return bool(name) and store.exists(name)


def refuse_to_replace(url: str) -> None:
    """End the command as wrong use if there is a file already."""
    if exists(url):
        raise click.UsageError(f"{url} exists; --force replaces it")


def write(url: str, data: bytes, *, force: bool) -> None:
    """Write a whole file or none. Raises ObjectExists unless `force` or there is no file yet."""
    store, name = _split(url)
    if force:
        store.put(name, data)
    else:
        store.put_new(name, data)


def _split(url: str) -> tuple[Store, str]:
    folder, slash, name = url.rpartition("/")
    # Of the whole URL: what holds for the folder need not hold for it.
    return Store(folder + slash or ".", options=options_of(url)), name
