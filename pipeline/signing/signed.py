"""Which commits of an archive are signed, by whom, and since when."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seec.pipeline.signing.signers import Signer
from seec.pipeline.signing.stamped import Since, Stamp, since
from seec.pipeline.storage import Store
from seec.pipeline.verify.faults import copy_back, fault
from seec.schemas.archive import commit_name
from seec.schemas.errors import ObjectMissing, ObjectUnreadable, SectionCorrupt
from seec.schemas.report import Checked, Finding
from seec.schemas.signature import (
    LISTING,
    MAX_BYTES,
    SIGNATURE,
    SIGNATURES,
    TIMESTAMP,
    SshSignature,
    listing,
    parse_listing,
    parse_signature_name,
    sha512,
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
    for sequence, names in sorted(_beside(store).items()):
        if sequence not in heads:
            continue
        message = statement(sequence, heads[sequence])
        stamped = _since(store, names, message, roots, result) if roots else Since()
        who: list[str | None] = []
        for name in names:
            if _kind(name) == SIGNATURE:
                moment = stamped.files_s.get(_short(name), time.time())
                who.append(_signer(store, name, message, signers, moment, result))
        allowed = tuple(sorted({one for one in who if one is not None}))
        if allowed:
            result.last = Signed(sequence, allowed, stamped.commit_s)
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


def _since(
    store: Store, names: Sequence[str], message: bytes, roots: list[Any], result: Signatures
) -> Since:
    """What the time-stamps of a commit say, each on the commit alone or on files beside it, too."""
    from seec.pipeline.signing.timestamps import token_of

    texts: list[tuple[bytes, dict[str, str]]] = [(message, {})]
    digests: dict[str, str] = {}
    stamps: dict[str, Stamp] = {}
    for name in sorted(names, key=lambda one: _kind(one) == TIMESTAMP):  # lists before
        try:
            data = _read(store, name)
            digests[_short(name)] = sha512(data)
            if _kind(name) == LISTING:
                texts.append((data, parse_listing(name, data, message)))
            elif _kind(name) == TIMESTAMP:
                token = token_of(name, data, [text for text, _ in texts], roots)
                covers = texts[token.text][1]
                stamps[name] = Stamp(_short(name), token.time_s, token.algorithms, covers)
        except (SectionCorrupt, ObjectMissing, ObjectUnreadable) as error:
            if _kind(name) != SIGNATURE:  # these are read again, and told of, by themselves
                _note(store, name, "timestamp", error, result)
    found = since(list(stamps.values()), digests, time.time())
    for name, stamp in stamps.items():
        if stamp.name in found.ended and found.commit_s is None:
            error = SectionCorrupt(f"{name}: {found.ended[stamp.name]}")
            _note(store, name, "timestamp", error, result)
        else:
            result.checked.append(Checked(name))
    return found


def _beside(store: Store) -> dict[int, list[str]]:
    """The names of all files of signatures, by commit."""
    found: dict[int, list[str]] = {}
    for name in store.names(SIGNATURES):
        parsed = parse_signature_name(name)
        if parsed is not None:
            found.setdefault(parsed[0], []).append(name)
    return found


def _kind(name: str) -> str:
    return name.rpartition(".")[2]


def _short(name: str) -> str:
    return name.rpartition("/")[2]


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


def stamp_head(store: Store, sequence: int, digest: str, url: str) -> list[str]:
    """Have a server time-stamp the archive digest after a commit; the names of what was written.

    The time-stamp also covers all signatures and time-stamps that are there, and so renews them.
    Raises TimestampRefused, StorageError.
    """
    from seec.pipeline.signing.timestamps import request_stamp

    files = {_short(name): _read(store, name) for name in _beside(store).get(sequence, ())}
    text = listing(statement(sequence, digest), files)
    answer = request_stamp(url, text)
    written = {LISTING: text, TIMESTAMP: answer} if files else {TIMESTAMP: answer}
    return [put_signature(store, sequence, kind, data) for kind, data in written.items()]


def sign_head(store: Store, sequence: int, digest: str, key: Path) -> str:
    """Sign the archive digest after a commit with a key file; the name of the signature."""
    import os

    from seec.pipeline.signing.keys import read_key, sign

    passphrase = os.environ.get("SEEC_SIGN_PASSPHRASE")
    loaded = read_key(key, None if passphrase is None else passphrase.encode())
    return put_signature(store, sequence, SIGNATURE, sign(loaded, statement(sequence, digest)))
