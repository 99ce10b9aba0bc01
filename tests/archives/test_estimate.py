"""The estimate of an archive against the archive, on trees of several kinds of files."""

import io
import json
import random
import tarfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from seec.jobs import archive as archive_job
from seec.jobs import cli, estimate
from seec.pipeline.stages.estimating import Amount, Stratum, Trial, strata, totals
from seec.pipeline.stages.slices import sliced
from seec.pipeline.storage import Source
from seec.schemas.plan import SourceFile
from tests.faults.points import archive_in_process
from tests.jpegs import detailed
from tests.pictures import screenshot, textured
from tests.sources import image_bytes


def photographs(root: Path, chance: random.Random) -> None:
    """Mostly PNG of several sizes, with some notes."""
    for number in range(150):
        edge = chance.choice((32, 48, 64, 96))
        data = image_bytes(textured(edge, edge + 8, number), "PNG")
        (root / f"{number}.png").write_bytes(data)
    for number in range(30):
        words = " ".join(chance.choices(("light", "shadow", "lens", "hour"), k=60))
        (root / f"{number}.txt").write_text(f"{number} {words}")


def scans(root: Path, chance: random.Random) -> None:
    """JPEG files of several qualities, screenshots, and files that are no pictures."""
    for number in range(60):
        quality = chance.choice((60, 80, 92))
        data = image_bytes(detailed(number)[:96, :128], "JPEG", quality=quality)
        (root / f"{number}.jpg").write_bytes(data)
    for number in range(40):
        (root / f"s{number}.png").write_bytes(image_bytes(screenshot(64, 96, number), "PNG"))
    for number in range(40):
        (root / f"{number}.dat").write_bytes(chance.randbytes(chance.randrange(500, 9000)))


def renders(root: Path, chance: random.Random) -> None:
    """PNG that compress very differently, TIFF of 16 bits, and empty files."""
    for number in range(90):
        pixels = textured(64, 64, number)
        if number % 3 == 0:
            pixels = np.zeros_like(pixels) + np.uint8(number)
        (root / f"{number}.png").write_bytes(image_bytes(pixels, "PNG"))
    for number in range(60):
        deep = textured(40, 40, number)[..., 0].astype(np.uint16) * 257
        (root / f"{number}.tif").write_bytes(image_bytes(deep, "TIFF"))
    for number in range(10):
        (root / f"{number}.done").touch()


def datasets(root: Path, chance: random.Random) -> None:
    """Tars of PNG, JPEG and notes, as WebDataset has them, each with many slices."""
    for number in range(4):
        with tarfile.open(root / f"{number}.tar", "w") as tar:
            for sample in range(100 * number, 100 * number + 100):
                pixels = detailed(sample)[: chance.choice((48, 64)), :64]
                words = " ".join(chance.choices(("light", "shadow", "lens", "hour"), k=9))
                members = {
                    "png": image_bytes(pixels, "PNG"),
                    "jpg": image_bytes(pixels, "JPEG", quality=90),
                    "txt": words.encode(),
                }
                for ending, data in members.items():
                    entry = tarfile.TarInfo(f"{sample:04d}.{ending}")
                    entry.size = len(data)
                    tar.addfile(entry, io.BytesIO(data))


def test_large_files_that_hold_others_are_sampled_within(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "source"
    root.mkdir()
    datasets(root, random.Random(3))
    monkeypatch.setattr(estimate, "sliced", partial(sliced, slice_bytes=1 << 17))
    reads: list[int] = []
    real = Source.read_part

    def counted(self: Source, file: SourceFile, start: int, length: int) -> bytes:
        reads.append(length)
        return real(self, file, start, length)

    monkeypatch.setattr(Source, "read_part", counted)
    monkeypatch.setattr(Source, "read", None)  # no file is read as a whole
    settings = estimate.Settings(str(root), profile="fast", sample_bytes=1 << 21, seed=1)
    found = estimate.run(settings)
    assert sum(reads) == found.sampled_bytes <= 1 << 21
    assert found.sampled_files == found.files == 4
    assert sum(files.value for files, _ in found.routes.values()) == pytest.approx(4)
    monkeypatch.undo()
    truth = archive_in_process(
        archive_job.Settings(str(root), str(tmp_path / "archive"), profile="fast")
    )
    assert found.sampled_bytes < 0.6 * found.source_bytes
    assert abs(found.stored.value / truth.blob_size_bytes - 1) < 0.03


@pytest.mark.parametrize("tree", [photographs, scans, renders])
def test_the_estimate_is_within_three_percent(tree, tmp_path: Path) -> None:
    root = tmp_path / "source"
    root.mkdir()
    tree(root, random.Random(3))
    truth = archive_in_process(
        archive_job.Settings(str(root), str(tmp_path / "archive"), profile="fast")
    )
    found = estimate.run(estimate.Settings(str(root), profile="fast", sample_files=90, seed=1))
    assert found.sampled_files == 90 < found.files
    assert found.source_bytes == truth.source_size_bytes
    assert abs(found.stored.value / truth.blob_size_bytes - 1) < 0.03
    assert found.stored.low <= truth.blob_size_bytes <= found.stored.high
    sizes = sum(size.value for _, size in found.routes.values())
    assert sizes == pytest.approx(found.stored.value)
    whole = estimate.run(estimate.Settings(str(root), profile="fast", sample_files=10_000))
    assert whole.stored == Amount(truth.blob_size_bytes, 0)


def test_no_more_is_read_than_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photographs(tmp_path, random.Random(3))
    read: list[SourceFile] = []
    real = Source.read

    def counted(self: Source, file: SourceFile) -> bytes:
        read.append(file)
        return real(self, file)

    monkeypatch.setattr(Source, "read", counted)
    words = ["estimate", str(tmp_path), "--profile", "fast", "--sample-bytes", "50000", "--json"]
    words += ["--storage-price", "0.023", "--cpu-price", "0.04"]
    result = CliRunner().invoke(cli.main, words)
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert len(read) == len(set(read)) == said["sampled_files"]
    assert sum(file.size_bytes for file in read) == said["sampled_bytes"] <= 50_000
    assert f"reads {said['sampled_files']} of 180 files" in result.stderr
    saved = (said["source_bytes"] - said["stored"]["value"]) / 1e9 * 0.023
    assert said["saved_month"] == pytest.approx(saved)
    price = said["cpu_hours"]["value"] * 0.04
    assert said["paid_after_months"] == pytest.approx(price / saved)
    assert said["requests"] == 2 * 180 + 12


def test_nodes_have_speeds_and_prices(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    photographs(source, random.Random(1))
    nodes = tmp_path / "nodes.toml"
    nodes.write_text("[fast-node]\nspeed = 2\nprice = 0.1\n[plain]\nspeed = 0.5\n")
    settings = estimate.Settings(str(source), profile="fast", sample_files=5, nodes=nodes)
    found = estimate.run(settings)
    assert found.nodes["fast-node"]["cpu_hours"] == found.cpu_hours.value / 2
    assert found.nodes["plain"]["price"] is None
    assert any("fast-node" in line for line in found.lines())
    nodes.write_text("[x]\nprice = 1\n")
    with pytest.raises(Exception, match=r"nodes.toml: no table of nodes"):
        estimate.run(settings)


def _file(name: str, size: int) -> SourceFile:
    return SourceFile(name, size, 0)


def test_the_sample_is_the_same_for_a_seed_and_touches_every_stratum() -> None:
    files = [_file(f"{n}.png", 1000 + n) for n in range(500)]
    files += [_file(f"{n}.JPG", 90_000) for n in range(50)] + [_file("README", 10)]
    first = strata(files, 100, 10**9, 7)
    assert first == strata(list(files), 100, 10**9, 7)
    assert first != strata(files, 100, 10**9, 8)
    assert sum(len(group.sample) for group in first) == 100
    assert all(group.sample for group in first)
    assert {group.kind for group in first} == {"png", "jpg", "no ending"}
    few = strata(files, 100, 200_000, 7)
    assert sum(f.size_bytes for group in few for f in group.sample) <= 200_000


def test_ratios_are_exact_where_sizes_are_proportional() -> None:
    files = tuple(_file(f"{n}.png", 100 * (n + 1)) for n in range(40))
    group = Stratum("png", files, files[:5])
    trials = {f: Trial(f, f.size_bytes, "seec", f.size_bytes // 2, 0.5, 9) for f in files[:5]}
    found = totals([group], trials)
    assert found.stored == Amount(group.size_bytes / 2, 0)
    unknown = totals([group, Stratum("gif", (_file("x.gif", 700),), ())], trials)
    assert unknown.unsampled_bytes == 700
    assert unknown.stored.value == found.stored.value + 350
