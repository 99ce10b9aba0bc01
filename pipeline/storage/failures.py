"""Our errors for the errors of file systems and of the clients of stores."""

import errno
from collections.abc import Iterator
from typing import Any

from seec.schemas.errors import (
    ObjectExists,
    ObjectFrozen,
    ObjectMissing,
    StorageError,
    StoreUnavailable,
    TransientStorageError,
)

_TRANSIENT_ERRNO = frozenset(
    {
        errno.EAGAIN,
        errno.EBUSY,
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTUNREACH,
        errno.EINTR,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EPIPE,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)
_UNAVAILABLE_ERRNO = {
    errno.ENOSPC: "make room, then run again",
    errno.EDQUOT: "make room, then run again",
    errno.EROFS: "give a place that can be written",
}
# Those of asyncio and fsspec, whose import takes long, are the first one.
_TIMEOUTS = (TimeoutError, ConnectionError)
_TRANSIENT_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 509})
# Codes that S3 servers send with other statuses.
_TRANSIENT_CODES = frozenset(
    {
        "BadDigest",
        "IncompleteBody",
        "RequestTimeout",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "XAmzContentSHA256Mismatch",
    }
)

# Classes by name: importing a store's client takes longer than most commands.
_TRANSIENT_KINDS = frozenset(
    {
        "aiohttp.client_exceptions.ClientError",
        "azure.core.exceptions.IncompleteReadError",
        "azure.core.exceptions.ServiceRequestError",
        "azure.core.exceptions.ServiceResponseError",
        "botocore.exceptions.ConnectionError",
        "botocore.exceptions.HTTPClientError",
        "botocore.exceptions.IncompleteReadError",
        "botocore.parsers.ResponseParserError",
        "gcsfs.retry.ChecksumError",
        "google.auth.exceptions.TransportError",
        "requests.exceptions.ChunkedEncodingError",
        "requests.exceptions.ConnectionError",
        "requests.exceptions.ContentDecodingError",
        "requests.exceptions.Timeout",
    }
)
# Codes of S3 and Azure for objects in cold storage.
_FROZEN_CODES = ("InvalidObjectState", "BlobArchived")
_CREDENTIALS = "check the credentials and the clock of this machine"
_UNAVAILABLE_KINDS = {
    "botocore.exceptions.BotoCoreError": "check the credentials and settings of the store",
    "google.auth.exceptions.GoogleAuthError": _CREDENTIALS,
    "azure.core.exceptions.ClientAuthenticationError": _CREDENTIALS,
}
# Codes of S3 and Azure for an unreachable bucket or container. AccessDenied is not among them:
# it may concern a single object.
_UNAVAILABLE_CODES = {
    "NoSuchBucket": "create the bucket, or correct the URL",
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "ExpiredToken": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "TokenRefreshRequired": _CREDENTIALS,
    "RequestTimeTooSkewed": _CREDENTIALS,
    "AccountProblem": "ask the provider of the store",
    "AllAccessDisabled": "ask the provider of the store",
    "NotSignedUp": "ask the provider of the store",
    "QuotaExceeded": "make room, then run again",
    "XMinioAdminBucketQuotaExceeded": "make room, then run again",
    "XMinioStorageFull": "make room, then run again",
    "ContainerNotFound": "create the container, or correct the URL",
    "ContainerDisabled": "ask the provider of the store",
    "AccountIsDisabled": "ask the provider of the store",
    "AuthenticationFailed": _CREDENTIALS,
    "InvalidAuthenticationInfo": _CREDENTIALS,
}
_UNAVAILABLE_STATUS = {401: _CREDENTIALS, 507: "make room, then run again"}


def classify(what: str, error: Exception) -> StorageError:
    """Our error for an error of a file system or of a store's client."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    message = f"{what}: {reason}"
    if isinstance(error, FileExistsError):
        return ObjectExists(message)
    if code_of(error) in _FROZEN_CODES:
        return ObjectFrozen(f"{what}: is in cold storage; seec restore --thaw asks for it")
    if (remedy := _remedy(error)) is not None:
        return StoreUnavailable(f"{message}; {remedy}")
    if isinstance(error, FileNotFoundError):
        return ObjectMissing(message)
    if _is_transient(error):
        return TransientStorageError(f"{message}; run again once the store answers")
    # gcsfs keeps no status of "Forbidden".
    if _status(error) == 403 or str(error).startswith("Forbidden: "):
        return StorageError(f"{message}; check the credentials and what they may do")
    if _status(error) == 413 or code_of(error) == "EntityTooLarge":
        return StorageError(f"{message}; the store takes no objects of this size: smaller shards")
    return StorageError(message)


def condition_failed(error: Exception) -> bool:
    """Whether a store refused a conditional write because the object exists.

    s3fs raises FileExistsError only if the server names the condition; some servers do not.
    """
    said = code_of(error) in ("PreconditionFailed", "412") or _status(error) == 412
    return said or isinstance(error, FileExistsError)


def out_of_range(error: Exception) -> bool:
    """Whether a store refused a range because the object ends before."""
    return code_of(error) == "InvalidRange" or _status(error) == 416


def unsupported(error: Exception) -> bool:
    """Whether a store or its file system knows no conditional writes."""
    return code_of(error) == "NotImplemented" or any(
        isinstance(one, NotImplementedError | TypeError)
        or getattr(one, "errno", None) == errno.ENOSYS
        for one in _causes(error)
    )


def code_of(error: BaseException) -> str | None:
    """The error code of an S3 server or of Azure; None if the error has none."""
    for one in _causes(error):
        response: Any = getattr(one, "response", None)
        if isinstance(response, dict):
            return response.get("Error", {}).get("Code")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return _azure_code(error)


def _azure_code(error: BaseException) -> str | None:
    # Errors of adlfs keep Azure's error as their context only.
    for one in (*_causes(error), error.__context__):
        code = getattr(one, "error_code", None)
        if code is not None:
            return str(getattr(code, "value", code))
    return None


def _status(error: BaseException) -> int | None:
    """The HTTP status behind an error, in the attributes of botocore, gcsfs, azure, aiohttp."""
    for one in _causes(error):
        response: Any = getattr(one, "response", None)
        if isinstance(response, dict):
            return response.get("ResponseMetadata", {}).get("HTTPStatusCode")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        for name in ("status_code", "status", "code"):
            status = getattr(one, name, None)
            if isinstance(status, int):
                return status
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error, its cause, the cause of the cause, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _remedy(error: Exception) -> str | None:
    """The remedy if the whole store is unavailable; None if the error may concern one object."""
    number = error.errno if isinstance(error, OSError) else None
    remedy = (
        _UNAVAILABLE_CODES.get(code_of(error) or "")
        or _UNAVAILABLE_STATUS.get(_status(error) or 0)
        or _UNAVAILABLE_ERRNO.get(number or 0)
    )
    if remedy is not None or _is_transient(error):
        return remedy
    return next((text for kind, text in _UNAVAILABLE_KINDS.items() if kind in _kinds(error)), None)


def _is_transient(error: Exception) -> bool:
    return (
        isinstance(error, _TIMEOUTS)
        or getattr(error, "errno", None) in _TRANSIENT_ERRNO
        or _status(error) in _TRANSIENT_STATUS
        or code_of(error) in _TRANSIENT_CODES
        or bool(_kinds(error) & _TRANSIENT_KINDS)
    )


def _kinds(error: Exception) -> set[str]:
    return {f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__}
