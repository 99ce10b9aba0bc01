"""A job lives through five weeks: what a person sees each time is what they need, nothing is lost.

Commands run in processes of their own, by a clock that is some weeks fast. Source and archive are
on a real S3 server, behind a proxy that is down in the second week and full in the fourth; in the
third week an object of the archive rots.
"""

import json
import os
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from aiosmtpd.controller import Controller
from PIL import Image
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from seec.pipeline.storage import Retry, Store
from tests.faults import proxy
from tests.faults.proxy import UNAVAILABLE, Proxy
from tests.pictures import textured
from tests.sources import image_bytes

BEGIN = datetime(2026, 1, 5, 2, 15, tzinfo=UTC)  # a Monday
# In each process: the clock of jobs, and retries that do not take a minute.
SITE = """
import os
from datetime import timedelta
from seec.jobs import clock
from seec.pipeline.storage import retry
_now = clock.now
clock.now = lambda: _now() + timedelta(seconds=float(os.environ["TEST_FAST_S"]))
retry.Retry.__init__.__defaults__ = (3, 0.05, 0.1)
"""
JOBS = """
metrics = "seec.prom"
[[notify]]
url-env = "MAIL_URL"

[jobs.photos]
source = "{source}"
archive = "{archive}"
profile = "fast"
schedule = "15 2 * * MON"
prune-missing = true
retries = 1
retry-pause = "1s"
report = "photos.html"
ping = {{url-env = "PING_URL"}}
[jobs.photos.verify]
mode = "decode"
[jobs.photos.compact]
[jobs.photos.gc]
keep-for = "365d"
"""


class People:
    """Who hears of jobs: mails, and pings of a watchdog."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.pings: list[str] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append(message_from_bytes(envelope.content, policy=default))
        return "250 OK"

    def mail(self) -> tuple[str, str]:
        """Subject and text of the only mail since this was asked last."""
        (message,) = self.mails
        self.mails.clear()
        return str(message["Subject"]), message.get_body(("plain", "html")).get_content()


class Weeks:
    """The life of one job."""

    def __init__(self, folder: Path, bucket: str) -> None:
        self.folder, self.bucket, self.week = folder, bucket, 0
        self.source, self.archive = f"{bucket}/source", f"{bucket}/archive"
        (folder / "site").mkdir()
        (folder / "site" / "sitecustomize.py").write_text(SITE)
        (folder / "jobs.toml").write_text(JOBS.format(source=self.source, archive=self.archive))
        self.held: dict[str, bytes] = {}

    def put(self, *numbers: int) -> None:
        """New photographs in the source."""
        store = Store(self.source)
        for number in numbers:
            data = image_bytes(textured(40, 48, number), "PNG")
            store.put(f"{number % 3}/{number}.png", data)
            self.held[f"{number % 3}/{number}.png"] = data

    def remove(self, number: int) -> None:
        """A photograph vanishes from the source."""
        Store(self.source).remove(f"{number % 3}/{number}.png")
        del self.held[f"{number % 3}/{number}.png"]

    def environment(self) -> dict[str, str]:
        moment = BEGIN + timedelta(weeks=self.week, minutes=3)
        path = f"{self.folder / 'site'}:{os.environ.get('PYTHONPATH', '')}"
        fast = (moment - datetime.now(UTC)).total_seconds()
        kept = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
        return kept | {"PYTHONPATH": path, "TEST_FAST_S": str(fast)}

    def seec(self, *words: str) -> tuple[int, Any, str]:
        """Exit code, result and log of a command."""
        done = subprocess.run(
            [sys.executable, "-m", "seec.jobs.cli", *words, "--json"],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        return done.returncode, json.loads(done.stdout or "null"), done.stderr

    def run(self) -> tuple[int, Any, str]:
        """The scheduler comes by."""
        return self.seec("jobs", "run", "jobs.toml", "--log-format", "json")

    def metrics(self) -> dict[str, float]:
        text = (self.folder / "seec.prom").read_text()
        samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
        return {s.name: s.value for s in samples if "part" not in s.labels}

    def page(self) -> str:
        return (self.folder / "photos.html").read_text("utf-8")

    def listed(self) -> Any:
        return self.seec("jobs", "list", "jobs.toml")[1]["jobs"]["photos"]


@pytest.fixture
def people(monkeypatch: pytest.MonkeyPatch) -> Iterator[People]:
    people = People()

    class Watchdog(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            people.pings.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Nothing on stderr."""

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mail = Controller(people, hostname="127.0.0.1", port=port)
    mail.start()
    watchdog = HTTPServer(("127.0.0.1", 0), Watchdog)
    thread = threading.Thread(target=watchdog.serve_forever)
    thread.start()
    query = "mode=insecure&smtp=127.0.0.1&from=seec@example.com&to=ada@example.com"
    monkeypatch.setenv("MAIL_URL", f"mailto://example.com:{port}?{query}")
    monkeypatch.setenv("PING_URL", f"http://127.0.0.1:{watchdog.server_address[1]}/p")
    try:
        yield people
    finally:
        watchdog.shutdown()
        thread.join()
        watchdog.server_close()
        mail.stop()


@pytest.fixture
def server(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """What all commands take for the server."""
    with proxy.before(os.environ["AWS_ENDPOINT_URL"]) as (url, made):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        yield made
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def _rot(archive: str) -> str:
    """A byte of a blob changes; its name."""
    store = Store(archive, Retry(1))
    name = next(name for name in store.names("blobs"))
    data = bytearray(store.get(name))
    data[len(data) // 2] ^= 0x10
    store.put(name, bytes(data))
    return name


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_job_lives_through_five_weeks(
    tmp_path: Path, s3_url: str, server: Proxy, people: People
) -> None:
    weeks = Weeks(tmp_path, f"{s3_url}/{uuid.uuid4()}")

    # The first week: all is well.
    weeks.put(*range(8))
    code, result, log = weeks.run()
    assert code == 0, log
    parts = result["jobs"]["photos"]["parts"]
    assert list(parts) == ["archive", "compact", "verify", "gc"]
    assert parts["archive"]["figures"]["files_added"] == 8
    assert people.mails == []
    assert people.pings == ["/p/start", "/p"]
    good = weeks.metrics()
    assert good["seec_job_success"] == 1
    assert good["seec_archive_files"] == 8
    assert "No damage is known" in weeks.page()
    assert weeks.run()[1]["jobs"] == {}  # five minutes later nothing is due

    # The second: the store is down. It is told once, tried again, and the last page stays.
    weeks.week = 1
    weeks.put(8, 9)
    weeks.remove(0)
    page = weeks.page()
    server.plan.fault = lambda request: UNAVAILABLE
    code, result, log = weeks.run()
    assert code == 1, log
    assert '"event": "retry"' in log
    assert result["jobs"]["photos"]["held"]["gc"] == "archive failed before it"
    subject, text = people.mail()
    assert subject == "seec: job photos failed"
    assert "503" in text or "ServiceUnavailable" in text or "Unavailable" in text, text
    assert "Last success: 2026-01-05" in text
    assert people.pings[-1] == "/p/fail"
    bad = weeks.metrics()
    assert bad["seec_job_success"] == 0
    last = "seec_job_last_success_timestamp_seconds"
    assert bad[last] == good[last]
    assert bad["seec_archive_files"] == 8  # as it was known last
    assert weeks.page() == page
    assert weeks.listed()["state"]["failing_since"].startswith("2026-01-12")
    server.plan.fault = lambda request: None

    # The third: the store is back, and an object has rotten. Nothing is deleted.
    weeks.week = 2
    weeks.put(10)
    rotten = _rot(weeks.archive)
    code, result, log = weeks.run()
    assert code == 4, log
    ran = result["jobs"]["photos"]
    assert ran["parts"]["archive"]["figures"]["files_added"] == 3
    assert ran["parts"]["archive"]["figures"]["files_removed"] == 1
    assert ran["parts"]["compact"]["exit_code"] == 4  # it copies nothing that is damaged
    assert set(ran["held"]) == {"gc"}
    assert "damage is known" in ran["held"]["gc"]
    subject, text = people.mail()
    assert subject == "seec: job photos found damage"
    assert f"blob-damaged: {rotten}" in text
    assert "next: seec repair" in text
    assert weeks.metrics()["seec_findings"] == 1
    assert "1 findings are not mended" in weeks.page()
    assert rotten in weeks.page()
    # The person does what the message says.
    command = next(x for x in text.splitlines() if "next: " in x).partition("next: seec ")[2]
    assert weeks.seec(*command.split())[0] == 0

    # The fourth: the store takes nothing more.
    weeks.week = 3
    weeks.put(11, 12)
    server.plan.fault = lambda request: (
        "InsufficientStorage" if request.method in ("PUT", "POST") else None
    )
    code, result, log = weeks.run()
    assert code == 1, log
    subject, text = people.mail()
    assert subject == "seec: job photos failed"
    assert "archive: exit code 1" in text
    assert '"event": "retry"' not in log  # that will not pass by itself
    assert people.pings[-1] == "/p/fail"
    server.plan.fault = lambda request: None

    # The fifth: there is room again. What was missed comes, and the job is well.
    weeks.week = 4
    weeks.put(13)
    weeks.remove(5)
    code, result, log = weeks.run()
    assert code == 0, log
    parts = result["jobs"]["photos"]["parts"]
    # That the damage is mended, only this verification says.
    assert list(parts) == ["archive", "verify", "gc"]
    assert set(result["jobs"]["photos"]["held"]) == {"compact"}
    assert parts["archive"]["figures"]["files_added"] == 3
    assert parts["verify"]["figures"]["findings"] == 0
    assert people.mail()[0] == "seec: job photos is well again"
    assert people.pings[-1] == "/p"
    well = weeks.metrics()
    assert well["seec_job_success"] == 1
    assert well["seec_findings"] == well["seec_never_checked_shards"] == 0
    week_s = 7 * 86_400
    assert abs(well[last] - good[last] - 4 * week_s) < 3600
    assert abs(well["seec_oldest_check_timestamp_seconds"] - well[last]) < 3600
    assert "No damage is known" in weeks.page()
    assert weeks.listed()["state"]["failing_since"] is None
    code, result, log = weeks.run()  # five minutes later
    assert (code, list(result["jobs"]["photos"]["parts"])) == (0, ["compact"]), log
    assert people.mails == []

    # Nothing is lost.
    code, result, log = weeks.seec("restore", weeks.archive, str(tmp_path / "restored"))
    assert code == 0, log
    back = {
        str(path.relative_to(tmp_path / "restored")): path
        for path in (tmp_path / "restored").rglob("*.png")
    }
    assert back.keys() == weeks.held.keys()
    for name, path in back.items():
        number = int(path.stem)
        assert np.array_equal(np.asarray(Image.open(path)), textured(40, 48, number)), name
