"""The archive digest covers everything that commits say, and commands compare it where asked to."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from seec.jobs import archive as archive_job
from seec.jobs import restore, verify
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.archive import Archive
from seec.pipeline.storage import Store
from seec.schemas.archive import ARCHIVE_JSON, FORMAT_MD, ArchiveHeader, commit_name, removed_name
from seec.schemas.commit import Commit, ObjectRecord, RemovalRecord
from seec.schemas.errors import DigestMismatch, SectionCorrupt
from seec.schemas.merkle import NO_LEAVES
from seec.schemas.removal import serialise_removed
from tests.archives.life import archive, findings, opened, put_files, texts
from tests.archives.plain_reader import digest, head
from tests.faults.points import RECAP_EVERY, repair_in_process, repair_job, verify_in_process


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two runs: the second one changed a file and added another."""
    put_files(tmp_path / "source", contract="old")
    archive(tmp_path / "source", tmp_path / "archive")
    put_files(tmp_path / "source", contract="new: pay 1", evidence="seen")
    archive(tmp_path / "source", tmp_path / "archive")
    return tmp_path / "archive"


def rewrite(root: Path, order: list[int]) -> None:
    """Chain commits anew in another order, with digests that fit."""
    commits = [Commit.parse(n, (root / commit_name(n)).read_bytes()) for n in order]
    before = ArchiveHeader.parse((root / ARCHIVE_JSON).read_bytes()).sha256
    tree = NO_LEAVES
    for number, commit in enumerate(commits, 1):
        tree = tree.extended(commit.changes.leaves)
        changed = replace(commit, sequence=number, previous=before, recap=None, tree=tree)
        data = changed.serialise()
        (root / commit_name(number)).write_bytes(data)
        before = hashlib.sha256(data).hexdigest()


def hide(root: Path) -> None:
    archived = opened(root)
    data = serialise_removed(["evidence.txt"])
    name = removed_name(hashlib.sha256(data).hexdigest())
    archived.store.put_new(name, data)
    record = ObjectRecord(name, len(data), hashlib.sha256(data).hexdigest())
    last = archived.state.last_run
    assert last is not None
    archived.commit(removed=(RemovalRecord(last.run_id, 1, record),))


def cut(root: Path) -> None:
    for path in sorted((root / "commits").iterdir())[2:]:
        path.unlink()


def describe_otherwise(root: Path) -> None:
    (root / FORMAT_MD).write_bytes(b"lies")
    header = ArchiveHeader(hashlib.sha256(b"lies").hexdigest(), RECAP_EVERY)
    (root / ARCHIVE_JSON).write_bytes(header.serialise())
    rewrite(root, [1, 2, 3, 4])


@pytest.mark.parametrize("attack", [hide, cut, describe_otherwise])
def test_whatever_is_changed_with_care_changes_the_digest(
    root: Path, attack: Callable[[Path], None]
):
    before = opened(root).digest()
    assert digest(root) == before
    attack(root)
    assert digest(root) == opened(root).digest() != before
    with pytest.raises(DigestMismatch):
        opened(root).expect(before)


def test_runs_that_change_places_are_refused(root: Path):
    rewrite(root, [3, 4, 1, 2])
    with pytest.raises(SectionCorrupt, match="out of order"):
        opened(root)
    assert {found.kind for found in findings(root)} == {"commit-damaged"}


def test_another_description_is_a_finding(root: Path):
    (root / FORMAT_MD).write_bytes(b"lies")
    header = ArchiveHeader(hashlib.sha256(b"lies").hexdigest(), RECAP_EVERY)
    copy = shutil.copytree(root, root.with_name("copy"))
    (root / ARCHIVE_JSON).write_bytes(header.serialise())
    with pytest.raises(SectionCorrupt):
        opened(root)
    assert "archive-json-damaged" in {found.kind for found in findings(root)}
    repair_in_process(repair_job.Settings(str(root), (str(copy),)))
    assert findings(root) == []


def test_the_digest_of_an_archive_as_it_was_is_that_of_the_archive(root: Path):
    assert opened(root, 2).digest() == opened(root).digest()


def test_commits_that_are_gone_at_the_end_are_a_finding_and_come_back_from_a_copy(root: Path):
    copy = shutil.copytree(root, root.with_name("copy"))
    cut(root)
    (found,) = findings(root)
    assert (found.kind, found.object) == ("commit-missing", commit_name(3))
    assert "no commit opens the run of blobs/0002-" in found.detail
    repair_in_process(repair_job.Settings(str(root), (str(copy),)))
    assert findings(root) == []
    assert texts(root) == {"contract": "new: pay 1", "evidence": "seen"}
    assert opened(root).digest() == opened(copy).digest()


def test_commands_compare_the_digest_with_the_expected_one(root: Path, tmp_path: Path):
    found, source = opened(root).digest(), tmp_path / "source"
    early = head((root / commit_name(2)).read_bytes())
    assert verify_in_process(verify.Settings(str(root), expect=found[:16])).findings == ()
    (finding,) = verify_in_process(verify.Settings(str(root), expect="0" * 16)).findings
    assert (finding.kind, finding.object) == ("digest-differs", commit_name(4))
    assert "another archive, or was changed" in finding.detail
    descended = verify_in_process(verify.Settings(str(root), expect=early))
    assert (descended.findings, descended.descends_from) == ((), 2)
    assert any("descends from commit 2" in line for line in descended.lines())
    for wrong in ("0" * 16, early):
        with pytest.raises(DigestMismatch):
            restore.run(restore.Settings(str(root), str(tmp_path / "out"), expect=wrong))
        with pytest.raises(DigestMismatch):
            archive(source, root, expect=wrong)
        assert opened(root).digest() == found
    assert not (tmp_path / "out").exists()
    put_files(source, more="text")
    assert archive(source, root, expect=found).files_added == 1


@pytest.mark.parametrize("wrong", ["", "0" * 15, "0" * 65, "x" * 16])
def test_what_is_no_digest_is_wrong_use(root: Path, wrong: str):
    for job in (verify.main, restore.main, archive_job.main):
        arguments = [str(root), str(root.with_name("other"))][: 1 if job is verify.main else 2]
        result = CliRunner().invoke(job, [*arguments, "--expect", wrong])
        assert result.exit_code == ExitCode.USAGE


def test_an_archive_without_commits_has_the_digest_of_its_header(tmp_path: Path):
    made = Archive.open_or_create(Store(str(tmp_path / "archive")), b"format")
    assert (
        made.digest()
        == hashlib.sha256((tmp_path / "archive/archive.json").read_bytes()).hexdigest()
    )
