"""Let parts of a cluster die at each stage of the jobs: `python -m tests.faults.deaths`.

The cluster has two machines. A task stands still on the second one; then its worker is killed, or
an encoder, or that machine's raylet, or all that runs there. Each costs a retry, and nothing else.
"""

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import ray
from ray.cluster_utils import Cluster
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from seec.jobs import archive, restore, verify
from seec.jobs.exit_codes import ExitCode
from seec.jobs.progress import progress
from seec.pipeline.stages import archiving, ray_executor, restoring, tasks, verifying
from seec.pipeline.stages.executor import Task
from tests.faults.points import MODEL
from tests.sources import files_below, write_tiny_source

VICTIMS = WORKER, ENCODER, RAYLET, MACHINE = ("worker", "encoder", "raylet", "machine")
_TASKS = {
    "reading": (archiving, "READ"),
    "writing": (archiving, "WRITE"),
    "checking": (verifying, "_SHARD"),
    "decoding": (verifying, "_IMAGES"),
    "restoring": (restoring, "_ROWS"),
}
SEGMENTING, ENCODING = ("segmenting", "encoding")
STAGES = (*_TASKS, SEGMENTING, ENCODING)
_AFTERWARDS = ("checking", "decoding", "restoring")
CASES = [
    (stage, victim)
    for stage in STAGES
    for victim in VICTIMS
    if victim != ENCODER or stage not in (*_AFTERWARDS, ENCODING)
]
_FILES = 8
_PATIENCE_S = 600.0
_PAUSE_S = 0.02


@dataclass(frozen=True)
class Scene:
    """Where a death is to happen: on a machine, by its id.

    folder: a new one. `held` in it names the process that stands still; `over` lets it go on.
    """

    folder: Path
    machine: str

    def stand_still(self) -> None:
        """Wait for death, or until there was another; only the first process that comes here."""
        try:
            (self.folder / "held").symlink_to(str(os.getpid()))
        except FileExistsError:
            return
        _wait_for(self.folder / "over")

    def here(self) -> dict[str, Any]:
        """Options of what is to run on that machine as long as it is there."""
        return {"scheduling_strategy": NodeAffinitySchedulingStrategy(self.machine, soft=True)}

    def task(self, task: Task) -> Task:
        """A task of the stages that stands still."""

        def held(*arguments: Any) -> Any:
            self.stand_still()
            return task.function(*arguments)

        return replace(task, function=held)

    def actor(self, kind: type, method: str, *, holds: bool) -> type:
        """An actor of the stages that stands still in a method if it is to."""
        scene, original = self, kind

        def begin(actor: Any, *arguments: Any) -> None:
            original.__init__(actor, *arguments)
            (scene.folder / f"{method}-{os.getpid()}").touch()

        def held(actor: Any, *arguments: Any) -> Any:
            if holds:
                scene.stand_still()
            return getattr(original, method)(actor, *arguments)

        return type(original.__name__, (original,), {"__init__": begin, method: held})

    @contextmanager
    def set(self, stage: str) -> Iterator[None]:
        """While the block runs, actors are here, and the first task of a stage stands still."""
        remote, start = ray_executor._remote, ray_executor.RayExecutor.start
        with ExitStack() as stack:
            if stage in _TASKS:
                module, name = _TASKS[stage]
                task = self.task(getattr(module, name))
                stack.enter_context(patch.object(module, name, task))

                def placed(other: Task) -> Any:
                    made = remote(other)
                    return made.options(**self.here()) if other is task else made

                stack.enter_context(patch.object(ray_executor, "_remote", placed))

            def started(executor: Any, kind: type, options: Any, *arguments: Any) -> Any:
                return start(executor, kind, options | self.here(), *arguments)

            stack.enter_context(patch.object(ray_executor.RayExecutor, "start", started))
            for where, kind, method in (
                (SEGMENTING, tasks.Segmentation, "segment"),
                (ENCODING, tasks.Encoding, "encode"),
            ):
                actor = self.actor(kind, method, holds=where == stage)
                stack.enter_context(patch.object(archiving, kind.__name__, actor))
            yield


class Theatre:
    """A cluster of two machines, and what jobs make there while nobody dies."""

    def __init__(self, folder: Path, machines: Cluster) -> None:
        """folder: an empty one. machines: the first one."""
        self._folder, self._machines = folder, machines
        self._second: Any = None
        self._source, self._archived = folder / "source", folder / "archive"
        write_tiny_source(self._source, _FILES)
        self._digest = self._archive(self._archived).digest
        self._restore(self._archived, folder / "restored")

    def wrong_with(self, stage: str, victim: str) -> str | None:
        """Let it die there. What is wrong, if anything."""
        if self._second is None:
            self._second = self._machines.add_node(num_cpus=2)
        scene = Scene(Path(tempfile.mkdtemp(dir=self._folder)), self._second.node_id)
        death = threading.Thread(target=self._kill, args=(scene, victim), daemon=True)
        death.start()
        with scene.set(stage):
            wrong = self._act(stage, scene.folder)
        death.join(timeout=_PATIENCE_S)
        return wrong if (scene.folder / "over").exists() else f"nothing died; {wrong}"

    def _act(self, stage: str, folder: Path) -> str | None:
        if stage == "restoring":
            done = self._restore(self._archived, folder / "restored")
            same = files_below(folder / "restored") == files_below(self._folder / "restored")
            return None if done.exit_code == ExitCode.OK and same else f"restored {done}"
        if stage not in _AFTERWARDS:
            made = self._archive(folder / "archive")
            if (made.exit_code, made.digest) != (ExitCode.OK, self._digest):
                return f"archived {made}"
        root = self._archived if stage in _AFTERWARDS else folder / "archive"
        checked = verify.run(verify.Settings(str(root), cpus=2))
        sound = checked.exit_code == ExitCode.OK and checked.images_decoded == _FILES
        return None if sound else f"verified {checked}"

    def _kill(self, scene: Scene, victim: str) -> None:
        held = scene.folder / "held"
        if not _wait_for(held):
            return
        if victim == WORKER:
            os.kill(int(held.readlink().name), signal.SIGKILL)
        elif victim == ENCODER:
            # Encoders start beside the tasks that read.
            while (encoder := next(scene.folder.glob("encode-*"), None)) is None:
                time.sleep(_PAUSE_S)
            os.kill(int(encoder.name.rpartition("-")[2]), signal.SIGKILL)
        else:
            if victim == RAYLET:
                self._second.kill_raylet()
            self._machines.remove_node(self._second, allow_graceful=False)
            self._second = None
        (scene.folder / "over").touch()

    def _archive(self, root: Path) -> archive.ArchiveSummary:
        settings = archive.Settings(
            str(self._source),
            str(root),
            model=MODEL,
            segmentation="none",  # by a segmenter; `rate` needs none
            shard_files=_FILES // 2,
            cpus=2,
        )
        return archive.run(settings)

    def _restore(self, root: Path, target: Path) -> restore.RestoreSummary:
        return restore.run(restore.Settings(str(root), str(target), cpus=2))


def _wait_for(path: Path) -> bool:
    end = time.monotonic() + _PATIENCE_S
    while not os.path.lexists(path):
        if time.monotonic() > end:
            return False
        time.sleep(_PAUSE_S)
    return True


@contextmanager
def theatre() -> Iterator[Theatre]:
    """One, in a new folder, while the block runs."""
    machines = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    try:
        ray.init(address=machines.address, log_to_driver=False)
        with tempfile.TemporaryDirectory() as folder:
            yield Theatre(Path(folder), machines)
    finally:
        ray.shutdown()
        machines.shutdown()


def deaths(chosen: Iterable[tuple[str, str]]) -> Iterator[str | None]:
    """Case by case, what is wrong, if anything."""
    with theatre() as place:
        for stage, victim in chosen:
            wrong = place.wrong_with(stage, victim)
            yield wrong and f"{victim}, {stage}: {wrong}"


@click.command()
@click.argument("stages", nargs=-1, type=click.Choice(STAGES))
@click.option("--victim", "victims", type=click.Choice(VICTIMS), multiple=True)
def main(stages: tuple[str, ...], victims: tuple[str, ...]) -> None:
    """Kill workers, encoders, raylets and machines at STAGES, by default all; nothing is lost."""
    start = time.monotonic()
    chosen = [
        (stage, victim)
        for stage, victim in CASES
        if stage in (stages or STAGES) and victim in (victims or VICTIMS)
    ]
    failures = 0
    with progress("deaths", len(chosen), "cases") as shown:
        for wrong in deaths(chosen):
            if wrong is not None:
                failures += 1
                click.echo(wrong)
            shown.advance()
    seconds = time.monotonic() - start
    click.echo(f"{len(chosen)} deaths, {failures} failures, in {seconds:.0f} s")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
