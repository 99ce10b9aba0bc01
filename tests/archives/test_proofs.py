"""Proofs that a file was in an archive, checked with nothing else."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from seec.jobs import cli, compact, digest, gc, prove, verify_proof
from seec.jobs.exit_codes import ExitCode
from seec.schemas.errors import DigestMismatch, SectionCorrupt, UnknownCommit, UnknownPath
from seec.schemas.proof import Proof
from tests.archives import life, plain_reader
from tests.archives.life import findings, opened, put_files
from tests.archives.test_digest import rewrite


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source and its archive: eleven files in shards of two, one changed later."""
    folder = tmp_path_factory.mktemp("proofs")
    put_files(folder / "source", **{f"f{number}": f"text {number}" for number in range(11)})
    (folder / "source" / b"odd \xff\\name".decode(errors="surrogateescape")).write_text("odd")
    life.archive(folder / "source", folder / "archive")
    put_files(folder / "source", f3="changed", more="later")
    life.archive(folder / "source", folder / "archive")
    return folder


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "archive", tmp_path / "archive"))


def proof_of(root: Path, path: str, at: int | None = None) -> Proof:
    return prove.run(prove.Settings(str(root), path, at)).proof


def check(tmp_path: Path, proof: Proof, **settings: Any) -> verify_proof.ProofSummary:
    (tmp_path / "the.proof").write_bytes(proof.serialise())
    return verify_proof.run(verify_proof.Settings(str(tmp_path / "the.proof"), **settings))


def test_every_file_is_proven_by_us_and_by_a_stranger(made: Path, tmp_path: Path):
    root = made / "archive"
    known = opened(root).digest()
    for path in sorted((made / "source").iterdir()):
        proof = proof_of(root, path.name)
        assert Proof.parse("p", proof.serialise()) == proof
        found = check(tmp_path, proof, file=path, digest=known)
        assert (found.digest, found.size_bytes) == (known, path.stat().st_size)
        assert plain_reader.proven(proof.serialise()) == known
        assert len(proof.serialise()) < 3000


def test_an_old_version_is_proven_as_of_its_commit(made: Path, tmp_path: Path):
    root, last = made / "archive", opened(made / "archive").state.sequence
    early = digest.run(digest.Settings(str(root), at=last - 2)).digest
    old = proof_of(root, "f3.txt", last - 2)
    (tmp_path / "old").write_text("text 3")
    assert check(tmp_path, old, file=tmp_path / "old", digest=early).digest == early
    with pytest.raises(DigestMismatch, match="is of an archive of digest"):
        check(tmp_path, old, digest=opened(root).digest())
    with pytest.raises(DigestMismatch, match="is not what"):
        check(tmp_path, old, file=made / "source" / "f3.txt")
    with pytest.raises(UnknownPath):
        proof_of(root, "more.txt", last - 2)


def test_whatever_is_changed_in_a_proof_leads_elsewhere(made: Path, tmp_path: Path):
    known = opened(made / "archive").digest()
    proof = proof_of(made / "archive", "f5.txt")
    other = proof_of(made / "archive", "f8.txt")
    changed = [
        replace(proof, path="f6.txt"),
        replace(proof, kind="link"),
        replace(proof, size_bytes=proof.size_bytes + 1),
        replace(proof, source_digest=other.source_digest),
        replace(proof, sequence=proof.sequence - 1),
        replace(proof, commit_sha256=other.source_digest),
        replace(proof, shard_name=other.shard_name),
        replace(proof, row=replace(proof.row, index=1 - proof.row.index)),
        replace(proof, row=replace(proof.row, size=proof.row.size + 1)),
        replace(proof, row=replace(proof.row, siblings=())),
        replace(proof, shard=replace(proof.shard, index=0 if proof.shard.index else 1)),
        replace(proof, shard=replace(proof.shard, siblings=proof.shard.siblings[::-1])),
        replace(proof, shard=replace(proof.shard, siblings=proof.shard.siblings * 2)),
    ]
    assert len(set(changed)) == len(changed)
    for lie in changed:
        with pytest.raises(DigestMismatch):
            check(tmp_path, lie, digest=known)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "seec-commit"},
        {"version": 2},
        {"path": 1},
        {"path": "\udcff"},
        {"kind": "socket"},
        {"size_bytes": -1},
        {"size_bytes": 1 << 64},
        {"source_digest": "00"},
        {"row": {"index": 0, "size": 1, "siblings": ["zz"]}},
        {"row": {"index": 0, "size": 1, "siblings": ["00" * 32] * 65}},
        {"row": []},
        {"commit": None},
    ],
)
def test_what_is_no_proof_is_refused(made: Path, change: dict[str, Any]):
    body = json.loads(proof_of(made / "archive", "f1.txt").serialise())
    with pytest.raises(SectionCorrupt):
        Proof.parse("p", json.dumps(body | change).encode())
    with pytest.raises(SectionCorrupt):
        Proof.parse("p", b"not JSON")


def test_proofs_hold_after_compaction_and_collection(root: Path, tmp_path: Path):
    before = proof_of(root, "f5.txt")
    compact.run(compact.Settings(str(root), shard_files=100))
    gc.run(gc.Settings(str(root), delete=True, older_than_s=0, keep_commits=1))
    assert findings(root) == []
    plain_reader.check_trees(root)
    after = proof_of(root, "f5.txt")
    known = digest.run(digest.Settings(str(root), at=before.sequence)).digest
    assert before.digest() == known
    assert (
        check(tmp_path, after, digest=opened(root).digest()).source_digest == before.source_digest
    )
    with pytest.raises(UnknownCommit):
        proof_of(root, "f5.txt", before.sequence)


def test_a_rebuilt_archive_does_not_lead_to_the_known_digest(
    root: Path, made: Path, tmp_path: Path
):
    """Somebody else archives other bytes of the same size, with digests that all agree."""
    known = opened(root).digest()
    fake = tmp_path / "fake"
    shutil.copytree(made / "source", fake)
    (fake / "f5.txt").write_text("TEXT 5")
    life.archive(fake, tmp_path / "rebuilt")
    assert findings(tmp_path / "rebuilt") == []
    proof = proof_of(tmp_path / "rebuilt", "f5.txt")
    assert check(tmp_path, proof).digest != known
    with pytest.raises(DigestMismatch):
        check(tmp_path, proof, digest=known)
    rewrite(root, list(range(1, opened(root).state.sequence + 1)))  # without recaps
    assert opened(root).digest() != known


def test_a_shard_whose_rows_have_another_root_is_a_finding(root: Path):
    archived = opened(root)
    shard = next(archived.state.in_order())
    lie = replace(shard, rows_root="00" * 32)
    archived.commit(repaired=(lie,))
    (found,) = findings(root)
    assert (found.kind, found.object) == ("manifest-damaged", shard.manifest.name)
    assert "another root" in found.detail
    path = archived.rows(shard)[0].path
    if opened(root).state.shards[shard.shard] == lie and path != "f3.txt":
        with pytest.raises(SectionCorrupt, match="another root"):
            proof_of(root, path)


def test_a_commit_with_another_tree_is_refused(root: Path):
    last = max((root / "commits").iterdir())
    commit = json.loads(last.read_bytes())
    assert commit["tree"]["size"] > 1
    archived = opened(root)
    made = next(archived.commits(archived.state.sequence, archived.state.sequence))[0]
    lie = replace(made, tree=made.tree.extended([bytes(32)]))
    last.write_bytes(lie.serialise())
    assert [found.kind for found in findings(root)] == ["commit-damaged"]


def test_the_commands(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def said(*words: str, code: int = ExitCode.OK) -> str:
        result = CliRunner().invoke(cli.main, list(words))
        assert result.exit_code == code, result.output
        return result.output

    known = opened(root).digest()
    assert said("digest", str(root)) == f"{known}\n"
    early = said("digest", str(root), "--at", "2").strip()
    assert early != known
    said("digest", str(root), "--at", "999", code=ExitCode.USAGE)
    assert known in said("prove", str(root), "f1.txt", "--output", "f1.proof")
    said("prove", str(root), "f1.txt", "--output", "f1.proof", code=ExitCode.USAGE)
    assert json.loads(said("prove", str(root), "f1.txt")) == json.loads(
        Path("f1.proof").read_text()
    )
    Path("f1.txt").write_text("text 1")
    said("verify-proof", "f1.proof", "--file", "f1.txt", "--digest", known[:20])
    assert "--digest" in said("verify-proof", "f1.proof")
    said("verify-proof", "f1.proof", "--digest", early, code=ExitCode.DAMAGE)
    Path("f1.txt").write_text("text I")
    said("verify-proof", "f1.proof", "--file", "f1.txt", code=ExitCode.DAMAGE)
    Path("f1.proof").write_text("{}")
    said("verify-proof", "f1.proof", code=ExitCode.DAMAGE)
    said("prove", str(root), "nothing.txt", code=ExitCode.UNEXPECTED)
