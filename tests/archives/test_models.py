"""An archive holds the weights that its rows need; gc removes others."""

from pathlib import Path
from unittest.mock import patch

import pytest

from seec.jobs import gc
from seec.pipeline.archive.gc import survey
from seec.pipeline.stages.archiving import ArchivingRun
from seec.pipeline.storage import Store
from seec.schemas.commit import Changes, Commit, ShardRecord
from seec.schemas.errors import SectionCorrupt
from seec.schemas.sealed import seal
from tests.archives.life import archive, findings, held, opened, put_files
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


def test_without_images_none_is_needed(source: Path, root: Path):
    archive(source, root)
    put_files(source, e="five")
    archive(source, root)
    assert opened(root).state.models == frozenset()
    assert [item.kind for item in survey(Store(str(root)), 0).garbage] == ["model"]
    gc.run(gc.Settings(str(root), delete=True, older_than_s=0))
    assert models(root) == []
    assert findings(root) == []


def test_shards_name_the_models_of_their_rows(source: Path, root: Path):
    (source / "d.png").write_bytes(IMAGE)
    archive(source, root)
    (model,) = opened(root).state.models
    assert models(root) == [f"models/{model}.model"]
    named = {shard.shard[-1]: shard.models for shard in opened(root).state.in_order()}
    assert sorted(named.values()) == [(), (), (model,)]
    assert findings(root) == []


def test_a_run_keeps_its_model_until_it_is_complete(source: Path, root: Path):
    archive(source, root)
    assert len(models(root)) == 1  # complete, and its model is not needed any more
    assert [item.kind for item in survey(Store(str(root)), 0).garbage] == ["model"]
    put_files(source, e="five")
    with (
        patch.object(ArchivingRun, "shards", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        archive(source, root)
    gc.run(gc.Settings(str(root), delete=True, older_than_s=0))
    assert len(models(root)) == 1
    assert findings(root) == []
    archive(source, root)
    gc.run(gc.Settings(str(root), delete=True, older_than_s=0))
    assert models(root) == []


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
