"""A source of links, archived as the files and directories that the links lead to."""

import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from seec.jobs import archive, repair, restore, verify
from seec.pipeline.archive.archive import Archive
from seec.pipeline.archive.planning import quarantined_files
from seec.pipeline.storage import Store, tree_reader
from seec.schemas.errors import StorageError


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """The source, with what its links lead to beside it."""
    (tmp_path / "blobs" / "more").mkdir(parents=True)
    (tmp_path / "blobs" / "one").write_bytes(b"first" * 100)
    (tmp_path / "blobs" / "more" / "two").write_bytes(b"second")
    (tmp_path / "blobs" / "more" / "up").symlink_to("..")
    hub = tmp_path / "hub"
    hub.mkdir()
    (hub / "plain").write_bytes(b"plain")
    (hub / "one.bin").symlink_to("../blobs/one")
    (hub / "twice").symlink_to("one.bin")
    (hub / "folder").symlink_to("../blobs/more")
    (hub / "nowhere").symlink_to("../blobs/gone")
    (hub / "self").symlink_to("self")
    (hub / "here").symlink_to(".")
    return hub


# `folder/up` leads to blobs, of which `more` is the folder that holds the link.
FOLLOWED = {
    "plain": b"plain",
    "one.bin": b"first" * 100,
    "twice": b"first" * 100,
    "folder/two": b"second",
    "folder/up/one": b"first" * 100,
    "folder/up/more/two": b"second",
}
LINKS = {"nowhere": "../blobs/gone", "self": "self", "here": ".", "folder/up/more/up": ".."}


def run(source: Path, follow_links: bool = False) -> archive.ArchiveSummary:
    root = source.parent / "archive"
    return archive.run(archive.Settings(str(source), str(root), follow_links=follow_links))


def restored(source: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    out = source.parent / f"out{len(list(source.parent.iterdir()))}"
    restore.run(restore.Settings(str(source.parent / "archive"), str(out)))
    paths = {path.relative_to(out).as_posix(): path for path in out.rglob("*")}
    links = {name: str(path.readlink()) for name, path in paths.items() if path.is_symlink()}
    files = {n: p.read_bytes() for n, p in paths.items() if p.is_file() and n not in links}
    return files, links


def test_links_become_what_they_lead_to(hub: Path):
    run(hub, follow_links=True)
    assert restored(hub) == (FOLLOWED, LINKS)
    assert run(hub, follow_links=True).runs == []


def test_verify_follows_as_the_last_run_did(hub: Path):
    run(hub, follow_links=True)
    settings = verify.Settings(str(hub.parent / "archive"), against=str(hub))
    against = verify.run(settings).against
    assert against is not None
    assert (against.files > 0, against.missing) == (True, {})


def test_repair_reads_through_links(hub: Path):
    run(hub, follow_links=True)
    root = hub.parent / "archive"
    (blob,) = (root / "blobs").rglob("*.blob")
    blob.unlink()
    repair.run(repair.Settings(str(root)))
    assert restored(hub) == (FOLLOWED, LINKS)


def test_a_run_without_the_option_archives_the_links_again(hub: Path):
    run(hub, follow_links=True)
    run(hub)
    files, links = restored(hub)
    assert files == {"plain": b"plain"}
    assert set(links) == {"one.bin", "twice", "folder", "nowhere", "self", "here"}
    run(hub, follow_links=True)
    assert restored(hub) == (FOLLOWED, LINKS)


def test_an_interrupted_run_goes_on_as_it_began(hub: Path, monkeypatch: pytest.MonkeyPatch):
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(archive, "_carry_out", stop)
        with pytest.raises(KeyboardInterrupt):
            run(hub, follow_links=True)
    # What is in the plan is read through links; the listing that follows has the links.
    assert len(run(hub).runs) == 2
    opened = Archive.open(Store(str(hub.parent / "archive")))
    follows = [opened.plan(r).settings.follow_links for r in opened.state.runs.values()]
    assert follows == [True, False]
    assert (opened.state.open_run, quarantined_files(opened)) == (None, {})


def test_an_archive_behind_a_link_is_refused(hub: Path):
    (hub / "all").symlink_to("..")
    with pytest.raises(StorageError, match="is the archive itself"):
        run(hub, follow_links=True)


def test_links_are_told(hub: Path):
    typed = [str(hub), str(hub.parent / "archive")]
    result = CliRunner().invoke(archive.main, typed)
    assert "6 symbolic links and 1 files" in result.stderr
    assert "--follow-links archives" in result.stderr
    result = CliRunner().invoke(archive.main, [*typed, "--follow-links"])
    assert "4 symbolic links, folder/up/more/up first, lead to nothing" in result.stderr


def test_many_links_are_told_even_if_files_are_more(hub: Path):
    for number in range(50):
        (hub / f"file{number}").write_bytes(b"%d" % number)
    result = CliRunner().invoke(archive.main, [str(hub), str(hub.parent / "archive")])
    assert "6 symbolic links and 51 files" in result.stderr


def test_links_that_make_paths_without_end_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    source = tmp_path / "source"
    for name in "abcdefghijkl":
        (source / name).mkdir(parents=True)
        for other in "abcdefghijkl":
            (source / name / f"to {other}").symlink_to(f"../{other}")
    monkeypatch.setattr(tree_reader, "_MAX_REPEATED", 1000)
    with pytest.raises(StorageError, match=r"source/.*over and over.*without following links"):
        run(source, follow_links=True)
    assert run(source).files_added == 12 * 13  # directories and links


def test_several_links_to_a_directory_are_followed_up_to_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "one").write_bytes(b"1")
    source = tmp_path / "source"
    source.mkdir()
    for number in range(4):
        (source / f"{number}").symlink_to("../real")
    monkeypatch.setattr(tree_reader, "_MAX_REPEATED", 3)
    run(source, follow_links=True)
    assert set(restored(source)[0]) == {f"{number}/one" for number in range(4)}


def test_of_a_store_without_links_a_warning_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("a.txt", "text")
    source = f"zip://::{tmp_path}/a.zip"
    settings = archive.Settings(source, str(tmp_path / "archive"), follow_links=True)
    assert archive.run(settings).files_added == 1
    assert "has no symbolic links, so --follow-links changes nothing" in capsys.readouterr().err
