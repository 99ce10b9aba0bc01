"""The whole way between two S3 servers, each with a port and credentials of its own."""

import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import fsspec
import pytest
from click.testing import CliRunner

from seec.jobs import archive, info, repair, restore, verify
from seec.pipeline.archive import Archive
from seec.pipeline.storage import Store
from seec.pipeline.storage.access import Access, Options, using
from seec.schemas.errors import StoreUnavailable
from tests.object_store import BUCKET, s3_server
from tests.sources import same_image, write_tiny_source

NOWHERE = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "nobody",
    "AWS_SECRET_ACCESS_KEY": "nothing",
}


@dataclass(frozen=True)
class Providers:
    """Two servers that have a bucket of the same name; the environment leads to neither.

    file: of their options. here: a URL with the first. there: one below it, with the second.
    """

    file: Path
    here: str
    there: str
    first: Options
    second: Options


@pytest.fixture
def providers(s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Providers]:
    first = _options(dict(os.environ))
    here = f"{s3_url}/{uuid.uuid4()}"
    for name, value in NOWHERE.items():
        monkeypatch.setenv(name, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    (tmp_path / "second").mkdir()
    with s3_server(tmp_path / "second", "other") as clients:
        second = _options(clients)
        made = Providers(tmp_path / "stores.toml", here, f"{here}/there", first, second)
        made.file.write_text(_table(made.here, first) + _table(made.there, second))
        yield made
    fsspec.get_filesystem_class("s3").clear_instance_cache()


def _options(clients: dict[str, str]) -> Options:
    names = {"endpoint_url": "ENDPOINT_URL", "key": "ACCESS_KEY_ID", "secret": "SECRET_ACCESS_KEY"}
    return Options({name: clients[f"AWS_{variable}"] for name, variable in names.items()})


def _table(url: str, options: Options) -> str:
    lines = (f'{name} = "{value}"\n' for name, value in options.values.items())
    return f'["{url}"]\n{"".join(lines)}'


def test_from_one_provider_to_another_and_back(
    providers: Providers, ray_cluster: str, tmp_path: Path
):
    write_tiny_source(tmp_path / "source", 4)
    files = {path.name: path.read_bytes() for path in sorted((tmp_path / "source").iterdir())}
    source, archived = f"{providers.here}/photos", f"{providers.there}/archive"
    for name, data in files.items():
        Store(source, options=providers.first).put_new(name, data)

    def run(main: click.Command, *arguments: str) -> dict[str, Any]:
        result = CliRunner().invoke(main, [*arguments, "--json", "--stores", str(providers.file)])
        assert result.exit_code == 0, result.output
        assert "secret" not in result.output
        return json.loads(result.stdout)

    assert run(archive.main, source, archived, "--shard-files", "2")["files_added"] == 4
    assert run(info.main, archived)["files"] == 4
    assert run(verify.main, archived)["findings"] == []
    run(restore.main, archived, f"{providers.here}/restored")
    back = Store(f"{providers.here}/restored", options=providers.first)
    assert sorted(back.names()) == sorted(files)
    assert all(same_image(data, back.get(name)) for name, data in files.items())

    # Each object is where its URL says, and no secret is in any.
    away = Store(archived, options=providers.second)
    assert list(Store(archived, options=providers.first).names()) == []
    assert list(Store(providers.here, options=providers.second).names()) == [
        f"there/archive/{name}" for name in away.names()
    ]
    assert not [name for name in away.names() if b"-secret" in away.get(name)]

    # One shard comes back from a copy with the first provider, the other from the source there.
    with using(Access.read(providers.file)):
        shards = list(Archive.open(Store(archived)).state.in_order())
    copy = Store(f"{providers.here}/copy", options=providers.first)
    kept = {name: away.get(name) for name in away.names() if name != shards[1].blob.name}
    for name, data in kept.items():
        copy.put_new(name, data)
    for shard in shards:
        away.remove(shard.blob.name)
    repaired = run(repair.main, archived, "--from", copy.url)
    assert repaired["objects"] == [shards[0].blob.name]
    assert repaired["shards"] == [shards[1].shard]
    assert (repaired["lost"], repaired["left"]) == ([], [])
    assert run(verify.main, archived)["findings"] == []


def test_a_wrong_secret_is_named_and_not_told(s3_url: str):
    clients = dict(os.environ)
    wrong = Options({**_options(clients).values, "secret": "hunter2"}, "stores.toml")
    with pytest.raises(StoreUnavailable, match="check the credentials") as raised:
        list(Store(f"s3://{BUCKET}/{uuid.uuid4()}", options=wrong).names())
    assert "hunter2" not in str(raised.value)
    # Beside it, the same URL as the environment has it.
    assert list(Store(f"{s3_url}/{uuid.uuid4()}").names()) == []
