"""Tar files in an archive as samples of WebDataset, which nobody unpacks or restores.

`samples` gives what `webdataset.WebDataset` gives of the same tar files on a disk, so that all that
follows there (`decode`, `to_tuple`, `batched` ...) follows here. Needs no other package.
"""

import re
import tarfile
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from seec.pipeline.reading.archive import OpenedArchive, open_archive
from seec.schemas.errors import UnreadableImage

__all__ = ["samples"]

# As the library has these: a path up to the first dot of the name, and what stands behind it; files
# that are no part of a sample.
_PARTS = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)", re.DOTALL)
_ASIDE = re.compile(r"__[^/]*__($|/)")


def samples(
    archive: str | OpenedArchive, include: Sequence[str] = ("*.tar",)
) -> Iterator[dict[str, Any]]:
    """The samples of all tar files that match, also with gzip, bzip2 or xz, in their order.

    archive: a URL or path, or what `seec.open` gave. include: patterns, as of `seec.Archive.paths`.
    Files in a row whose paths agree up to the first dot of the name are one sample: `__key__`, that
    path; `__url__`, the tar file; and for each file its bytes, by what stands behind that dot, in
    lower case. Tar files in pieces are never in memory as a whole.

    Raises UnreadableImage for what is no tar file, ValueError if two files of a sample have one
    name; else as `seec.open` and `seec.Archive.open`.
    """
    opened = archive if isinstance(archive, OpenedArchive) else open_archive(archive)
    for path in opened.paths(include):
        with opened.open(path) as file:
            try:
                yield from _samples(file, f"seec://{path}::{opened.url}")
            except tarfile.ReadError as error:
                raise UnreadableImage(f"{path}: no tar file: {error}") from None


def _samples(file: BinaryIO, url: str) -> Iterator[dict[str, Any]]:
    sample: dict[str, Any] = {}
    with tarfile.open(fileobj=file, mode="r|*") as tar:
        for member in tar:
            tar.members = []  # type: ignore[assignment]  # it would keep all that it has seen
            parts = _PARTS.fullmatch(member.name)
            if parts is None or _ASIDE.match(member.name) or not member.isreg():
                continue
            key, extension = parts[1], parts[2].lower()
            if sample and sample["__key__"] != key:
                yield sample
                sample = {}
            if not sample:
                sample = {"__key__": key, "__url__": url}
            if extension in sample:
                raise ValueError(f"{url}: two files {member.name} in one sample")
            content = tar.extractfile(member)
            assert content is not None
            sample[extension] = content.read()
    if sample:
        yield sample
