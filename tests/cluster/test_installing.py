"""systemd, cron, Kubernetes and Ray run jobs as `seec jobs install` has them do."""

import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner, Result
from PIL import Image

from seec.jobs import cli
from seec.jobs.scheduled import install
from seec.jobs.scheduled.manifests import MARK
from tests.pictures import textured

LOCAL = """
[jobs.photos]
source = "photos"
archive = "photos.archive"
profile = "fast"
schedule = "15 2 * * *"
verify = {}
"""
REMOTE = """
state = "s3://vault/state"
timezone = "Europe/Berlin"
[jobs.photos]
source = "s3://photos"
archive = "s3://vault/archive"
schedule = "15 2 * * *"
cpus = 24
[jobs.photos.verify]
schedule = "0 5 * * *"
[jobs.photos.compact]
schedule = "15 2 * * *"
[jobs.a-name-that-is-as-long-as-names-may-be-x]
archive = "s3://vault/other"
[jobs.a-name-that-is-as-long-as-names-may-be-x.verify]
schedule = "0 6 * * *"
"""
IMAGE = ("--image", "registry.example.com/seec:0.1.0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for number in range(3):
        Image.fromarray(textured(24, 32, number)).save(tmp_path / "photos" / f"{number}.png")
    (tmp_path / "jobs.toml").write_text(LOCAL)
    return tmp_path


def installed(file: Path, *options: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli.main, ["jobs", "install", str(file), *options])
    assert result.exit_code == code, result.output
    return result


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("odd", ["jobs.toml", 'a 100% "odd" $NAME.toml'])
def test_systemd_accepts_the_units(folder: Path, odd: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    file = (folder / "jobs.toml").rename(folder / odd)
    said = installed(file, "--systemd", "--write", "--every", "10").stdout
    assert "next: systemctl --user enable --now seec-" in said
    units = sorted(str(path) for path in (folder / "config" / "systemd" / "user").iterdir())
    assert [Path(unit).suffix for unit in units] == [".service", ".timer"]
    done = subprocess.run(
        ["systemd-analyze", "verify", *units],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"SYSTEMD_LOG_LEVEL": "warning"},
    )
    ours = [line for line in done.stderr.splitlines() if "seec-" in line]
    assert (done.returncode, ours) == (0, []), done.stderr
    calendar = ["systemd-analyze", "calendar", "*:0/10"]
    assert subprocess.run(calendar, capture_output=True, check=False).returncode == 0


def test_a_file_that_is_not_ours_is_not_replaced(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    file = folder / "jobs.toml"
    installed(file, "--systemd", "--write")
    installed(file, "--systemd", "--write")
    unit = folder / "config" / "systemd" / "user" / "seec-jobs.timer"
    assert unit.read_text().startswith(MARK)
    unit.write_text("[Timer]\n")
    assert "move it away" in installed(file, "--systemd", "--write", code=1).stderr


def test_a_crontab_keeps_what_others_wrote(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tab = folder / "tab"
    tab.write_text("1 2 * * * true\n")
    program = folder / "crontab"
    program.write_text(f'#!/bin/sh\nif [ "$1" = -l ]; then cat {tab}; else cat > {tab}; fi\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for every in ("5", "1"):
        installed(folder / "jobs.toml", "--cron", "--write", "--every", every)
    first, begin, line, end = tab.read_text().splitlines()
    assert (first, begin, end) == ("1 2 * * * true", "# begin seec-jobs", "# end seec-jobs")
    assert line.startswith("* * * * * /")
    assert line.endswith(f"jobs run {folder}/jobs.toml 2>&1 | logger -t seec-jobs")


def _can_have_a_cron_of_its_own() -> bool:
    if shutil.which("cron") is None or shutil.which("unshare") is None:
        return False
    probe = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/etc/cron.d"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
def test_a_real_cron_runs_the_jobs(folder: Path) -> None:
    if not _can_have_a_cron_of_its_own():
        pytest.skip("needs cron, and the right to mount")
    text = installed(folder / "jobs.toml", "--cron", "--every", "1").stdout
    (folder / "line").write_text(f"PYTHONPATH={os.environ.get('PYTHONPATH', '')}\n{text}")
    # A daemon in a name space of its own: with this line alone, and a place for its lock.
    script = (
        "mount -t tmpfs tmpfs /etc/cron.d && mount -t tmpfs tmpfs /run && "
        "mount -t tmpfs tmpfs /var/spool/cron && "
        f"install -m 644 {folder}/line /etc/cron.d/seec && exec cron -f"
    )
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script]
    state = folder / "jobs.toml.state" / "photos" / "state.json"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as daemon:
        try:
            end = time.monotonic() + 150
            while time.monotonic() < end and daemon.poll() is None:
                if state.exists() and '"failing_since": null' in state.read_text():
                    result = CliRunner().invoke(
                        cli.main, ["jobs", "list", str(folder / "jobs.toml")]
                    )
                    if "exit code 0" in result.stdout:
                        break
                time.sleep(1)
            assert daemon.poll() is None, daemon.stdout and daemon.stdout.read()
            assert state.exists()
        finally:
            daemon.kill()
    assert (folder / "photos.archive" / "commits").exists()


def test_kubernetes_accepts_the_objects(folder: Path) -> None:
    file = folder / "jobs.toml"
    file.write_text(REMOTE)
    documents = list(yaml.safe_load_all(installed(file, "--kubernetes", *IMAGE).stdout))
    assert [one["kind"] for one in documents] == ["ConfigMap", "CronJob", "CronJob", "CronJob"]
    for one in documents:
        kubernetes_validate.validate(one, kubernetes_validate.latest_version(), strict=True)
    config, nightly, verify, other = documents
    assert config["data"]["jobs.toml"] == REMOTE
    assert nightly["metadata"]["name"] == "seec-jobs-photos"
    assert nightly["spec"]["timeZone"] == "Europe/Berlin"
    assert verify["metadata"]["name"] == "seec-jobs-photos-verify"
    assert len({one["metadata"]["name"] for one in documents}) == 4
    assert all(len(one["metadata"]["name"]) <= 52 for one in documents)
    (container,) = other["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["args"][:2] == ["jobs", "run"]
    installed(file, "--kubernetes", *IMAGE, "--write")
    written = file.with_suffix(".kubernetes.yaml").read_text()
    assert list(yaml.safe_load_all(written)) == documents


def test_containers_have_no_folders_of_this_machine(folder: Path) -> None:
    file = folder / "jobs.toml"
    assert "source of job photos" in installed(file, "--kubernetes", *IMAGE, code=2).stderr
    file.write_text(REMOTE.replace('state = "s3://vault/state"', ""))
    assert "state" in installed(file, "--ray", *IMAGE, code=2).stderr
    assert "--image" in installed(file, "--kubernetes", code=2).stderr
    assert "--systemd, --cron" in installed(file, code=2).stderr


def _ray_objects(file: Path) -> list[dict]:
    text = installed(file, "--ray", *IMAGE).stdout
    return [one for one in yaml.safe_load_all(text) if one["kind"] == "RayCronJob"]


def test_pods_of_ray_are_pods(folder: Path) -> None:
    file = folder / "jobs.toml"
    file.write_text(REMOTE)
    found = _ray_objects(file)
    assert [one["spec"]["schedule"] for one in found] == ["15 2 * * *", "0 5 * * *", "0 6 * * *"]
    cluster = found[0]["spec"]["jobTemplate"]["rayClusterSpec"]
    (workers,) = cluster["workerGroupSpecs"]
    assert workers["replicas"] == 3
    for template in (cluster["headGroupSpec"]["template"], workers["template"]):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, **template}
        kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def _ray_with_dashboard(folder: Path) -> Iterator[str]:
    """A Ray of its own while the block runs; the address to which jobs are submitted."""
    port, dashboard = _free_port(), _free_port()
    ray = str(Path(sys.executable).with_name("ray"))
    command = [
        *(ray, "start", "--head", "--block", "--num-cpus=2", "--disable-usage-stats"),
        *("--node-ip-address=127.0.0.1", f"--port={port}", f"--dashboard-port={dashboard}"),
        *("--object-store-memory=100000000", f"--temp-dir={folder}"),
        # The usual ports may be those of another Ray on this machine.
        f"--dashboard-agent-listen-port={_free_port()}",
    ]
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            end = time.monotonic() + 120
            while time.monotonic() < end and process.poll() is None:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", dashboard)) == 0:
                        break
                time.sleep(0.5)
            yield f"http://127.0.0.1:{dashboard}"
        finally:
            process.terminate()
            process.wait(60)


def _once_there_is_an_agent(words: list[str]) -> subprocess.CompletedProcess[str]:
    """The agent that starts drivers comes up after the dashboard."""
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    end = time.monotonic() + 90
    while True:
        done = subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=240, env=environment
        )
        if "No available agent" not in done.stderr or time.monotonic() > end:
            return done
        time.sleep(1)


@pytest.mark.slow
def test_a_real_ray_runs_the_entry_point(folder: Path) -> None:
    pytest.importorskip("aiohttp_cors", reason="needs ray[default]")
    (folder / "remote.toml").write_text(REMOTE)
    entrypoint = _ray_objects(folder / "remote.toml")[0]["spec"]["jobTemplate"]["entrypoint"]
    assert entrypoint.endswith("jobs run /etc/seec/remote.toml photos --due")
    entrypoint = entrypoint.replace("/etc/seec/remote.toml", str(folder / "jobs.toml"))
    entrypoint = entrypoint.replace("python ", f"{sys.executable} ", 1)
    short = Path("/tmp") / f"seec-ray-{os.getpid()}"  # sockets have short names
    try:
        with _ray_with_dashboard(short) as address:
            submit = [str(Path(sys.executable).with_name("ray")), "job", "submit"]
            words = [*submit, "--address", address, "--", *shlex.split(entrypoint)]
            done = _once_there_is_an_agent(words)
    finally:
        shutil.rmtree(short, ignore_errors=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "archive ended well" in done.stdout
    result = CliRunner().invoke(cli.main, ["jobs", "list", str(folder / "jobs.toml")])
    assert "exit code 0" in result.stdout
    assert "3 files" in result.stdout


def test_the_program_is_named_by_its_whole_path(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Path(install._program()[0]).is_absolute()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert install._program() == ("/nowhere/python", "-m", "seec.jobs.cli")
