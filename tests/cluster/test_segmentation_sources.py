"""Label sources in an archiving run."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seec.jobs import archive
from seec.pipeline.archive.archive import Archive
from seec.pipeline.archive.planning import quarantined_files
from seec.pipeline.storage import Store
from seec.schemas.errors import ModelError
from tests.pictures import textured
from tests.segmenters import write_mask


def test_a_file_without_mask_is_in_quarantine_until_it_has_one(tmp_path: Path, ray_cluster: str):
    photos, masks, target = tmp_path / "photos", tmp_path / "masks", tmp_path / "archive"
    photos.mkdir()
    masks.mkdir()
    for seed, name in enumerate(("a.png", "b.png", "c.png")):
        Image.fromarray(textured(40, 50, seed)).save(photos / name)
    labels = (np.arange(2000, dtype=np.uint8) % 2).reshape(40, 50)
    write_mask(masks, "a.png", labels)
    write_mask(masks, "b.png", labels[:20])
    settings = archive.Settings(str(photos), str(target), segmentation=f"masks:{masks}")

    first = archive.run(settings)
    assert (first.files_added, first.exit_code) == (1, 3)
    assert quarantined_files(Archive.open(Store(str(target)))).keys() == {"b.png", "c.png"}

    write_mask(masks, "b.png", labels)
    write_mask(masks, "c.png", labels)
    second = archive.run(archive.Settings(**{**vars(settings), "retry_quarantine": True}))
    assert second.exit_code == 0


def test_a_source_that_is_not_there_leaves_no_run_behind(tmp_path: Path):
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(textured(40, 50)).save(photos / "a.png")
    settings = archive.Settings(str(photos), str(tmp_path / "archive"), segmentation="masks:absent")
    with pytest.raises(ModelError, match="absent"):
        archive.run(settings)
    assert Archive.open(Store(str(tmp_path / "archive"))).state.open_run is None
