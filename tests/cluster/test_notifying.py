"""People are told by a real mail server and by HTTP, watchdogs are pinged, and secrets stay so."""

import json
import socket
import threading
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from click.testing import CliRunner, Result

from seec.jobs import cli
from tests.archives.life import put_files

# Of a module that Apprise imports.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
SECRET = "geheimnis"


class Mailbox:
    """What a mail server took."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.messages.append(message_from_bytes(envelope.content, policy=default))
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, str]]:
    """A mail server, and the URL that leads there."""
    box = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        query = "mode=insecure&smtp=127.0.0.1&from=seec@example.com&to=ada@example.com"
        yield box, f"mailto://example.com:{port}?{query}"
    finally:
        controller.stop()


class Receiver(BaseHTTPRequestHandler):
    """Keeps each request; answers what `server.answer` says."""

    server: Any

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.server.requests.append((self.path, self.rfile.read(length).decode()))
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing on stderr."""


@pytest.fixture
def receiver() -> Iterator[Any]:
    server: Any = HTTPServer(("127.0.0.1", 0), Receiver)
    server.requests, server.answer = [], 200
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def folder(tmp_path: Path, mailbox: Any, receiver: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job that tells one by mail, one by a webhook each time, and a watchdog."""
    put_files(tmp_path / "photos", a="one", b="two", c="two")
    address = f"127.0.0.1:{receiver.server_address[1]}"
    (tmp_path / "mail.url").write_text(f"# by mail\n{mailbox[1]}\n")
    monkeypatch.setenv("HOOK_URL", f"json://user:{SECRET}@{address}/hook/{SECRET}")
    monkeypatch.setenv("PING_URL", f"http://{address}/ping/{SECRET}")
    (tmp_path / "jobs.toml").write_text("""
[[notify]]
url-file = "mail.url"
attach-report = true
[[notify]]
url-env = "HOOK_URL"
on = ["always"]
[jobs.photos]
source = "photos"
archive = "photos.archive"
retries = 0
report = "photos.html"
verify = {}
ping = {url-env = "PING_URL"}
""")
    return tmp_path


def run(folder: Path, code: int = 0) -> Result:
    words = ["jobs", "run", str(folder / "jobs.toml"), "photos", "--log-format", "json"]
    result = CliRunner().invoke(cli.main, words)
    assert result.exit_code == code, result.output
    assert SECRET not in result.output
    return result


def test_people_hear_of_failures_findings_and_recovery(
    folder: Path, mailbox: tuple[Mailbox, str], receiver: Any
) -> None:
    box, hook = mailbox[0].messages, receiver.requests
    run(folder)
    assert box == []
    assert [path.rpartition(SECRET)[2] for path, _ in hook] == ["/start", "", ""]
    assert json.loads(hook[1][1])["title"] == "seec: job photos is well"

    (folder / "photos").rename(folder / "moved")
    run(folder, 1)
    assert box[-1]["Subject"] == "seec: job photos failed"
    assert box[-1]["To"] == "ada@example.com"
    text = box[-1].get_body(("plain", "html")).get_content()
    assert "not a directory" in text
    assert "verify: not run: archive failed before it" in text
    assert "Last success: " in text
    (attached,) = box[-1].iter_attachments()
    assert "Report of" in attached.get_content()
    assert hook[-1][0].endswith("/fail")
    assert "exit code 1" in hook[-1][1]

    (folder / "moved").rename(folder / "photos")
    run(folder)
    assert box[-1]["Subject"] == "seec: job photos is well again"
    run(folder)
    assert len(box) == 2

    blob = min((folder / "photos.archive" / "blobs").rglob("*.blob"))
    data = blob.read_bytes()
    blob.chmod(0o600)
    blob.write_bytes(b"\0" * len(data))
    run(folder, 4)
    assert box[-1]["Subject"] == "seec: job photos found damage"
    text = box[-1].get_body(("plain", "html")).get_content()
    assert "blob-damaged: blobs/" in text
    assert "next: seec repair" in text
    blob.write_bytes(data)
    run(folder)
    assert box[-1]["Subject"] == "seec: job photos is well again"
    everything = [*folder.joinpath("photos.archive").rglob("*"), *folder.rglob("state.json")]
    kept = b"".join(path.read_bytes() for path in everything if path.is_file())
    assert SECRET.encode() not in kept


def test_who_cannot_be_told_is_an_error_without_a_secret(
    folder: Path, receiver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.answer = 500
    said = run(folder, 1).output
    assert "HOOK_URL: the message could not be delivered" in said
    assert "PING_URL: the ping was answered with 500" in said
    receiver.answer = 200
    monkeypatch.delenv("HOOK_URL")
    assert "the variable HOOK_URL: holds no URL" in run(folder, 1).output
    monkeypatch.setenv("HOOK_URL", f"no-such-service://{SECRET}")
    assert "HOOK_URL: URL 1 is none that Apprise knows" in run(folder, 1).output
    monkeypatch.setenv("PING_URL", f"file:///{SECRET}")
    assert "PING_URL: the ping failed" in run(folder, 1).output
    (folder / "mail.url").unlink()
    (folder / "photos").rename(folder / "moved")
    assert "mail.url: cannot be read" in run(folder, 1).output


def test_the_jobs_file_holds_no_urls(folder: Path) -> None:
    file = folder / "jobs.toml"
    file.write_text(file.read_text().replace('url-file = "mail.url"', 'url = "mailto://x"'))
    result = CliRunner().invoke(cli.main, ["jobs", "check", str(file)])
    assert result.exit_code == 2
    assert "line 3: no setting 'url'" in result.stdout
    assert "url-env" in result.stdout
