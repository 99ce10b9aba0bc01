"""Metrics by OTLP over HTTP, as collectors of OpenTelemetry take them. Needs the extra `otlp`.

The variables of OpenTelemetry hold: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say who sends,
OTEL_EXPORTER_OTLP_HEADERS what a collector wants to see of a sender.
"""

import os
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from seec.pipeline.extras import needs

if TYPE_CHECKING:
    from seec.jobs.metrics import Metrics

_TIMEOUT_S = 20.0
_PATH = "/v1/metrics"
_MOST_ANSWER_BYTES = 1 << 16
_SCOPE = "seec"
_NAME, _UNKNOWN, _INSTANCE = "service.name", "unknown_service", "service.instance.id"


def push(metrics: "Metrics", endpoint: str) -> None:
    """Send gauges to a collector. endpoint: its URL, without /v1/metrics.

    OSError if it does not take all of them; MissingPackage without the extra.
    """
    with needs("otlp", "metrics by OTLP"):
        from google.protobuf.message import DecodeError
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
            ExportMetricsServiceResponse,
        )
        from opentelemetry.util.re import parse_env_headers
    given = os.environ.get("OTEL_EXPORTER_OTLP_HEADERS", "")
    headers = {
        **parse_env_headers(given, liberal=True),
        "Content-Type": "application/x-protobuf",
    }
    url = endpoint.rstrip("/").removesuffix(_PATH) + _PATH
    if not url.startswith(("http://", "https://")):
        raise OSError(f"{endpoint}: a collector has an http:// or https:// URL")
    request = urllib.request.Request(url, serialised(metrics), headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            said = ExportMetricsServiceResponse.FromString(answer.read(_MOST_ANSWER_BYTES))
    except (urllib.error.URLError, ValueError) as error:
        raise OSError(f"{endpoint}: {error}") from None
    except DecodeError:
        raise OSError(f"{endpoint}: answers as no collector of OTLP does") from None
    if said.partial_success.rejected_data_points:
        raise OSError(f"{endpoint}: {said.partial_success.error_message or 'metrics refused'}")


def serialised(metrics: "Metrics") -> bytes:
    """An ExportMetricsServiceRequest with all gauges as of now."""
    with needs("otlp", "metrics by OTLP"):
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
            ExportMetricsServiceRequest,
        )
        from opentelemetry.sdk.resources import Resource
    request, now_ns = ExportMetricsServiceRequest(), time.time_ns()
    resource = request.resource_metrics.add()
    known = dict(Resource.create().attributes)
    if str(known.get(_NAME, "")).startswith(_UNKNOWN):
        known[_NAME] = _SCOPE
    # One of its own for each process would make new series of each run.
    if _INSTANCE not in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        known.pop(_INSTANCE, None)
    for key, value in known.items():
        resource.resource.attributes.add(key=key).value.string_value = str(value)
    scope = resource.scope_metrics.add()
    scope.scope.name = _SCOPE
    for family in metrics.collect():
        metric = scope.metrics.add(name=family.name, description=family.documentation)
        for sample in family.samples:
            point = metric.gauge.data_points.add(
                time_unix_nano=now_ns, as_double=float(sample.value)
            )
            for key, value in sample.labels.items():
                point.attributes.add(key=key).value.string_value = value
    return request.SerializeToString()
