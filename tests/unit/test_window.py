"""The window under all drivers: bounds, crashes, lost machines, interruption; on all executors."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from seec.pipeline.stages import local
from seec.pipeline.stages.executor import (
    ClusterLost,
    Executor,
    NodeLost,
    Placement,
    Task,
    WorkerCrashed,
    fetch,
)
from seec.pipeline.stages.pool import Pool
from seec.pipeline.stages.proxy import proxied_cluster
from seec.pipeline.stages.window import MAX_ATTEMPTS, MAX_LOSSES, Failed, Steps, Takes, Window
from tests.in_process import InProcess


@pytest.fixture(params=["processes", "copies", "ray", "proxy"])
def executor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Executor]:
    """Two workers each: new processes, copies of this one, Ray's, and Ray's by another process."""
    if request.param in ("processes", "copies"):
        monkeypatch.setattr(local, "may_fork", lambda: request.param == "copies")
        with local.local_executor(2) as made:
            yield made
        return
    address = request.getfixturevalue("ray_cluster")
    if request.param == "proxy":
        with proxied_cluster(address, 2) as proxy:
            yield proxy
        return
    from seec.pipeline.stages.ray_executor import RayExecutor

    yield RayExecutor(Placement(cpus=2, encoders=2, segmenters=1))


def doubled(numbers: tuple[int, ...]) -> list[int]:
    return [2 * number for number in numbers]


def doubled_unless(deadly: int, log: Path, numbers: tuple[int, ...]) -> list[int]:
    with log.open("a") as file:
        file.write(f"{numbers}\n")
    if deadly in numbers:
        os.kill(os.getpid(), signal.SIGKILL)
    return doubled(numbers)


def sleeping(log: Path) -> None:
    log.write_text(str(os.getpid()))
    time.sleep(120)


def alone(log: Path) -> bool:
    """Whether no other task like this one ran meanwhile."""
    try:
        log.touch(exist_ok=False)
    except FileExistsError:
        return False
    time.sleep(0.5)
    log.unlink()
    return True


def raising(text: str) -> None:
    raise ValueError(text)


def parts(numbers: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [(number,) for number in numbers]


@dataclass
class Watched:
    """Steps of one task, and how much of them was in flight at most."""

    executor: Executor
    task: Task
    arguments: tuple[Any, ...] = ()
    cost_bytes: Callable[[Any], int] = lambda work: 0
    flying: list[Any] = field(default_factory=list)
    most: int = 0
    most_bytes: int = 0
    beside_suspects: int = 0

    def steps(self, work: Any, suspect: bool) -> Steps[Any]:
        self.flying.append(work)
        self.most = max(self.most, len(self.flying))
        self.most_bytes = max(self.most_bytes, sum(map(self.cost_bytes, self.flying)))
        if suspect:
            self.beside_suspects += len(self.flying) - 1
        try:
            return (yield self.executor.submit(self.task, *self.arguments, work))
        finally:
            self.flying.remove(work)


def from_list(works: list[Any]) -> Callable[[], Any]:
    todo = iter(works)
    return lambda: next(todo, None)


def test_each_piece_is_done_once_and_a_bounded_number_is_in_flight(executor: Executor):
    watched = Watched(executor, Task(doubled))
    window = Window(executor, watched.steps, split=parts, most=3)
    results = dict(window.results(from_list([(i, i + 1) for i in range(20)])))
    assert results == {(i, i + 1): [2 * i, 2 * i + 2] for i in range(20)}
    assert watched.most == 3


def test_bytes_in_flight_are_bounded_and_what_is_larger_is_alone(executor: Executor):
    sizes = [3, 3, 30, 3, 3, 3]
    watched = Watched(executor, Task(doubled), cost_bytes=sum)
    window = Window(executor, watched.steps, split=parts, most_bytes=7, cost_bytes=sum)
    done = [work for work, _ in window.results(from_list([(size,) for size in sizes]))]
    assert sorted(done) == sorted((size,) for size in sizes)
    assert watched.most_bytes == 30
    assert watched.most == 2


@pytest.mark.parametrize("size_bytes", [1, 9])
def test_work_that_takes_more_than_was_thought_holds_back_what_comes_next(size_bytes: int):
    executor: Executor = InProcess()  # where what begins first goes on first
    told = False
    late: list[int] = []

    def steps(number: int, suspect: bool) -> Steps[list[int]]:
        nonlocal told
        if told:
            late.append(number)
        done = yield executor.submit(Task(doubled), (number,))
        if number == 0:
            yield Takes(size_bytes)
            told = True
            for _ in range(20):
                yield executor.submit(Task(doubled), (number,))
            told = False
        return done

    window = Window(executor, steps, split=lambda _: [], most_bytes=10, cost_bytes=lambda _: 5)
    done = [number for number, _ in window.results(from_list(list(range(20))))]
    assert sorted(done) == list(range(20))
    # Of 10 bytes it has 5, as was thought, or 9: then there is room for no other.
    assert bool(late) == (size_bytes == 1)


def test_what_takes_no_bytes_waits_for_none():
    executor: Executor = InProcess()
    begun: list[int] = []

    def steps(size: int, suspect: bool) -> Steps[list[int]]:
        begun.append(size)
        yield Takes(100)
        return (yield executor.submit(Task(doubled), (size,)))

    window = Window(executor, steps, split=lambda _: [], most_bytes=10, cost_bytes=lambda n: n)
    for size, _ in window.results(from_list([5, 0, 5])):
        if size == 5:
            break
    assert begun == [5, 0]


def test_what_is_added_while_results_come_is_done_too(executor: Executor):
    watched = Watched(executor, Task(doubled))
    window = Window(executor, watched.steps, split=parts, most=2)
    seen: list[Any] = []
    for work, _ in window.results(from_list([(1,), (2,)])):
        seen.append(work)
        if work[0] < 10:
            window.add([(work[0] + 10,)])
    assert sorted(seen) == [(1,), (2,), (11,), (12,)]


def test_a_piece_that_kills_its_worker_is_split_and_its_parts_run_alone(
    executor: Executor, tmp_path: Path
):
    log = tmp_path / "log"
    watched = Watched(executor, Task(doubled_unless), (5, log))
    window = Window(executor, watched.steps, split=parts, most=3)
    works = [(0, 1), (2, 3), (4, 5, 6), (7, 8)]
    results = dict(window.results(from_list(works)))
    failed = results.pop((5,))
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, WorkerCrashed)
    whole = {work: doubled(work) for work in works if 5 not in work}
    assert {work: results[work] for work in whole} == whole
    assert results.keys() - whole.keys() >= {(4,), (6,)}
    assert watched.beside_suspects == 0
    # With one call to a process the one that died is known, and no other is under suspicion.
    assert log.read_text().splitlines().count("(5,)") == MAX_ATTEMPTS - 1


def test_an_error_that_is_no_works_fault_ends_the_window(executor: Executor):
    watched = Watched(executor, Task(raising))
    window = Window(executor, watched.steps, split=lambda text: [text])
    with pytest.raises(ValueError, match="out of order"):
        list(window.results(from_list(["out of order"])))


def test_an_error_that_work_may_be_the_cause_of_is_tried_again_and_told(executor: Executor):
    watched = Watched(executor, Task(raising))
    blames: Any = lambda error: isinstance(error, ValueError)  # noqa: E731
    window = Window(executor, watched.steps, split=lambda text: [text], blames=blames)
    ((work, failed),) = window.results(from_list(["broken"]))
    assert (work, str(failed.error)) == ("broken", "broken")


def test_whoever_stops_early_leaves_nothing_running(executor: Executor, tmp_path: Path):
    log = tmp_path / "pid"

    def steps(work: str, suspect: bool) -> Steps[Any]:
        if work == "long":
            return (yield executor.submit(Task(sleeping), log))
        while not log.exists() or not log.read_text():
            yield executor.submit(Task(doubled), (1,))
        return "short"

    window = Window(executor, steps, split=lambda work: [work])
    results = window.results(from_list(["long", "short"]))
    assert next(results) == ("short", "short")
    pid = int(log.read_text())
    results.close()
    end = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < end, "it still runs"
        time.sleep(0.1)


class Counter:
    """An actor that dies if it is told to."""

    def __init__(self, start: int) -> None:
        self._count = start

    def count(self, by: int) -> tuple[int, int]:
        if by < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._count += by
        return self._count, os.getpid()


def test_actors_do_one_thing_after_the_other_and_are_made_again(executor: Executor):
    pool = Pool(executor, 1, lambda: executor.start(Counter, {}, 10))

    def steps(by: int, suspect: bool) -> Steps[Any]:
        actor = yield pool.place(2)
        failed = True
        try:
            count, pid = executor.call(actor, "count", by, returns=2)
            result = (yield count), (yield pid)
            failed = False
        finally:
            pool.give_back(actor, failed=failed)
        return result

    def run(works: list[int]) -> dict[int, Any]:
        return dict(Window(executor, steps, split=lambda by: [by]).results(from_list(works)))

    first = run([1, 2, 4])
    assert max(count for count, _ in first.values()) == 17
    died = run([-1])
    assert isinstance(died[-1], Failed)
    assert isinstance(died[-1].error, WorkerCrashed)
    again = run([1])
    assert again[1][0] == 11, "made anew"
    assert again[1][1] != first[1][1]
    pool.close()


class LosesMachines(InProcess):
    """Each of the first calls is lost with its machine."""

    def __init__(self, losses: int) -> None:
        self.left = losses

    def result(self, ticket: Any) -> Any:
        if self.left:
            self.left -= 1
            raise NodeLost("a machine is gone")
        return super().result(ticket)


def test_work_of_a_lost_machine_is_under_no_suspicion():
    executor = LosesMachines(losses=4)
    suspected: list[bool] = []

    def steps(work: tuple[int, ...], suspect: bool) -> Steps[Any]:
        suspected.append(suspect)
        return (yield executor.submit(Task(doubled), work))

    window = Window(executor, steps, split=parts, most=4)
    results = dict(window.results(from_list([(1, 2), (3, 4)])))
    assert results == {(1, 2): [2, 4], (3, 4): [6, 8]}, "and not split"
    assert not any(suspected)


def test_work_that_loses_machine_after_machine_is():
    executor = LosesMachines(losses=100)
    window = Window(executor, Watched(executor, Task(doubled)).steps, split=parts)
    results = dict(window.results(from_list([(1,)])))
    assert isinstance(results[(1,)], Failed)
    assert 100 - executor.left > MAX_LOSSES


def test_one_task_alone_gives_its_value_or_raises(executor: Executor):
    assert fetch(executor, Task(doubled), (4,)) == [8]
    with pytest.raises(ValueError, match="no"):
        fetch(executor, Task(raising), "no")


def test_of_tasks_that_ask_for_all_memory_one_runs_at_a_time(executor: Executor, tmp_path: Path):
    more_than_there_is = Task(alone, cpus=0.25, memory_bytes=1 << 60)
    tickets = [executor.submit(more_than_there_is, tmp_path / "running") for _ in range(3)]
    beside = executor.submit(Task(doubled, cpus=0.25), (1,))
    left = [*tickets, beside]
    while left:
        left = [ticket for ticket in left if ticket not in executor.wait(left)]
    assert executor.result(beside) == [2]
    assert [executor.result(ticket) for ticket in tickets] == [True] * 3


@pytest.mark.parametrize("executor", ["proxy"], indirect=True)
def test_a_process_forgets_what_nobody_waits_for_any_more(executor: Any):
    tickets = [executor.submit(Task(doubled), (number,)) for number in range(3)]
    assert executor.result(executor.wait(tickets[:1])[0]) == [0]
    del tickets
    executor.wait([executor.submit(Task(doubled), (1,))])
    assert len(executor._dropped) < 3  # the others have been told


@pytest.mark.parametrize("executor", ["proxy"], indirect=True)
def test_after_an_interruption_nothing_more_is_asked(
    executor: Any, monkeypatch: pytest.MonkeyPatch
):
    def interrupted() -> Any:
        raise KeyboardInterrupt

    ticket = executor.submit(Task(doubled), (1,))
    monkeypatch.setattr(executor._connection, "recv", interrupted, raising=False)
    with pytest.raises(KeyboardInterrupt):
        executor.wait([ticket])
    monkeypatch.undo()
    executor.cancel([ticket])
    left = executor.submit(Task(doubled), (2,))  # as steps do that clean up
    with pytest.raises(ClusterLost, match="the connection to Ray has ended"):
        executor.wait([left])
