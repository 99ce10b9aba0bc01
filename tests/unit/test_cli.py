import subprocess
import sys
import time

import click
import pytest
from click.testing import CliRunner

from jobs import cli


def test_help_lists_every_command_with_one_line() -> None:
    lines = CliRunner().invoke(cli.main, ["--help"]).stdout.splitlines()
    listed = [line.split()[0] for line in lines[lines.index("Commands:") + 1 :]]
    assert listed == [
        "archive",
        "verify",
        "restore",
        "ls",
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
        "import sys, jobs.cli; "
        "jobs.cli.main(['--help'], standalone_mode=False); "
        "sys.exit(bool({'numpy', 'torch', 'ray', 'rich'} & set(sys.modules)))"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert time.perf_counter() - start < 3  # 0.1 s on an idle machine


@pytest.mark.parametrize("name", cli.main.list_commands(click.Context(cli.main)))
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(cli.main, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert f"  seec {name} " in result.stdout
    assert "Exit codes:" in result.stdout


def test_an_unknown_command_is_wrong_use() -> None:
    result = CliRunner().invoke(cli.main, ["compress"])
    assert result.exit_code == 2
    assert "compress" in result.stderr
