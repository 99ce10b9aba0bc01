"""How files are cut into batches, and the last batches of a run into parts."""

from dataclasses import replace

from seec.pipeline.stages.batch import MAX_FILES, MAX_SOURCE_BYTES, cut_batches, tapered
from seec.schemas.plan import SourceFile


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
    assert (alone.cost_bytes, piece.cost_bytes) == (500, 1000)
