"""Signed heads: by files of keys, by ssh-keygen, by time-stamp servers; and what they refuse."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from seec.jobs import cli, copy, gc, repair, sign, verify
from seec.jobs.interface import ExitCode
from seec.pipeline.signing.keys import UnusableKey
from seec.pipeline.signing.signers import UnusableSigners, read_signers
from seec.pipeline.signing.timestamps import TimestampRefused
from seec.schemas.errors import DigestMismatch, SectionCorrupt, TransientStorageError
from seec.schemas.signature import SshSignature, parse_signature_name
from tests.archives import life
from tests.archives.life import findings, opened, put_files
from tests.faults.points import repair_in_process, verify_in_process
from tests.time_stamps import make_server, serving

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
    assert [name.rpartition(".")[2] for name in written] == ["sig", "tsr"]
    text = "\n".join(signed(root, show=True).lines()) + "\n"
    (tmp_path / "head.txt").write_text(text)
    judge = ["openssl", "ts", "-verify", "-data", str(tmp_path / "head.txt")]
    judge += ["-in", str(root / written[1]), "-CAfile", str(certificate)]
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
    stamp = root / written[1]
    stamp.write_bytes(stamp.read_bytes()[:-9])
    assert kinds(verified(root, signers, timestamp_roots=certificate)) == ["timestamp-damaged"]


def test_a_time_stamp_keeps_a_signature_valid_after_its_key_is_not(
    root: Path, keys: Path, tmp_path: Path, server: tuple[str, Path]
):
    url, certificate = server
    signed(root, key=keys / "ed25519", timestamp=url)
    word, key, *_ = (keys / "ed25519.pub").read_text().split()
    file = tmp_path / "dated"
    file.write_text(f'me valid-before="20200101Z" {word} {key}\n')
    assert kinds(verified(root, file, timestamp_roots=certificate)) == ["signature-missing"]
    file.write_text(f'me valid-after="20200101",valid-before="20991231235959Z" {word} {key}\n')
    assert verified(root, file, timestamp_roots=certificate).exit_code == ExitCode.OK
    assert kinds(verified(root, file)) == []


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
