"""Which images have the same pixels: decoded in tasks, a bounded amount at a time."""

from collections.abc import Callable, Iterable

from seec.pipeline.routes.writing import samples_digest, work_of
from seec.pipeline.stages.apart import candidate_of, hurried
from seec.pipeline.stages.batch import Batch, cut_batches
from seec.pipeline.stages.bounds import BUDGET_BYTES
from seec.pipeline.stages.executor import ClusterLost, Executor, Task
from seec.pipeline.stages.window import Failed, Steps, Window
from seec.pipeline.storage import Source
from seec.schemas.errors import SeecError, StorageError, StoreUnavailable
from seec.schemas.plan import PlanSettings, SourceFile

_Found = tuple[dict[str, bytes], list[tuple[SourceFile, int]]]


def pixel_signs(
    source: Source,
    files: Iterable[tuple[SourceFile, int]],
    settings: PlanSettings,
    executor: Executor,
    on_files: Callable[[int], None] = lambda count: None,
) -> dict[str, bytes]:
    """By path, what is the same for images of the same pixels.

    files: each with its pixels, as its first bytes promise. on_files: called with how many more
    are done. What cannot be read or decoded, or takes its process down, has no sign.
    StoreUnavailable if the source is not there. Memory grows by a path and a digest for each file.
    """
    cpus = executor.placement.cpus
    source = source.shared_by(cpus)

    def steps(batch: Batch, suspect: bool) -> Steps[_Found]:
        return (yield executor.submit(DIGESTS, source, batch, settings))

    window: Window[Batch, _Found] = Window(
        executor,
        steps,
        split=Batch.parts,
        most=2 * cpus,
        most_bytes=BUDGET_BYTES * cpus,
        cost_bytes=lambda batch: batch.cost_bytes,
        blames=lambda error: not isinstance(error, StorageError | ImportError | ClusterLost),
    )
    batches = cut_batches(files)
    signs: dict[str, bytes] = {}
    for batch, outcome in window.results(lambda: next(batches, None)):
        larger: list[tuple[SourceFile, int]] = []
        if not isinstance(outcome, Failed):
            found, larger = outcome
            signs |= found
            window.add(cut_batches(larger))
        on_files(len(batch.files) - len(larger))
    return signs


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


DIGESTS = Task(digests)
