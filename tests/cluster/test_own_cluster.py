"""A run without a cluster: what it starts is private, survives odd machines, and ends with it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray

from seec.jobs import verify
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.stages import cluster
from seec.pipeline.stages.bounds import BUDGET_BYTES, shards_in_work, store_bytes
from seec.pipeline.stages.execution import SMALL_FILES
from seec.schemas.plan import PlanSettings
from tests.faults.points import MODEL
from tests.pictures import textured
from tests.sources import image_bytes, write_tiny_source

ROOT = Path(__file__).parents[2]
MODULES = ("queue.py", "imagecodecs.py", "numpy.py", "schemas/__init__.py", "pipeline/__init__.py")


def command(job: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", f"seec.jobs.{job}", *map(str, arguments)]


def environment(**changes: str | None) -> dict[str, str]:
    """As a user has it who has installed the package, and no cluster."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    changed: dict[str, Any] = {"PYTHONPATH": str(ROOT), **changes}
    return {name: value for name, value in {**kept, **changed}.items() if value is not None}


def write_poison(folder: Path, told: Path) -> None:
    """Modules that write a file as soon as anyone imports them."""
    for name in MODULES:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"open({str(told)!r}, 'a').write(__name__)\nraise SystemExit('mine')\n")


def write_texts(folder: Path, count: int) -> None:
    folder.mkdir()
    for index in range(count):
        (folder / f"{index}.txt").write_text(f"text {index}")


@pytest.mark.usefixtures("ray_cluster")
def test_it_listens_to_this_machine_alone_with_a_token_that_only_this_user_can_read():
    children = psutil.Process().children(recursive=True)
    ports: list[tuple[str, int]] = []
    for child in children:
        with contextlib.suppress(psutil.Error):
            found = child.net_connections(kind="inet")
            ports += [one.laddr for one in found if one.status == psutil.CONN_LISTEN]
    assert ports
    assert {address for address, _ in ports} <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
    token = Path(os.environ["RAY_AUTH_TOKEN_PATH"])
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert (token.stat().st_mode & 0o777, token.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert len(token.read_text()) == 64


@pytest.mark.usefixtures("ray_cluster")
def test_it_starts_no_process_that_a_run_does_not_need():
    commands = [" ".join(one.cmdline()) for one in psutil.Process().children(recursive=True)]
    scripts = ("dashboard.py", "monitor.py", "dashboard/agent.py")
    started = [one for one in commands if any(script in one for script in scripts)]
    raylets = [one for one in commands if "/raylet/raylet" in one]  # name the agents, too
    assert len(raylets) == 1
    assert {one for one in started if one not in raylets} == {
        one for one in commands if "stand_in.py" in one and one not in raylets
    }
    assert len(started) == 2


@ray.remote(runtime_env={"env_vars": {"ASKED": "for"}})
def _asked() -> str:
    return os.environ["ASKED"]


@pytest.mark.usefixtures("ray_cluster")
def test_a_worker_may_want_an_environment_of_its_own():
    assert ray.get(_asked.remote(), timeout=120) == "for"


@pytest.mark.usefixtures("ray_cluster")
def test_its_store_has_room_for_what_a_run_holds_and_no_more():
    window, shards = 2 * BUDGET_BYTES, shards_in_work(2) * PlanSettings.shard_size_bytes
    asked = ray.cluster_resources()["object_store_memory"]
    assert asked == window + shards


@pytest.mark.usefixtures("ray_cluster")
def test_what_the_store_has_no_room_for_goes_through_without_further_processes():
    size = store_bytes(2, PlanSettings.shard_size_bytes) + (1 << 20)
    assert len(ray.get(ray.put(bytes(size)))) == size
    commands = [" ".join(one.cmdline()) for one in psutil.Process().children(recursive=True)]
    assert not [one for one in commands if "SpillWorker" in one or "RestoreWorker" in one]


def test_a_store_grows_with_shards_and_is_never_most_of_the_memory(
    monkeypatch: pytest.MonkeyPatch,
):
    assert store_bytes(2, 2 << 30) - store_bytes(2, 1 << 30) == shards_in_work(2) << 30
    memory = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory._replace(total=10**9))
    assert cluster._store_bytes(64, 1 << 30) == 3 * 10**8


def test_who_has_another_token_is_refused(ray_cluster: str):
    host, _, port = ray_cluster.rpartition(":")
    code = (
        "import ray._raylet as raylet\n"
        f"client = raylet.GcsClient(address='{host}:{port}')\n"
        "print(client.internal_kv_keys(b'', namespace=None, timeout=20))"
    )
    outcomes: list[int] = []
    for changes in (
        {},
        {"RAY_AUTH_MODE": "disabled"},
        {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64},
        {name: os.environ[name] for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH")},
    ):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment(HOME="/nonexistent", **changes),
            capture_output=True,
            timeout=120,
            check=False,
        )
        outcomes.append(done.returncode)
    assert all(outcomes[:3])
    assert outcomes[3] == 0


@pytest.mark.parametrize("files", [3, pytest.param(SMALL_FILES + 1, marks=pytest.mark.slow)])
def test_no_home_a_long_temporary_folder_and_modules_beside_the_files(files: int, tmp_path: Path):
    told, photos = tmp_path / "told", tmp_path / "photos"
    write_texts(photos, files)
    (photos / "a.png").write_bytes(image_bytes(textured(20, 20), "PNG"))
    write_poison(photos, told)
    long = tmp_path / ("long" * 30)
    long.mkdir()
    for home in ("/nonexistent", None):
        where = environment(HOME=home, TMPDIR=str(long))
        for job, *arguments in (
            ("archive", ".", tmp_path / f"archive {home is None}", "--profile", "fast"),
            ("verify", tmp_path / f"archive {home is None}"),
            ("restore", tmp_path / f"archive {home is None}", tmp_path / f"out {home is None}"),
        ):
            done = subprocess.run(
                command(job, *arguments), cwd=photos, env=where, capture_output=True, check=False
            )
            assert done.returncode == 0, done.stderr
        assert not list(long.iterdir())
    assert not told.exists(), f"{told.read_text()} was run"


@contextlib.contextmanager
def running(tmp_path: Path) -> Iterator[tuple["subprocess.Popen[str]", list[psutil.Process]]]:
    """`seec archive` in the middle of its work on a cluster of its own, and its processes."""
    source, root = tmp_path / "source", tmp_path / "archive"
    write_tiny_source(source, SMALL_FILES + 1)
    for index in range(8):
        (source / f"large{index}.png").write_bytes(image_bytes(textured(700, 700, index), "PNG"))
    process = subprocess.Popen(
        command("archive", source, root, "--profile", "max", "--shard-files", 8),
        cwd=ROOT,
        env=environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        end = time.monotonic() + 240
        while not list(root.glob("blobs/*/*")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.05)
        yield process, psutil.Process(process.pid).children(recursive=True)
    finally:
        process.kill()
        process.wait()


def left(processes: list[psutil.Process]) -> list[str]:
    _, alive = psutil.wait_procs(processes, timeout=15)
    return [" ".join(one.cmdline()) for one in alive if one.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, ExitCode.TERMINATED),
        pytest.param(signal.SIGHUP, ExitCode.HUNG_UP, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, ExitCode.INTERRUPTED, marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_it_with_all_it_started_and_it_can_go_on(
    number: int, code: ExitCode, tmp_path: Path
):
    with running(tmp_path) as (process, children):
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == code
        lines = [line for line in errors.splitlines() if not line.startswith("archive: ")]
        assert lines == ["seec: error: interrupted"]
        assert not left(children)
    again = subprocess.run(
        command("archive", tmp_path / "source", tmp_path / "archive", "--new-plan"),
        cwd=ROOT,
        env=environment(),
        check=False,
    )
    assert again.returncode == ExitCode.OK
    assert verify.run(verify.Settings(str(tmp_path / "archive"))).exit_code == ExitCode.OK


def outcome(process: "subprocess.Popen[str]") -> str:
    """The one line that a command ends with whose cluster is gone."""
    output, errors = process.communicate(timeout=30)
    assert process.returncode == ExitCode.UNEXPECTED
    assert not output
    (line,) = [line for line in errors.splitlines() if not line.startswith("archive: ")]
    assert line.endswith("; what is committed counts, and the same command goes on from there")
    return line


@pytest.mark.parametrize("victim", ["raylet", pytest.param("gcs_server", marks=pytest.mark.slow)])
def test_a_process_of_ray_that_is_gone_is_one_line_and_nothing_is_left(victim: str, tmp_path: Path):
    with running(tmp_path) as (process, children):
        (killed,) = [one for one in children if one.name() == victim]
        killed.kill()
        # Ray's native code may end the process that speaks with Ray before anyone else sees it.
        told = outcome(process).removeprefix("seec: error: Ray's process ")
        assert told.startswith((f"{victim} has ended;", "driver has ended with "))
        assert not left(children)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT])
def test_the_command_survives_the_process_that_speaks_with_ray(number: int, tmp_path: Path):
    with running(tmp_path) as (process, children):
        (driver,) = [one for one in children if "stages.proxied" in " ".join(one.cmdline())]
        driver.send_signal(number)
        told = outcome(process)
        name = signal.Signals(number).name
        assert told.startswith(f"seec: error: Ray's process driver has ended with {name}")
        assert not left(children)
    assert not list((tmp_path / "archive").glob("locks/*.json"))


_BUSY = """
import sys
from seec.pipeline.stages import cluster
from seec.pipeline.stages.executor import Task, fetch
init, calls = cluster._init, []
def slow(**options):
    calls.append(options)
    if len(calls) <= int(sys.argv[1]):
        raise Exception("The current node timed out during startup.")
    init(**options)
cluster._init = slow
def four():
    return 4
with cluster.cluster() as executor:
    print(len(calls), fetch(executor, Task(four)))
"""


def start_on_a_busy_machine(failures: int) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", _BUSY, str(failures)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_start_that_takes_too_long_is_tried_again():
    done = start_on_a_busy_machine(failures=1)
    assert done.stdout.split() == ["2", "4"], done.stderr


def test_a_start_that_never_ends_well_is_one_clear_error():
    done = start_on_a_busy_machine(failures=9)
    assert "Ray did not start on this machine in 3 attempts" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("job", ["archive", "verify", "restore"])
def test_small_jobs_start_no_ray(job: str, tmp_path: Path):
    source, root = tmp_path / "source", tmp_path / "archive"
    write_tiny_source(source, 3)
    arguments = {
        "archive": (source, tmp_path / "another", "--model", MODEL),
        "verify": (root,),
        "restore": (root, tmp_path / "out"),
    }
    code = (
        "import sys, importlib\n"
        "sys.modules['ray'] = None\n"
        f"importlib.import_module('seec.jobs.{job}').main()"
    )
    run = command("archive", source, root, "--model", MODEL)
    subprocess.run(run, cwd=ROOT, env=environment(), check=True)
    what = [sys.executable, "-c", code, *map(str, arguments[job])]
    subprocess.run(what, cwd=ROOT, env=environment(), check=True)
