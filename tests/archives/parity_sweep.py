"""`python -m tests.archives.parity_sweep [SEEDS]`: counts of damage that parity mends, as a table.

An archive of shards of several sizes, of two runs that share payloads, with parity of 10 %: each of
its objects is damaged in each way, as far as parity promises and three times as far, and repaired
without a copy or a source.
"""

import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from seec.jobs.exit_codes import ExitCode
from seec.pipeline.archive import Archive
from tests.archives import test_parity as parity
from tests.archives.life import held, opened

BEYOND = 3


def beyond(data: bytes, rng: random.Random) -> bytes:
    """Other bytes in the place of three times as many as promised, from a start anywhere."""
    length = max(2, BEYOND * len(data) * parity.SHARE // 10_000)
    start = rng.randrange(max(1, len(data) - length + 1))
    return data[:start] + rng.randbytes(length) + data[start + length :]


def within_promise(root: Path, kind: Callable[..., bytes | None], seed: int) -> tuple[int, int]:
    """How many objects were damaged in this way, and how many came back as they were."""
    rng, whole = random.Random(seed), parity.objects(root)
    tried = mended = 0
    for name, data in sorted(whole.items()):
        if not data or (kind is parity.gone and not parity.comes_back_when_gone(root, name)):
            continue
        parity.damage(root / name, kind(data, rng))
        tried += 1
        back = parity.mend(root).exit_code == ExitCode.OK and parity.objects(root) == whole
        mended += back
        if not back:
            _set_back(root, whole)
    return tried, mended


def beyond_promise(root: Path, seed: int) -> tuple[int, int, int]:
    """How many blobs were damaged, after how many repairs only files of them were lost, and files.

    Files count that were lost in all.
    """
    rng, whole = random.Random(seed), parity.objects(root)
    before = held(root)
    tried = told = lost = 0
    for shard in parity.shards(root):
        blob = root / shard.blob.name
        blob.write_bytes(beyond(blob.read_bytes(), rng))
        of_blob = _paths_in(opened(root), shard.blob.name)
        summary = parity.mend(root)
        tried += 1
        lost += len(summary.lost)
        told += set(summary.lost) <= of_blob and _kept(opened(root)) == before.keys() - set(
            summary.lost
        )
        _set_back(root, whole)
    return tried, told, lost


def _paths_in(archive: Archive, blob: str) -> set[str]:
    """Paths of files with payloads in a blob, whichever shards they are of."""
    return {
        row.path
        for shard in archive.state.in_order()
        for row in archive.rows(shard)
        if (row.blob or shard.blob.name) == blob
    }


def _kept(archive: Archive) -> set[str]:
    rows = (row for shard in archive.state.in_order() for row in archive.rows(shard))
    return {row.path for row in rows if not row.lost}


def _set_back(root: Path, whole: dict[str, bytes]) -> None:
    shutil.rmtree(root)
    for name, data in whole.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def main() -> None:
    """Print the table."""
    seeds = range(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        parity.fill(made / "source")
        root = made / "archive"
        parity.archive(made / "source", root, parity_share=parity.SHARE)
        for name in ("0.bin", "2.bin", "b.txt", "x.png"):
            shutil.copyfile(made / "source" / name, made / "source" / f"copied {name}")
        parity.archive(made / "source", root)
        assert any(shard.referenced for shard in parity.shards(root))
        print("| damage | objects | mended |\n| --- | --- | --- |")  # noqa: T201
        for kind in parity.KINDS:
            counts = [within_promise(root, kind, seed) for seed in seeds]
            tried, mended = map(sum, zip(*counts, strict=True))
            print(f"| {kind.__name__.replace('_', ' ')} | {tried} | {mended} |", flush=True)  # noqa: T201
        counts = [beyond_promise(root, seed) for seed in seeds]
        tried, told, lost = map(sum, zip(*counts, strict=True))
        print(  # noqa: T201
            f"| {BEYOND} times as much | {tried} | "
            f"in {told} nothing but files of the blob was lost, {lost} in all |"
        )


if __name__ == "__main__":
    main()
