"""A folder that keeps what was read, up to a number of bytes."""

import hashlib
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from seec.pipeline.reading.cache import DiskCache
from seec.schemas.errors import StorageError

KEYS = [hashlib.sha256(bytes([number])).hexdigest() for number in range(40)]


def size_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_what_was_put_comes_back_to_every_user_of_the_folder(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path / "cache", 1 << 20)
    assert cache.get(KEYS[0]) is None
    cache.put(KEYS[0], b"one")
    cache.put(KEYS[1], b"")
    other = DiskCache(tmp_path / "cache", 1 << 20)
    assert (other.get(KEYS[0]), other.get(KEYS[1]), other.get(KEYS[2])) == (b"one", b"", None)


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10_000)
    for number, key in enumerate(KEYS[:8]):
        cache.put(key, bytes(1000))
        os.utime(cache._path(key), (number, number))
    assert cache.get(KEYS[0]) == bytes(1000)
    cache.put(KEYS[8], bytes(1000))
    cache.put(KEYS[9], bytes(1000))
    assert size_bytes(tmp_path) <= 10_000
    assert cache.get(KEYS[0]) == bytes(1000)
    assert cache.get(KEYS[1]) is None
    cache.put(KEYS[10], bytes(6000))  # more than half
    assert cache.get(KEYS[10]) is None
    assert DiskCache(tmp_path, 3000).get(KEYS[1]) is None
    assert size_bytes(tmp_path) <= 3000


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "digest"])
def test_a_damaged_entry_is_no_entry(tmp_path: Path, damage: str) -> None:
    cache = DiskCache(tmp_path, 1 << 20)
    cache.put(KEYS[0], b"content")
    path = cache._path(KEYS[0])
    data = bytearray(path.read_bytes())
    if damage in ("flipped", "digest"):
        data[-1 if damage == "flipped" else 0] ^= 1
    path.write_bytes(data[:-1] if damage == "cut" else b"" if damage == "empty" else data)
    assert cache.get(KEYS[0]) is None
    assert not path.exists()
    cache.put(KEYS[0], b"content")
    assert cache.get(KEYS[0]) == b"content"


def test_leftovers_of_interrupted_writes_go_in_time(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 1 << 20)
    cache.put(KEYS[0], b"content")
    folder = cache._path(KEYS[0]).parent
    for name, age_s in (("partial-old", 7200), ("partial-new", 5)):
        (folder / name).write_bytes(b"half")
        os.utime(folder / name, (time.time() - age_s, time.time() - age_s))
    DiskCache(tmp_path, 1 << 20)
    assert not (folder / "partial-old").exists()
    assert (folder / "partial-new").exists()


def _use(folder: Path, seed: int) -> None:
    cache = DiskCache(folder, 20_000)
    for step in range(300):
        key = KEYS[(seed * 7 + step * 11) % len(KEYS)]
        content = key.encode() * 20
        if (found := cache.get(key)) is None:
            cache.put(key, content)
        else:
            assert found == content


def test_several_processes_share_a_folder_and_keep_its_limit(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    users = [context.Process(target=_use, args=(tmp_path, seed)) for seed in range(3)]
    for user in users:
        user.start()
    for user in users:
        user.join(60)
    assert [user.exitcode for user in users] == [0, 0, 0]
    assert 0 < size_bytes(tmp_path) <= 20_000 * (1 + 3 / 16)
    assert not list(tmp_path.rglob("partial-*"))


def test_a_folder_that_cannot_be_used_is_an_error_at_first_and_a_warning_later(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be used as a cache"):
        DiskCache(tmp_path / "file", 1000)
    with pytest.raises(ValueError, match="0 bytes"):
        DiskCache(tmp_path / "cache", 0)
    cache = DiskCache(tmp_path / "cache", 1000)
    (tmp_path / "cache" / KEYS[0][:2]).write_text("in the way")
    with pytest.warns(RuntimeWarning, match="nothing is cached"):
        cache.put(KEYS[0], b"one")
    cache.put(KEYS[0], b"one")
    assert cache.get(KEYS[0]) is None
