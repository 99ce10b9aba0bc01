"""An archive holds the weights that its rows need, and no others."""

from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from seec.jobs import gc, repair
from seec.pipeline.archive import Archive
from seec.pipeline.archive.gc import Survey, survey
from seec.pipeline.codec import packaged_model
from seec.pipeline.stages.archiving import ArchivingRun
from seec.pipeline.storage import Store
from seec.schemas.archive import model_name
from seec.schemas.commit import Changes, Commit, ShardRecord
from seec.schemas.errors import SectionCorrupt, UnknownModel
from seec.schemas.routes import JPEGXL_JPEG
from seec.schemas.rows import Row
from seec.schemas.sealed import seal
from tests.archives.life import archive, findings, held, opened, put_files
from tests.faults.points import repair_in_process
from tests.jpegs import detailed, jpeg
from tests.pictures import textured
from tests.sources import image_bytes
from tests.unit.test_records import a_shard

IMAGE = image_bytes(textured(30, 40), "PNG")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    put_files(tmp_path / "source", a="one", b="two", c="three", d="four")
    return tmp_path / "source"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "archive"


def models(root: Path) -> list[str]:
    return list(Store(str(root)).names("models"))


def rows_of(root: Path) -> list[Row]:
    archived = opened(root)
    return [row for shard in archived.state.in_order() for row in archived.rows(shard)]


def test_without_images_there_is_none(source: Path, root: Path):
    archive(source, root)
    put_files(source, e="five")
    archive(source, root)
    assert opened(root).state.models == frozenset()
    assert models(root) == []
    assert survey(Store(str(root)), 0) == Survey()
    assert findings(root) == []


def test_an_archive_of_jpeg_alone_is_smaller_than_its_source(tmp_path: Path, root: Path):
    """Of few files, which are not worth a model: JPEG XL codes them."""
    source = tmp_path / "photos"
    source.mkdir()
    for number in range(59):
        (source / f"{number}.jpg").write_bytes(jpeg(detailed(number)))
    archive(source, root, model=None, jpeg="auto", shard_files=100)
    assert models(root) == []
    assert {row.route for row in rows_of(root)} == {JPEGXL_JPEG}
    size_bytes = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    assert size_bytes < sum(path.stat().st_size for path in source.iterdir())
    assert findings(root) == []


def test_each_model_comes_with_the_first_shard_that_needs_it(source: Path, root: Path):
    (source / "d.png").write_bytes(IMAGE)
    (source / "e.jpg").write_bytes(jpeg(detailed()))
    commit, there = Archive.commit, list[set[str]]()

    def noted(self: Archive, **what: Any) -> None:
        there.append(set(models(root)))
        commit(self, **what)

    with patch.object(Archive, "commit", noted):
        archive(source, root, shard_files=1, jpeg="seec")
    named = [set(map(model_name, shard.models)) for shard in opened(root).state.in_order()]
    assert [len(one) for one in named] == [0, 0, 0, 1, 0, 1]  # d.png comes before d.txt
    # Before the run is opened, and before each of its shards.
    assert there == [set(), *(set().union(*named[: n + 1]) for n in range(len(named)))]
    assert findings(root) == []


def test_shards_name_the_models_of_their_rows(source: Path, root: Path):
    (source / "d.png").write_bytes(IMAGE)
    archive(source, root)
    (model,) = opened(root).state.models
    assert models(root) == [f"models/{model}.model"]
    named = {shard.shard[-1]: shard.models for shard in opened(root).state.in_order()}
    assert sorted(named.values()) == [(), (), (model,)]
    assert findings(root) == []


@pytest.mark.parametrize("collected", [False, True])
def test_a_run_that_was_killed_after_it_wrote_the_model_is_finished(
    source: Path, root: Path, collected: bool
):
    (source / "d.png").write_bytes(IMAGE)
    commit = Archive.commit

    def killed(self: Archive, **what: Any) -> None:
        if any(shard.models for shard in what.get("shards", ())):
            raise KeyboardInterrupt
        commit(self, **what)

    with patch.object(Archive, "commit", killed), pytest.raises(KeyboardInterrupt):
        archive(source, root)
    assert len(models(root)) == 1
    assert opened(root).state.models == frozenset()
    assert findings(root) == []
    if collected:
        gc.run(gc.Settings(str(root), delete=True, older_than_s=0))
        assert models(root) == []
    archive(source, root)
    assert held(root).keys() == {"a.txt", "b.txt", "c.txt", "d.png", "d.txt"}
    assert survey(Store(str(root)), 0) == Survey()
    assert findings(root) == []


def test_a_run_that_was_killed_before_any_row_needed_its_model_needs_the_model_again(
    source: Path, root: Path
):
    (source / "d.png").write_bytes(IMAGE)
    with (
        patch.object(ArchivingRun, "shards", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        archive(source, root)
    assert models(root) == []
    with pytest.raises(UnknownModel, match="--new-plan"):
        archive(source, root, model=None)
    archive(source, root)
    assert len(models(root)) == 1
    assert findings(root) == []


def test_a_packaged_model_need_not_be_given_again(source: Path, root: Path):
    (source / "d.png").write_bytes(IMAGE)
    with (
        patch.object(ArchivingRun, "shards", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        archive(source, root, model=None, profile="fast")
    archive(source, root, model=None, profile="lite")
    assert opened(root).state.models == {packaged_model("fast").id}
    assert findings(root) == []


def test_a_shard_that_is_made_anew_brings_the_model_that_it_needs(
    source: Path, root: Path, tmp_path: Path
):
    """Its own is nowhere: the files are coded with another one."""
    (source / "d.png").write_bytes(IMAGE)
    archive(source, root)
    (mine,) = opened(root).state.models
    shard = next(shard for shard in opened(root).state.in_order() if shard.models)
    for name in (model_name(mine), shard.blob.name):
        (root / name).unlink()
    repair_in_process(repair.Settings(str(root), (), str(source)))
    assert opened(root).state.models == {packaged_model("lite").id}
    assert model_name(packaged_model("lite").id) in models(root)
    assert findings(root) == []


def test_a_model_stays_for_states_that_are_kept(source: Path, root: Path):
    (source / "d.png").write_bytes(IMAGE)
    archive(source, root)
    (source / "d.png").unlink()
    archive(source, root, prune_missing=True)
    first = opened(root).state.sequence
    assert len(models(root)) == 1
    assert "d.png" in held(root, first - 1)


def test_a_commit_that_names_other_models_is_found(source: Path, root: Path):
    tell = ShardRecord.members
    with patch.object(ShardRecord, "members", lambda self: {**tell(self), "models": ["ab" * 32]}):
        archive(source, root)
    details = {finding.kind: finding.detail for finding in findings(root)}
    assert details["manifest-damaged"] == "needs other models than the commit says"
    assert details["model-missing"] == "is gone"


@pytest.mark.parametrize("told", [["x"], ["../up"], ["cd" * 32, "ab" * 32], [1], "ab", None])
def test_ids_that_are_none_are_refused(told: object):
    body = {"sequence": 1, "previous": "", "recap": None, **Changes().members()}
    shards = [{**a_shard(0).members(), "models": told}]
    with pytest.raises(SectionCorrupt, match=r"commits/0000000001\.json"):
        Commit.parse(1, seal("seec-commit", 1, {**body, "shards": shards}))
