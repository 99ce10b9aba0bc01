"""Time-stamp tokens of RFC 3161: when a statement was there at the latest, by a server's word.

Needs the extra `sign`.
"""

import hashlib
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from seec.pipeline.extras import needs
from seec.schemas.errors import SectionCorrupt, SeecError, TransientStorageError
from seec.schemas.signature import MAX_BYTES

with needs("sign", "time-stamps"):
    from cryptography import x509
    from rfc3161_client import (
        HashAlgorithm,
        TimestampRequestBuilder,
        TimeStampResponse,
        VerificationError,
        VerifierBuilder,
        decode_timestamp_response,
    )

_TIMEOUT_S = 30.0


class TimestampRefused(SeecError):
    """A time-stamp server gave no token."""


def request_stamp(url: str, message: bytes) -> bytes:
    """The answer of a time-stamp server: a TimeStampResp of the SHA-512 of a message, in DER.

    TimestampRefused if it gives no token, or one of something else.
    """
    if not url.startswith(("http://", "https://")):
        raise TimestampRefused(f"{url}: a time-stamp server has an http:// or https:// URL")
    builder = TimestampRequestBuilder(data=message, hash_algorithm=HashAlgorithm.SHA512)
    made = builder.build()
    request = urllib.request.Request(
        url, made.as_bytes(), {"Content-Type": "application/timestamp-query"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            data: bytes = answer.read(MAX_BYTES + 1)
    except urllib.error.HTTPError as error:
        raise TimestampRefused(f"{url}: {error}") from None
    except OSError as error:
        raise TransientStorageError(f"{url}: {error}; try again later") from None
    try:
        found = _decoded(data)
        granted = found.status == 0 and found.tst_info.message_imprint.message
    except ValueError as error:
        raise TimestampRefused(f"{url}: answers with no time-stamp ({error})") from None
    if granted != hashlib.sha512(message).digest() or found.tst_info.nonce != made.nonce:
        raise TimestampRefused(f"{url}: answers with a time-stamp of something else")
    return data


def read_roots(path: Path) -> list[x509.Certificate]:
    """The certificates of a PEM file. SectionCorrupt if there are none."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError as error:
        raise SectionCorrupt(f"{path}: no certificates in PEM ({error})") from None


class Token(NamedTuple):
    """text: which of the texts it is of, by number. algorithms: of its hashes, in dotted form."""

    time_s: float
    text: int
    algorithms: frozenset[str]


def token_of(
    name: str, data: bytes, texts: Sequence[bytes], roots: list[x509.Certificate]
) -> Token:
    """When one of these texts was there at the latest: seconds since 1970.

    SectionCorrupt if the token is damaged, of another text, or not by a server that one of the
    roots vouches for. Certificates need to be valid at that time, not today.
    """
    why: Exception | None = None
    for number, text in enumerate(texts):
        try:
            found = _decoded(data)
            VerifierBuilder(roots=list(roots)).build().verify_message(found, text)
        except (ValueError, VerificationError) as error:
            why = error
            continue
        hashes = {found.tst_info.message_imprint.hash_algorithm}
        hashes |= set(found.signed_data.digest_algorithms)
        algorithms = frozenset(one.dotted_string for one in hashes)
        return Token(found.tst_info.gen_time.timestamp(), number, algorithms)
    raise SectionCorrupt(f"{name}: no time-stamp of this commit by a known server ({why})")


def _decoded(data: bytes) -> TimeStampResponse:
    """The answer of a server. ValueError if it is none.

    OpenSSL writes the certificates in the order of its configuration, and DER in that of their
    bytes, on which the parser insists. Nothing signs the order.
    """
    return decode_timestamp_response(_with_sorted_certificates(data))


def _with_sorted_certificates(data: bytes) -> bytes:
    try:
        answer = _inside(data, 0, len(data))
        token = _elements(data, *answer)[1]
        content = _elements(data, *_inside(data, *token))[1]
        signed = _inside(data, *_inside(data, *content))
        # version, digest algorithms, content; then certificates, if there are any.
        start, end = _inside(data, *_elements(data, *signed)[3])
        found = sorted(data[a:b] for a, b in _elements(data, start, end))
    except IndexError:
        return data  # for the parser to refuse
    return data[:start] + b"".join(found) + data[end:]


def _inside(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Where the content of the first element of DER begins and ends. IndexError if it is none."""
    length, at = data[start + 1], start + 2
    if length & 0x80:
        count = length & 0x7F
        length, at = int.from_bytes(data[at : at + count]), at + count
    if at + length > end:
        raise IndexError
    return at, at + length


def _elements(data: bytes, start: int, end: int) -> list[tuple[int, int]]:
    """Where the elements of DER begin and end, that lie one after the other."""
    found: list[tuple[int, int]] = []
    while start < end:
        found.append((start, _inside(data, start, end)[1]))
        start = found[-1][1]
    return found
