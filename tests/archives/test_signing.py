"""Signed heads: by files of keys, by ssh-keygen, by time-stamp servers; and what they refuse."""

import base64
import hashlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

from seec.jobs import cli, copy, gc, repair, sign, verify
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.signing import signed as pipeline_signed
from seec.pipeline.signing import stamped
from seec.pipeline.signing.keys import UnusableKey, is_by
from seec.pipeline.signing.signers import UnusableSigners, read_signers
from seec.pipeline.signing.timestamps import TimestampRefused
from seec.schemas.errors import DigestMismatch, SectionCorrupt, TransientStorageError
from seec.schemas.signature import (
    NAMESPACE,
    SshSignature,
    packed,
    parse_listing,
    parse_signature_name,
)
from tests.archives import life
from tests.archives.life import findings, opened, put_files
from tests.faults.points import repair_in_process, verify_in_process
from tests.time_stamps import make_server, serving

YEAR_S = 365 * 86_400.0
SHA_256 = "2.16.840.1.101.3.4.2.1"
KINDS = {"ed25519": (), "ecdsa": ("-b", "384"), "rsa": ("-b", "2048")}


def ssh(*arguments: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run(["ssh-keygen", *arguments], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys of OpenSSH of several kinds, and one in PEM."""
    folder = tmp_path_factory.mktemp("keys")
    for kind, options in KINDS.items():
        ssh("-q", "-t", kind, *options, "-N", "", "-C", kind, "-f", str(folder / kind))
    ssh("-q", "-t", "ed25519", "-N", "secret", "-f", str(folder / "locked"))
    ssh("-q", "-t", "ed25519", "-N", "", "-f", str(folder / "stranger"))
    made = ed25519.Ed25519PrivateKey.generate()
    encoding, form = serialization.Encoding, serialization.PrivateFormat.PKCS8
    pem = made.private_bytes(encoding.PEM, form, serialization.NoEncryption())
    (folder / "pem").write_bytes(pem)
    public = made.public_key().public_bytes(encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    (folder / "pem.pub").write_bytes(public)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signing")
    put_files(folder / "source", a="one", b="two", c="three")
    life.archive(folder / "source", folder / "archive")
    return folder


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "archive", tmp_path / "archive"))


@pytest.fixture
def signers(keys: Path, tmp_path: Path) -> Path:
    """Everybody but the stranger may sign."""
    lines = ["# who may sign", ""]
    for kind in (*KINDS, "locked", "pem"):
        word, key, *_ = (keys / f"{kind}.pub").read_text().split()
        options = 'namespaces="seec-archive,file" ' if kind == "rsa" else ""
        lines.append(f"{kind}@example.org {options}{word} {key} a comment")
    (tmp_path / "signers").write_text("\n".join(lines))
    return tmp_path / "signers"


def signed(root: Path, **settings: Any) -> sign.SignSummary:
    return sign.run(sign.Settings(str(root), **settings))


def verified(root: Path, signers: Path, **settings: Any) -> verify.VerifySummary:
    return verify_in_process(verify.Settings(str(root), signers=signers, **settings))


def kinds(summary: verify.VerifySummary) -> list[str]:
    return [found.kind for found in summary.findings]


@pytest.mark.parametrize("kind", [*KINDS, "pem"])
def test_signatures_of_all_keys_are_those_of_ssh_keygen(
    root: Path, keys: Path, signers: Path, tmp_path: Path, kind: str
):
    (name,) = signed(root, key=keys / kind).written
    assert parse_signature_name(name) == (opened(root).state.sequence, "sig")
    text = "\n".join(signed(root, show=True).lines()) + "\n"
    who = ("-f", str(signers), "-I", f"{kind}@example.org", "-n", "seec-archive")
    ssh("-Y", "verify", *who, "-s", str(root / name), stdin=text.encode())
    summary = verified(root, signers)
    assert summary.exit_code == ExitCode.OK
    assert summary.signed is not None
    assert summary.signed["signers"] == [f"{kind}@example.org"]
    assert any(f"is signed by {kind}@example.org" in line for line in summary.lines())


def test_what_ssh_keygen_signed_is_taken(root: Path, keys: Path, signers: Path, tmp_path: Path):
    head = tmp_path / "head.txt"
    head.write_text("\n".join(signed(root, show=True).lines()) + "\n")
    ssh("-q", "-Y", "sign", "-n", "seec-archive", "-f", str(keys / "rsa"), str(head))
    signed(root, signature=tmp_path / "head.txt.sig")
    assert verified(root, signers).exit_code == ExitCode.OK
    ssh("-q", "-Y", "sign", "-n", "git", "-f", str(keys / "ecdsa"), str(keys / "rsa.pub"))
    with pytest.raises(DigestMismatch, match="ssh-keygen -Y sign"):
        signed(root, signature=keys / "rsa.pub.sig")
    with pytest.raises(SectionCorrupt):
        signed(root, signature=head)


def _token(kind: str) -> tuple[bytes, Callable[[bytes], bytes]]:
    """A key of a FIDO token as PROTOCOL.u2f has it: the public key, and what signs."""
    word, application = {
        "ed25519": (b"sk-ssh-ed25519@openssh.com", b"ssh:"),
        "ecdsa": (b"sk-ecdsa-sha2-nistp256@openssh.com", b"ssh:archive"),
    }[kind]
    state = b"\x01" + (7).to_bytes(4)  # touched; the seventh signature
    form = serialization.PublicFormat

    def answer(made: bytes) -> bytes:
        return packed(word) + packed(made) + state

    def asked(data: bytes) -> bytes:
        return sha256(application).digest() + state + sha256(data).digest()

    if kind == "ed25519":
        key = ed25519.Ed25519PrivateKey.generate()
        raw = key.public_key().public_bytes(serialization.Encoding.Raw, form.Raw)
        public = packed(word) + packed(raw) + packed(application)
        return public, lambda data: answer(key.sign(asked(data)))
    curve = ec.generate_private_key(ec.SECP256R1())
    point = curve.public_key().public_bytes(serialization.Encoding.X962, form.UncompressedPoint)
    public = packed(word) + packed(b"nistp256") + packed(point) + packed(application)

    def sign_with_curve(data: bytes) -> bytes:
        numbers = utils.decode_dss_signature(curve.sign(asked(data), ec.ECDSA(hashes.SHA256())))
        return answer(b"".join(packed(n.to_bytes(n.bit_length() // 8 + 1)) for n in numbers))

    return public, sign_with_curve


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_signatures_of_tokens_are_taken_as_ssh_keygen_takes_them(
    root: Path, tmp_path: Path, kind: str
):
    public, sign_by_token = _token(kind)
    text = ("\n".join(signed(root, show=True).lines()) + "\n").encode()
    unsigned = SshSignature(public, NAMESPACE, "sha512")
    made = sign_by_token(unsigned.signed_bytes(text))
    path = tmp_path / "head.txt.sig"
    path.write_bytes(SshSignature(public, NAMESPACE, "sha512", made).serialise())
    word = public[4 : 4 + int.from_bytes(public[:4])].decode()
    allowed = tmp_path / "token"
    allowed.write_text(f"me@example.org {word} {base64.b64encode(public).decode()}\n")
    who = ("-f", str(allowed), "-I", "me@example.org", "-n", NAMESPACE)
    ssh("-Y", "verify", *who, "-s", str(path), stdin=text)
    signed(root, signature=path)
    summary = verified(root, allowed)
    assert summary.signed is not None
    assert summary.signed["signers"] == ["me@example.org"]
    # Another counter, application or message is not what was signed.
    other = public[:-1] + bytes([public[-1] ^ 1])
    for key, signature in ((public, made[:-1] + b"\x08"), (other, made), (public, made[:-1])):
        found = SshSignature(key, NAMESPACE, "sha512", signature)
        assert not is_by(found, text)
    assert not is_by(SshSignature(public, NAMESPACE, "sha512", made), text + b"!")


def test_a_key_with_a_passphrase(
    root: Path, keys: Path, signers: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(UnusableKey, match="SEEC_SIGN_PASSPHRASE"):
        signed(root, key=keys / "locked")
    monkeypatch.setenv("SEEC_SIGN_PASSPHRASE", "wrong")
    with pytest.raises(UnusableKey):
        signed(root, key=keys / "locked")
    monkeypatch.setenv("SEEC_SIGN_PASSPHRASE", "secret")
    signed(root, key=keys / "locked")
    assert verified(root, signers).exit_code == ExitCode.OK
    with pytest.raises(UnusableKey, match="unset"):
        signed(root, key=keys / "ed25519")
    with pytest.raises(UnusableKey, match="no private key"):
        signed(root, key=signers)


def test_later_commits_descend_from_a_signed_one(
    root: Path, made: Path, keys: Path, signers: Path, tmp_path: Path
):
    source = Path(shutil.copytree(made / "source", tmp_path / "source"))
    signed(root, key=keys / "ed25519")
    put_files(source, d="four")
    life.archive(source, root, moved=True)
    summary = verified(root, signers)
    assert summary.exit_code == ExitCode.OK
    assert summary.signed is not None
    assert summary.signed["commits_since"] == 2
    assert any("2 commits since are not" in line for line in summary.lines())
    signed(root, key=keys / "pem", at=summary.signed["commit"] + 1)
    again = verified(root, signers)
    assert again.signed is not None
    assert again.signed["commits_since"] == 1


def test_who_is_no_allowed_signer_is_none(root: Path, keys: Path, signers: Path):
    assert kinds(verified(root, signers)) == ["signature-missing"]
    signed(root, key=keys / "stranger")
    summary = verified(root, signers)
    assert (kinds(summary), summary.exit_code) == (["signature-missing"], ExitCode.DAMAGE)
    signed(root, key=keys / "ed25519")
    assert verified(root, signers).exit_code == ExitCode.OK


def test_a_signature_that_is_damaged_or_of_another_commit_is_found(
    root: Path, keys: Path, signers: Path
):
    (name,) = signed(root, key=keys / "ed25519").written
    good = (root / name).read_bytes()
    changed = good.replace(b"A", b"B", 1)
    (root / name).write_bytes(changed)
    assert "signature-damaged" in kinds(verified(root, signers))
    (root / name).write_bytes(good)
    first = SshSignature.parse(name, good)
    lie = SshSignature(first.public_key, first.namespace, "sha256", first.signature).serialise()
    from seec.schemas.signature import signature_name

    sequence = opened(root).state.sequence
    for number, data in ((sequence, lie), (sequence - 1, good)):
        other = root / signature_name(number, "sig", data)
        other.parent.mkdir(exist_ok=True)
        other.write_bytes(data)
        assert kinds(verified(root, signers)) == ["signature-damaged"]
        other.unlink()
    for hostile in (b"", b"\xff", good[:100], b"-----BEGIN SSH SIGNATURE-----\nAAAA\n"):
        with pytest.raises(SectionCorrupt):
            SshSignature.parse("s", hostile)


def test_a_rebuilt_archive_is_refused(
    root: Path, made: Path, keys: Path, signers: Path, tmp_path: Path
):
    """Somebody else makes all of it anew, and keeps the old signatures."""
    signed(root, key=keys / "ed25519")
    fake = Path(shutil.copytree(made / "source", tmp_path / "fake"))
    (fake / "b.txt").write_text("TWO")
    rebuilt = tmp_path / "rebuilt"
    life.archive(fake, rebuilt)
    assert findings(rebuilt) == []
    assert kinds(verified(rebuilt, signers)) == ["signature-missing"]
    shutil.copytree(root / "signatures", rebuilt / "signatures")
    assert sorted(kinds(verified(rebuilt, signers))) == ["signature-damaged", "signature-missing"]
    known = opened(root).digest()
    assert kinds(verify_in_process(verify.Settings(str(rebuilt), expect=known))) == [
        "digest-differs"
    ]


def test_an_older_head_that_is_replayed_is_noticed(
    root: Path, keys: Path, signers: Path, made: Path, tmp_path: Path
):
    """The archive of yesterday, whole and signed, in place of that of today."""
    signed(root, key=keys / "ed25519")
    old = Path(shutil.copytree(root, tmp_path / "old"))
    source = Path(shutil.copytree(made / "source", tmp_path / "source"))
    put_files(source, d="four")
    life.archive(source, root, moved=True)
    signed(root, key=keys / "ed25519")
    known = opened(root).digest()
    assert verified(old, signers).exit_code == ExitCode.OK  # nothing in it can tell
    assert kinds(verified(old, signers, expect=known)) == ["digest-differs"]
    copy.run(copy.Settings(str(root), str(tmp_path / "second")))
    with pytest.raises(DigestMismatch, match="set back"):
        copy.run(copy.Settings(str(old), str(tmp_path / "second")))
    # Where the new signatures are still there, these tell.
    shutil.copytree(root / "signatures", old / "signatures", dirs_exist_ok=True)
    assert "commit-missing" in {found.kind for found in findings(old)}
    settings = repair.Settings(str(old), (str(tmp_path / "second"),), "/nowhere")
    repair_in_process(settings)
    assert opened(old).digest() == known


def test_signatures_travel_with_copies_and_stay(
    root: Path, keys: Path, tmp_path: Path, signers: Path
):
    (name,) = signed(root, key=keys / "ed25519").written
    copy.run(copy.Settings(str(root), str(tmp_path / "second")))
    assert (tmp_path / "second" / name).read_bytes() == (root / name).read_bytes()
    found = gc.run(gc.Settings(str(root), delete=True, older_than_s=0))
    assert (found.strangers, (root / name).exists()) == ((), True)
    assert verified(tmp_path / "second", signers).exit_code == ExitCode.OK


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """URL and root certificate of a time-stamp server."""
    folder = tmp_path_factory.mktemp("tsa") / "here"
    certificate = make_server(folder, "here")
    with serving(folder) as url:
        yield url, certificate


def test_time_stamps_of_a_real_server(
    root: Path, keys: Path, signers: Path, server: tuple[str, Path], tmp_path: Path
):
    url, certificate = server
    written = signed(root, key=keys / "ed25519", timestamp=url).written
    assert [name.rpartition(".")[2] for name in written] == ["sig", "lst", "tsr"]
    text = "\n".join(signed(root, show=True).lines()) + "\n"
    data = (root / written[0]).read_bytes()
    listed = f"{text}file {Path(written[0]).name} {hashlib.sha512(data).hexdigest()}\n"
    assert (root / written[1]).read_text() == listed
    judge = ["openssl", "ts", "-verify", "-data", str(root / written[1])]
    judge += ["-in", str(root / written[2]), "-CAfile", str(certificate)]
    done = subprocess.run(judge, capture_output=True, check=False)
    assert b"Verification: OK" in done.stdout, done.stderr
    summary = verified(root, signers, timestamp_roots=certificate)
    assert summary.exit_code == ExitCode.OK
    assert summary.signed is not None
    assert summary.signed["time_stamp"].startswith("20")
    assert any("by a time-stamp" in line for line in summary.lines())
    assert verified(root, signers).exit_code == ExitCode.OK
    other = make_server(tmp_path / "other", "other")
    assert kinds(verified(root, signers, timestamp_roots=other)) == ["timestamp-damaged"]
    stamp = root / written[2]
    stamp.write_bytes(stamp.read_bytes()[:-9])
    assert kinds(verified(root, signers, timestamp_roots=certificate)) == ["timestamp-damaged"]


def test_a_time_stamp_keeps_a_signature_valid_after_its_key_is_not(
    root: Path,
    keys: Path,
    tmp_path: Path,
    server: tuple[str, Path],
    monkeypatch: pytest.MonkeyPatch,
):
    url, certificate = server
    signed(root, key=keys / "ed25519", timestamp=url)
    word, key, *_ = (keys / "ed25519.pub").read_text().split()
    file = tmp_path / "dated"
    file.write_text(f'me valid-before="20200101Z" {word} {key}\n')
    assert kinds(verified(root, file, timestamp_roots=certificate)) == ["signature-missing"]
    file.write_text(f'me valid-after="20200101",valid-before="20991231235959Z" {word} {key}\n')
    now = time.time()
    monkeypatch.setattr(pipeline_signed.time, "time", lambda: now + 100 * YEAR_S)
    assert verified(root, file, timestamp_roots=certificate).exit_code == ExitCode.OK
    assert kinds(verified(root, file)) == ["signature-missing"]
    # A signature that came after the time-stamp gains nothing by it.
    (name,) = (root / "signatures").rglob("*.sig")
    name.unlink()
    signed(root, key=keys / "ecdsa")
    word, key, *_ = (keys / "ecdsa.pub").read_text().split()
    file.write_text(f'me valid-before="20991231235959Z" {word} {key}\n')
    assert kinds(verified(root, file, timestamp_roots=certificate)) == ["signature-missing"]


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server of newer algorithms than `server`."""
    folder = tmp_path_factory.mktemp("tsa") / "newer"
    certificate = make_server(folder, "newer", "sha512")
    with serving(folder) as url:
        yield url, certificate


@pytest.mark.parametrize("renewed", ["in time", "too late", "never"])
def test_a_time_stamp_of_an_algorithm_that_ended_counts_under_a_newer_one(
    root: Path,
    keys: Path,
    signers: Path,
    server: tuple[str, Path],
    newer: tuple[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    renewed: str,
):
    signed(root, key=keys / "ed25519", timestamp=server[0])
    time.sleep(1.1)  # time-stamps tell seconds
    if renewed != "never":
        signed(root, timestamp=newer[0])
    roots = tmp_path / "roots.pem"
    roots.write_bytes(b"".join(one.read_bytes() for _, one in (server, newer)))
    before = verified(root, signers, timestamp_roots=roots)
    assert before.signed is not None
    first, now = before.signed["time_stamp"], time.time()
    end = datetime.fromtimestamp(now + (-YEAR_S if renewed == "too late" else YEAR_S), UTC)
    monkeypatch.setitem(stamped.ENDS, SHA_256, ("SHA-256", end))
    monkeypatch.setattr(pipeline_signed.time, "time", lambda: now + 2 * YEAR_S)
    after = verified(root, signers, timestamp_roots=roots)
    assert after.signed is not None
    if renewed == "in time":
        assert (after.findings, after.signed["time_stamp"]) == ((), first)
    elif renewed == "too late":
        assert after.findings == ()
        assert after.signed["time_stamp"] > first  # that of the newer one alone
    else:
        (found,) = after.findings
        assert found.kind == "timestamp-damaged"
        assert f"SHA-256 is not trusted since {end:%Y-%m-%d}" in found.detail
        assert after.signed["time_stamp"] is None


def test_a_list_of_another_commit_is_found(
    root: Path, keys: Path, signers: Path, server: tuple[str, Path]
):
    written = signed(root, key=keys / "ed25519", timestamp=server[0]).written
    text = (root / written[1]).read_bytes()
    for lie in (text.replace(b"commit ", b"commit 1"), text[:-1], text + b"file x y\n"):
        with pytest.raises(SectionCorrupt, match="no list"):
            parse_listing("l", lie, text.partition(b"file ")[0])
    (root / written[1]).unlink()
    found = kinds(verified(root, signers, timestamp_roots=server[1]))
    assert found == ["timestamp-damaged"]


def test_servers_that_give_no_time_stamp(root: Path, tmp_path: Path, server: tuple[str, Path]):
    with pytest.raises(TimestampRefused, match="http"):
        signed(root, timestamp="ftp://example.org")
    with pytest.raises(TransientStorageError):
        signed(root, timestamp="http://127.0.0.1:1")
    shutil.copytree(server[1].parent, tmp_path / "odd")
    conf = (server[1].parent / "conf").read_text().replace("sha512", "md5")
    (tmp_path / "odd" / "conf").write_text(
        conf.replace(str(server[1].parent), str(tmp_path / "odd"))
    )
    with serving(tmp_path / "odd") as url, pytest.raises(TimestampRefused):
        signed(root, timestamp=url)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nobody",
        "me",
        "me ssh-ed25519 !!!",
        "me ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIA==",
        "me cert-authority ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==",
        'me valid-after="soon" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==',
    ],
)
def test_a_file_of_signers_that_is_none(tmp_path: Path, text: str):
    (tmp_path / "signers").write_text(text)
    with pytest.raises(UnusableSigners):
        read_signers(tmp_path / "signers")


def test_the_commands(root: Path, keys: Path, signers: Path):
    def said(*words: str, code: int = ExitCode.OK) -> str:
        result = CliRunner().invoke(cli.main, list(words))
        assert result.exit_code == code, result.output
        return result.output

    said("sign", str(root), code=ExitCode.USAGE)
    assert said("sign", str(root), "--show").startswith("seec archive\ncommit ")
    assert "signed: commit" in said("sign", str(root), "--key", str(keys / "ed25519"))
    said("verify", str(root), "--timestamp-roots", str(signers), code=ExitCode.USAGE)
