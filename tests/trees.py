"""Trees of files, links and directories: drawn, and compared by all that comes back of them."""

import errno
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from seec.pipeline.storage import local


@dataclass(frozen=True)
class Node:
    """What a path is. same_as: all its names, of a file with several."""

    kind: str
    content: bytes
    permissions: int | None
    mtime_ns: int
    same_as: frozenset[bytes] = frozenset()


def nodes(root: Path) -> dict[bytes, Node]:
    """All below a folder that can be archived, by relative name."""
    status = ((path.relative_to(root), path.lstat()) for path in root.rglob("*"))
    found = {path: each for path, each in status if _is_archived(each.st_mode)}
    names: dict[tuple[int, int], set[bytes]] = {}
    for path, status in found.items():
        names.setdefault((status.st_dev, status.st_ino), set()).add(os.fsencode(path))
    return {
        os.fsencode(path): _node(root / path, status, names[status.st_dev, status.st_ino])
        for path, status in found.items()
    }


def _is_archived(mode: int) -> bool:
    return any(is_one(mode) for is_one in (stat.S_ISREG, stat.S_ISLNK, stat.S_ISDIR))


def _node(path: Path, status: os.stat_result, names: set[bytes]) -> Node:
    if path.is_symlink():
        points_to = os.readlink(os.fsencode(path))  # noqa: PTH115 - `Path` tidies it up
        return Node("link", points_to, None, status.st_mtime_ns)
    permissions = stat.S_IMODE(status.st_mode)
    if path.is_dir():
        return Node("directory", b"", permissions, status.st_mtime_ns)
    same_as = frozenset(names if len(names) > 1 else ())
    return Node("file", path.read_bytes(), permissions, status.st_mtime_ns, same_as)


def draw(root: Path) -> None:
    """A tree with one of everything that comes back, besides images."""
    for folder in ("empty", "deep/er/empty too", "closed", "links"):
        (root / folder).mkdir(parents=True)
    for index, (name, mode) in enumerate(
        {
            "plain": 0o644,
            "private": 0o600,
            "run.sh": 0o755,
            "closed/no": 0o000,
            "closed/ro": 0o444,
        }.items()
    ):
        (root / name).write_bytes(b"content " * index)
        (root / name).chmod(mode)
    for name, target in {
        "to file": "../plain",
        "to folder": "../deep",
        "to nothing": "nowhere",
        "absolute": "/etc/passwd",
        "out": "../../..",
        "loop": "loop",
        "odd": os.fsdecode(b"\xff\n\\ x"),
        "long": "x/" * 2000,
    }.items():
        (root / "links" / name).symlink_to(target)
    os.link(root / "run.sh", root / "deep/er/another name")
    os.link(root / "run.sh", root / "a third name")
    os.link(root / "plain", root / "zero length, other name")
    for index, path in enumerate(sorted(root.rglob("*"))):
        if path.is_dir() or path.is_symlink():
            os.utime(path, ns=(index, 10**18 + index), follow_symlinks=False)
    for name, mtime_ns in {"plain": 15 * 10**18, "links/loop": -(10**18) - 1}.items():
        os.utime(root / name, ns=(0, mtime_ns), follow_symlinks=False)  # years 2445 and 1938
    (root / "closed").chmod(0o555)
    os.utime(root / "closed", ns=(0, 123456789012345678))
    (root / "deep").chmod(0o1777)
    (root / "deep" / "er").chmod(0o750)


@contextmanager
def unprivileged(folder: Path) -> Generator[None]:
    """What runs inside has no right to pass over permissions, whoever runs the tests."""
    if os.geteuid() != 0:
        yield
        return
    # Whoever made the files must stay their owner; others need a way to them.
    nobody = 65534
    for path in (folder, *folder.rglob("*")):
        os.chown(path, nobody, -1, follow_symlinks=False)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in folder.parents[:-2]}
    for path, mode in modes.items():
        path.chmod(mode | 0o011)
    os.seteuid(nobody)
    try:
        yield
    finally:
        os.seteuid(0)
        for path, mode in modes.items():
            path.chmod(mode)


@contextmanager
def no_hard_links(monkeypatch: pytest.MonkeyPatch, *, exclusive_renames: bool) -> Generator[None]:
    """The kernel refuses hard links, as on exFAT, and renames that replace nothing if asked."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", refuse)
        if not exclusive_renames:
            patch.setattr(local, "_RENAME", "no such system call")
        yield
