"""The parts of a job: which command each one is, and how the command is run and watched."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import IO, Any

from seec.jobs import logs
from seec.jobs.exit_codes import ExitCode
from seec.schemas.job_state import MAX_FINDINGS
from seec.schemas.jobs_file import ARCHIVE, COMPACT, COPY, GC, VERIFY, Job, JobsFile

# After SIGTERM, before SIGKILL: time to commit what is done, and to end Ray.
GRACE_S = 60.0
# A result that is printed; larger ones are long lists, which nobody keeps.
MAX_RESULT_BYTES = 64 << 20
_LAST_LINES = 20
_TRANSIENT = {"TransientStorageError", "ArchiveLocked", "BlobReplaced"}


@dataclass(frozen=True)
class Outcome:
    """How a command ended.

    error: the last thing it said if it did not end well. transient: whether that may pass. result:
    its JSON value. timed_out: whether it was interrupted because its time was over.
    """

    exit_code: int
    error: str = ""
    transient: bool = False
    result: dict[str, Any] = field(default_factory=dict[str, Any])
    timed_out: bool = False

    @property
    def well(self) -> bool:
        """Whether the command did its work; files in quarantine do not keep it from that."""
        return self.exit_code in (ExitCode.OK, ExitCode.INCOMPLETE)

    @property
    def figures(self) -> dict[str, Any]:
        """The result without its lists, except for the numbers of a level below."""
        kept = {k: v for k, v in self.result.items() if not isinstance(v, list | dict)}
        if isinstance(absent := self.result.get("absent"), dict):
            kept["absent"] = absent
        if isinstance(findings := self.result.get("findings"), list):
            kept["findings"] = len(findings)
        return kept

    @property
    def findings(self) -> tuple[dict[str, Any], ...]:
        """The first findings of a command, each with how many paths it is about."""
        found = self.result.get("findings")
        first = found[:MAX_FINDINGS] if isinstance(found, list) else []
        return tuple({**one, "paths": len(one.get("paths", ()))} for one in first)


def command_of(part: str, job: Job, file: JobsFile, now: datetime) -> list[str]:
    """The words of a part's command, after `seec`. now: for what is to be kept for some time."""
    makers = {ARCHIVE: _archive, VERIFY: _verify, COMPACT: _compact, COPY: _copy, GC: _gc}
    words = [part, *makers[part](job, now)]
    own_rate = job.copy.bandwidth if part == COPY and job.copy is not None else None
    for option, value in (
        ("--stores", file.stores),
        ("--bandwidth", own_rate or job.bandwidth),
        ("--store-concurrency", job.store_concurrency),
    ):
        words += [] if value is None else [option, str(value)]
    return [*words, "--json"]


def _archive(job: Job, _: datetime) -> list[str]:
    assert job.source is not None
    words = [job.source, job.archive]
    for option, value in (
        ("--profile", job.profile),
        ("--model", job.model),
        ("--keep", job.keep),
        ("--segmentation", job.segmentation),
        ("--jpeg", job.jpeg),
        ("--dedupe", job.dedupe),
        ("--as", job.name),
    ):
        words += [] if value is None else [option, value]
    for option, given in (
        ("--prune-missing", job.prune_missing),
        ("--follow-links", job.follow_links),
        ("--check-content", job.check_content),
    ):
        words += [option] if given else []
    return [*words, *_work(job)]


def _verify(job: Job, _: datetime) -> list[str]:
    assert job.verify is not None
    words = [job.archive, "--mode", job.verify.mode]
    if job.verify.max_duration is not None:
        words += ["--max-duration", f"{job.verify.max_duration:g}s"]
    return [*words, *_work(job)]


def _compact(job: Job, _: datetime) -> list[str]:
    return [job.archive]


def _copy(job: Job, _: datetime) -> list[str]:
    assert job.copy is not None
    return [job.archive, job.copy.target]


def _gc(job: Job, now: datetime) -> list[str]:
    assert job.gc is not None
    words = [job.archive, "--delete", "--older-than", f"{job.gc.older_than:g}s"]
    if job.gc.keep_commits is not None:
        words += ["--keep-commits", str(job.gc.keep_commits)]
    if job.gc.keep_for is not None:
        before = now - timedelta(seconds=job.gc.keep_for)
        words += ["--before", before.isoformat(timespec="seconds")]
    return [*words, "--reports"] if job.gc.reports else words


def _work(job: Job) -> list[str]:
    words = [] if job.ray_address is None else ["--ray-address", job.ray_address]
    return words if job.cpus is None else [*words, "--cpus", str(job.cpus)]


def execute(words: Sequence[str], end: float | None = None) -> Outcome:
    """Run `seec` with these words in a process of its own, and pass on what it logs.

    end: by time.monotonic, when it is interrupted. An interruption of this process, too, ends the
    command with SIGTERM, so that it keeps what is done, and is then raised.
    """
    log = logs.current()
    environment = os.environ | {logs.RUN_ID: log.run_id, "SEEC_LOG_FORMAT": logs.JSON}
    said = _Said(log, words[0])
    with tempfile.TemporaryFile() as result:

        def start() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [sys.executable, "-m", "seec.jobs.cli", *words],
                stdin=subprocess.DEVNULL,
                stdout=result,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=True,  # a Ctrl-C is for this process, which passes it on
            )

        with _running(start) as process:
            reader = threading.Thread(target=said.read, args=(process.stderr,), daemon=True)
            reader.start()
            timed_out = _wait(process, end)
        reader.join(GRACE_S)
        return _outcome(process.returncode, said, result, timed_out)


def _wait(process: subprocess.Popen[bytes], end: float | None) -> bool:
    """Whether the command had to be interrupted because its time was over."""
    try:
        process.wait(None if end is None else max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        return True
    return False


@contextmanager
def _running(start: Callable[[], subprocess.Popen[bytes]]) -> Iterator[subprocess.Popen[bytes]]:
    """A command while the block runs; then it has ended: by itself, by SIGTERM, or by SIGKILL."""
    # Signals interrupt the main thread alone: in another one, none comes between fork and here.
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(start)
        try:
            yield starting.result()
        finally:
            process = starting.result()
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(GRACE_S)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


class _Said:
    """What a command says on stderr: passed on while it is said; the end of it is kept."""

    def __init__(self, log: logs.Log, part: str) -> None:
        self._log, self._part = log, part
        self.last: deque[str] = deque(maxlen=_LAST_LINES)
        self.error: dict[str, Any] = {}

    def read(self, stream: IO[bytes]) -> None:
        """Until the command closes its stderr."""
        with stream:
            for line in stream:
                self._pass_on(line.decode("utf-8", "replace").rstrip())

    def _pass_on(self, line: str) -> None:
        try:
            entry: Any = json.loads(line)
        except (ValueError, RecursionError):
            entry = None
        if not isinstance(entry, dict) or "message" not in entry:
            # Not ours: a usage error of click, a library, the interpreter.
            entry = {"level": logs.WARNING, "event": "output", "message": line}
        known = ("time", "run_id", "command", "level", "event", "message")
        fields = {key: value for key, value in entry.items() if key not in known}
        if entry["message"]:
            self.last.append(entry["message"])
            event = (entry["level"], entry["event"], entry["message"])
            self._log.event(*event, part=self._part, **fields)
        if entry["event"] == "error":
            self.error = entry


def _outcome(code: int, said: _Said, result: IO[bytes], timed_out: bool) -> Outcome:
    # Killed by a signal: as shells say it.
    code = 128 - code if code < 0 else code
    result.seek(0)
    data = result.read(MAX_RESULT_BYTES + 1)
    try:
        value: Any = json.loads(data) if len(data) <= MAX_RESULT_BYTES else {}
    except ValueError:
        value = {}
    found: dict[str, Any] = value if isinstance(value, dict) else {}
    error = str(said.error.get("message") or "; ".join(said.last)) if code else ""
    if timed_out:
        error = "interrupted: the time limit of the job is over; its next run goes on from here"
    return Outcome(
        exit_code=code,
        error=error.removeprefix("seec: error: "),
        transient=bool(_TRANSIENT & set(said.error.get("error", ()))),
        result=found,
        timed_out=timed_out,
    )
