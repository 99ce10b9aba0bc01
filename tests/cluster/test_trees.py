"""Links, directories, permissions and times, into an archive and back."""

import os
import shutil
import stat
import uuid
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner

from seec.jobs import archive, ls, restore, verify
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.archive import Archive
from seec.pipeline.archive.catalogue import current_rows
from seec.pipeline.codec import decode, load_model
from seec.pipeline.stages.restoring import Restoration
from seec.pipeline.storage import Store, Target
from tests.archives import life, plain_reader
from tests.in_process import InProcess
from tests.pictures import textured
from tests.sources import image_bytes
from tests.trees import Node, draw, nodes

LIMIT_BYTES = 50_000

pytestmark = pytest.mark.usefixtures("ray_cluster")


def restored(root: Path, out: Path, **options: Any) -> restore.RestoreSummary:
    return restore.run(restore.Settings(str(root), str(out), **options))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree") / "source"
    root.mkdir()
    draw(root)
    (root / "picture.ppm").write_bytes(image_bytes(textured(20, 30), "PPM"))
    (root / "picture again.ppm").hardlink_to(root / "picture.ppm")
    shutil.copy2(root / "picture.ppm", root / "deep" / "picture copied.ppm")
    os.mkfifo(root / "pipe")
    (root / "too large").write_bytes(bytes(LIMIT_BYTES + 1))
    (root / "too large, too").hardlink_to(root / "too large")
    return root


@pytest.fixture(scope="module")
def before(tree: Path) -> dict[bytes, Node]:
    """All that has to come back."""
    return {name: node for name, node in nodes(tree).items() if not name.startswith(b"too large")}


@pytest.fixture(scope="module")
def kept(tree: Path, tmp_path_factory: pytest.TempPathFactory, ray_cluster: str) -> Path:
    root = tmp_path_factory.mktemp("kept") / "archive"
    settings = archive.Settings(
        str(tree), str(root), shard_files=7, max_file_size_bytes=LIMIT_BYTES
    )
    assert archive.run(settings).exit_code == ExitCode.INCOMPLETE
    return root


def test_a_file_that_fails_is_quarantined_under_all_its_names(kept: Path):
    failed = list(ls.run(ls.Settings(str(kept), quarantine=True)).failed)
    assert [(row.path, row.error) for row in failed] == [
        ("pipe", "SourceError"),
        ("too large", "LimitExceeded"),
        ("too large, too", "LimitExceeded"),
    ]
    assert "a named pipe" in failed[0].reason


def test_a_tree_comes_back_as_it_was(before: dict[bytes, Node], kept: Path, tmp_path: Path):
    summary = restored(kept, tmp_path / "out")
    assert (summary.failed, summary.skipped, summary.kept) == ([], 0, 0)
    assert nodes(tmp_path / "out") == before
    kinds = [node.kind for node in before.values()]
    assert summary.restored == kinds.count("file")
    assert (summary.links, summary.directories) == (kinds.count("link"), kinds.count("directory"))


def test_a_restore_that_never_ends_leaves_private_folders_private(kept: Path, tmp_path: Path):
    opened, target = Archive.open(Store(str(kept))), Target(str(tmp_path / "out"))
    private = tmp_path / "out" / "deep" / "er"
    executor = cast(Any, InProcess())
    restoration = Restoration(opened.store, target, False, executor, ())
    for _ in restoration.run(current_rows(opened)):
        if private.exists():
            break
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


@pytest.mark.parametrize(("of_source", "of_archive"), [(0o700, 0o700), (0o577, 0o755)])
def test_an_archive_is_as_private_as_its_source_and_the_umask_say(
    tmp_path: Path, of_source: int, of_archive: int
):
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_bytes(b"mine")
    source.chmod(of_source)
    before = os.umask(0o022)
    try:
        archive.run(archive.Settings(str(source), str(tmp_path / "new" / "archive")))
    finally:
        os.umask(before)
    modes = {
        path.relative_to(tmp_path).as_posix(): stat.S_IMODE(path.stat().st_mode)
        for path in (tmp_path / "new").rglob("*")
    }
    assert modes.pop("new/archive") == of_archive
    assert set(modes.values()) == {0o755, 0o644}


def test_restored_again_it_finds_all_there(kept: Path, tmp_path: Path):
    first = restored(kept, tmp_path / "out")
    before = nodes(tmp_path / "out")
    again = restored(kept, tmp_path / "out")
    assert (again.restored, again.links, again.kept) == (0, 0, first.restored + first.links)
    assert nodes(tmp_path / "out") == before
    (tmp_path / "out" / "links" / "out").unlink()
    (tmp_path / "out" / "links" / "out").write_bytes(b"mine")
    replaced = restored(kept, tmp_path / "out", overwrite=True)
    assert (replaced.restored, replaced.links, replaced.kept) == (first.restored, first.links, 0)
    assert nodes(tmp_path / "out") == before


def test_a_folder_of_links_is_told(tmp_path: Path, tree: Path):
    cache = tmp_path / "cache"
    cache.mkdir()
    for number in range(3):
        (cache / f"{number}.png").symlink_to(tree / "plain")
    (cache / "notes").write_bytes(b"mine")
    result = CliRunner().invoke(archive.main, [str(cache), str(tmp_path / "archive")])
    assert (result.exit_code, result.stderr.count("3 symbolic links and 1 files")) == (0, 1)


def test_what_a_target_refuses_is_no_damage(kept: Path, tmp_path: Path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "links").write_bytes(b"where a folder should be")
    refused = CliRunner().invoke(restore.main, [str(kept), str(out)])
    assert refused.exit_code == ExitCode.REFUSED
    assert "refused by the target, not by the archive" in refused.stdout
    assert "seec verify" not in refused.stdout
    copy = Path(shutil.copytree(kept, tmp_path / "archive"))
    blob = next(copy.glob("blobs/*/000000.blob"))
    blob.write_bytes(bytes(blob.stat().st_size))
    both = CliRunner().invoke(restore.main, [str(copy), str(out), "--overwrite"])
    assert both.exit_code == ExitCode.DAMAGE
    assert "refused by the target, not by the archive" in both.stdout
    assert "seec verify tells" in both.stdout


def test_patterns_that_match_nothing_have_an_exit_code(kept: Path, tmp_path: Path):
    include = ("--include", "deep/er", "--include", "none[1]")
    for main, arguments in ((ls.main, [str(kept)]), (restore.main, [str(kept), str(tmp_path)])):
        result = CliRunner().invoke(main, [*arguments, *include])
        assert result.exit_code == ExitCode.UNMATCHED
        assert "nothing matches 'none[1]'" in result.stdout
        assert "deep/er" not in result.stdout.partition("nothing matches")[2]
        assert CliRunner().invoke(main, [*arguments, *include[:2]]).exit_code == ExitCode.OK
    assert (tmp_path / "deep" / "er" / "another name").exists()


def test_a_part_comes_back_with_hard_links_among_what_was_asked_for(kept: Path, tmp_path: Path):
    restored(kept, tmp_path / "out", include=("picture again*", "deep/*", "a third*"))
    found = nodes(tmp_path / "out")
    assert found[b"a third name"].same_as == {b"a third name", b"deep/er/another name"}
    assert found[b"picture again.ppm"].same_as == frozenset()
    assert b"run.sh" not in found


def test_the_archive_of_a_tree_verifies_and_lists(
    before: dict[bytes, Node], kept: Path, tmp_path: Path
):
    copy = Path(shutil.copytree(kept, tmp_path / "archive"))
    for mode in ("checksum", "decode"):
        summary = verify.run(verify.Settings(str(copy), mode))
        assert (summary.exit_code, summary.images) == (ExitCode.INCOMPLETE, len(before))
    listing = CliRunner().invoke(ls.main, [str(kept)]).stdout.splitlines()
    by_path = {line.split(maxsplit=3)[-1]: line.split()[0] for line in listing}
    assert by_path["deep/er/empty too/"] == "directory"
    assert by_path["links/loop"] == "link"
    (line,) = (line for line in listing if line.endswith(" picture.ppm = picture again.ppm"))
    assert line.startswith("seec ")
    kinds = ls.Totals(ls.run(ls.Settings(str(kept))).rows).kinds
    assert f"{kinds['link']} links, {kinds['directory']} directories" in listing[-2]


def test_equal_payloads_of_a_shard_are_stored_once(kept: Path):
    rows = {row.path: row for row in ls.run(ls.Settings(str(kept))).rows}
    first, *others = [rows[path] for path in ("picture again.ppm", "picture.ppm")]
    assert {(row.shard, row.offset) for row in others} == {(first.shard, first.offset)}


def test_a_plain_reader_finds_links_directories_and_names(before: dict[bytes, Node], kept: Path):
    def decoded(payload: bytes, model_file: bytes) -> Any:
        model = load_model(model_file)
        return decode(payload, models={model.id: model})

    left = dict(before)
    names: dict[bytes, set[bytes]] = {}
    for row, data in plain_reader.rows(kept, decoded):
        path = plain_reader.path_bytes(row["path"])
        node = left.pop(path)
        modified_ns = row["source_mtime_s"] * 10**9 + row["source_mtime_fraction_ns"]
        assert (row["kind"], data, row["permissions"], modified_ns) == (
            node.kind,
            node.content,
            node.permissions,
            node.mtime_ns,
        )
        first = plain_reader.path_bytes(row["same_file"] or row["path"])
        names.setdefault(first, set()).add(path)
        assert not node.same_as or first in node.same_as
        assert row["same_file"] is None or len(names[first]) > 1
    assert left == {}


def test_only_what_is_new_is_added(tmp_path: Path):
    source, root = tmp_path / "source", tmp_path / "archive"
    source.mkdir()
    draw(source)
    life.archive(source, root)
    assert life.archive(source, root).runs == []
    before = life.opened(root).state
    link = source / "links" / "to file"
    link.unlink()
    link.symlink_to("../other")
    (source / "deep" / "new").mkdir()
    (source / "private").chmod(0o400)
    life.archive(source, root)
    after = life.opened(root)
    added = [
        after.rows(shard) for name, shard in after.state.shards.items() if name not in before.shards
    ]
    assert {row.path for rows in added for row in rows} == {
        "links",
        "links/to file",
        "deep",
        "deep/new",
    }
    (source / "one more name").hardlink_to(source / "run.sh")
    life.archive(source, root)
    restored(root, tmp_path / "out")
    found = nodes(tmp_path / "out")
    assert len(found[b"one more name"].same_as) == 4
    assert found[b"links/to file"].content == b"../other"
    (source / "private").chmod(0o600)
    assert found == nodes(source)


def test_object_stores_get_the_files_and_a_warning(before: dict[bytes, Node], kept: Path):
    url = f"memory://{uuid.uuid4()}"
    result = CliRunner().invoke(restore.main, [str(kept), url, "--allow-unfinished"])
    assert result.exit_code == ExitCode.OK
    assert result.stderr.count("object store") == 1
    others = sum(node.kind != "file" for node in before.values())
    assert f"{others} symbolic links and directories left out" in result.stdout
