"""Archives as datasets of Hugging Face's `datasets`: `seec-archive[huggingface]`."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Literal

from seec.pipeline.archive.ahead import each_ahead
from seec.pipeline.archive.patterns import Patterns
from seec.pipeline.extras import needs
from seec.pipeline.reading.archive import OpenedArchive, open_archive
from seec.pipeline.reading.listing import paths_below

with needs("huggingface", "seec.huggingface"):
    import datasets

__all__ = ["load"]


def load(
    url: str,
    include: Sequence[str] = (),
    *,
    labels: Literal["folder"] | None = None,
    at: int | None = None,
    streaming: bool = False,
    num_proc: int | None = None,
    **options: Any,
) -> "datasets.Dataset | datasets.IterableDataset":
    """The images of an archive, with typed columns.

    Columns: `image`, of type Image; `path`; with labels, `label`, a ClassLabel of the names of the
    folders that directly hold the files. include: patterns, as of `seec.Archive.paths`; all files
    that match must be images. at: as of `seec.open`. streaming: read while one iterates, and keep
    nothing; else files are copied into the cache of `datasets` first, num_proc processes at a time.
    options: further ones of `Dataset.from_generator`.

    Raises MissingPackage without `datasets`, ValueError if nothing matches; else as `seec.open`.
    """
    archive = open_archive(url, at=at)
    paths = paths_below(archive.lookup, wanted=Patterns(include))
    if not paths:
        raise ValueError(f"{url}: no file is wanted; seec ls {url} lists all")
    columns: dict[str, Any] = {"image": datasets.Image(), "path": datasets.Value("string")}
    if labels == "folder":
        columns["label"] = datasets.ClassLabel(names=sorted(set(map(_folder, paths))))
    # What these say decides whether the cache of `datasets` has it already; a list is cut for
    # processes.
    arguments = {
        "paths": paths,
        "url": archive.url,
        "at": archive.commit,
        "labels": labels == "folder",
    }
    features = datasets.Features(columns)
    if streaming:
        return datasets.IterableDataset.from_generator(
            _examples, features=features, gen_kwargs=arguments
        )
    return datasets.Dataset.from_generator(
        _examples, features=features, gen_kwargs=arguments, num_proc=num_proc, **options
    )


def _examples(paths: list[str], url: str, at: int, labels: bool) -> Iterator[dict[str, Any]]:
    archive = _opened(url, at)
    for path, data in each_ahead(lambda path: (path, archive.read(path)), paths, ahead=16):
        example = {"image": {"bytes": data, "path": path}, "path": path}
        yield example | ({"label": _folder(path)} if labels else {})


@lru_cache(maxsize=4)
def _opened(url: str, at: int) -> OpenedArchive:
    return open_archive(url, at=at)


def _folder(path: str) -> str:
    return path.rpartition("/")[0].rpartition("/")[2]
