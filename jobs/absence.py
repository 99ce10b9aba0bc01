"""How commands tell what an archive does not hold."""

import shlex
from collections.abc import Iterator

from seec.pipeline.archive.completeness import Absent


def lines(absent: Absent, archive: str) -> Iterator[str]:
    """For people: a line for each reason. archive: its URL."""
    url = shlex.quote(archive)
    if absent.unfinished_run is not None:
        yield (
            f"not in the archive: {absent.unfinished} files of run {absent.unfinished_run}, which "
            "is not finished: run seec archive again"
        )
    if absent.quarantined:
        yield (
            f"not in the archive: {absent.quarantined} files in quarantine: "
            f"seec ls --quarantine {url}"
        )
    if absent.lost:
        yield (
            f"not in the archive: {absent.lost} files that are lost, as seec repair recorded: "
            f"seec ls marks them; if they are found again, seec archive or seec repair mends them"
        )
