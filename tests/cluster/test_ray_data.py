"""An archive as a dataset of Ray Data, on a real Ray."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import seec
from tests.archives import life
from tests.pictures import textured

FILES = 25


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of pictures after two runs, the second with some that replace earlier ones."""
    folder = tmp_path_factory.mktemp("pictures")
    for run in range(2):
        for number in range(20 * run, 20 + 5 * run):
            name = folder / "source" / "photos" / f"{number:02d}.png"
            name.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(textured(12, 20 + number % 2, number)).save(name)
        Image.fromarray(textured(14, 20, 100 + run)).save(folder / "source/photos/03.png")
        (folder / "source" / "notes.txt").write_text(f"run {run}")
        life.archive(folder / "source", folder / "archive", shard_files=6)
    return folder / "archive"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_count_and_mean_are_those_of_the_files(root: Path, ray_cluster: str) -> None:
    import ray.data

    from seec.ray import read_archive

    ray.data.DataContext.get_current().enable_progress_bars = False
    archive = seec.open(str(root))
    files = read_archive(str(root))
    assert files.count() == FILES + 1
    assert {row["path"]: row["bytes"] for row in files.take_all()} == dict(archive.iter())

    pictures = read_archive(archive, ["photos/*"], form="pixels", mode="RGB", override_num_blocks=7)
    assert pictures.count() == FILES

    def mean(row: dict[str, np.ndarray]) -> dict[str, float]:
        return {"mean": float(row["image"].mean()), "high": row["image"].shape[0]}

    means = pictures.map(mean)
    expected = [pixels.mean() for _, pixels in archive.iter(["photos/*"], pixels=True)]
    assert means.mean("mean") == pytest.approx(np.mean(expected))
    assert means.max("high") == 14  # the picture of the second run
    assert pictures.materialize().num_blocks() >= 5

    skipped = read_archive(archive, form="pixels", on_error="skip")
    assert len(skipped.take_all()) == FILES
