"""Keys of object stores that no file system has: kept, given back, and written in a folder."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3fs
from click.testing import CliRunner, Result

from seec.jobs import archive, ls, restore, verify
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.storage import Store
from seec.schemas.names import key_as_path
from tests.faults import points
from tests.in_process import execution
from tests.key_server import key_server

ODD = {
    "2024//double.txt": "2024/%/double.txt",
    "/leading.txt": "%/leading.txt",
    "dot/./x.txt": "dot/%2E/x.txt",
    "up/../y.txt": "up/%2E%2E/y.txt",
    "like/%2E/z.txt": "like/%%2E/z.txt",
    "%": "%%",
    "q/": "q/%",
    "empty//": "empty/%",
}
PLAIN = ["2024/ok.txt", "100%/a%20b.txt", "marked/a.txt"]


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that runs already knows nothing of the environment that a test sets."""
    for job in (archive, restore, verify):
        monkeypatch.setattr(job, "execution", execution)


@pytest.fixture
def objects(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """A bucket `photos` with such keys, on a server that the environment names."""
    with key_server() as (url, held):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "key")
        monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
        for key in (*ODD, *PLAIN):
            held[f"photos/{key}"] = b"" if key == "empty//" else key.encode()
        held["photos/marked/"] = b""
        s3fs.S3FileSystem.clear_instance_cache()  # of other servers
        yield held
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def root(objects: dict[str, bytes], tmp_path: Path) -> Path:
    assert archived(tmp_path / "archive").exit_code == ExitCode.OK
    return tmp_path / "archive"


def archived(root: Path, source: str = "s3://photos") -> archive.ArchiveSummary:
    return archive.run(archive.Settings(source, str(root), model=points.MODEL))


def restored(root: Path, target: str, *options: str) -> Result:
    return CliRunner().invoke(restore.main, [str(root), target, *options])


def test_keys_are_kept_and_unchanged_the_next_night(root: Path):
    rows = ls.run(ls.Settings(str(root))).rows
    assert {row.path for row in rows} == {*ODD, *PLAIN, "marked/"}
    assert {row.path for row in rows if row.kind == "directory"} == {"marked/", "empty//"}
    again = archived(root)
    assert (again.runs, again.quarantined_now, again.exit_code) == ([], 0, ExitCode.OK)
    assert verify.run(verify.Settings(str(root))).exit_code == ExitCode.OK
    listed = CliRunner().invoke(ls.main, [str(root)]).stdout
    assert re.search(r"directory .* marked/$", listed, re.MULTILINE)


def test_a_store_gets_its_keys_back(root: Path, objects: dict[str, bytes]):
    for _ in range(2):
        result = restored(root, "s3://out/deep")
        assert result.exit_code == ExitCode.OK, result.output
        back = {
            name.removeprefix("out/deep/"): data
            for name, data in objects.items()
            if name.startswith("out/deep/")
        }
        before = {
            name.removeprefix("photos/"): data
            for name, data in objects.items()
            if name.startswith("photos/")
        }
        assert back == before
    assert "were there already" in result.stdout


def test_a_folder_gets_them_under_names_that_are_listed(root: Path, tmp_path: Path):
    out = tmp_path / "out"
    result = restored(root, str(out))
    assert result.exit_code == ExitCode.OK, result.output
    for key, path in ODD.items():
        assert f"written as {path!r}: {key!r}" in result.stdout
        place = out / path
        assert place.is_dir() if key == "empty//" else place.read_bytes() == key.encode()
    for key in PLAIN:
        assert (out / key).read_bytes() == key.encode()
        assert f"{key!r}" not in result.stdout
    assert sum(path.is_file() for path in out.rglob("*")) == len(ODD) + len(PLAIN) - 1


def test_what_a_folder_has_no_place_for_is_named_and_no_damage(
    objects: dict[str, bytes], tmp_path: Path
):
    objects |= {"photos/2024": b"a file and a folder", f"photos/{'x' * 300}": b"too long"}
    archived(tmp_path / "archive")
    result = restored(tmp_path / "archive", str(tmp_path / "out"))
    assert result.exit_code == ExitCode.REFUSED, result.output
    assert "refused by the target" in result.stdout
    assert "xxx" in result.stdout
    assert restored(tmp_path / "archive", "s3://out").exit_code == ExitCode.OK
    assert objects["out/2024"] == b"a file and a folder"


def test_the_marker_of_the_source_itself_is_left_out(objects: dict[str, bytes], tmp_path: Path):
    archived(tmp_path / "archive", "s3://photos/marked")
    rows = ls.run(ls.Settings(str(tmp_path / "archive"))).rows
    assert [row.path for row in rows] == ["a.txt"]


def test_no_two_keys_have_one_path():
    parts = ("", ".", "..", "%", "%%", "%2E", "%%2E", "%2E%2E", "%%2E%2E", "%2", "a", "%2E%", "...")
    keys = {f"{one}/{other}" for one in parts for other in parts}
    paths = {key_as_path(key) for key in keys}
    assert len(paths) == len(keys)
    assert not any({"", ".", ".."} & set(path.split("/")) for path in paths)


def test_markers_of_a_real_server_are_directories(s3_url: str, tmp_path: Path):
    bucket = s3_url.removeprefix("s3://")
    fs = s3fs.S3FileSystem(use_listings_cache=False)
    for key, data in (("marks/d/", b""), ("marks/d/a.txt", b"a"), ("marks/e/", b"")):
        fs.call_s3("put_object", Bucket=bucket, Key=key, Body=data)
    for _ in range(2):
        summary = archived(tmp_path / "archive", f"{s3_url}/marks")
        assert summary.exit_code == ExitCode.OK
    assert summary.runs == []
    assert restored(tmp_path / "archive", str(tmp_path / "out")).exit_code == ExitCode.OK
    assert (tmp_path / "out" / "e").is_dir()
    assert restored(tmp_path / "archive", f"{s3_url}/back").exit_code == ExitCode.OK
    assert "e/" in [name for name, _ in Store(f"{s3_url}/back").infos()]
