import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from seec.jobs import archive, cli
from seec.pipeline.codec import decode
from seec.pipeline.codec.kernels import native_available
from tests.pictures import textured


def test_help_lists_every_command_with_one_line() -> None:
    lines = CliRunner().invoke(cli.main, ["--help"]).stdout.splitlines()
    listed = [line.split()[0] for line in lines[lines.index("Commands:") + 1 :]]
    assert listed == [
        "estimate",
        "archive",
        "verify",
        "copy",
        "parity",
        "repair",
        "restore",
        "ls",
        "cat",
        "mount",
        "query",
        "export",
        "digest",
        "sign",
        "prove",
        "verify-proof",
        "gc",
        "compact",
        "report",
        "jobs",
        "info",
        "encode",
        "decode",
        "segment",
        "explain",
        "bench",
        "evaluate",
        "train",
    ]


def test_help_imports_no_job_and_is_quick() -> None:
    code = (
        "import sys, seec.jobs.cli; "
        "seec.jobs.cli.main(['--help'], standalone_mode=False); "
        "sys.exit(bool({'numpy', 'torch', 'ray', 'rich'} & set(sys.modules)))"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert time.perf_counter() - start < 3  # 0.1 s on an idle machine


@pytest.mark.skipif(not native_available(), reason="without the C kernels, torch encodes")
@pytest.mark.parametrize("source", ["rate", "none", "masks"])
def test_encoding_without_a_segmentation_network_loads_no_torch(
    tmp_path: Path, source: str
) -> None:
    image = textured(20, 30)
    Image.fromarray(image).save(tmp_path / "image.png")
    if source == "masks":
        source = f"masks:{tmp_path / 'masks'}"
        (tmp_path / "masks").mkdir()
        Image.fromarray(image[..., 0] & 3).save(tmp_path / "masks" / "image.png")
    code = (
        "import sys, seec.jobs.archive; from seec.jobs.encode import Settings, run; "
        "run(Settings(*sys.argv[1:3], segmentation=sys.argv[3])); "
        "sys.exit('torch' in sys.modules)"
    )
    target = tmp_path / "image.seec"
    command = [sys.executable, "-c", code, str(tmp_path / "image.png"), str(target), source]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (decode(target.read_bytes()) == image).all()


@pytest.mark.parametrize("name", cli.main.list_commands(click.Context(cli.main)))
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(cli.main, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert f"  seec {name} " in result.stdout
    assert "Exit codes:" in result.stdout


@pytest.mark.parametrize(
    ("mistyped", "said"),
    [
        (["verfy", "photos.archive"], "no command 'verfy': did you mean seec verify?"),
        (["jobs", "runn"], "no command 'runn': did you mean seec jobs run?"),
        (["compress"], "no command 'compress': seec --help lists the commands"),
    ],
)
def test_an_unknown_command_is_wrong_use(mistyped: list[str], said: str) -> None:
    result = CliRunner().invoke(cli.main, mistyped, prog_name="seec")
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_keep_nothing_from_its_work(tmp_path: Path, closed: str) -> None:
    (tmp_path / "photos").mkdir()
    Image.fromarray(textured(20, 30)).save(tmp_path / "photos/one.png")
    for job in ("archive photos kept", "verify kept", "restore kept back"):
        line = f"exec {sys.executable} -m seec.jobs.cli {job} {closed}"
        assert subprocess.run(["sh", "-c", line], cwd=tmp_path, check=False).returncode == 0, job
    with Image.open(tmp_path / "back/one.png") as back:
        assert (np.asarray(back) == textured(20, 30)).all()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_process_that_inherits_a_closed_stream_has_it_open(tmp_path: Path, closed: str) -> None:
    code = "import os, sys; [os.fstat(number) for number in range(3)]; sys.exit(7)"
    start = (
        "import subprocess, sys; from seec.jobs.streams import open_closed_streams as opened; "
        f"opened(); sys.exit(subprocess.run([sys.executable, '-c', {code!r}]).returncode)"
    )
    script = tmp_path / "start.py"
    script.write_text(start)
    line = f"exec {sys.executable} {script} {closed}"
    assert subprocess.run(["sh", "-c", line], check=False).returncode == 7


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is full")
@pytest.mark.parametrize("arguments", ["info a.jpg", "cat a.archive a.jpg", "ls a.archive"])
def test_a_full_stdout_is_named(tmp_path: Path, arguments: str) -> None:
    (tmp_path / "source").mkdir()
    for folder in (tmp_path, tmp_path / "source"):
        Image.fromarray(textured(20, 30)).save(folder / "a.jpg")
    archive.run(archive.Settings(str(tmp_path / "source"), str(tmp_path / "a.archive")))
    line = f"cd {tmp_path}; exec {sys.executable} -m seec.jobs.cli {arguments} > /dev/full"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "seec: error: stdout: No space left on device\n"
