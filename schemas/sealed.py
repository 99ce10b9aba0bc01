"""Sealed JSON: one object, written the one canonical way, that carries its own digest.

Canonical: ASCII, members sorted by name, no white space, integers only. Member `sha256` is the
SHA-256 of the canonical text of the object without that member. A text that is not canonical
is refused, so that every changed bit shows.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from seec.schemas.errors import DigestMismatch, SectionCorrupt, UnsupportedVersion
from seec.schemas.json_text import parse_json

T = TypeVar("T")


def seal(kind: str, version: int, body: Mapping[str, Any]) -> bytes:
    """The sealed text of an object of `kind` (its member `format`)."""
    body = {"format": kind, "version": version, **body}
    return _canonical({**body, "sha256": hashlib.sha256(_canonical(body)).hexdigest()})


def unseal(name: str, data: bytes, kind: str, version: int) -> dict[str, Any]:
    """The members of a sealed object of a version.

    name: the object's name, for messages. Raises SectionCorrupt (not canonical JSON, or of another
    kind), DigestMismatch, or UnsupportedVersion.
    """
    try:
        body: dict[str, Any] = parse_json(data)
    except ValueError:
        raise SectionCorrupt(f"{name}: not JSON") from None
    if type(body) is not dict or _canonical(body) != data:
        raise SectionCorrupt(f"{name}: not canonical JSON")
    recorded = body.pop("sha256", None)
    if hashlib.sha256(_canonical(body)).hexdigest() != recorded:
        raise DigestMismatch(f"{name}: content differs from the digest in it")
    if body.pop("format", None) != kind:
        raise SectionCorrupt(f"{name}: not a {kind}")
    found = body.pop("version", None)
    if type(found) is not int or found != version:
        raise UnsupportedVersion(f"{name}: version {found}; this release reads {version}")
    return body


def member(name: str, body: Mapping[str, Any], key: str, kind: type[T]) -> T:
    """One member of a parsed object, of exactly this JSON type; SectionCorrupt otherwise."""
    value = body.get(key)
    if type(value) is not kind:
        raise SectionCorrupt(f"{name}: member {key!r} is not of type {kind.__name__}")
    return value


def members(name: str, body: Mapping[str, Any], key: str) -> dict[str, Any]:
    """One member that is itself an object; SectionCorrupt otherwise."""
    return cast(dict[str, Any], member(name, body, key, dict))


def objects(name: str, body: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """One member that is a list of objects; SectionCorrupt otherwise."""
    values = cast(list[Any], member(name, body, key, list))
    if any(type(value) is not dict for value in values):
        raise SectionCorrupt(f"{name}: member {key!r} is not a list of objects")
    return values


def strings(name: str, body: Mapping[str, Any], key: str) -> list[str]:
    """One member that is a list of strings; SectionCorrupt otherwise."""
    values = cast(list[Any], member(name, body, key, list))
    if any(type(value) is not str for value in values):
        raise SectionCorrupt(f"{name}: member {key!r} is not a list of strings")
    return values


def _canonical(body: object) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
