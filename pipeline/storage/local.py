"""Writing local files so that a crash leaves the whole object or none."""

import os
import secrets

PARTIAL_PREFIX = ".partial-"


def create(path: str, data: bytes) -> None:
    """Create a file that did not exist, durably; FileExistsError if it did.

    The bytes go to a temporary file first and appear under their name by a hard link, which
    fails if the name is taken: no reader ever sees part of an object.
    """
    temporary = _write_temporary(path, data)
    try:
        os.link(temporary, path)
    finally:
        os.unlink(temporary)
    _sync_directory(os.path.dirname(path))


def replace(path: str, data: bytes) -> None:
    """Create or replace a file, durably. A symbolic link is replaced, not followed."""
    temporary = _write_temporary(path, data)
    try:
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise
    _sync_directory(os.path.dirname(path))


def _write_temporary(path: str, data: bytes) -> str:
    directory = os.path.dirname(path)
    os.makedirs(directory, exist_ok=True)
    temporary = os.path.join(directory, PARTIAL_PREFIX + secrets.token_hex(8))
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        raise
    return temporary


def _sync_directory(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
