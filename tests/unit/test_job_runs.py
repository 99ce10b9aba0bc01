"""Which parts of a job run when, and what comes of them; commands are in place of real ones."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from seec.jobs import clock
from seec.jobs.exit_codes import ExitCode
from seec.jobs.interruption import Interrupted
from seec.jobs.scheduled import list as list_job
from seec.jobs.scheduled import run as run_job
from seec.jobs.scheduled import running
from seec.jobs.scheduled.parts import Outcome
from seec.jobs.scheduled.running import LONGEST_PAUSE_S, gravest
from seec.jobs.scheduled.running import run_job as run_one
from seec.jobs.scheduled.states import States
from seec.jobs.scheduled.timing import last_slot, next_slot
from seec.pipeline.storage import Store
from seec.schemas.errors import ArchiveLocked, SectionCorrupt
from seec.schemas.job_state import JobState, PartState, parse, serialise
from seec.schemas.jobs_file import read_jobs_file

PHOTOS = """
[jobs.photos]
source = "photos"
archive = "photos.archive"
schedule = "15 2 * * *"
retries = 2
[jobs.photos.verify]
schedule = "0 5 * * MON"
max-duration = "90m"
[jobs.photos.gc]
keep-for = "30d"
"""
DAMAGE = Outcome(4, "damaged", result={"findings": [{"kind": "blob-damaged", "paths": ["a"]}]})
BUSY = Outcome(1, "read x: timed out", transient=True)


class Commands:
    """In place of commands: what each gives, and which ran."""

    def __init__(self) -> None:
        self.given: dict[str, list[Outcome | BaseException]] = {}
        self.ran: list[list[str]] = []
        self.findings, self.broken = 0, False

    @property
    def parts(self) -> list[str]:
        """The first words since this was asked last."""
        ran, self.ran = self.ran, []
        return [words[0] for words in ran]

    def __call__(self, words: Sequence[str], end: float | None = None) -> Outcome:
        self.ran.append(list(words))
        waiting = self.given.get(words[0])
        outcome = waiting.pop(0) if waiting else Outcome(0)
        if isinstance(outcome, BaseException):
            raise outcome
        if words[0] == "verify":
            self.findings = len(outcome.findings)
        return outcome


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    made = Commands()

    def figures(archive: str) -> dict[str, Any]:
        if made.broken:
            raise SectionCorrupt(f"{archive}: cannot be read")
        sizes = {"files": 3, "source_size_bytes": 30, "blob_size_bytes": 20}
        return {"findings": made.findings, **sizes}

    monkeypatch.setattr(running, "archive_figures", figures)
    return made


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets the clock."""

    def set_to(text: str) -> None:
        moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
        monkeypatch.setattr(clock, "now", lambda: moment)

    set_to("2026-03-02 12:00")  # a Monday
    return set_to


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.toml"
    path.write_text(PHOTOS)
    return path


@pytest.fixture
def go(file: Path, commands: Commands, at: Any) -> Callable[..., run_job.Summary]:
    def run(name: str | None = None) -> run_job.Summary:
        return run_job.run(run_job.Settings(file, name), execute=commands)

    return run


def state(file: Path) -> JobState:
    return States(Store(f"{file}.state")).get("photos")


def test_a_job_that_never_ran_is_due_and_then_once_for_each_time(
    go: Any, commands: Commands, at: Any
) -> None:
    go()
    assert commands.parts == ["archive", "verify", "gc"]
    go()
    at("2026-03-03 02:14")
    assert list(go().lines()) == ["nothing is due"]
    assert commands.parts == []
    at("2026-03-03 02:15")
    go()
    assert commands.parts == ["archive", "gc"]
    at("2026-03-03 02:20")
    go()
    assert commands.parts == []


def test_times_that_passed_while_nothing_ran_are_one(go: Any, commands: Commands, at: Any) -> None:
    go()
    commands.ran.clear()
    at("2026-03-20 17:00")
    go()
    go()
    assert commands.parts == ["archive", "verify", "gc"]


def test_a_job_that_is_named_runs_now_and_whole(go: Any, commands: Commands, at: Any) -> None:
    go()
    commands.ran.clear()
    go("photos")
    assert commands.parts == ["archive", "verify", "gc"]


def test_a_job_without_a_schedule_runs_when_it_is_named_alone(
    go: Any, commands: Commands, file: Path
) -> None:
    file.write_text('[jobs.photos]\nsource = "a"\narchive = "b"\n')
    go()
    assert commands.parts == []
    go("photos")
    assert commands.parts == ["archive"]


def test_the_commands_have_the_options_of_the_file(go: Any, commands: Commands, at: Any) -> None:
    go()
    archive, verify, gc = commands.ran
    assert archive[2].endswith("/photos.archive")
    assert archive[-1] == "--json"
    assert verify[2:] == ["--mode", "decode", "--max-duration", "5400s", "--json"]
    assert gc[2:] == [
        *("--delete", "--older-than", "86400s"),
        *("--before", "2026-01-31T12:00:00+00:00", "--json"),
    ]


def test_what_may_pass_is_tried_again_with_growing_pauses(
    file: Path, commands: Commands, at: Any
) -> None:
    pauses: list[float] = []
    jobs, _ = read_jobs_file(PHOTOS.replace("retries = 2", 'retries = 9\nretry-pause = "10m"'))
    assert jobs is not None
    commands.given["archive"] = [BUSY] * 5
    states = States(Store(f"{file}.state"))
    ran = run_one(jobs, "photos", states, now_asked=False, execute=commands, sleep=pauses.append)
    assert ran is not None
    assert ran.exit_code == 0
    assert len(pauses) == 5
    longest = [600.0, 1200.0, LONGEST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_PAUSE_S]
    assert all(most / 2 <= pause <= most for pause, most in zip(pauses, longest, strict=True))


def test_tries_end_and_then_the_rest_of_the_job_waits(
    go: Any, commands: Commands, file: Path, monkeypatch: pytest.MonkeyPatch, at: Any
) -> None:
    file.write_text(PHOTOS.replace("retries = 2", 'retries = 2\nretry-pause = "0"'))
    commands.given["archive"] = [BUSY] * 3
    summary = go()
    assert summary.exit_code == 1
    assert commands.parts == ["archive"] * 3
    assert summary.ran[0].held == dict.fromkeys(("verify", "gc"), "archive failed before it")
    assert state(file).failing_since is not None
    # What did not run is still due; what failed is due at its next time.
    go()
    assert commands.parts == ["verify", "gc"]
    at("2026-03-03 03:00")
    assert go().exit_code == 0
    assert state(file).failing_since is None


def test_what_will_not_pass_is_not_tried_again(go: Any, commands: Commands) -> None:
    commands.given["archive"] = [Outcome(1, "no such bucket")]
    go()
    assert commands.parts == ["archive"]


def test_nothing_is_moved_or_deleted_while_damage_is_known(
    go: Any, commands: Commands, at: Any, file: Path
) -> None:
    commands.given["verify"] = [DAMAGE]
    summary = go()
    assert summary.exit_code == ExitCode.DAMAGE
    assert commands.parts == ["archive", "verify"]
    assert "damage is known" in summary.ran[0].held["gc"]
    assert state(file).parts["verify"].findings == ({"kind": "blob-damaged", "paths": 1},)
    at("2026-03-03 03:00")
    go()
    assert commands.parts == ["archive"]  # verify is weekly: damage is still known
    at("2026-03-09 06:00")
    assert go().exit_code == 0
    assert commands.parts == ["archive", "verify", "gc"]


def test_what_a_part_met_holds_the_rest_even_if_the_archive_says_nothing(
    go: Any, commands: Commands
) -> None:
    commands.broken = True
    commands.given["archive"] = [Outcome(4, "a part cannot be read")]
    summary = go()
    assert commands.parts == ["archive", "verify"]
    assert set(summary.ran[0].held) == {"gc"}
    go("photos")
    assert commands.parts == ["archive", "verify", "gc"]


COPY = """
[jobs.photos.copy]
target = "s3://second/archive"
schedule = "0 6 * * *"
"""


def test_a_copy_has_its_own_rate_or_that_of_the_job(
    go: Any, commands: Commands, file: Path
) -> None:
    text = PHOTOS.replace("retries = 2", 'retries = 2\nbandwidth = "9MB/s"') + COPY
    for own, rate in (("", "9MB/s"), ('bandwidth = "2MB/s"', "2MB/s")):
        file.write_text(text + own)
        go("photos")
        copy, gc = commands.ran[-2:]
        assert copy[0] == "copy"
        assert copy[1].endswith("/photos.archive")
        assert copy[2:] == ["s3://second/archive", "--bandwidth", rate, "--json"]
        assert (gc[0], gc[-3:]) == ("gc", ["--bandwidth", "9MB/s", "--json"])


def test_nothing_is_deleted_while_the_last_copy_met_damage(
    go: Any, commands: Commands, at: Any, file: Path
) -> None:
    file.write_text(PHOTOS + COPY)
    missed = {"kind": "not-copied", "object": "blobs/x", "paths": []}
    commands.given["copy"] = [Outcome(4, "1 objects", result={"findings": [missed]})]
    summary = go()
    assert summary.exit_code == ExitCode.DAMAGE
    assert commands.parts == ["archive", "verify", "copy"]
    assert "damage is known" in summary.ran[0].held["gc"]
    assert state(file).parts["copy"].findings == ({**missed, "paths": 0},)
    at("2026-03-03 03:00")
    go()
    assert commands.parts == ["archive"]  # the copy is due at six
    at("2026-03-03 07:00")
    go()
    assert commands.parts == ["copy", "gc"]


def test_nothing_is_deleted_that_a_copy_may_still_need(
    go: Any, commands: Commands, file: Path
) -> None:
    file.write_text(PHOTOS + COPY)
    commands.given["copy"] = [Outcome(1, "no such bucket")]
    assert go().ran[0].held == {"gc": "copy failed before it"}


def test_files_in_quarantine_are_no_failure(go: Any, commands: Commands, file: Path) -> None:
    commands.given["archive"] = [Outcome(3, result={"quarantined_now": 2, "runs": ["x"]})]
    assert go().exit_code == ExitCode.INCOMPLETE
    assert commands.parts == ["archive", "verify", "gc"]
    known = state(file)
    assert known.succeeded == known.ended
    assert known.parts["archive"].figures == {"quarantined_now": 2}


def test_what_is_interrupted_stays_due(go: Any, commands: Commands, file: Path) -> None:
    commands.given["verify"] = [Interrupted(15)]
    with pytest.raises(Interrupted):
        go()
    assert commands.parts == ["archive", "verify"]
    go()
    assert commands.parts == ["verify", "gc"]


def test_two_never_run_one_job(go: Any, commands: Commands, file: Path) -> None:
    with States(Store(f"{file}.state")).held("photos"):
        summary = go()
        assert (summary.exit_code, summary.busy) == (0, ("photos",))
        listed = list_job.run(list_job.Settings(file))
        assert listed.jobs["photos"].running
        with pytest.raises(ArchiveLocked, match="job photos is at work"):
            go("photos")
    assert commands.parts == []
    go()
    assert commands.parts == ["archive", "verify", "gc"]
    assert not list_job.run(list_job.Settings(file)).jobs["photos"].running


def test_a_state_that_cannot_be_read_is_told_and_the_job_starts_anew(
    go: Any, commands: Commands, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    go()
    commands.ran.clear()
    path = Path(f"{file}.state", "photos", "state.json")
    path.write_bytes(path.read_bytes()[:-20])
    go()
    assert commands.parts == ["archive", "verify", "gc"]
    assert "never ran" in capsys.readouterr().err


def test_a_listing_says_how_each_job_stands(go: Any, commands: Commands, file: Path) -> None:
    before = "\n".join(list_job.run(list_job.Settings(file)).lines())
    assert "last run      never" in before
    commands.given["verify"] = [DAMAGE]
    go()
    listing = list_job.run(list_job.Settings(file))
    text = "\n".join(listing.lines())
    assert "2026-03-02T12:00:00+00:00, exit code 4" in text
    assert "last success  never" in text
    assert "archive 2026-03-03T02:15+00:00, verify 2026-03-09T05:00+00:00" in text
    assert "findings      1" in text
    assert listing.as_dict()["jobs"]["photos"]["state"]["parts"]["verify"]["exit_code"] == 4


def test_a_state_comes_back_from_its_bytes() -> None:
    moment = datetime(2026, 3, 1, 2, 15, tzinfo=UTC)
    part = PartState(moment, moment, moment, 4, "x", {"a": 1}, ({"kind": "k"},), None)
    known = JobState({"verify": part}, "id", moment, moment, 4, None, moment, {"files": 3})
    assert parse("x", serialise(known)) == known
    for data in (b"", b"[]", b"{}", b'{"version": 2}', b'{"version": 1, "parts": {"a": 3}}'):
        with pytest.raises(SectionCorrupt, match="x: "):
            parse("x", data)


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ([], 0),
        ([0, 3], 3),
        ([3, 4, 1], 4),
        ([1, 3, 0], 1),
        ([4, 143], 143),
        ([0, 11], 11),
        ([4, 137], 137),
    ],
)
def test_the_gravest_part_decides_the_exit_code(codes: list[int], code: int) -> None:
    assert gravest(codes) == code


def test_schedules_follow_the_clocks_of_their_zone() -> None:
    def utc(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    def after(text: str) -> datetime | None:
        return next_slot("30 2 * * *", "Europe/Berlin", utc(text))

    assert after("2026-01-10 00:00") == utc("2026-01-10 01:30")
    assert after("2026-07-10 00:00") == utc("2026-07-10 00:30")
    # In the night in which 02:30 is left out, and in that in which it comes twice: once.
    assert after("2026-03-28 12:00") == utc("2026-03-29 01:00")
    assert after("2026-10-24 12:00") == utc("2026-10-25 00:30")
    assert after("2026-10-25 00:30") == utc("2026-10-26 01:30")
    moment = utc("2026-10-25 01:45")
    assert last_slot("30 2 * * *", "Europe/Berlin", moment) == utc("2026-10-25 00:30")
    exact = utc("2026-10-26 01:30")
    assert last_slot("30 2 * * *", "Europe/Berlin", exact) == exact
    assert last_slot("30 2 * * *", "Europe/Berlin", exact - timedelta(microseconds=1)) != exact
