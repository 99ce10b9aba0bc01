"""The policies of docs/how-to/s3.md, enforced by an S3 server: each is enough, and not too much."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from click.testing import CliRunner

from seec.jobs import archive as archive_job
from seec.jobs import cli, restore, verify
from seec.pipeline.storage import Store
from seec.pipeline.storage.access import Options
from seec.schemas.errors import StorageError
from tests.archives.life import put_files
from tests.archives.test_signing import ssh
from tests.cluster.test_s3_rights import PAGE
from tests.faults import points
from tests.in_process import execution
from tests.object_store import s3_server

BUCKETS = ("photos", "vault", "second")


def policies() -> dict[str, str]:
    """The policies of the page, as they stand there."""
    text = PAGE.read_text(encoding="utf-8")
    # This server knows no such actions: who lists a bucket lists its uploads.
    text = re.sub(r',\s*"s3:List(Bucket)?Multipart\w+"', "", text)
    found = re.finditer(r'^```json title="(\w+)"\n(.*?)^```$', text, re.MULTILINE | re.DOTALL)
    return {match[1]: match[2] for match in found}


@dataclass
class Users:
    """A user for each policy, and one who may do everything. folder: for their --stores."""

    folder: Path
    endpoint: str
    keys: dict[str, tuple[str, str]]

    def options(self, user: str) -> dict[str, str]:
        key, secret = self.keys[user]
        return {"endpoint_url": self.endpoint, "key": key, "secret": secret}

    def store(self, user: str, url: str = "s3://vault/archive") -> Store:
        return Store(url, options=Options(self.options(user)))

    def does(self, user: str, *words: str, code: int = 0) -> str:
        """What a command prints that this user runs."""
        lines = "".join(f'{name} = "{value}"\n' for name, value in self.options(user).items())
        stores = self.folder / f"{user}.toml"
        stores.write_text("".join(f'["s3://{bucket}"]\n{lines}' for bucket in BUCKETS))
        result = CliRunner().invoke(cli.main, [*words, "--stores", str(stores)])
        assert result.exit_code == code, result.output
        return result.output


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Users]:
    for job in (archive_job, restore, verify):
        monkeypatch.setattr(job, "execution", execution)
    (tmp_path / "s3").mkdir()
    with s3_server(tmp_path / "s3", "root") as clients:
        keys = {"root": (clients["AWS_ACCESS_KEY_ID"], clients["AWS_SECRET_ACCESS_KEY"])}
        made: dict[str, Any] = {
            service: botocore.session.get_session().create_client(
                service,
                aws_access_key_id=keys["root"][0],
                aws_secret_access_key=keys["root"][1],
                region_name="us-east-1",
                endpoint_url=clients["AWS_ENDPOINT_URL"],
            )
            for service in ("iam", "s3")
        }
        for bucket in BUCKETS:
            made["s3"].create_bucket(Bucket=bucket)
        for name, policy in policies().items():
            made["iam"].create_user(UserName=name)
            key = made["iam"].create_access_key(UserName=name)["AccessKey"]
            keys[name] = (key["AccessKeyId"], key["SecretAccessKey"])
            made["iam"].put_user_policy(UserName=name, PolicyName="page", PolicyDocument=policy)
        yield Users(tmp_path, clients["AWS_ENDPOINT_URL"], keys)


@pytest.mark.slow
def test_each_job_can_do_its_work_and_nothing_else(users: Users, tmp_path: Path):
    put_files(tmp_path / "files", a="one", b="two", c="three")
    photos = users.store("root", "s3://photos")
    for path in (tmp_path / "files").iterdir():
        photos.put_new(path.name, path.read_bytes())
    vault = "s3://vault/archive"
    options = ("--shard-files", "2", "--model", str(points.MODEL))
    users.does("archive", "archive", "s3://photos", vault, "--parity", "5%", *options)
    users.does("archive", "compact", vault)
    users.does("archive", "parity", vault, "10%")
    ssh("-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key"))
    users.does("sign", "sign", vault, "--key", str(tmp_path / "key"))
    users.does("copy", "copy", vault, "s3://second/archive")
    (tmp_path / "signers").write_text(f"me {(tmp_path / 'key.pub').read_text()}")
    said = users.does("verify", "verify", vault, "--signers", str(tmp_path / "signers"))
    assert "report reports/verify-" in said
    users.does("restore", "restore", vault, str(tmp_path / "restored"))
    assert (tmp_path / "restored" / "c.txt").read_text() == "three"
    for words in (("ls", vault), ("digest", vault), ("prove", vault, "a.txt")):
        users.does("restore", *words)
    names = set(users.store("root").names())
    blob = next(name for name in names if name.startswith("blobs/"))
    for name in policies():
        if name == "gc":
            continue
        with pytest.raises(StorageError):
            users.store(name).remove(blob)
        if name != "archive":
            with pytest.raises(StorageError):
                users.store(name).put("commits/0000000099.json", b"{}")
    assert set(users.store("root").names()) >= names
    put_files(tmp_path / "more", d="four")
    users.does("restore", "archive", str(tmp_path / "more"), vault, *options, code=1)
    users.does("gc", "gc", vault, "--older-than", "0", "--keep-commits", "1", "--delete")
    assert set(users.store("root").names()) < names | {"locks"} | set(_new(users, names))
    users.does("verify", "verify", vault)


def _new(users: Users, before: set[str]) -> set[str]:
    return set(users.store("root").names()) - before
