"""Several sources in one archive: nothing of one hides what another has, or passes for it."""

import os
import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from seec.jobs import archive as archive_job
from seec.jobs import compact, info, ls, repair
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.storage import Source, Store
from seec.schemas.commit import SourceRecord
from seec.schemas.errors import SecondSource, StorageError
from tests.archives.life import archive, findings, held, opened, put_files
from tests.faults.points import repair_in_process


def card(path: Path, text: str, *, name: str = "DCIM") -> Path:
    """A memory card: the same names, sizes and times as every other one."""
    (path / name).mkdir(parents=True)
    for index in range(3):
        file = path / name / f"{index}.txt"
        file.write_text(f"{text} {index}")
        os.utime(file, ns=(0, 0))
    os.utime(path / name, ns=(0, 0))
    return path


@pytest.fixture
def cards(tmp_path: Path) -> tuple[Path, Path]:
    return card(tmp_path / "one", "first"), card(tmp_path / "two", "other")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "archive"


def files_of(root: Path) -> dict[str, bytes]:
    return {path: data for path, data in held(root).items() if path.endswith(".txt")}


FIRST = {f"DCIM/{index}.txt": f"first {index}".encode() for index in range(3)}
OTHER = {f"two/DCIM/{index}.txt": f"other {index}".encode() for index in range(3)}


def test_a_second_source_is_refused_with_the_remedy(cards: tuple[Path, Path], root: Path):
    archive(cards[0], root)
    with pytest.raises(SecondSource, match=r"--as two.*--moved"):
        archive(cards[1], root)
    result = CliRunner().invoke(archive_job.main, [str(cards[1]), str(root), "--profile", "fast"])
    assert (result.exit_code, "--as two" in result.stderr) == (ExitCode.USAGE, True)
    assert files_of(root) == FIRST


def test_both_sources_are_kept_below_their_names(cards: tuple[Path, Path], root: Path):
    one, two = cards
    archive(one, root)
    assert archive(two, root, name="two").files_added == 4  # a directory, too
    assert files_of(root) == FIRST | OTHER
    for source, name in ((one, ""), (two, "two")):
        assert archive(source, root, name=name).files_added == 0
        assert archive(source, root, name=name, check_content=True).files_added == 0
    (two / "DCIM" / "0.txt").write_text("later")
    assert archive(two, root, name="two").files_added == 1
    assert files_of(root) == FIRST | OTHER | {"two/DCIM/0.txt": b"later"}
    assert findings(root) == []


def test_removal_is_per_source(cards: tuple[Path, Path], root: Path):
    one, two = cards
    archive(one, root, name="one")
    archive(two, root, name="two")
    (two / "DCIM" / "1.txt").unlink()
    assert archive(one, root, name="one", prune_missing=True).files_removed == 0
    assert archive(two, root, name="two", prune_missing=True).files_removed == 1
    assert {path for path in files_of(root) if path.endswith("1.txt")} == {"one/DCIM/1.txt"}
    shutil.rmtree(two / "DCIM")
    (two / "DCIM").write_text("a file now")
    assert archive(two, root, name="two").files_removed == 2
    assert len(files_of(root)) == 3


def test_cards_at_one_mount_point_have_a_name_each(tmp_path: Path, root: Path):
    for number in (1, 2):
        archive(card(tmp_path / "mount", f"card{number}"), root, name=f"card{number}")
        shutil.rmtree(tmp_path / "mount")
    assert files_of(root)["card1/DCIM/0.txt"] == b"card1 0"
    assert files_of(root)["card2/DCIM/0.txt"] == b"card2 0"


def test_a_name_is_needed_in_every_run_and_by_all_but_one(cards: tuple[Path, Path], root: Path):
    one, two = cards
    archive(one, root, name="one")
    for source in cards:
        with pytest.raises(SecondSource, match="--as one"):
            archive(source, root)
    with pytest.raises(SecondSource, match="below one"):
        archive(two, root, name="one")
    for name in (".", "..", "a/b", "/"):
        with pytest.raises(click.UsageError, match="--as"):
            archive(two, root, name=name)
    archive(two, root, name="an odd \\ n\udcffme")
    assert (
        Source(str(two), name="an odd \\\\ n\\xffme").record()
        in opened(root).state.sources.values()
    )


def test_no_path_of_one_source_is_within_another(cards: tuple[Path, Path], root: Path):
    one, two = cards
    archive(one, root)
    with pytest.raises(SecondSource, match="'DCIM'"):
        archive(two, root, name="DCIM")
    archive(two, root, name="two")
    put_files(one / "two", a="a folder with the name of the other source")
    with pytest.raises(SecondSource, match="'two'"):
        archive(one, root)
    shutil.rmtree(one / "two")
    (one / "two").write_text("a file with this name")
    with pytest.raises(SecondSource, match="'two'"):
        archive(one, root)


def test_a_source_that_moved_is_the_same_one(cards: tuple[Path, Path], root: Path):
    one, two = cards
    archive(one, root)
    archive(two, root, name="two")
    for name, before in (("", one), ("two", two)):
        moved = before.rename(before.with_name(f"moved {before.name}"))
        with pytest.raises(SecondSource):
            archive(moved, root, name=name)
        summary = archive(moved, root, name=name, moved=True)
        assert (summary.files_added, summary.files_removed) == (0, 0)
        assert archive(moved, root, name=name).runs == []
        (moved / "DCIM" / "2.txt").unlink()
        assert archive(moved, root, name=name, prune_missing=True).files_removed == 1
        with pytest.raises(SecondSource):
            archive(card(before, "a new one"), root, name=name)
    with pytest.raises(SecondSource):
        archive(one, root, name="three", moved=True)
    assert findings(root) == []


def test_compaction_keeps_sources_apart(cards: tuple[Path, Path], root: Path):
    one, two = cards
    archive(one, root)
    archive(two, root, name="two")
    moved = one.rename(one.with_name("moved"))
    archive(moved, root, moved=True)
    assert compact.run(compact.Settings(str(root))).shards == 2
    assert files_of(root) == FIRST | OTHER
    urls = {name: record.url for name, record in opened(root).state.sources.items()}
    assert urls == {"": str(moved), "two": str(two)}
    assert archive(moved, root).runs == archive(two, root, name="two").runs == []


def test_an_interrupted_run_is_finished_by_its_own_source(
    cards: tuple[Path, Path], root: Path, monkeypatch: pytest.MonkeyPatch
):
    one, two = cards
    archive(one, root)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(archive_job, "_carry_out", interrupt)
        with pytest.raises(KeyboardInterrupt):
            archive(two, root, name="two")
    with pytest.raises(StorageError, match=r"\(--as two\) to finish it"):
        archive(one, root)
    with pytest.raises(StorageError, match="--as two"):
        archive(two, root, name="other")
    archive(two, root, name="two")
    assert files_of(root) == FIRST | OTHER


def test_a_source_that_was_given_up_leaves_its_place(
    cards: tuple[Path, Path], root: Path, monkeypatch: pytest.MonkeyPatch
):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(archive_job, "_carry_out", interrupt)
        with pytest.raises(KeyboardInterrupt):
            archive(cards[1], root)
    archive(cards[0], root, new_plan=True)
    assert files_of(root) == FIRST


def test_repair_reads_each_source_where_it_was(cards: tuple[Path, Path], root: Path):
    one, two = cards
    archive(one, root)
    archive(two, root, name="two")
    for blob in (root / "blobs").rglob("*.blob"):
        blob.unlink()
    for manifest in (root / "manifest").rglob("*.parquet"):
        manifest.unlink()
    moved = two.rename(two.with_name("elsewhere"))
    with pytest.raises(click.UsageError, match="--as one of two"):
        repair.run(repair.Settings(str(root), source=str(moved), name="three"))
    summary = repair.run(repair.Settings(str(root), source=str(moved), name="two"))
    assert (summary.lost, summary.exit_code) == ((), ExitCode.OK)
    assert files_of(root) == FIRST | OTHER


def test_sources_are_shown(cards: tuple[Path, Path], root: Path):
    archive(cards[0], root)
    archive(cards[1], root, name="two")
    shown = CliRunner().invoke(ls.main, [str(root), "--commits"]).stdout
    assert f"files of {cards[0]}\n" in shown
    assert f"files of {cards[1]}, below two\n" in shown
    described = "\n".join(info.run(str(root)).lines())
    assert str(cards[0]) in described
    assert f"{cards[1]} (--as two)" in described


def test_a_source_is_its_real_path(cards: tuple[Path, Path], root: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to("one")
    for form in ("link", "one/.", "one/../link/"):
        assert Source(f"{tmp_path}/{form}").record() == SourceRecord(str(cards[0]))
    archive(cards[0], root)
    assert archive(tmp_path / "link", root).runs == []


def test_an_object_store_is_known_by_its_server(s3_url: str):
    endpoint = os.environ["AWS_ENDPOINT_URL"]
    store = Store(f"{s3_url}/photos")
    assert store.endpoint == endpoint
    assert Source(f"{s3_url}/photos").record() == SourceRecord(f"{s3_url}/photos", endpoint)


def test_a_repair_takes_a_name_as_it_was_typed(cards: tuple[Path, Path], root: Path):
    one, _ = cards
    name = "an odd \\ n\udcffme"
    archive(one, root, name=name)
    done = repair_in_process(repair.Settings(str(root), source=str(one), name=name))
    assert (done.left, done.lost) == ((), ())
