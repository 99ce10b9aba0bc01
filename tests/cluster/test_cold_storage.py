"""Blobs in cold storage, on a real S3 server behind a proxy that answers as Glacier does."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from seec.jobs import cli, copy, gc, verify
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.storage import Store
from seec.schemas.errors import ObjectFrozen
from tests.archives import thaw_sweep
from tests.archives.life import put_files
from tests.archives.vault import ICE, Vault, opened
from tests.docs.pages import DOCS, Command, steps
from tests.faults.points import verify_in_process
from tests.object_store import s3_server

PAGE = DOCS / "how-to" / "s3.md"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with s3_server(tmp_path_factory.mktemp("s3"), "cold") as clients:
        yield clients


@pytest.fixture
def vault(tmp_path: Path, server: dict[str, str]) -> Iterator[Vault]:
    with opened(tmp_path, server) as made:
        yield made


@pytest.mark.slow
def test_only_restoring_reads_what_is_frozen(vault: Vault, tmp_path: Path):
    vault.archive()
    vault.freeze()
    paths = {file["path"] for file in vault.json("ls", vault.url)["files"]}
    assert paths == {"a.txt", "b.txt", "c.txt", "d.txt"}
    assert vault.archive()["files_added"] == 0
    put_files(vault.source, e="five", a="one, later")
    assert vault.archive()["files_added"] == 2
    vault.json("digest", vault.url)
    vault.json("prove", vault.url, "e.txt")
    vault.json("info", vault.url)
    vault.json("parity", vault.url, "20%", "--dry-run")
    vault.json("gc", vault.url)
    assert vault.ice.refused == []
    found = vault.json("verify", vault.url)
    assert found["findings"] == []
    assert found["objects_frozen"] == 2 * found["shards"]
    assert vault.json("verify", vault.url, "--mode", "checksum")["images"] == 0


@pytest.mark.slow
def test_a_restore_says_what_must_be_thawed_then_asks_and_waits(vault: Vault, tmp_path: Path):
    vault.archive()
    vault.freeze()
    blobs = sorted(vault.store.names("blobs"))
    target = tmp_path / "restored"
    found = vault.json("restore", vault.url, str(target), code=ExitCode.FROZEN)
    assert [one["name"] for one in found["frozen"]] == blobs
    assert {one["state"] for one in found["frozen"]} == {"frozen"}
    sizes = {name: vault.store.size(name) for name in blobs}
    assert {one["name"]: one["size_bytes"] for one in found["frozen"]} == sizes
    assert not target.exists()
    assert (vault.ice.refused, vault.ice.restored) == ([], {})
    one = vault.json("restore", vault.url, str(target), "--include", "c.txt", code=ExitCode.FROZEN)
    assert len(one["frozen"]) == 1
    vault.ice.takes_s = 2.0
    asking = ("restore", vault.url, str(target), "--thaw", "--thaw-days", "3")
    asking = (*asking, "--thaw-tier", "Bulk")
    found = vault.json(*asking, "--max-wait", "0", code=ExitCode.FROZEN)
    assert {one["state"] for one in found["frozen"]} == {"thawing"}
    assert len(vault.ice.bodies) == len(blobs)
    assert all(b"<Days>3</Days>" in body for body in vault.ice.bodies)
    assert all(b"<Tier>Bulk</Tier>" in body for body in vault.ice.bodies)
    found = vault.json(*asking, "--thaw-every", "1s")
    assert len(vault.ice.bodies) == len(blobs)  # nobody asks twice
    assert found["restored"] == 4
    assert vault.ice.refused == []
    assert (target / "c.txt").read_text() == "three"
    assert vault.json("restore", vault.url, str(tmp_path / "again"))["restored"] == 4


@pytest.mark.slow
def test_lines_for_people_have_list_size_and_command(vault: Vault, tmp_path: Path):
    vault.archive()
    vault.freeze()
    words = ["restore", vault.url, str(tmp_path / "out"), "--stores", str(vault.stores)]
    result = CliRunner().invoke(cli.main, words)
    assert result.exit_code == ExitCode.FROZEN
    *listed, last = result.stdout.splitlines()
    assert len(listed) == 2
    assert all(line.startswith("frozen: blobs/") for line in listed)
    assert "2 objects" in last
    assert "--thaw" in last


@pytest.mark.slow
def test_reading_what_is_frozen_is_an_error_of_its_own(vault: Vault, tmp_path: Path):
    vault.archive()
    vault.freeze()
    blob = next(vault.store.names("blobs"))
    with pytest.raises(ObjectFrozen, match="cold storage"):
        vault.store.get(blob)
    with pytest.raises(ObjectFrozen):
        vault.store.get_range(blob, 0, 1)
    vault.store.thaw(blob, 1, "Standard")
    vault.ice.takes_s = 60.0
    vault.store.thaw(blob, 1, "Standard")  # in progress, which is no error
    assert vault.store.thawing(blob) == "thawing"
    vault.ice.takes_s = 0.0
    assert vault.store.thawing(blob) == "thawed"
    assert vault.store.get(blob)
    assert set(vault.store.cold("blobs")) == set(vault.store.names("blobs"))


@pytest.mark.slow
def test_a_thawed_archive_is_verified_and_copied(vault: Vault, tmp_path: Path):
    vault.archive()
    vault.freeze()
    for name in (*vault.store.names("blobs"), *vault.store.names("parity")):
        vault.store.thaw(name, 1, "Standard")
    found = vault.json("verify", vault.url)
    assert (found["objects_frozen"], found["findings"]) == (0, [])
    vault.json("copy", vault.url, str(tmp_path / "copy"))
    assert verify_in_process(verify.Settings(str(tmp_path / "copy"))).findings == ()
    assert gc.run(gc.Settings(str(tmp_path / "copy"))).strangers == ()
    assert copy.run(copy.Settings(str(tmp_path / "copy"), str(tmp_path / "third"))).missed == {}


def test_every_command_of_the_page_is_run(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """In order; the archive is frozen before the last one, which thaws it."""
    monkeypatch.chdir(tmp_path)
    photos = f"{vault.url}-photos"
    Store(photos, options=vault.options).put("2024/a.txt", b"one")
    places = {
        "s3://photos": photos,
        "s3://vault/archive": vault.url,
        "s3://second/archive": f"{vault.url}-second",
    }
    *commands, last = (step for step in steps(PAGE) if isinstance(step, Command))
    assert {step.words[1] for step in commands} == {"archive", "copy"}
    assert "--thaw" in last.words
    for step in (*commands, last):
        if step == last:
            vault.freeze()
        result = vault.run(*(places.get(word, word) for word in step.words[1:]))
        assert result.exit_code == step.exit_code, result.output
    assert vault.ice.restored
    assert (tmp_path / "restored" / "2024" / "a.txt").read_bytes() == b"one"


def test_no_command_takes_cold_storage_for_damage():
    """Some of what `tests.archives.thaw_sweep` tries."""
    with thaw_sweep.begun() as (sweep, codes):
        counts = [thaw_sweep.frozen(sweep, codes, ICE, 2)]
        counts.append(thaw_sweep.frozen(sweep, codes, ("/commits/",), 5))
        counts.append(thaw_sweep.interrupted(sweep, 4))
    assert all(count.tried > 2 for count in counts)
    assert [text for count in counts for text in count.failures] == []
