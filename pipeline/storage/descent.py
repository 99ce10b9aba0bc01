"""The way down into a local tree, without following a symbolic link unless asked to.

Each folder is opened by its name in its parent. So no link leads out of the tree, not even one
made meanwhile, and no path is too long. Names are bytes, relative to the root, with `/` between
parts.
"""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Errors of the system where a part of a name is a link or a file.
IN_THE_WAY = (errno.ELOOP, errno.ENOTDIR)


@contextmanager
def parent_of(
    root: bytes, name: bytes, *, create: bool = False, follow: bool = False
) -> Generator[tuple[int, bytes]]:
    """A descriptor of the parent folder of a name, and the last part of the name."""
    above, _, last = name.rpartition(b"/")
    folder = open_folder(root, above, create=create, follow=follow)
    try:
        yield folder, last
    finally:
        os.close(folder)


def open_folder(root: bytes, name: bytes, *, create: bool = False, follow: bool = False) -> int:
    """A descriptor of a folder, for the caller to close; follow: through links to folders, too.

    Raises OSError, with a number of `IN_THE_WAY`, where a part of the name is a link or no folder.
    """
    if create:
        os.makedirs(root, exist_ok=True)
    folder = os.open(root, _FOLDER)
    flags = _FOLDER if follow else _FOLDER | os.O_NOFOLLOW
    for part in filter(None, name.split(b"/")):
        try:
            if create:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=folder)
            inner = os.open(part, flags, dir_fd=folder)
        finally:
            os.close(folder)
        folder = inner
    return folder
