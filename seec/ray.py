"""Archives as datasets of Ray Data: `seec-archive[ray]`."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seec.pipeline.archive.patterns import Patterns
from seec.pipeline.extras import needs
from seec.pipeline.reading.archive import OpenedArchive, open_archive
from seec.pipeline.reading.listing import files_by_shard, images_by_shard
from seec.schemas.commit import ShardRecord

with needs("ray", "seec.ray"):
    import ray.data
    from ray.data.block import BlockMetadata
    from ray.data.datasource import Datasource, ReadTask
    from ray.data.extensions import ArrowTensorArray, ArrowVariableShapedTensorArray

__all__ = ["ArchiveDatasource", "read_archive"]

Form = Literal["bytes", "pixels"]
# Of one table that a task gives.
_TABLE_BYTES = 64 << 20


def read_archive(
    archive: str | OpenedArchive,
    include: Sequence[str] = (),
    *,
    form: Form = "bytes",
    mode: str | None = None,
    members: bool = False,
    on_error: Literal["raise", "skip"] = "raise",
    override_num_blocks: int | None = None,
    concurrency: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> "ray.data.Dataset":
    """The files of an archive as a dataset with a row for each, by shards.

    archive: a URL or path that all workers reach, or what `seec.open` gave. include: patterns, as
    of `seec.Archive.paths`. form: `bytes`, a column of that name; `pixels`, a column `image` of
    tensors, [H, W] or [H, W, C], in a mode of Pillow if mode is given. The column `path` has the
    paths. members: images within tar, zip or Parquet files in place of these files, as of
    `seec.Archive.paths`. on_error: `skip` leaves out files that cannot be had; a row count that Ray
    tells before it reads includes them. The others: as of `ray.data.read_datasource`.

    Raises MissingPackage without Ray Data; else as `seec.open`, and in tasks as its `read`.
    """
    return ray.data.read_datasource(
        ArchiveDatasource(
            archive, include, form=form, mode=mode, members=members, on_error=on_error
        ),
        override_num_blocks=override_num_blocks,
        concurrency=concurrency,
        ray_remote_args=ray_remote_args,
    )


class ArchiveDatasource(Datasource):
    """The files of an archive; a task reads some shards, one after the other."""

    def __init__(
        self,
        archive: str | OpenedArchive,
        include: Sequence[str] = (),
        *,
        form: Form = "bytes",
        mode: str | None = None,
        members: bool = False,
        on_error: Literal["raise", "skip"] = "raise",
    ) -> None:
        """As of `read_archive`."""
        super().__init__()
        self._archive = archive if isinstance(archive, OpenedArchive) else open_archive(archive)
        self._how = _How(form == "pixels", mode, members, on_error == "skip")
        lookup, wanted = self._archive.lookup, Patterns(include)
        if members:
            found = images_by_shard(lookup, wanted)
        else:
            files = files_by_shard(lookup, wanted=wanted)
            found = ((shard, numbers, shard.files) for shard, numbers, _ in files)
        self._shards = [
            _Some(shard, np.array(numbers, np.int32), total)
            for shard, numbers, total in found
            if numbers
        ]

    def get_name(self) -> str:
        """As Ray shows it."""
        return "Archive"

    def estimate_inmemory_data_size(self) -> int:
        """Bytes of the files in the archive's source; pixels are larger."""
        return sum(some.size_bytes for some in self._shards)

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """Tasks of about as many bytes each."""
        del data_context
        return [
            ReadTask(
                _reader(self._archive, portion, self._how),
                BlockMetadata(
                    num_rows=sum(len(some.numbers) for some in portion),
                    size_bytes=sum(some.size_bytes for some in portion),
                    exec_stats=None,
                    input_files=tuple(some.shard.blob.name for some in portion),
                ),
                per_task_row_limit=per_task_row_limit,
            )
            for portion in _portions(self._shards, parallelism)
        ]


class _How(NamedTuple):
    pixels: bool
    mode: str | None
    members: bool
    skip: bool


class _Some(NamedTuple):
    """Some rows of a shard, by their numbers. total: how many it has that could be asked for."""

    shard: ShardRecord
    numbers: NDArray[np.int32]
    total: int

    @property
    def size_bytes(self) -> int:
        """About that of their files."""
        return self.shard.source_size_bytes * len(self.numbers) // max(1, self.total)


def _portions(shards: list[_Some], count: int) -> Iterator[list[_Some]]:
    """The shards in `count` portions or fewer; shards are cut where they are too few."""
    total = sum(len(some.numbers) for some in shards)
    most = max(1, -(-total // max(1, count)))
    portion: list[_Some] = []
    room = most
    for some in shards:
        numbers = some.numbers
        while len(numbers):
            portion.append(some._replace(numbers=numbers[:room]))
            numbers = numbers[room:]
            room -= len(portion[-1].numbers)
            if not room:
                yield portion
                portion, room = [], most
    if portion:
        yield portion


def _reader(
    archive: OpenedArchive, portion: list[_Some], how: _How
) -> Callable[[], Iterator[pa.Table]]:
    make, options = archive.__reduce__()  # so that a process opens it once for all of its tasks

    def read() -> Iterator[pa.Table]:
        opened = _opened(make, options)
        lookup = opened.lookup
        on_error = (lambda path, error: None) if how.skip else None
        for shard, numbers, _ in portion:
            part, wanted = lookup.part(shard), numbers.tolist()
            rows = part.rows_at(wanted) if how.members else part.rows(wanted)
            found = opened.contents(rows, pixels=how.pixels, mode=how.mode, on_error=on_error)
            yield from _tables(found, how.pixels)

    return read


@lru_cache(maxsize=4)
def _opened(make: Callable[..., OpenedArchive], options: tuple[Any, ...]) -> OpenedArchive:
    return make(*options)


def _tables(found: Iterator[tuple[str, Any]], pixels: bool) -> Iterator[pa.Table]:
    """Tables of a bounded size."""
    paths: list[str] = []
    contents: list[Any] = []
    size_bytes = 0
    for path, content in found:
        paths.append(path)
        contents.append(content)
        size_bytes += content.nbytes if pixels else len(content)
        if size_bytes > _TABLE_BYTES:
            yield _table(paths, contents, pixels)
            paths, contents, size_bytes = [], [], 0
    if paths:
        yield _table(paths, contents, pixels)


def _table(paths: list[str], contents: list[Any], pixels: bool) -> pa.Table:
    if not pixels:
        return pa.table({"path": paths, "bytes": pa.array(contents, pa.large_binary())})
    if len({(one.shape, one.dtype) for one in contents}) == 1:
        tensors = ArrowTensorArray.from_numpy(np.stack(contents))
    else:
        tensors = ArrowVariableShapedTensorArray.from_numpy(contents)
    return pa.table({"path": pa.array(paths), "image": tensors})
