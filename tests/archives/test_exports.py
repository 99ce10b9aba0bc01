"""Archives as datasets of Hugging Face and as WebDataset shards."""

import gc
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import seec
from seec.jobs import cli
from tests.archives import life
from tests.pictures import textured


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of ten pictures with a JSON file each, and one file alone."""
    folder = tmp_path_factory.mktemp("samples")
    for number in range(10):
        name = folder / "source" / ("cats" if number % 2 else "dogs") / f"{number:02d}.png"
        name.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(textured(12, 20 + number, number)).save(name)
        name.with_suffix(".json").write_text(json.dumps({"number": number}))
        name.with_suffix(".seg.json").write_text("[]")
    (folder / "source" / "zoë.txt").write_text("words")
    life.archive(folder / "source", folder / "archive", shard_files=6)
    return folder / "archive"


def export(root: Path, target: Path, *options: str) -> dict[str, Any]:
    command = ["export", str(root), "--webdataset", str(target), "--json", *options]
    done = CliRunner().invoke(cli.main, command)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.filterwarnings("ignore")  # the library leaves files open
def test_the_webdataset_library_reads_what_is_exported(root: Path, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    summary = export(root, tmp_path / "shards", "--shard-size-bytes", "15000")
    tars = sorted((tmp_path / "shards").iterdir())
    assert [path.name for path in tars] == [f"{at:06d}.tar" for at in range(summary["shards"])]
    assert len(tars) >= 3
    assert (summary["samples"], summary["files"]) == (11, 31)
    assert summary["size_bytes"] == sum(path.stat().st_size for path in tars)
    archive = seec.open(str(root))
    found = {}
    for sample in webdataset.WebDataset([str(path) for path in tars], shardshuffle=False):
        found |= {
            f"{sample['__key__']}.{name}": data
            for name, data in sample.items()
            if not name.startswith("__")
        }
    assert found == dict(archive.iter())
    gc.collect()  # before the warnings count again


def test_tar_files_are_the_same_every_time_and_hold_whole_samples(
    root: Path, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        export(root, tmp_path / name, "--include", "cats/*", "--shard-size-bytes", "1")
    tars = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(tars) == 5
    for name in tars:
        data = (tmp_path / "one" / name).read_bytes()
        assert data == (tmp_path / "two" / name).read_bytes()
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            names = tar.getnames()
            assert len({member.partition(".")[0] for member in names}) == 1
            assert len(names) == 3


def test_what_stands_in_the_way_of_an_export_is_told(root: Path, tmp_path: Path) -> None:
    def code(target: Path, *options: str) -> tuple[int, str]:
        command = ["export", str(root), "--webdataset", str(target), *options]
        done = CliRunner().invoke(cli.main, command)
        return done.exit_code, done.output

    assert code(tmp_path / "a", "--include", "no*") == (
        6,
        f"{tmp_path / 'a'}: 0 samples of 0 files in 0 tar files, 0 bytes\nnothing matches 'no*'\n",
    )
    export(root, tmp_path / "b")
    status, said = code(tmp_path / "b")
    assert status == 1
    assert "holds '000000.tar'; give a new folder" in said
    (tmp_path / "file").write_text("")
    assert code(tmp_path / "file" / "c")[0] == 1


def test_a_damaged_file_is_left_out_and_told(tmp_path: Path) -> None:
    life.put_files(tmp_path / "source", a="one", b="two", c="three")
    life.archive(tmp_path / "source", tmp_path / "archive", shard_files=10)
    [blob] = (tmp_path / "archive" / "blobs").glob("*/*")
    data = blob.read_bytes()
    blob.chmod(0o644)
    blob.write_bytes(data.replace(b"two", b"TWO"))
    command = ["export", str(tmp_path / "archive"), "--webdataset", str(tmp_path / "out"), "--json"]
    done = CliRunner().invoke(cli.main, command)
    assert done.exit_code == 4
    summary = json.loads(done.stdout)
    assert (summary["files"], list(summary["failed"])) == (2, ["b.txt"])


@pytest.mark.filterwarnings("ignore")
def test_hugging_face_gets_typed_columns_and_the_same_pictures(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    from seec import huggingface

    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    options: Any = {"cache_dir": str(tmp_path / "cache")}
    archive = seec.open(str(root))
    data: Any = huggingface.load(str(root), ["*.png"], labels="folder", **options)
    assert data.features["label"] == datasets.ClassLabel(names=["cats", "dogs"])
    assert isinstance(data.features["image"], datasets.Image)
    assert len(data) == 10
    for example in data:
        path = example["path"]
        assert data.features["label"].int2str(example["label"]) == path.partition("/")[0]
        assert np.array_equal(np.asarray(example["image"]), archive.pixels(path))
    streamed: Any = huggingface.load(str(root), ["*.png"], streaming=True)
    assert [example["path"] for example in streamed] == sorted(data["path"])
    with pytest.raises(ValueError, match="no file is wanted"):
        huggingface.load(str(root), ["*.jpg"])
    # And back: what datasets writes is archived, and read again.
    data.to_parquet(tmp_path / "source" / "data.parquet")
    life.archive(tmp_path / "source", tmp_path / "again")
    again: Any = datasets.load_dataset(
        "parquet",
        data_files="seec://data.parquet",
        split="train",
        storage_options={"target": str(tmp_path / "again")},
        **options,
    )
    assert again["path"] == data["path"]
    assert again.features == data.features


@pytest.mark.parametrize(("module", "needed"), [("huggingface", "datasets"), ("ray", "ray.data")])
def test_without_the_packages_the_extra_is_named(module: str, needed: str) -> None:
    code = f"import sys; sys.modules[{needed!r}] = None\nimport seec.{module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"pip install 'seec-archive[{module}]'" in done.stderr
