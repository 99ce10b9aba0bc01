"""Compare the files of a source with what an archive has of them, by their bytes."""

from collections.abc import Mapping, Sequence

from seec.jobs.progress import progress
from seec.pipeline.archive import contents
from seec.pipeline.archive.planning import Seen
from seec.pipeline.storage import Source
from seec.schemas.plan import SourceFile


def same_contents(
    source: Source, listing: Sequence[SourceFile], seen: Mapping[str, Seen]
) -> set[str]:
    """Paths of the files whose bytes are those that were archived; shows progress."""
    files = contents.comparable(listing, seen)
    with progress("compare", len(files), "files") as shown:
        return contents.same_contents(source, files, seen, shown.advance)
