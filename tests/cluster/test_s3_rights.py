"""The policies of docs/how-to/s3.md allow every request that the jobs make."""

import fnmatch
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import click
import pytest
from click.testing import CliRunner

from seec.jobs import archive, compact, copy, digest, gc, ls, parity, prove, restore, sign, verify
from seec.pipeline.storage import Store
from seec.pipeline.storage.access import Options
from tests.archives.test_signing import ssh
from tests.docs.pages import ROOT
from tests.faults.proxy import Proxy, Request, before
from tests.object_store import BUCKET, s3_server
from tests.sources import write_tiny_source

PAGE = ROOT / "docs" / "how-to" / "s3.md"
LARGE_BYTES = 40 << 20  # goes to S3 in parts


@dataclass(frozen=True)
class Bucket:
    """A bucket behind a proxy that counts requests. stores: a file for --stores."""

    url: str
    stores: Path
    options: Options
    proxy: Proxy


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[Bucket]:
    (tmp_path / "s3").mkdir()
    with (
        s3_server(tmp_path / "s3", "rights") as clients,
        before(clients["AWS_ENDPOINT_URL"]) as (endpoint, proxy),
    ):
        options = {
            "endpoint_url": endpoint,
            "key": clients["AWS_ACCESS_KEY_ID"],
            "secret": clients["AWS_SECRET_ACCESS_KEY"],
        }
        table = "".join(f'{name} = "{value}"\n' for name, value in options.items())
        stores = tmp_path / "stores.toml"
        stores.write_text(f'["s3://{BUCKET}"]\n{table}')
        yield Bucket(f"s3://{BUCKET}", stores, Options(options), proxy)


def policies() -> dict[str, list[tuple[str, str]]]:
    """(action, resource) pairs of each policy on the page, for the bucket of the tests."""
    text = PAGE.read_text(encoding="utf-8")
    found: dict[str, list[tuple[str, str]]] = {}
    for block in re.finditer(r'^```json title="(\w+)"\n(.*?)^```$', text, re.MULTILINE | re.DOTALL):
        pairs = []
        for statement in json.loads(block[2])["Statement"]:
            for action in _listed(statement["Action"]):
                pairs += [(action, _here(r)) for r in _listed(statement["Resource"])]
        found[block[1]] = pairs
    return found


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value


def _here(resource: str) -> str:
    """The page's buckets are folders of one bucket here."""
    name = resource.removeprefix("arn:aws:s3:::")
    if name in ("photos", "vault", "second"):
        return BUCKET
    return f"{BUCKET}/{name.removeprefix('vault/')}"


def action(request: Request) -> tuple[str, str]:
    """The action and the resource of a request, as AWS names them."""
    url = urlsplit(request.target)
    names = {name for name, _ in parse_qsl(url.query, keep_blank_values=True)}
    path = unquote(url.path).strip("/")
    if "/" not in path:
        return ("s3:ListBucketMultipartUploads" if "uploads" in names else "s3:ListBucket"), path
    if request.method in ("GET", "HEAD"):
        return ("s3:ListMultipartUploadParts" if "uploadId" in names else "s3:GetObject"), path
    if request.method == "DELETE":
        return ("s3:AbortMultipartUpload" if "uploadId" in names else "s3:DeleteObject"), path
    assert request.method in ("PUT", "POST")
    return "s3:PutObject", path


def run(bucket: Bucket, main: click.Command, *arguments: str) -> set[tuple[str, str]]:
    """Run a job; the actions that it asked for."""
    bucket.proxy.plan.requests.clear()
    result = CliRunner().invoke(main, [*arguments, "--stores", str(bucket.stores)])
    assert result.exit_code == 0, result.output
    return {action(request) for request in bucket.proxy.plan.requests}


def allowed(asked: tuple[str, str], policy: Sequence[tuple[str, str]]) -> bool:
    return any(
        asked[0] == name and fnmatch.fnmatchcase(asked[1], resource) for name, resource in policy
    )


@pytest.mark.slow
def test_the_policies_of_the_page_are_enough(bucket: Bucket, tmp_path: Path, ray_cluster: str):
    write_tiny_source(tmp_path / "source", 3)
    (tmp_path / "source" / "large.bin").write_bytes(os.urandom(LARGE_BYTES))
    photos = Store(f"{bucket.url}/photos", options=bucket.options)
    for path in (tmp_path / "source").iterdir():
        photos.put_new(path.name, path.read_bytes())
    archived = f"{bucket.url}/archive"
    asked = {"archive": run(bucket, archive.main, photos.url, archived)}
    asked["archive"] |= run(bucket, archive.main, photos.url, archived, "--check-content")
    asked["archive"] |= run(bucket, compact.main, archived, "--shard-files", "4096")
    asked["archive"] |= run(bucket, parity.main, archived, "5%")
    asked["copy"] = run(bucket, copy.main, archived, f"{bucket.url}/second/archive")
    ssh("-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key"))
    asked["sign"] = run(bucket, sign.main, archived, "--key", str(tmp_path / "key"))
    asked["verify"] = run(bucket, verify.main, archived)
    asked["restore"] = run(bucket, restore.main, archived, str(tmp_path / "restored"))
    asked["restore"] |= run(bucket, ls.main, archived)
    asked["restore"] |= run(bucket, digest.main, archived)
    asked["restore"] |= run(bucket, prove.main, archived, "large.bin")
    Store(archived, options=bucket.options).put_new("blobs/0009-0/000000.blob", b"a leftover")
    asked["gc"] = run(bucket, gc.main, archived, "--older-than", "0", "--delete")
    rights = policies()
    assert rights.keys() == asked.keys()
    for job, actions in asked.items():
        assert [a for a in sorted(actions) if not allowed(a, rights[job])] == [], job


@pytest.mark.slow
def test_only_garbage_collection_may_delete_what_counts():
    for job, policy in policies().items():
        free = [r for name, r in policy if name == "s3:DeleteObject" and r.endswith("archive/*")]
        assert bool(free) == (job == "gc")
