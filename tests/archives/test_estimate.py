"""The estimate of an archive against the archive, on trees of several kinds of files."""

import json
import random
from itertools import accumulate
from pathlib import Path

import pytest
from click.testing import CliRunner

from seec.jobs import cli, estimate
from seec.pipeline.stages.estimating import Amount, Stratum, Trial, strata, totals
from seec.pipeline.stages.slices import Slice, files_with_index, read_indexes, sliced
from seec.pipeline.storage import Source
from seec.schemas.plan import SourceFile
from tests.archives.estimates import (
    FILES,
    HOLDERS,
    SAMPLE_BYTES,
    SAMPLE_FILES,
    SLICE_BYTES,
    Tree,
    compared,
    parquets,
    photographs,
)


@pytest.mark.parametrize("tree", HOLDERS)
def test_large_files_that_hold_others_are_sampled_within(tree: Tree, tmp_path: Path) -> None:
    made = compared(tree, tmp_path)
    found = made.found
    assert made.read_bytes == found.sampled_bytes <= SAMPLE_BYTES
    assert found.sampled_bytes < 0.6 * found.source_bytes
    assert found.sampled_files == found.files == 4
    assert sum(files.value for files, _ in found.routes.values()) == pytest.approx(4)
    assert found.unsampled_bytes == 0
    assert abs(made.error) < 0.03


@pytest.mark.parametrize("tree", FILES)
def test_the_estimate_is_within_three_percent(tree: Tree, tmp_path: Path) -> None:
    made = compared(tree, tmp_path)
    found, truth = made.found, made.truth
    assert found.sampled_files == SAMPLE_FILES < found.files
    assert made.read_bytes == found.sampled_bytes
    assert found.source_bytes == truth.source_size_bytes
    assert abs(made.error) < 0.03
    assert found.stored.low <= truth.blob_size_bytes <= found.stored.high
    sizes = sum(size.value for _, size in found.routes.values())
    assert sizes == pytest.approx(found.stored.value)
    settings = estimate.Settings(found.source, profile="fast", sample_files=10_000)
    assert estimate.run(settings).stored == Amount(truth.blob_size_bytes, 0)


def test_of_parquet_files_whose_index_is_not_read_no_slice_is_coded(tmp_path: Path) -> None:
    """Or none of which is one: then any part shows what is in it."""
    parquets(tmp_path, random.Random(3))
    (tmp_path / "none.parquet").write_bytes(bytes(1 << 19))
    source = Source(str(tmp_path))
    files = files_with_index(source.files(), SLICE_BYTES)
    assert len(files) == 5
    indexes = read_indexes(source, files, 50_000, 0)
    assert indexes.read_bytes <= 50_000
    assert 0 < len([index for index in indexes.of.values() if index]) < 4
    for file in files:
        slices = [one for one in sliced([file], indexes, SLICE_BYTES) if isinstance(one, Slice)]
        assert sum(one.size_bytes for one in slices) == file.size_bytes
        assert [one.start for one in slices][1:] == list(
            accumulate(one.size_bytes for one in slices[:-1])
        )
        readable = {one.readable for one in slices}
        if file not in indexes.of:
            assert readable == {False}
        elif not indexes.of[file]:
            assert readable == {True}
        else:
            assert True in readable
    groups = strata(sliced(files, indexes, SLICE_BYTES), 100, 1 << 30, 0)
    chosen = {one for group in groups for one in group.sample}
    assert chosen
    assert all(isinstance(one, Slice) and one.readable for one in chosen)


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
