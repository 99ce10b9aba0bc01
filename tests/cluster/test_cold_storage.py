"""Blobs in cold storage, on a real S3 server behind a proxy that answers as Glacier does."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from seec.jobs import archive as archive_job
from seec.jobs import cli, copy, gc, restore, verify
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.storage import Store
from seec.pipeline.storage.access import Options
from seec.schemas.errors import ObjectFrozen
from tests.archives.life import put_files
from tests.faults import glacier, points
from tests.faults.points import verify_in_process
from tests.in_process import execution
from tests.object_store import BUCKET, s3_server


@dataclass
class Vault:
    """An archive in a bucket whose blobs and parity are in cold storage, if `ice` is told so."""

    url: str
    source: Path
    ice: glacier.Glacier
    stores: Path
    options: Options

    @property
    def store(self) -> Store:
        return Store(self.url, options=self.options)

    def said(self, *words: str, code: int = ExitCode.OK) -> dict[str, Any]:
        """What a command prints with --json."""
        arguments = [*words, "--stores", str(self.stores), "--json"]
        result = CliRunner().invoke(cli.main, arguments)
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    def archive(self) -> dict[str, Any]:
        options = ("--shard-files", "2", "--model", str(points.MODEL), "--parity", "10%")
        return self.said("archive", str(self.source), self.url, *options)

    def freeze(self) -> None:
        self.ice.cold = ("/blobs/", "/parity/")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with s3_server(tmp_path_factory.mktemp("s3"), "cold") as clients:
        yield clients


@pytest.fixture
def vault(
    tmp_path: Path, server: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Vault]:
    for job in (archive_job, restore, verify):
        monkeypatch.setattr(job, "execution", execution)
    with glacier.before(server["AWS_ENDPOINT_URL"]) as (endpoint, ice):
        options = {
            "endpoint_url": endpoint,
            "key": server["AWS_ACCESS_KEY_ID"],
            "secret": server["AWS_SECRET_ACCESS_KEY"],
        }
        table = "".join(f'{name} = "{value}"\n' for name, value in options.items())
        (tmp_path / "stores.toml").write_text(f'["s3://{BUCKET}"]\n{table}')
        put_files(tmp_path / "source", a="one", b="two", c="three", d="four")
        url = f"s3://{BUCKET}/{uuid.uuid4()}"
        yield Vault(url, tmp_path / "source", ice, tmp_path / "stores.toml", Options(options))


@pytest.mark.slow
def test_only_restoring_reads_what_is_frozen(vault: Vault, tmp_path: Path):
    vault.archive()
    vault.freeze()
    paths = {file["path"] for file in vault.said("ls", vault.url)["files"]}
    assert paths == {"a.txt", "b.txt", "c.txt", "d.txt"}
    assert vault.archive()["files_added"] == 0
    put_files(vault.source, e="five", a="one, later")
    assert vault.archive()["files_added"] == 2
    vault.said("digest", vault.url)
    vault.said("prove", vault.url, "e.txt")
    vault.said("info", vault.url)
    vault.said("parity", vault.url, "20%", "--dry-run")
    vault.said("gc", vault.url)
    assert vault.ice.refused == []
    told = vault.said("verify", vault.url)
    assert told["findings"] == []
    assert told["objects_frozen"] == 2 * told["shards"]
    assert vault.said("verify", vault.url, "--mode", "checksum")["images"] == 0


@pytest.mark.slow
def test_a_restore_says_what_must_be_thawed_then_asks_and_waits(vault: Vault, tmp_path: Path):
    vault.archive()
    vault.freeze()
    blobs = sorted(vault.store.names("blobs"))
    target = tmp_path / "restored"
    told = vault.said("restore", vault.url, str(target), code=ExitCode.FROZEN)
    assert [one["name"] for one in told["frozen"]] == blobs
    assert {one["state"] for one in told["frozen"]} == {"frozen"}
    sizes = {name: vault.store.size(name) for name in blobs}
    assert {one["name"]: one["size_bytes"] for one in told["frozen"]} == sizes
    assert not target.exists()
    assert (vault.ice.refused, vault.ice.restored) == ([], {})
    one = vault.said("restore", vault.url, str(target), "--include", "c.txt", code=ExitCode.FROZEN)
    assert len(one["frozen"]) == 1
    vault.ice.takes_s = 2.0
    asking = ("restore", vault.url, str(target), "--thaw", "--thaw-days", "3")
    asking = (*asking, "--thaw-tier", "Bulk")
    told = vault.said(*asking, "--max-wait", "0", code=ExitCode.FROZEN)
    assert {one["state"] for one in told["frozen"]} == {"thawing"}
    assert len(vault.ice.bodies) == len(blobs)
    assert all(b"<Days>3</Days>" in body for body in vault.ice.bodies)
    assert all(b"<Tier>Bulk</Tier>" in body for body in vault.ice.bodies)
    told = vault.said(*asking, "--thaw-every", "1s")
    assert len(vault.ice.bodies) == len(blobs)  # nobody asks twice
    assert told["restored"] == 4
    assert vault.ice.refused == []
    assert (target / "c.txt").read_text() == "three"
    assert vault.said("restore", vault.url, str(tmp_path / "again"))["restored"] == 4


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
    told = vault.said("verify", vault.url)
    assert (told["objects_frozen"], told["findings"]) == (0, [])
    vault.said("copy", vault.url, str(tmp_path / "copy"))
    assert verify_in_process(verify.Settings(str(tmp_path / "copy"))).findings == ()
    assert gc.run(gc.Settings(str(tmp_path / "copy"))).strangers == ()
    assert copy.run(copy.Settings(str(tmp_path / "copy"), str(tmp_path / "third"))).missed == {}
