"""What a user typed as a place, and places that lie in one another."""

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.utils import infer_storage_options

from seec.jobs import archive, files, repair, restore, segment
from seec.pipeline.storage import Source, Store
from seec.pipeline.storage.location import local_path
from seec.schemas.errors import StorageError
from tests.archives import life
from tests.sources import write_tiny_source

ODD = ["x::y/arch", "fe80::1/arch", "file:r3", "local:r", "memory:", "a/../b", "b/.", "~", "s3:/x"]


@pytest.mark.parametrize("text", ODD)
def test_what_has_no_scheme_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    wanted = tmp_path / ("home" if text == "~" else text)
    assert local_path(text) == os.path.realpath(wanted) == Store(text).url
    assert Store(text).is_local
    Path(text).mkdir(parents=True)
    assert local_path(text) == os.path.realpath(tmp_path / text)


def test_what_exists_is_a_path_and_other_urls_are_urls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    for url in ("s3://photos/a", "memory://a", "simplecache::memory://a"):
        assert local_path(url) is None
    assert not Store("memory://a").is_local
    Path("memory:/a").mkdir(parents=True)
    assert local_path("memory://a") == str(tmp_path / "memory:" / "a")
    for url in (f"file://{tmp_path}/x::y", f"local://{tmp_path}/x::y"):
        assert local_path(url) == str(tmp_path / "x::y")


def test_links_are_followed_to_a_place_and_loops_end(tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "loop").symlink_to("loop")
    assert local_path(str(tmp_path / "link" / "new")) == str(tmp_path / "real" / "new")
    with pytest.raises(StorageError, match="not a directory"):
        Source(str(tmp_path / "loop"))


def test_an_empty_text_is_no_place():
    with pytest.raises(StorageError, match="empty"):
        Store("")


def test_single_files_are_where_they_were_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("file:r3", "x::y.seec", "x::y/z"):
        files.write(name, name.encode(), force=False)
        assert (tmp_path / name).read_bytes() == files.read(name) == name.encode()


class ServerFileSystem(MemoryFileSystem):
    """Files of a server, which is in the URL and not in the path, as with sftp, ftp and smb."""

    protocol = "toyserver"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return infer_storage_options(path)["path"]

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        found = infer_storage_options(path)
        return {key: found[key] for key in ("host", "port", "password") if key in found}


def test_the_server_is_part_of_a_url_and_the_password_is_not():
    fsspec.register_implementation("toyserver", ServerFileSystem, clobber=True)
    urls = [Store(f"toyserver://{a}/photos").url for a in ("me@one:22", "one", "two")]
    assert urls == [f"toyserver://{server}/photos" for server in ("one:22", "one", "two")]


def forms(folder: Path) -> list[str]:
    """Ways to write one folder."""
    link = folder.with_name(f"link to {folder.name}")
    link.symlink_to(folder.name)
    return [
        str(folder),
        f"{folder}/.",
        f"{folder}/x/..",
        f"{link}",
        f"file://{folder}",
        os.path.relpath(folder),
    ]


def test_places_overlap_however_they_are_written(tmp_path: Path):
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    (tmp_path / "photos2").mkdir()
    for form in forms(tmp_path / "photos"):
        for inner in ("", "/archive", "/deep/not/there"):
            inside = Store(f"{form}{inner}")
            assert Store(str(tmp_path / "photos")).overlaps(inside)
            assert inside.overlaps(Store(form))
        for outside in (f"{form}/../photos2", f"{form}/../new"):
            assert not Store(form).overlaps(Store(outside))
    assert Store("/").overlaps(Store(str(tmp_path)))
    one = f"memory://{uuid.uuid4()}"
    assert Store(one).overlaps(Store(f"{one}/a"))
    assert not Store(f"{one}/a").overlaps(Store(f"{one}/ab"))
    assert not Store(one).overlaps(Store(str(tmp_path)))


def _archive(one: str, other: str) -> Any:
    return archive.run(archive.Settings(one, other, profile="fast"))


def _restore(one: str, other: str) -> Any:
    return restore.run(restore.Settings(one, other))


def _repair_from(one: str, other: str) -> Any:
    return repair.run(repair.Settings(one, copies=(other,)))


def _repair_source(one: str, other: str) -> Any:
    return repair.run(repair.Settings(one, source=other))


def _segment(one: str, other: str) -> Any:
    return segment.run(segment.Settings((one,), Path(other.removeprefix("file://"))))


@pytest.mark.parametrize("job", [_archive, _restore, _repair_from, _repair_source, _segment])
def test_no_command_takes_a_place_within_another(tmp_path: Path, job: Callable[[str, str], Any]):
    folder = tmp_path / "photos"
    write_tiny_source(folder, 1)
    life.archive(folder, tmp_path / "archive")
    place = tmp_path / "archive" if job in (_restore, _repair_from, _repair_source) else folder
    for form in forms(place):
        for one, other in ((place, form), (place, f"{form}/in"), (place, f"{form}/..")):
            before = sorted(tmp_path.rglob("*"))
            with pytest.raises(click.UsageError, match="one place, or one lies in the other"):
                job(str(one), str(other))
            assert sorted(tmp_path.rglob("*")) == before


def test_a_label_map_does_not_replace_its_image(tmp_path: Path):
    write_tiny_source(tmp_path / "photos", 1)
    image = tmp_path / "photos" / "000.png"
    before = image.read_bytes()
    with pytest.raises(click.UsageError, match="the image"):
        segment.run(segment.Settings((str(image),), tmp_path / "photos"))
    assert image.read_bytes() == before
