"""Metrics as Prometheus reads them: the official parsers, promtool, a real Pushgateway."""

import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest
from click.testing import CliRunner
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from seec.jobs import cli
from seec.jobs.metrics import _GAUGES, Metrics, Targets, deliver, write
from tests.archives.life import archive, put_files
from tests.docs.pages import ROOT

MONITORING = ROOT / "examples" / "monitoring"
JOBS = """
metrics = "metrics/seec.prom"
[jobs.photos]
source = "photos"
archive = "photos.archive"
schedule = "15 2 * * *"
verify = {}
[jobs.later]
source = "films"
archive = "films.archive"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put_files(tmp_path / "photos", a="one", b="two", c="two")
    (tmp_path / "jobs.toml").write_text(JOBS)
    return tmp_path


def run(*words: str, code: int = 0) -> None:
    result = CliRunner().invoke(cli.main, words)
    assert result.exit_code == code, result.output


def values(path: Path) -> dict[tuple[str, tuple[str, ...]], float]:
    """Value by name and labels, where both formats say the same."""
    text = path.read_text()
    parsed = []
    for parse in (openmetrics, prometheus):
        samples = [sample for family in parse(text) for sample in family.samples]
        parsed.append({(s.name, tuple(sorted(s.labels.values()))): s.value for s in samples})
    assert parsed[0] == parsed[1]
    return parsed[0]


def test_a_run_of_jobs_leaves_metrics_of_all(folder: Path) -> None:
    before = time.time()
    run("jobs", "run", str(folder / "jobs.toml"))
    found = values(folder / "metrics" / "seec.prom")
    labels = tuple(sorted(("photos", str(folder / "photos.archive"))))
    assert found["seec_job_success", labels] == 1
    assert found["seec_run_added_files", labels] == 3
    assert found["seec_archive_files", labels] == 3
    assert found["seec_findings", labels] == found["seec_quarantined_files", labels] == 0
    assert found["seec_never_checked_shards", labels] == 0
    assert before <= found["seec_oldest_check_timestamp_seconds", labels] <= time.time()
    assert before <= found["seec_job_last_success_timestamp_seconds", labels] <= time.time()
    assert found["seec_job_next_run_timestamp_seconds", labels] > time.time()
    assert found["seec_part_exit_code", tuple(sorted((*labels, "verify")))] == 0
    assert not any("later" in labels for _, labels in found)  # it never ran, and has no schedule
    assert sorted(path.name for path in (folder / "metrics").iterdir()) == ["seec.prom"]
    assert (folder / "metrics" / "seec.prom").stat().st_mode & 0o777 == 0o644


class Collector:
    """A receiver of OTLP over HTTP, which parses what it gets."""

    def __init__(self, answer: bytes = b"", status: int = 200) -> None:
        self.requests: list[ExportMetricsServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        received = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path == "/v1/metrics":
                    received.requests.append(ExportMetricsServiceRequest.FromString(body))
                received.headers.append(dict(self.headers))
                self.send_response(status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def values(self) -> dict[tuple[str, tuple[str, ...]], float]:
        """As `values`, of the last request."""
        return {
            (metric.name, tuple(sorted(a.value.string_value for a in point.attributes))): (
                point.as_double
            )
            for resource in self.requests[-1].resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            for point in metric.gauge.data_points
        }


def test_a_collector_of_opentelemetry_gets_the_same_as_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=vault")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=photos")
    jobs = folder / "jobs.toml"
    with Collector() as collector:
        jobs.write_text(f'otlp = "{collector.url}"\n{JOBS}')
        run("jobs", "run", str(jobs))
        assert collector.values() == values(folder / "metrics" / "seec.prom")
        assert collector.headers[0]["X-Tenant"] == "photos"
        (resource,) = collector.requests[0].resource_metrics
        told = {a.key: a.value.string_value for a in resource.resource.attributes}
        assert told["service.name"] == "seec"
        assert told["deployment.environment"] == "vault"
        run("verify", str(folder / "photos.archive"), "--otlp", f"{collector.url}/")
        assert len(collector.requests) == 2
        labels = tuple(sorted(("", str(folder / "photos.archive"), "verify")))
        assert collector.values()["seec_part_exit_code", labels] == 0


def test_a_collector_that_does_not_take_metrics_is_a_warning(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive(folder / "photos", folder / "photos.archive")
    some = Metrics()
    some.set("seec_findings", 1, "photos", "a")
    refusal = ExportMetricsServiceResponse()
    refusal.partial_success.rejected_data_points = 1
    refusal.partial_success.error_message = "too many"
    for answer, status, words in (
        (refusal.SerializeToString(), 200, "too many"),
        (b"", 503, "503"),
        (b"<html>", 200, "no collector"),
    ):
        with Collector(answer, status) as collector:
            (problem,) = deliver(some, Targets(otlp=collector.url), "g")
            assert words in problem
    (problem,) = deliver(some, Targets(otlp="localhost:4318"), "g")
    assert "http://" in problem
    (problem,) = deliver(some, Targets(otlp="http://127.0.0.1:1"), "g")
    assert "127.0.0.1:1" in problem


def test_without_the_extra_the_command_that_installs_it_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("opentelemetry.proto")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.proto", None)
    (problem,) = deliver(Metrics(), Targets(otlp="http://127.0.0.1:1"), "g")
    assert "pip install 'seec-archive[otlp]'" in problem


def test_a_command_leaves_metrics_however_it_ends(folder: Path) -> None:
    place, file = str(folder / "photos.archive"), folder / "one.prom"
    archive(folder / "photos", folder / "photos.archive")
    run("verify", place, "--metrics", str(file))
    assert values(file)["seec_part_exit_code", ("", place, "verify")] == 0
    blob = min((folder / "photos.archive" / "blobs").rglob("*.blob"))
    blob.unlink()
    run("verify", place, "--metrics", str(file), code=4)
    found = values(file)
    assert found["seec_part_exit_code", ("", place, "verify")] == 4
    assert found["seec_findings", ("", place)] == 1
    assert ("seec_part_last_success_timestamp_seconds", ("", place, "verify")) not in found
    run("verify", str(folder / "nothing"), "--metrics", str(file), code=10)
    nothing = ("", str(folder / "nothing"), "verify")
    assert values(file) == {("seec_part_exit_code", nothing): 10}


def test_names_of_archives_may_be_anything(tmp_path: Path) -> None:
    metrics = Metrics()
    odd = 'a"b\\c\nd{e="f"}'
    metrics.set("seec_findings", 2, "x", odd)
    write(metrics, tmp_path / "odd.prom")
    assert values(tmp_path / "odd.prom") == {("seec_findings", tuple(sorted(("x", odd)))): 2}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool")
def test_prometheus_finds_nothing_to_blame(folder: Path) -> None:
    run("jobs", "run", str(folder / "jobs.toml"))
    text = (folder / "metrics" / "seec.prom").read_bytes()
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
    for words in (["check", "rules", "seec-alerts.yml"], ["test", "rules", "seec-alerts-test.yml"]):
        done = subprocess.run(
            ["promtool", *words], cwd=MONITORING, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_and_dashboard_use_metrics_that_exist() -> None:
    known = set(_GAUGES)
    alerts = (MONITORING / "seec-alerts.yml").read_text()
    assert set(re.findall(r"\bseec_\w+", alerts)) <= known
    tested = (MONITORING / "seec-alerts-test.yml").read_text()
    names = re.findall(r"- alert: (\w+)", alerts)
    assert len(names) == 8
    assert all(f"alertname: {name}\n" in tested for name in names)
    dashboard = json.loads((MONITORING / "seec-dashboard.json").read_text())
    queries = " ".join(
        target["expr"] for panel in dashboard["panels"] for target in panel["targets"]
    )
    assert set(re.findall(r"\bseec_\w+", queries)) == known
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[str]:
    """A real Pushgateway."""
    program = shutil.which("prometheus-pushgateway")
    if program is None:
        pytest.skip("needs prometheus-pushgateway")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with subprocess.Popen(
        [program, f"--web.listen-address={address}"], stderr=subprocess.DEVNULL
    ) as process:
        try:
            end = time.monotonic() + 30
            while time.monotonic() < end and process.poll() is None:
                try:
                    urllib.request.urlopen(f"http://{address}/-/ready").close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield f"http://{address}"
        finally:
            process.terminate()


def _pushed(gateway: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{gateway}/metrics") as answer:
        families = prometheus(answer.read().decode())
        samples = [sample for family in families for sample in family.samples]
    return {s.name: (s.value, s.labels) for s in samples if s.name.startswith("seec_")}


def test_a_real_pushgateway_takes_them(folder: Path, gateway: str) -> None:
    file = folder / "jobs.toml"
    file.write_text(JOBS.replace('metrics = "metrics/seec.prom"', f'pushgateway = "{gateway}"'))
    run("jobs", "run", str(file))
    value, labels = _pushed(gateway)["seec_job_success"]
    assert value == 1
    assert (labels["group"], labels["name"]) == ("jobs.toml", "photos")


def test_a_gateway_that_does_not_answer_is_told(folder: Path) -> None:
    file = folder / "jobs.toml"
    file.write_text(JOBS.replace('metrics = "metrics/seec.prom"', 'pushgateway = "127.0.0.1:9"'))
    result = CliRunner().invoke(cli.main, ["jobs", "run", str(file)])
    assert result.exit_code == 1
    assert "no metrics: 127.0.0.1:9" in result.stdout
