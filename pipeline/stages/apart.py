"""Looking into files, with a limit on the time: a decoder that hangs or crashes costs one file.

Batches are looked into in the task that read them (`hurried`): the limit ends its process, as a
crash does, and nothing tells which of the files it was. Then each is looked into in a process of
its own (`draft_apart`), and what ends that is the file's fault.
"""

import faulthandler
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from seec.pipeline.containers import Ranges
from seec.pipeline.routes.writing import Candidate, Draft, draft, draft_stored
from seec.pipeline.stages.process import Died, WorkerProcess
from seec.schemas.errors import SeecError
from seec.schemas.plan import KEEP_FILE, MAX_SECONDS, PlanSettings, SourceFile

_START_S = 60  # a process takes to begin, at most
_HURRIED_STATUS = 1  # with which faulthandler ends a process


@contextmanager
def hurried(seconds: float) -> Generator[None]:
    """End this process, whatever it is doing, if the block takes longer."""
    # Not a signal: native code may hold on to the interpreter and never let a handler run.
    longest = min(seconds, MAX_SECONDS)
    faulthandler.dump_traceback_later(longest, exit=True, file=sys.__stderr__ or 2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def candidate_of(
    file: SourceFile,
    data: bytes,
    settings: PlanSettings,
    start: int = 0,
    ranges: Ranges | None = None,
) -> Candidate:
    """A file, or a piece of one, to be looked into as the plan says.

    start: where the piece begins in its file, which is read by `ranges`.
    """
    return Candidate(
        file,
        data,
        settings.max_pixels,
        settings.keep == KEEP_FILE or file.piece is not None,  # all pieces make one file again
        settings.jpeg_model_id is not None,
        start=start,
        ranges=ranges,
    )


def draft_apart(
    file: SourceFile,
    data: bytes,
    settings: PlanSettings,
    start: int = 0,
    ranges: Ranges | None = None,
) -> Draft:
    """As `pipeline.routes.writing.draft`; a file that its decoder does not survive is stored.

    start, ranges: as of `candidate_of`; the process reads by ranges, too.
    """
    limit = min(settings.max_seconds, MAX_SECONDS)
    process = WorkerProcess()
    result: Any = None
    answered = False
    try:
        process.send(_look, file, data, settings, start, ranges)
        answered = process.connection.poll(limit + _START_S)
        if answered:
            _, result = process.receive()
    except Died:
        pass
    finally:
        status = process.kill()
    if isinstance(result, Draft):
        return result
    if isinstance(result, ImportError | SeecError):
        raise result  # this machine's fault, or that of what was read beside the bytes
    if result is not None:
        reason = f"looking into it fails with {type(result).__name__}"
    elif not answered or status == _HURRIED_STATUS:
        reason = f"looking into it takes longer than the limit of {limit} seconds"
    else:
        reason = "looking into it crashes"
    return draft_stored(file, data, reason, start)


def _look(
    file: SourceFile, data: bytes, settings: PlanSettings, start: int, ranges: Ranges | None
) -> Draft:
    """In the process of `draft_apart`."""
    with hurried(settings.max_seconds):
        return draft(candidate_of(file, data, settings, start, ranges))
