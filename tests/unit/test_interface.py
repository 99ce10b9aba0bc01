import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from seec.jobs import messages
from seec.jobs.exit_codes import ExitCode, exit_code_of
from seec.jobs.interface import command
from seec.jobs.progress import progress
from seec.schemas import errors


@dataclass(frozen=True)
class Echo:
    values: dict[str, Any]
    exit_code: int = ExitCode.OK

    def as_dict(self) -> dict[str, Any]:
        return self.values

    def lines(self) -> Iterator[str]:
        return (f"{key}={value}" for key, value in self.values.items())


@command("echo", examples=["seec echo one", "seec echo two --shard-size 7"])
@click.argument("word")
@click.option("--shard-size", type=int, default=1, help="A number.")
@click.option("--include", multiple=True)
@click.option("--fail", type=click.Choice(["quarantine"]))
def echo(word: str, shard_size: int, include: tuple[str, ...], fail: str | None) -> Echo:
    """Say a word."""
    with progress("echo", 2, "words") as shown:
        shown.advance()
        shown.update(2, total=2)
    values = {"word": word, "shard_size": shard_size, "include": list(include)}
    return Echo(values, ExitCode.INCOMPLETE if fail else ExitCode.OK)


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(echo, arguments, env=environment)


def raising(error: BaseException) -> click.Command:
    @command("raise", examples=[])
    def main() -> Echo:
        raise error

    return main


def test_summary_goes_to_stdout_as_lines_or_as_one_json_value() -> None:
    assert run("hi").stdout == "word=hi\nshard_size=1\ninclude=[]\n"
    result = run("hi", "--json")
    assert json.loads(result.stdout) == {"word": "hi", "shard_size": 1, "include": []}
    assert result.stderr == ""


def test_the_summary_decides_the_exit_code() -> None:
    assert run("hi").exit_code == 0
    assert run("hi", "--fail", "quarantine").exit_code == 3
    assert run().exit_code == 2
    assert run("hi", "--unknown").exit_code == 2


def test_help_shows_examples_and_every_exit_code() -> None:
    text = run("--help").stdout
    assert "  seec echo two --shard-size 7\n" in text
    for code in ExitCode:
        assert any(line.split()[:1] == [str(int(code))] for line in text.splitlines())


def test_command_line_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    config = tmp_path / "seec.toml"
    config.write_text('shard-size = 2\ninclude = ["a", "b"]\n')

    def shard_size(*arguments: str, **environment: str) -> int:
        return json.loads(run("hi", "--json", *arguments, **environment).stdout)["shard_size"]

    assert shard_size() == 1
    assert shard_size("--config", str(config)) == 2
    assert shard_size(SEEC_ECHO_CONFIG=str(config)) == 2
    assert shard_size("--config", str(config), SEEC_ECHO_SHARD_SIZE="3") == 3
    assert shard_size("--config", str(config), "--shard-size", "4", SEEC_ECHO_SHARD_SIZE="3") == 4
    assert "include=['a', 'b']" in run("hi", "--config", str(config)).stdout


@pytest.mark.parametrize("text", ["shard_size = 2", "word = 'x'", "config = 'x'", "a = ", "\xff"])
def test_a_config_file_with_mistakes_is_wrong_use(tmp_path: Path, text: str) -> None:
    config = tmp_path / "seec.toml"
    config.write_bytes(text.encode("latin-1"))
    result = run("hi", "--config", str(config))
    assert result.exit_code == 2
    assert str(config) in result.stderr


ODD = "\x1b[2Jeverything as recorded\r\n\u202eend \N{LATIN SMALL LETTER E WITH ACUTE}"


def test_a_name_stays_on_its_line_and_does_nothing_to_a_terminal() -> None:
    shown = r"\x1b[2Jeverything as recorded\r\n\u202eend é"
    assert run(ODD).stdout.splitlines()[0] == f"word={shown}"
    failed = CliRunner().invoke(raising(errors.SeecError(f"{ODD}: gone")), [])
    assert "\x1b" not in failed.stderr
    assert len(failed.stderr.splitlines()) == 1
    assert json.loads(run(ODD, "--json").stdout)["word"] == ODD


def test_a_name_is_shown_whatever_the_encoding_of_stdout_lacks() -> None:
    shown = CliRunner(charset="ascii").invoke(echo, [ODD])
    assert (shown.exit_code, shown.exception) == (0, None)
    assert r"end \xe9" in shown.stdout


def test_environment_can_ask_for_json() -> None:
    assert json.loads(run("hi", SEEC_ECHO_JSON="1").stdout)["word"] == "hi"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NotAnArchive("x: no archive"), 10),
        (errors.ArchiveLocked("x"), 11),
        (errors.Truncated("x"), 4),
        (errors.SectionCorrupt("x"), 4),
        (errors.DigestMismatch("x"), 4),
        (errors.BlobMissing("x"), 4),
        (errors.TargetError("x"), 5),
        (errors.UnsupportedVersion("x"), 1),
        (errors.LimitExceeded("x"), 1),
        (errors.UnknownModel("x"), 1),
        (errors.UnreadableImage("x"), 1),
        (errors.TransientStorageError("x"), 1),
        (PermissionError(13, "Permission denied", "x"), 1),
        (ZeroDivisionError("x"), 1),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_an_error_is_one_line_and_an_exit_code(error: BaseException, code: int) -> None:
    result = CliRunner().invoke(raising(error), ["--json"])
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.startswith("seec: error: ")
    assert result.stderr.count("\n") == 1


def test_every_error_of_the_tree_has_an_exit_code() -> None:
    def tree(kind: type[errors.SeecError]) -> Iterator[type[errors.SeecError]]:
        yield kind
        for child in kind.__subclasses__():
            yield from tree(child)

    assert all(exit_code_of(kind("x")) != ExitCode.OK for kind in tree(errors.SeecError))


def test_debug_shows_where_an_error_came_from() -> None:
    main = raising(ZeroDivisionError("x"))
    assert "Traceback" not in CliRunner().invoke(main, []).stderr
    assert "Traceback" in CliRunner().invoke(main, ["--debug"]).stderr
    assert "Traceback" in CliRunner().invoke(main, [], env={"SEEC_DEBUG": "1"}).stderr


def test_wrong_use_found_by_a_job_is_wrong_use() -> None:
    result = CliRunner().invoke(raising(click.UsageError("x exists")), [])
    assert result.exit_code == 2
    assert "x exists" in result.stderr


LONG_LISTING = """
import click
from seec.jobs.interface import command

class Listing:
    exit_code = 3
    def as_dict(self): return {}
    def lines(self): return (f"line {i}" for i in range(200_000))

@command("list", examples=[])
def main():
    "List."
    return Listing()

main()
"""


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LONG_LISTING], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"line 0" + os.linesep.encode()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 3


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def advance(seconds: float) -> None:
        now[0] += seconds

    return advance


def test_short_work_shows_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("encode", 3, "images") as shown:
        shown.advance(3)
    assert capsys.readouterr().err == ""


def test_progress_in_a_log_is_a_line_now_and_then_and_ever_more_rarely(
    capsys: pytest.CaptureFixture[str], wait: Callable[[float], None]
) -> None:
    with progress("encode", 100, "images") as shown:
        for _ in range(100):
            wait(1)
            shown.advance()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "encode: 15 of 100 images, 15 s, 1 images/s"
    assert lines[-1] == "encode: 100 of 100 images, 100 s, 1 images/s"
    assert [line.split()[1] for line in lines] == ["15", "45", "100"]


def test_progress_on_a_terminal_is_a_bar(
    wait: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress("encode", None, "images") as shown:
        wait(2)
        shown.update(1, total=4)
        shown.advance(3)
    assert "4/4" in terminal.getvalue()


def test_progress_is_silent_under_json(wait: Callable[[float], None]) -> None:
    @command("slow", examples=[])
    def slow() -> Echo:
        with progress("slow", 2, "steps") as shown:
            wait(60)
            shown.advance(1)
        return Echo({})

    assert "slow: 1 of 2 steps" in CliRunner().invoke(slow, []).stderr
    assert CliRunner().invoke(slow, ["--json"]).stderr == ""


def test_a_log_of_json_has_an_event_a_line_with_the_id_of_the_run(
    wait: Callable[[float], None],
) -> None:
    @command("slow job", examples=[])
    def slow() -> Echo:
        messages.warn(ODD)
        with progress("slow", 2, "steps") as shown:
            wait(60)
            shown.advance(1)
        raise errors.TransientStorageError("read x: timed out")

    environment = {"SEEC_RUN_ID": "0123456789abcdef", "SEEC_LOG_FORMAT": "json"}
    result = CliRunner().invoke(slow, [], env=environment)
    events = [json.loads(line) for line in result.stderr.splitlines()]
    assert {(event["run_id"], event["command"]) for event in events} == {
        ("0123456789abcdef", "slow job")
    }
    told = [(event["level"], event["event"]) for event in events]
    assert told == [("warning", "message"), ("info", "progress"), ("error", "error")]
    assert events[0]["message"] == f"seec: warning: {ODD}"
    assert (events[1]["done"], events[1]["total"], events[1]["unit"]) == (1, 2, "steps")
    assert events[2]["error"][:2] == ["TransientStorageError", "StoreUnavailable"]
    assert events[2]["exit_code"] == 1
    assert "\x1b" not in CliRunner().invoke(slow, []).stderr


def test_each_run_has_an_id_of_its_own() -> None:
    main = raising(errors.SeecError("x"))
    runs = [CliRunner().invoke(main, ["--log-format", "json"]).stderr for _ in range(2)]
    assert len({json.loads(run)["run_id"] for run in runs}) == 2
