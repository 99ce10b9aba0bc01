"""What the clients of Google's and Azure's stores raise, by the classes of their packages.

Where a package is not installed, a class of the same names stands in for each of its own.
"""

import errno
import importlib
from functools import cache
from typing import Any

import pytest

from seec.pipeline.storage.failures import classify, condition_failed
from seec.schemas.errors import (
    ObjectMissing,
    StorageError,
    StoreUnavailable,
    TransientStorageError,
)

# With the classes that they derive from, below Exception.
STAND_INS = {
    "azure.core.exceptions.AzureError": (),
    "azure.core.exceptions.ServiceRequestError": ("azure.core.exceptions.AzureError",),
    "azure.core.exceptions.ServiceRequestTimeoutError": (
        "azure.core.exceptions.ServiceRequestError",
    ),
    "azure.core.exceptions.ServiceResponseError": ("azure.core.exceptions.AzureError",),
    "azure.core.exceptions.ServiceResponseTimeoutError": (
        "azure.core.exceptions.ServiceResponseError",
    ),
    "azure.core.exceptions.IncompleteReadError": ("azure.core.exceptions.AzureError",),
    "azure.core.exceptions.HttpResponseError": ("azure.core.exceptions.AzureError",),
    "azure.core.exceptions.ClientAuthenticationError": ("azure.core.exceptions.HttpResponseError",),
    "azure.core.exceptions.ResourceNotFoundError": ("azure.core.exceptions.HttpResponseError",),
    "gcsfs.retry.ChecksumError": (),
    "gcsfs.retry.HttpError": (),
    "google.auth.exceptions.GoogleAuthError": (),
    "google.auth.exceptions.TransportError": ("google.auth.exceptions.GoogleAuthError",),
    "google.auth.exceptions.RefreshError": ("google.auth.exceptions.GoogleAuthError",),
    "google.auth.exceptions.DefaultCredentialsError": ("google.auth.exceptions.GoogleAuthError",),
    "requests.exceptions.RequestException": (),
    "requests.exceptions.ConnectionError": ("requests.exceptions.RequestException",),
    "requests.exceptions.ProxyError": ("requests.exceptions.ConnectionError",),
    "requests.exceptions.ReadTimeout": ("requests.exceptions.Timeout",),
    "requests.exceptions.Timeout": ("requests.exceptions.RequestException",),
    "requests.exceptions.ChunkedEncodingError": ("requests.exceptions.RequestException",),
}


@cache
def kind(name: str) -> type[Any]:
    module, _, last = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), last)
    except ImportError:
        bases = tuple(kind(base) for base in STAND_INS[name]) or (Exception,)
        return type(last, bases, {"__module__": module})


def raised(name: str, *arguments: Any, **attributes: Any) -> Any:
    error = kind(name)(*arguments)
    for attribute, value in attributes.items():
        setattr(error, attribute, value)
    return error


def azure(status: int, code: str, name: str = "HttpResponseError") -> Any:
    return raised(f"azure.core.exceptions.{name}", code, status_code=status, error_code=code)


def missing_container() -> FileNotFoundError:
    """As adlfs raises it."""
    try:
        try:
            raise azure(404, "ContainerNotFound", "ResourceNotFoundError")
        except kind("azure.core.exceptions.ResourceNotFoundError"):  # pyright: ignore[reportGeneralTypeIssues]
            raise FileNotFoundError(errno.ENOENT, "No such file", "photos/a")  # noqa: B904
    except FileNotFoundError as error:
        return error


PASSING = [
    *(
        raised(f"azure.core.exceptions.{name}", "no answer")
        for name in (
            "ServiceRequestError",
            "ServiceRequestTimeoutError",
            "ServiceResponseError",
            "ServiceResponseTimeoutError",
            "IncompleteReadError",
        )
    ),
    azure(503, "ServerBusy"),
    azure(500, "OperationTimedOut"),
    raised("gcsfs.retry.ChecksumError", "other bytes"),
    raised("gcsfs.retry.HttpError", {"code": 503, "message": "busy"}, code=503),
    raised("gcsfs.retry.HttpError", {"code": 429, "message": "slower"}, code=429),
    raised("google.auth.exceptions.TransportError", "no network"),
    *(
        raised(f"requests.exceptions.{name}", "no answer")
        for name in ("ConnectionError", "ProxyError", "ReadTimeout", "ChunkedEncodingError")
    ),
]
UNAVAILABLE = {
    "create the container": missing_container(),
    "check the credentials": azure(403, "AuthenticationFailed", "ClientAuthenticationError"),
    "check the credentials and": raised("google.auth.exceptions.RefreshError", "expired"),
    "the clock of this machine": raised("google.auth.exceptions.DefaultCredentialsError", "none"),
    "credentials": raised("gcsfs.retry.HttpError", {"code": 401, "message": "who?"}, code=401),
    "ask the provider": azure(403, "AccountIsDisabled"),
}


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_transient_errors_are_tried_again(error: Exception):
    assert isinstance(classify("read a", error), TransientStorageError)


@pytest.mark.parametrize("remedy", UNAVAILABLE)
def test_errors_of_the_whole_store_stop_a_run(remedy: str):
    found = classify("read a", UNAVAILABLE[remedy])
    assert isinstance(found, StoreUnavailable)
    assert remedy in str(found)


def test_errors_of_one_object_do_not_stop_a_run():
    # As gcsfs raises it.
    forbidden = classify("read a", OSError("Forbidden: bucket/a\nno access"))
    denied = classify("read a", azure(403, "AuthorizationPermissionMismatch"))
    for found in (forbidden, denied):
        assert type(found) is StorageError
        assert "check the credentials and what they may do" in str(found)
    assert isinstance(classify("read a", FileNotFoundError("bucket/a")), ObjectMissing)
    missing = azure(404, "BlobNotFound", "ResourceNotFoundError")
    assert not isinstance(classify("read a", missing), StoreUnavailable)
    assert condition_failed(azure(412, "ConditionNotMet"))
