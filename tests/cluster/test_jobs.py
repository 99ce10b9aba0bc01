"""Jobs of a file, with real commands in processes of their own."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from tests.pictures import textured

JOBS = """
[jobs.photos]
source = "photos"
archive = "photos.archive"
profile = "fast"
schedule = "15 2 * * *"
verify = {}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for number in range(4):
        Image.fromarray(textured(24, 32, number)).save(tmp_path / "photos" / f"{number}.png")
    (tmp_path / "jobs.toml").write_text(JOBS)
    return tmp_path


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    return subprocess.Popen(
        [sys.executable, "-m", "seec.jobs.cli", "jobs", *words],
        cwd="/",
        env=environment | {"SEEC_LOG_FORMAT": "json"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder: Path, *words: str) -> tuple[int, Any, list[dict[str, Any]]]:
    """Exit code, result, and what was logged."""
    with start(folder, words[0], str(folder / "jobs.toml"), *words[1:], "--json") as process:
        out, err = process.communicate(timeout=120)
    return process.returncode, json.loads(out or "null"), [json.loads(x) for x in err.splitlines()]


def seec(*words: str) -> tuple[int, Any]:
    """Exit code and result of a command by hand."""
    done = subprocess.run(
        [sys.executable, "-m", "seec.jobs.cli", *words, "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, json.loads(done.stdout or "null")


def test_jobs_run_and_say_how_they_stand(folder: Path) -> None:
    (folder / "photos" / "folder.png").symlink_to("nowhere")
    code, result, log = run(folder, "run")
    assert code == 0, log
    parts = result["jobs"]["photos"]["parts"]
    assert parts["archive"]["figures"]["files_added"] == 5
    assert parts["verify"]["figures"]["images_decoded"] == 5
    assert len({entry["run_id"] for entry in log}) == 1
    passed_on = [entry for entry in log if entry.get("part") == "archive"]
    assert any("symbolic links" in entry["message"] for entry in passed_on)
    code, result, _ = run(folder, "run")
    assert (code, result["jobs"]) == (0, {})
    code, result, _ = run(folder, "list")
    known = result["jobs"]["photos"]
    assert known["state"]["archive"]["files"] == 5
    assert known["state"]["parts"]["archive"]["figures"]["digest"]
    assert known["findings"] == 0


def test_damage_is_found_and_told(folder: Path) -> None:
    assert run(folder, "run")[0] == 0
    (blob,) = (folder / "photos.archive" / "blobs").rglob("*.blob")
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.chmod(0o600)
    blob.write_bytes(data)
    code, result, _ = run(folder, "run", "photos")
    assert code == 4
    assert result["jobs"]["photos"]["parts"]["verify"]["figures"]["findings"] == 1
    known = run(folder, "list")[1]["jobs"]["photos"]
    (finding,) = known["state"]["parts"]["verify"]["findings"]
    assert finding["kind"] == "blob-damaged"
    assert "seec repair" in finding["next_command"]


def test_a_copy_follows_and_tells_what_it_could_not_copy(folder: Path) -> None:
    """A part of the archive that is damaged stays out of the copy, and nothing is deleted."""
    text = JOBS.replace("verify = {}", 'copy = {target = "second", bandwidth = "50MB/s"}\ngc = {}')
    (folder / "jobs.toml").write_text(text)
    archive = folder / "photos.archive"
    assert seec("archive", str(folder / "photos"), str(archive), "--profile", "fast")[0] == 0
    (blob,) = (archive / "blobs").rglob("*.blob")
    sound = blob.read_bytes()
    blob.chmod(0o600)
    blob.write_bytes(sound[:-1])
    code, result, log = run(folder, "run", "photos")
    assert code == 4, log
    ran = result["jobs"]["photos"]
    assert (list(ran["parts"]), list(ran["held"])) == (["archive", "copy"], ["gc"])
    assert ran["parts"]["copy"]["figures"]["findings"] == 1
    known = run(folder, "list")[1]["jobs"]["photos"]["state"]["parts"]["copy"]
    (finding,) = known["findings"]
    assert (finding["kind"], finding["object"]) == ("not-copied", f"{blob.relative_to(archive)}")
    assert finding["next_command"] == f"seec repair {archive}"
    blob.write_bytes(sound)
    code, result, log = run(folder, "run", "photos")
    assert code == 0, log
    assert list(result["jobs"]["photos"]["parts"]) == ["archive", "copy", "gc"]
    digests = {seec("info", str(folder / name))[1]["digest"] for name in (archive.name, "second")}
    assert len(digests) == 1


def test_a_command_that_fails_is_told_with_what_it_said(folder: Path) -> None:
    shutil.rmtree(folder / "photos")
    code, result, _ = run(folder, "run")
    assert code == 1
    assert "not a directory" in result["jobs"]["photos"]["parts"]["archive"]["error"]


def test_time_that_is_over_ends_the_command(folder: Path) -> None:
    (folder / "jobs.toml").write_text(JOBS.replace("verify = {}", 'time-limit = "0.2s"'))
    code, result, _ = run(folder, "run")
    assert code == 143
    assert "time limit" in result["jobs"]["photos"]["parts"]["archive"]["error"]
    assert run(folder, "run")[1]["jobs"] == {}  # it is due at its next time


def test_a_signal_ends_all_and_what_was_at_work_stays_due(folder: Path) -> None:
    with start(folder, "run", str(folder / "jobs.toml")) as process:
        assert process.stderr is not None
        first = json.loads(process.stderr.readline())
        assert first["event"] == "job-start"
        ours = psutil.Process(process.pid)
        while not (children := ours.children(recursive=True)):
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(90) == 143
    assert psutil.wait_procs(children, timeout=30)[1] == []
    code, result, _ = run(folder, "run")
    assert (code, list(result["jobs"])) == (0, ["photos"])


def test_a_file_with_mistakes_is_wrong_use(folder: Path) -> None:
    (folder / "jobs.toml").write_text(JOBS + "\nverifi = {}")
    with start(folder, "check", str(folder / "jobs.toml")) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert out.splitlines()[0].startswith(f"{folder}/jobs.toml, line 9: no setting 'verifi'")
    with start(folder, "run", str(folder / "jobs.toml")) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "line 9" in err
