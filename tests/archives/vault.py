"""An archive on a real S3 server, behind a proxy that answers as Glacier does."""

import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from click.testing import CliRunner, Result

from seec.jobs import archive as archive_job
from seec.jobs import cli, repair, restore, verify
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.archive.models import archived_model
from seec.pipeline.storage import Store
from seec.pipeline.storage.access import Options
from tests.archives.life import put_files
from tests.faults import glacier, points
from tests.in_process import execution
from tests.object_store import BUCKET

ICE = ("/blobs/", "/parity/")


@dataclass
class Vault:
    """An archive in a bucket whose blobs and parity are in cold storage, once it is frozen."""

    url: str
    source: Path
    ice: glacier.Glacier
    proxy: glacier.GlacierProxy
    stores: Path
    options: Options

    @property
    def store(self) -> Store:
        """The archive."""
        return Store(self.url, options=self.options)

    def run(self, *words: str) -> Result:
        """A command, with --json."""
        archived_model.cache_clear()
        return CliRunner().invoke(cli.main, [*words, "--stores", str(self.stores), "--json"])

    def json(self, *words: str, code: int = ExitCode.OK) -> dict[str, Any]:
        """What a command prints with --json."""
        result = self.run(*words)
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    def archive(self) -> dict[str, Any]:
        """Archive the source, with parity, in shards of two files."""
        options = ("--shard-files", "2", "--model", str(points.MODEL), "--parity", "10%")
        return self.json("archive", str(self.source), self.url, *options)

    def freeze(self, *parts: str) -> None:
        """Put objects in cold storage whose keys have one of these parts."""
        self.ice.cold = parts or ICE

    def objects(self) -> dict[str, bytes]:
        """All objects but reports and locks; whatever is in cold storage."""
        cold, self.ice.cold = self.ice.cold, ()
        try:
            names = [n for n in self.store.names() if not n.startswith(("reports/", "locks/"))]
            return {name: self.store.get(name) for name in names}
        finally:
            self.ice.cold = cold


@contextmanager
def opened(folder: Path, server: dict[str, str]) -> Iterator[Vault]:
    """A vault with a source of four files, and no archive yet; jobs run without Ray meanwhile.

    server: its environment, as `s3_server` gives it.
    """
    with ExitStack() as held:
        for job in (archive_job, repair, restore, verify):
            held.enter_context(patch.object(job, "execution", execution))
        endpoint, proxy = held.enter_context(glacier.before(server["AWS_ENDPOINT_URL"]))
        options = {
            "endpoint_url": endpoint,
            "key": server["AWS_ACCESS_KEY_ID"],
            "secret": server["AWS_SECRET_ACCESS_KEY"],
        }
        table = "".join(f'{name} = "{value}"\n' for name, value in options.items())
        (folder / "stores.toml").write_text(f'["s3://{BUCKET}"]\n{table}')
        put_files(folder / "source", a="one", b="two", c="three", d="four")
        url = f"s3://{BUCKET}/{uuid.uuid4()}"
        stores = folder / "stores.toml"
        yield Vault(url, folder / "source", proxy.glacier, proxy, stores, Options(options))
