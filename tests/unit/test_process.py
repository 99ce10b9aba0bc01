"""Worker processes, new ones and copies, share nothing with the first process but a connection."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from seec.pipeline.stages.process import Died, WorkerProcess, may_fork

linux = pytest.mark.skipif(sys.platform != "linux", reason="copies are made on Linux alone")


@pytest.fixture(autouse=True)
def _no_signal_is_ignored() -> Iterator[None]:
    """Whoever starts the tests may ignore some, as nohup does, and processes inherit that."""
    ignored = [n for n in (signal.SIGHUP, signal.SIGINT) if signal.getsignal(n) == signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture(params=[False, pytest.param(True, marks=linux)], ids=["new", "copy"])
def process(request: pytest.FixtureRequest) -> Iterator[WorkerProcess]:
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        made = WorkerProcess(fork=request.param)
    finally:
        signal.signal(signal.SIGTERM, before)
    yield made
    made.kill()


def held() -> list[str]:
    """What the open descriptors of this process are of."""
    found = list(Path("/proc/self/fd").iterdir())
    return sorted(str(path.readlink()).partition(":")[0] for path in found if path.is_symlink())


def raising(text: str) -> None:
    raise ValueError(text)


@linux
def test_it_holds_no_file_of_the_first_process(process: WorkerProcess):
    process.send(held)
    assert process.receive() == (True, [*[os.devnull] * 3, "socket"])
    process.send(os.getsid, 0)
    assert process.receive()[1] != os.getsid(0)


def test_it_goes_on_after_an_error(process: WorkerProcess):
    process.send(raising, "told")
    good, error = process.receive()
    assert (good, type(error), str(error)) == (False, ValueError, "told")
    process.send(len, "two")
    assert process.receive() == (True, 3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGSEGV])
def test_signals_end_it_and_not_the_first_process(number: int, process: WorkerProcess):
    process.send(signal.raise_signal, number)
    with pytest.raises(Died):
        process.receive()


@linux
def test_copies_end_with_the_first_process():
    code = (
        "import os, time\n"
        "from seec.pipeline.stages.process import WorkerProcess\n"
        "made = [WorkerProcess(fork=True) for _ in range(3)]\n"
        "for one in made: one.send(os.getpid)\n"
        "print(*(one.receive()[1] for one in made), flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        copies = [psutil.Process(int(pid)) for pid in first.stdout.readline().split()]
        first.kill()
    _, alive = psutil.wait_procs(copies, timeout=30)
    assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []


@linux
def test_commands_may_fork_and_processes_with_threads_may_not():
    code = (
        "import seec.jobs.archive, seec.jobs.verify, seec.jobs.restore\n"
        "from seec.pipeline.stages.process import may_fork\n"
        "assert may_fork()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    assert not may_fork()
    done.set()
    thread.join()
