"""Who may sign: a file of allowed signers, as `ssh-keygen -Y verify` and git read it."""

import base64
import binascii
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from seec.schemas.errors import SeecError
from seec.schemas.signature import NAMESPACE, SshSignature

_DATES = ("%Y%m%d", "%Y%m%d%H%M", "%Y%m%d%H%M%S")


class UnusableSigners(SeecError):
    """A file of allowed signers that is none."""


@dataclass(frozen=True)
class Signer:
    """principals: as written. key: as OpenSSH packs it. after, before: seconds since 1970, or None.

    namespaces: patterns; empty allows all.
    """

    principals: str
    key: bytes
    namespaces: tuple[str, ...] = ()
    after_s: float | None = None
    before_s: float | None = None

    def may(self, signature: SshSignature, time_s: float) -> bool:
        """Whether this is the key of a signature, and may sign archives at a time."""
        in_time = (self.after_s or time_s) <= time_s and time_s < (self.before_s or float("inf"))
        allowed = not self.namespaces or any(n in (NAMESPACE, "*") for n in self.namespaces)
        return self.key == signature.public_key and in_time and allowed


def read_signers(path: Path) -> list[Signer]:
    """All lines of a file of allowed signers. UnusableSigners if one cannot be read."""
    found: list[Signer] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                found.append(_signer(line))
            except (ValueError, IndexError, binascii.Error) as error:
                raise UnusableSigners(
                    f"{path}, line {number}: not like 'me@example.org ssh-ed25519 AAAA...': {error}"
                ) from None
    if not found:
        raise UnusableSigners(f"{path}: names no signer")
    return found


def _signer(line: str) -> Signer:
    words = shlex.split(line)
    principals, *others = words
    options = [] if _is_kind(others[0]) else _options(line, principals)
    kind, blob = others[-2:] if _is_kind(others[-2]) else _key_words(others)
    key = base64.b64decode(blob, validate=True)
    if key[4 : 4 + len(kind)] != kind.encode():
        raise ValueError("the key is of another kind")
    known: dict[str, str] = {}
    for option in options:
        name, _, value = option.partition("=")
        if name.lower() not in ("namespaces", "valid-after", "valid-before"):
            raise ValueError(f"{name} is not supported")
        known[name.lower()] = value.strip('"')
    namespaces = tuple(filter(None, known.get("namespaces", "").split(",")))
    after, before = (_time_s(known.get(name)) for name in ("valid-after", "valid-before"))
    return Signer(principals, key, namespaces, after, before)


def _is_kind(word: str) -> bool:
    return word.startswith(("ssh-", "ecdsa-", "sk-"))


def _key_words(words: list[str]) -> tuple[str, str]:
    at = next(index for index, word in enumerate(words) if _is_kind(word))
    return words[at], words[at + 1]


def _options(line: str, principals: str) -> list[str]:
    """The options between principals and key: separated by commas that are in no quotes."""
    rest = line.split(None, 1)[1] if not line.startswith('"') else line.split('"', 2)[2]
    quoted, word, found = False, "", list[str]()
    for letter in rest.strip():
        if letter == '"':
            quoted = not quoted
        if not quoted and letter in ", \t":
            found.append(word)
            word = ""
            if letter != ",":
                break
            continue
        word += letter
    return found


def _time_s(text: str | None) -> float | None:
    """Seconds since 1970 of YYYYMMDD[HHMM[SS]][Z]; without Z in local time, as OpenSSH has it."""
    if text is None:
        return None
    plain = text.removesuffix("Z")
    for form in _DATES:
        if len(plain) == len(datetime.now(UTC).strftime(form)):
            moment = datetime.strptime(plain, form)  # noqa: DTZ007, see below
            return (moment.replace(tzinfo=UTC) if text.endswith("Z") else moment).timestamp()
    raise ValueError(f"{text!r} is no time like 20260131 or 20260131180000Z")
