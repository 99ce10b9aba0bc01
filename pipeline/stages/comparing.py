"""Which images have the same pixels: decoded in tasks, a bounded amount at a time."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import ray
from ray.exceptions import RayError

from seec.pipeline.routes.writing import samples_digest, work_of
from seec.pipeline.stages.apart import candidate_of, hurried
from seec.pipeline.stages.archiving import BUDGET_BYTES
from seec.pipeline.stages.batch import Batch, cut_batches
from seec.pipeline.stages.cluster import cause_of
from seec.pipeline.storage import Source
from seec.schemas.errors import SeecError, StorageError, StoreUnavailable
from seec.schemas.plan import PlanSettings, SourceFile

_MAX_ATTEMPTS = 2  # of a file that is alone


def pixel_signs(
    source: Source,
    files: Iterable[tuple[SourceFile, int]],
    settings: PlanSettings,
    cpus: int,
    on_files: Callable[[int], None] = lambda count: None,
) -> dict[str, bytes]:
    """By path, what is the same for images of the same pixels.

    files: each with its pixels, as its first bytes promise. cpus: of the cluster. on_files: told
    how many more are done. What cannot be read or decoded, or takes its process down, has no sign.
    StoreUnavailable if the source is not there. Memory grows by a path and a digest for each file.
    """
    source = source.shared_by(cpus)
    waiting = deque(cut_batches(files))
    flights: dict[Any, Batch] = {}
    signs: dict[str, bytes] = {}
    budget_bytes = BUDGET_BYTES * cpus
    while waiting or flights:
        while waiting and len(flights) < 2 * cpus:
            cost_bytes = sum(batch.cost_bytes for batch in flights.values())
            if flights and cost_bytes + waiting[0].cost_bytes > budget_bytes:
                break
            batch = waiting.popleft()
            flights[digests.remote(source, batch, settings)] = batch
        (ref,), _ = ray.wait(list(flights), num_returns=1)
        batch = flights.pop(ref)
        try:
            found: dict[str, bytes]
            found, larger = ray.get(ref)
        except RayError as error:
            again = _again(batch, error)
        else:
            signs |= found
            again = list(cut_batches(larger))
        waiting.extendleft(again)
        on_files(len(batch.files) - sum(len(other.files) for other in again))
    return signs


def _again(batch: Batch, error: RayError) -> list[Batch]:
    """What to try after a failure: each file alone, twice at most; raises what is no file's."""
    cause = cause_of(error)
    if isinstance(cause, StorageError | ImportError):
        raise cause from None
    retries = batch.retries()
    return [one for one in retries if one.decode and one.attempts < _MAX_ATTEMPTS]


@ray.remote(num_cpus=1, max_retries=0)
def digests(
    source: Source, batch: Batch, settings: PlanSettings
) -> tuple[dict[str, bytes], list[tuple[SourceFile, int]]]:
    """By path, digests of what SEEC would code of these files; files left out, with their pixels.

    Those have more pixels than there is room for, whatever their first bytes promised.
    """
    found: dict[str, bytes] = {}
    larger: list[tuple[SourceFile, int]] = []
    for file in batch.files:
        try:
            data = source.read(file)
        except StoreUnavailable:
            raise
        except SeecError:
            continue
        with hurried(settings.max_seconds):
            candidate = candidate_of(file, data, settings)
            pixels = work_of(candidate).pixels
            if batch.pixels < pixels <= settings.max_pixels:
                larger.append((file, pixels))
                continue
            digest = samples_digest(candidate)
        if digest is not None:
            found[file.path] = digest
    return found, larger
