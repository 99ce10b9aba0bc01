"""Signed heads: what is signed, where signatures lie, and the signature format of OpenSSH."""

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from seec.schemas.errors import SectionCorrupt

SIGNATURES = "signatures"
NAMESPACE = "seec-archive"
SIGNATURE, TIMESTAMP, LISTING = "sig", "tsr", "lst"
MAX_BYTES = 1 << 16
_NAME = re.compile(
    rf"{SIGNATURES}/([0-9]{{10}})/([0-9a-f]{{16}})\.({SIGNATURE}|{TIMESTAMP}|{LISTING})"
)
_LISTED = re.compile(
    rf"file ([0-9a-f]{{16}}\.(?:{SIGNATURE}|{TIMESTAMP}|{LISTING})) ([0-9a-f]{{128}})"
)
_MAGIC = b"SSHSIG"
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_HASHES = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}
_LINE = 70


def statement(sequence: int, digest: str) -> bytes:
    """The text that is signed: the number of a commit, and the archive digest after it."""
    return f"seec archive\ncommit {sequence}\ndigest {digest}\n".encode()


def listing(stated: bytes, files: Mapping[str, bytes]) -> bytes:
    """The text of a time-stamp that covers files beside a commit, too. stated: of `statement`."""
    lines = (f"file {name} {sha512(data)}\n" for name, data in sorted(files.items()))
    return stated + "".join(lines).encode()


def parse_listing(name: str, data: bytes, stated: bytes) -> dict[str, str]:
    """The hex SHA-512 of the files that a listing covers, by their names.

    SectionCorrupt if it is none, or of another commit.
    """
    lines = data.removeprefix(stated).decode("latin-1").split("\n")
    found = [_LISTED.fullmatch(line) for line in lines[:-1]]
    if not data.startswith(stated) or lines[-1] or None in found:
        raise SectionCorrupt(f"{name}: no list of what is beside this commit")
    return {match[1]: match[2] for match in found if match is not None}


def sha512(data: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha512(data).hexdigest()


def signature_name(sequence: int, kind: str, data: bytes) -> str:
    """signatures/<commit>/<first digits of the SHA-256 of the file>.<kind>."""
    return f"{SIGNATURES}/{sequence:010d}/{hashlib.sha256(data).hexdigest()[:16]}.{kind}"


def parse_signature_name(name: str) -> tuple[int, str] | None:
    """The commit and the kind; None for the name of anything else."""
    match = _NAME.fullmatch(name)
    return (int(match[1]), match[3]) if match else None


@dataclass(frozen=True)
class SshSignature:
    """A signature as `ssh-keygen -Y sign` writes it (PROTOCOL.sshsig of OpenSSH).

    public_key, signature: as OpenSSH packs them. hash_name: sha256 or sha512.
    """

    public_key: bytes
    namespace: str
    hash_name: str
    signature: bytes = b""

    def signed_bytes(self, message: bytes) -> bytes:
        """What the key signs, of a message."""
        hashed = _HASHES[self.hash_name](message).digest()
        parts = (self.namespace.encode(), b"", self.hash_name.encode(), hashed)
        return _MAGIC + b"".join(map(packed, parts))

    def serialise(self) -> bytes:
        """The text of a `.sig` file."""
        parts = (self.public_key, self.namespace.encode(), b"", self.hash_name.encode())
        body = _MAGIC + struct.pack(">I", 1) + b"".join(map(packed, (*parts, self.signature)))
        text = base64.b64encode(body).decode()
        lines = (text[i : i + _LINE] for i in range(0, len(text), _LINE))
        return "\n".join([_BEGIN, *lines, _END, ""]).encode()

    @classmethod
    def parse(cls, name: str, data: bytes) -> "SshSignature":
        """SectionCorrupt if this is no such file, or of a hash that is not known."""
        try:
            lines = data.decode("ascii").split()
            text = " ".join(lines)
            if not text.startswith(_BEGIN) or not text.endswith(_END):
                raise ValueError
            body = base64.b64decode(text[len(_BEGIN) : -len(_END)].replace(" ", ""), validate=True)
            if body[:6] != _MAGIC or body[6:10] != struct.pack(">I", 1):
                raise ValueError
            key, namespace, _, hash_name, signature = unpacked(body[10:], 5)
            found = cls(key, namespace.decode(), hash_name.decode(), signature)
        except (ValueError, binascii.Error, struct.error):
            raise SectionCorrupt(f"{name}: no signature of OpenSSH") from None
        if found.hash_name not in _HASHES:
            raise SectionCorrupt(f"{name}: a signature over an unknown hash")
        return found


def packed(value: bytes) -> bytes:
    """A string as OpenSSH packs it."""
    return struct.pack(">I", len(value)) + value


def unpacked(data: bytes, count: int) -> list[bytes]:
    """So many packed strings, and nothing behind them; ValueError if that is not so."""
    found: list[bytes] = []
    for _ in range(count):
        (length,) = struct.unpack_from(">I", data)
        if len(data) < 4 + length:
            raise ValueError
        found.append(data[4 : 4 + length])
        data = data[4 + length :]
    if data:
        raise ValueError
    return found
