"""Files of an archive as WebDataset shards: tar files whose samples are read one after the other.

Files whose paths agree up to the first dot of the name are one sample, and lie in one tar file.
"""

import io
import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from seec.pipeline.reading.archive import OpenedArchive
from seec.schemas.errors import StorageError
from seec.schemas.names import unescape

_PARTIAL = ".partial"


@dataclass(frozen=True)
class Shard:
    """A tar file that was written."""

    name: str
    samples: int
    files: int
    size_bytes: int


def sample_key(path: str) -> str:
    """What the files of one sample have in common: the path up to the first dot of the name."""
    folder, slash, name = path.rpartition("/")
    return folder + slash + name.partition(".")[0]


def write_shards(
    archive: OpenedArchive,
    found: Iterable[tuple[str, bytes]],
    folder: Path,
    size_bytes: int,
) -> Iterator[Shard]:
    """Write tar files `000000.tar` and on into a folder, which is made; each as it is done.

    found: paths with content, sorted by path. size_bytes: about how large a file becomes: the
    sample with which it is larger is its last. The same archive gives the same bytes. Raises
    StorageError if the folder holds such files, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = [path.name for path in folder.iterdir() if path.suffix in (".tar", _PARTIAL)]
        if others:
            raise StorageError(f"{folder}: holds {min(others)!r}; give a new folder")
        samples = groupby(found, key=lambda item: sample_key(item[0]))
        number, waiting = 0, next(samples, None)
        while waiting is not None:
            target = folder / f"{number:06d}.tar"
            partial = target.with_name(f"{target.name}{_PARTIAL}")
            count = files = 0
            with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as tar:
                while waiting is not None and (tar.offset < size_bytes or not count):
                    for path, data in waiting[1]:
                        tar.addfile(_member(archive, path, data), io.BytesIO(data))
                        files += 1
                    count += 1
                    waiting = next(samples, None)
            partial.replace(target)
            yield Shard(target.name, count, files, target.stat().st_size)
            number += 1
    except OSError as error:
        raise StorageError(f"{error.filename or folder}: {error.strerror}") from None


def _member(archive: OpenedArchive, path: str, data: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(os.fsdecode(unescape(path)))
    member.size, member.mode = len(data), 0o644
    mtime_ns = archive.info(path).mtime_ns
    member.mtime = 0 if mtime_ns is None else mtime_ns // 10**9
    return member
