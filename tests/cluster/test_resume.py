"""What the next invocation makes of a run that was interrupted."""

from pathlib import Path

import pytest

from seec.jobs import archive, ls, verify
from seec.jobs.exit_codes import ExitCode
from seec.pipeline.archive import Archive
from seec.pipeline.archive.runs import open_run
from seec.pipeline.codec import default_model
from seec.pipeline.storage import Source, Store
from seec.schemas.commit import RunRecord, SourceRecord
from seec.schemas.errors import StorageError
from seec.schemas.plan import PlanSettings
from tests.pictures import textured
from tests.sources import image_bytes, write_tiny_source

pytestmark = pytest.mark.usefixtures("ray_cluster")


def interrupted(source: Path, root: Path) -> RunRecord:
    """An archive whose only run was planned and then killed."""
    opened = Archive.open_or_create(Store(str(root)), b"how to read this")
    settings = PlanSettings(default_model().id, shard_files=2)
    url = Source(str(source)).url
    return open_run(opened, SourceRecord(url), Source(str(source)).files(), settings)


def test_an_interrupted_run_is_finished_by_its_own_plan_before_a_newer_one(tmp_path: Path):
    source, root = tmp_path / "source", tmp_path / "archive"
    write_tiny_source(source, 3)
    run = interrupted(source, root)
    (source / "001.png").write_bytes(image_bytes(textured(20, 20, 9), "PNG"))
    (source / "002.png").unlink()
    (source / "new.png").write_bytes(image_bytes(textured(20, 20, 10), "PNG"))
    summary = archive.run(archive.Settings(str(source), str(root), shard_files=100))
    assert len(summary.runs) == 2
    assert summary.runs[0] == run.run_id
    opened = Archive.open(Store(str(root)))
    assert len(opened.state.shards_of(run.run_id)) == 2  # cut by its own settings
    failed = [row for part in opened.state.in_order() for row in opened.quarantine(part)]
    assert [(row.path, row.error) for row in failed] == [
        ("001.png", "SourceChanged"),
        ("002.png", "SourceChanged"),
    ]
    assert [row.path for row in ls.run(ls.Settings(str(root))).rows] == [
        "000.png",
        "001.png",
        "new.png",
    ]
    # 001.png was archived by the second run; what is gone from the source is in quarantine no more.
    assert (summary.exit_code, summary.quarantined_now) == (ExitCode.OK, 0)
    assert ls.run(ls.Settings(str(root), quarantine=True)).failed == []
    assert verify.run(verify.Settings(str(root))).exit_code == ExitCode.OK


def test_another_source_does_not_finish_it(tmp_path: Path):
    source, other, root = tmp_path / "source", tmp_path / "other", tmp_path / "archive"
    write_tiny_source(source, 2)
    write_tiny_source(other, 2)
    run = interrupted(source, root)
    with pytest.raises(StorageError, match="--new-plan"):
        archive.run(archive.Settings(str(other), str(root)))
    summary = archive.run(archive.Settings(str(other), str(root), new_plan=True))
    assert (summary.exit_code, summary.files_added) == (ExitCode.OK, 2)
    assert run.run_id not in summary.runs
    again = archive.run(archive.Settings(str(other), str(root)))
    assert (again.exit_code, again.runs) == (ExitCode.OK, [])


@pytest.mark.slow
def test_the_same_collection_elsewhere_gives_the_same_shards(tmp_path: Path):
    write_tiny_source(tmp_path / "one", 2)
    (tmp_path / "two").symlink_to("one")
    roots = [tmp_path / f"{name}.a" for name in ("one", "two")]
    for root in roots:
        archive.run(archive.Settings(str(root.with_suffix("")), str(root)))
    one, two = (Archive.open(Store(str(root))).state.shards for root in roots)
    assert one == two
