"""Which commits of an archive are signed, by whom, and since when."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seec.pipeline.signing.signers import Signer
from seec.pipeline.storage import Store
from seec.pipeline.verify.faults import copy_back, fault
from seec.schemas.archive import commit_name
from seec.schemas.errors import ObjectMissing, ObjectUnreadable, SectionCorrupt
from seec.schemas.report import Checked, Finding
from seec.schemas.signature import (
    MAX_BYTES,
    SIGNATURE,
    SIGNATURES,
    TIMESTAMP,
    SshSignature,
    parse_signature_name,
    signature_name,
    statement,
)


@dataclass(frozen=True)
class Signed:
    """A commit that is signed. signers: principals. since_s: by which time; None is not known."""

    sequence: int
    signers: tuple[str, ...]
    since_s: float | None


@dataclass
class Signatures:
    """What the signatures of an archive say.

    last: the last commit that is signed by an allowed signer; None if there is none. checked: each
    file of signatures. strangers: how many are by keys that nobody allowed.
    """

    last: Signed | None = None
    checked: list[Checked] = field(default_factory=list[Checked])
    strangers: int = 0


def check_signatures(
    store: Store, heads: Mapping[int, str], signers: Sequence[Signer], roots: list[Any] | None
) -> Signatures:
    """Check all signatures and time-stamps of commits whose archive digests are known.

    heads: archive digests by commit. roots: certificates of time-stamp servers; None checks no
    time-stamps.
    """
    result = Signatures()
    by_commit: dict[int, list[tuple[str, str]]] = {}
    for name in store.names(SIGNATURES):
        found = parse_signature_name(name)
        if found is not None and found[0] in heads:
            by_commit.setdefault(found[0], []).append((name, found[1]))
    for sequence in sorted(by_commit):
        message = statement(sequence, heads[sequence])
        stamps = [name for name, kind in by_commit[sequence] if kind == TIMESTAMP]
        times = [_time(store, name, message, roots, result) for name in stamps] if roots else []
        since_s = min((found for found in times if found is not None), default=None)
        names = [name for name, kind in by_commit[sequence] if kind == SIGNATURE]
        moment = time.time() if since_s is None else since_s
        who = [_signer(store, name, message, signers, moment, result) for name in names]
        allowed = tuple(sorted({one for one in who if one is not None}))
        if allowed:
            result.last = Signed(sequence, allowed, since_s)
    if result.last is None:
        name = commit_name(max(heads, default=0))
        detail = "neither this commit nor an earlier one is signed by any of the allowed signers"
        found = Finding("signature-missing", name, detail, copy_back(store))
        result.checked.append(Checked(name, findings=(found,)))
    return result


def _signer(
    store: Store,
    name: str,
    message: bytes,
    signers: Sequence[Signer],
    time_s: float,
    result: Signatures,
) -> str | None:
    """Who made a signature, if that is an allowed signer."""
    from seec.pipeline.signing.keys import is_by

    try:
        data = _read(store, name)
        signature = SshSignature.parse(name, data)
        if not is_by(signature, message):
            raise SectionCorrupt(f"{name}: is no signature of this commit by the key in it")
    except (SectionCorrupt, ObjectMissing, ObjectUnreadable) as error:
        _note(store, name, "signature", error, result)
        return None
    result.checked.append(Checked(name))
    allowed = next((one for one in signers if one.may(signature, time_s)), None)
    result.strangers += allowed is None
    return None if allowed is None else allowed.principals


def _time(
    store: Store, name: str, message: bytes, roots: list[Any] | None, result: Signatures
) -> float | None:
    from seec.pipeline.signing.timestamps import time_of

    try:
        found = time_of(name, _read(store, name), message, roots or [])
    except (SectionCorrupt, ObjectMissing, ObjectUnreadable) as error:
        _note(store, name, "timestamp", error, result)
        return None
    result.checked.append(Checked(name))
    return found


def _read(store: Store, name: str) -> bytes:
    data = store.get(name, MAX_BYTES)
    sequence, kind = parse_signature_name(name) or (0, "")
    if signature_name(sequence, kind, data) != name:
        raise SectionCorrupt(f"{name}: content differs from its name")
    return data


def _note(store: Store, name: str, kind: str, error: Any, result: Signatures) -> None:
    found = fault(name, kind, error, copy_back(store))
    result.checked.append(Checked(name, findings=(found,)))


def put_signature(store: Store, sequence: int, kind: str, data: bytes) -> str:
    """Write a signature or a time-stamp beside a commit; its name."""
    name = signature_name(sequence, kind, data)
    store.put_same(name, data)
    return name


def sign_head(store: Store, sequence: int, digest: str, key: Path) -> str:
    """Sign the archive digest after a commit with a key file; the name of the signature."""
    import os

    from seec.pipeline.signing.keys import read_key, sign

    passphrase = os.environ.get("SEEC_SIGN_PASSPHRASE")
    loaded = read_key(key, None if passphrase is None else passphrase.encode())
    return put_signature(store, sequence, SIGNATURE, sign(loaded, statement(sequence, digest)))
