"""Several sources in one archive: each has its own paths, and is compared with itself alone."""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress

from seec.pipeline.archive.archive import Archive
from seec.pipeline.archive.planning import Seen
from seec.pipeline.archive.state import State
from seec.schemas.commit import SourceRecord
from seec.schemas.errors import FixityError, FormatError, SecondSource
from seec.schemas.plan import SourceFile


def follows_links(archive: Archive, name: str) -> bool:
    """Whether the last run that planned files of the source of this name followed links.

    False where its plan cannot be read.
    """
    for run in reversed(archive.state.runs.values()):
        if run.source.name == name and not run.compaction:
            with suppress(FixityError, FormatError):
                return archive.plan(run).settings.follow_links
            break
    return False


def check_source(state: State, source: SourceRecord, moved: bool = False) -> None:
    """SecondSource if the archive has another source where this one's paths would be.

    moved: this is the source that the archive has under this name, which was elsewhere.
    """
    known = state.sources
    same = known.get(source.name)
    if same is None and moved:
        raise SecondSource(f"{_names(known)}; none of them can have moved to {source}")
    if same is None and (source.name or not known):
        return
    if same is None:
        raise SecondSource(f"{_names(known)}; to archive {source} beside them, {_remedy(source)}")
    if same != source and not moved:
        where = f"below {source.name}" if source.name else "here"
        raise SecondSource(
            f"the archive holds {same} {where}; to archive {source} beside it, {_remedy(source)}; "
            "if this is the same source in another place, add --moved"
        )


def own_files(
    listing: Iterable[SourceFile], seen: Mapping[str, Seen], name: str
) -> dict[str, Seen]:
    """What the archive has of the source of this name.

    listing: of that source. SecondSource if both it and another source have paths in one place.
    """
    others = {_first(path) for path, known in seen.items() if known.source != name}
    if common := others & ({name} if name else {_first(file.path) for file in listing}):
        raise SecondSource(
            f"another source of the archive has {min(common)!r}, too; choose another --as NAME"
            + ("" if name else ", or another archive")
        )
    return {path: known for path, known in seen.items() if known.source == name}


def _first(path: str) -> str:
    return path.partition("/")[0]


def _names(known: Mapping[str, SourceRecord]) -> str:
    if not known:
        return "the archive has no sources yet"
    named = (f"{source} (--as {name})" if name else str(source) for name, source in known.items())
    return f"the archive holds {', '.join(sorted(named))}"


def _remedy(source: SourceRecord) -> str:
    last = re.sub(r"[^\w.-]+", "-", source.url.rstrip("/").rpartition("/")[2]).strip(".-")
    return f"add --as NAME, such as --as {last or 'second'}, or use another archive"
