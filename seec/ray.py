"""Archives as datasets of Ray Data: `seec-archive[ray]`."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seec.pipeline.archive.patterns import Patterns
from seec.pipeline.extras import needs
from seec.pipeline.reading.archive import OpenedArchive, open_archive
from seec.pipeline.reading.listing import files_by_shard
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
    on_error: Literal["raise", "skip"] = "raise",
    override_num_blocks: int | None = None,
    concurrency: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
) -> "ray.data.Dataset":
    """The files of an archive as a dataset with a row for each, by shards.

    archive: a URL or path that all workers reach, or what `seec.open` gave. include: patterns, as
    of `seec.Archive.paths`. form: `bytes`, a column of that name; `pixels`, a column `image` of
    tensors, [H, W] or [H, W, C], in a mode of Pillow if mode is given. The column `path` has the
    paths. on_error: `skip` leaves out files that cannot be had; a row count that Ray tells before
    it reads includes them. The others: as of `ray.data.read_datasource`.

    Raises MissingPackage without Ray Data; else as `seec.open`, and in tasks as its `read`.
    """
    return ray.data.read_datasource(
        ArchiveDatasource(archive, include, form=form, mode=mode, on_error=on_error),
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
        on_error: Literal["raise", "skip"] = "raise",
    ) -> None:
        """As of `read_archive`."""
        super().__init__()
        self._archive = archive if isinstance(archive, OpenedArchive) else open_archive(archive)
        self._pixels, self._mode, self._skip = form == "pixels", mode, on_error == "skip"
        found = files_by_shard(self._archive.lookup, wanted=Patterns(include))
        self._shards = [
            (shard, np.array(numbers, np.int32)) for shard, numbers, _ in found if numbers
        ]

    def get_name(self) -> str:
        """As Ray shows it."""
        return "Archive"

    def estimate_inmemory_data_size(self) -> int:
        """Bytes of the files in the archive's source; pixels are larger."""
        return sum(_share(shard, numbers) for shard, numbers in self._shards)

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        """Tasks of about as many bytes each."""
        del data_context
        return [
            ReadTask(
                _reader(self._archive, some, self._pixels, self._mode, self._skip),
                BlockMetadata(
                    num_rows=sum(len(numbers) for _, numbers in some),
                    size_bytes=sum(_share(shard, numbers) for shard, numbers in some),
                    exec_stats=None,
                    input_files=tuple(shard.blob.name for shard, _ in some),
                ),
                per_task_row_limit=per_task_row_limit,
            )
            for some in _portions(self._shards, parallelism)
        ]


_Some = list[tuple[ShardRecord, NDArray[np.int32]]]


def _share(shard: ShardRecord, numbers: NDArray[np.int32]) -> int:
    """About the size of the wanted files of a shard, in bytes."""
    return shard.source_size_bytes * len(numbers) // max(1, shard.files)


def _portions(shards: _Some, count: int) -> Iterator[_Some]:
    """The shards in `count` portions or fewer; shards are cut where they are too few."""
    total = sum(len(numbers) for _, numbers in shards)
    most = max(1, -(-total // max(1, count)))
    some: _Some = []
    room = most
    for shard, numbers in shards:
        while len(numbers):
            some.append((shard, numbers[:room]))
            numbers = numbers[room:]
            room -= len(some[-1][1])
            if not room:
                yield some
                some, room = [], most
    if some:
        yield some


def _reader(
    archive: OpenedArchive, some: _Some, pixels: bool, mode: str | None, skip: bool
) -> Callable[[], Iterator[pa.Table]]:
    make, options = archive.__reduce__()  # so that a process opens it once for all of its tasks

    def read() -> Iterator[pa.Table]:
        opened = _opened(make, options)
        lookup = opened.lookup
        on_error = (lambda path, error: None) if skip else None
        for shard, numbers in some:
            rows = lookup.part(shard).rows(numbers.tolist())
            found = opened.contents(rows, pixels=pixels, mode=mode, on_error=on_error)
            yield from _tables(found, pixels)

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
