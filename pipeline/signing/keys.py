"""Private keys that sign, and what public keys say of a signature. Needs the extra `sign`."""

from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from seec.pipeline.extras import needs
from seec.schemas.errors import SeecError
from seec.schemas.signature import NAMESPACE, SshSignature, packed, unpacked

with needs("sign", "signing"):
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

_CURVES = {"nistp256": hashes.SHA256, "nistp384": hashes.SHA384, "nistp521": hashes.SHA512}
_RSA_HASHES = {b"rsa-sha2-256": hashes.SHA256, b"rsa-sha2-512": hashes.SHA512}
MIN_RSA_BITS = 2048
_TOKENS = _TOKEN_ED25519, _ = (
    b"sk-ssh-ed25519@openssh.com",
    b"sk-ecdsa-sha2-nistp256@openssh.com",
)
_STATE_BYTES = 5


class UnusableKey(SeecError):
    """A file that holds no key which can sign."""


def read_key(path: Path, passphrase: bytes | None) -> Any:
    """A private key of Ed25519, ECDSA or RSA: in the format of OpenSSH, or PEM.

    UnusableKey if the file holds none, or needs another passphrase.
    """
    data = path.read_bytes()
    is_ssh = b"OPENSSH PRIVATE KEY" in data
    load = serialization.load_ssh_private_key if is_ssh else serialization.load_pem_private_key
    try:
        key: Any = load(data, passphrase)
    except TypeError:
        raise UnusableKey(
            f"{path}: the key has a passphrase; set SEEC_SIGN_PASSPHRASE"
            if passphrase is None
            else f"{path}: the key has no passphrase; unset SEEC_SIGN_PASSPHRASE"
        ) from None
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UnusableKey(f"{path}: no private key that can be read ({error})") from None
    kinds = (ed25519.Ed25519PrivateKey, ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)
    if not isinstance(key, kinds):
        raise UnusableKey(f"{path}: not a key of Ed25519, ECDSA or RSA")
    return key


def sign(key: Any, message: bytes) -> bytes:
    """The text of a signature of a message, as `ssh-keygen -Y sign -n seec-archive` writes it."""
    public = public_blob(key.public_key())
    unsigned = SshSignature(public, NAMESPACE, "sha512")
    data = unsigned.signed_bytes(message)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        blob = packed(b"ssh-ed25519") + packed(key.sign(data))
    elif isinstance(key, rsa.RSAPrivateKey):
        made = key.sign(data, padding.PKCS1v15(), hashes.SHA512())
        blob = packed(b"rsa-sha2-512") + packed(made)
    else:
        kind, curve, _ = unpacked(public, 3)
        made = key.sign(data, ec.ECDSA(_CURVES[curve.decode()]()))
        numbers = b"".join(map(_packed_number, utils.decode_dss_signature(made)))
        blob = packed(kind) + packed(numbers)
    return SshSignature(public, NAMESPACE, "sha512", blob).serialise()


def public_blob(key: Any) -> bytes:
    """A public key as OpenSSH packs it."""
    import base64

    line = key.public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    ).split()
    return base64.b64decode(line[1])


def is_by(signature: SshSignature, message: bytes) -> bool:
    """Whether the key in a signature signed this message. False, too, for unknown kinds of keys."""
    import base64

    data = signature.signed_bytes(message)
    try:
        kind = _first(signature.public_key)
        if kind in _TOKENS:
            _check_token(kind, signature, data)
            return True
        line = kind + b" " + base64.b64encode(signature.public_key)
        key = cast(Any, serialization.load_ssh_public_key(line))
        scheme, made = unpacked(signature.signature, 2)
        if isinstance(key, ed25519.Ed25519PublicKey) and scheme == b"ssh-ed25519":
            key.verify(made, data)
        elif isinstance(key, rsa.RSAPublicKey) and scheme in _RSA_HASHES:
            if key.key_size < MIN_RSA_BITS:
                return False
            key.verify(made, data, padding.PKCS1v15(), _RSA_HASHES[scheme]())
        elif isinstance(key, ec.EllipticCurvePublicKey) and scheme == kind:
            numbers = (int.from_bytes(part) for part in unpacked(made, 2))
            curve = _CURVES[kind.rpartition(b"-")[2].decode()]
            key.verify(utils.encode_dss_signature(*numbers), data, ec.ECDSA(curve()))
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, KeyError):
        return False
    return True


def _check_token(kind: bytes, signature: SshSignature, data: bytes) -> None:
    """Raises unless a key on a FIDO token signed the data, as PROTOCOL.u2f of OpenSSH has it.

    The token signs the digests of its application and of the data, and between them its flags and
    its counter, which are the last bytes of the signature.
    """
    body, state = signature.signature[:-_STATE_BYTES], signature.signature[-_STATE_BYTES:]
    scheme, made = unpacked(body, 2)
    if scheme != kind:
        raise ValueError
    if kind == _TOKEN_ED25519:
        _, raw, application = unpacked(signature.public_key, 3)
        signed = sha256(application).digest() + state + sha256(data).digest()
        ed25519.Ed25519PublicKey.from_public_bytes(raw).verify(made, signed)
    else:
        _, curve, point, application = unpacked(signature.public_key, 4)
        if curve != b"nistp256":
            raise ValueError
        signed = sha256(application).digest() + state + sha256(data).digest()
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        numbers = (int.from_bytes(part) for part in unpacked(made, 2))
        key.verify(utils.encode_dss_signature(*numbers), signed, ec.ECDSA(hashes.SHA256()))


def _first(blob: bytes) -> bytes:
    length = int.from_bytes(blob[:4])
    return blob[4 : 4 + length]


def _packed_number(value: int) -> bytes:
    return packed(value.to_bytes(value.bit_length() // 8 + 1))
