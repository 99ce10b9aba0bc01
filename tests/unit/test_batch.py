"""How files are cut into batches, and the last batches of a run into parts."""

import tarfile
from dataclasses import replace
from pathlib import Path

from seec.pipeline.archive.pieces import cut_files
from seec.pipeline.stages.batch import (
    MAX_FILES,
    MAX_SOURCE_BYTES,
    Batch,
    cut_batches,
    longest_bytes,
    tapered,
)
from seec.pipeline.stages.tasks import read_batch
from seec.pipeline.storage import Source
from seec.schemas.plan import PlanSettings, SourceFile


def _files(sizes: list[int]) -> list[tuple[SourceFile, int | None]]:
    return [(SourceFile(f"{i:03d}.png", size, 0), None) for i, size in enumerate(sizes)]


def test_batches_keep_the_order_and_their_limits() -> None:
    files = _files([1000] * 40 + [MAX_SOURCE_BYTES + 1] + [1000] * 3)
    batches = list(cut_batches(files))
    assert [file for batch in batches for file in batch.files] == [file for file, _ in files]
    assert [len(batch.files) for batch in batches] == [MAX_FILES, 8, 1, 3]


def test_only_the_last_batches_are_cut_into_parts() -> None:
    batches = list(cut_batches(_files([1000] * 3 * MAX_FILES)))
    cut = list(tapered(batches, 2))
    assert cut[0] == batches[0]
    assert [len(batch.files) for batch in cut] == [32, *[8] * 8]
    assert [f for b in cut for f in b.files] == [f for b in batches for f in b.files]
    assert {batch.pixels for batch in cut} == {batches[0].pixels}


def test_a_run_of_few_files_is_cut_too() -> None:
    batches = list(cut_batches(_files([1000] * 5)))
    assert [len(batch.files) for batch in tapered(batches, 4)] == [2, 2, 1]
    assert list(tapered(batches, 0)) == batches


def test_a_piece_counts_twice_in_what_a_batch_takes_of_memory():
    whole = SourceFile("a.tar", 1000, None, pieces=2)
    (alone,) = cut_batches([(SourceFile("b.bin", 500, None), 0)])
    (piece,) = cut_batches([(replace(whole, piece=0), 0)])
    longest = longest_bytes(piece.files[0])
    assert 500 < longest < 1000
    assert (alone.cost_bytes, piece.cost_bytes) == (500, 2 * longest)
    assert replace(piece, place=(100, 1100)).cost_bytes == 2 * 1000


def test_a_piece_that_is_longer_than_planned_is_put_back_with_its_place(tmp_path: Path):
    length = 300_000
    for name, data in (("a.bin", bytes(length)), ("b.bin", bytes(length))):
        (tmp_path / name).write_bytes(data)
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.add(tmp_path / "a.bin", "a.bin")
        tar.add(tmp_path / "b.bin", "b.bin")
    source, settings = Source(str(tmp_path)), PlanSettings("", piece_size_bytes=100_000)
    cut = [file for file in cut_files(source, source.files(), settings) if file.piece is not None]
    some = [file for file in cut if file.path == "x.tar"]
    lengths: list[int] = []
    for batch in cut_batches((file, 0) for file in some):
        longer: list[Batch] = [batch]
        while longer:
            one = longer.pop()
            report, _, _, stored = read_batch(source.store, source, one, False, "run", settings)
            lengths += [entry.row.source_size_bytes for entry in stored]
            longer += report.alone
            for again in report.alone:
                (file,) = again.files
                assert again.place is not None
                assert again.place[1] - again.place[0] > longest_bytes(file)
                assert again.cost_bytes == 2 * (again.place[1] - again.place[0])
    assert max(lengths) > length > longest_bytes(some[0])
    assert sum(lengths) == (tmp_path / "x.tar").stat().st_size
