"""Files of an archive read by many threads, in order, by parts, through a cache, after a fork."""

import io
import multiprocessing
import os
import pickle
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

import seec
from tests.archives import life
from tests.faults import filesystem
from tests.faults.filesystem import LIST, READ, Plan
from tests.pictures import textured
from tests.sources import coded_files, jpeg_files, plane_files, write_source


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of files of all kinds, in shards of seven."""
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "source").mkdir()
    write_source(folder / "source")
    life.archive(folder / "source", folder / "archive", shard_files=7)
    return folder / "archive"


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of one picture in three groups of tiles."""
    folder = tmp_path_factory.mktemp("wide")
    (folder / "source").mkdir()
    speckled = textured(60, 1100) ^ np.random.default_rng(2).integers(
        8, size=(60, 1100, 3), dtype=np.uint8
    )
    Image.fromarray(speckled).save(folder / "source" / "wide.png")
    life.archive(folder / "source", folder / "archive", model=None, profile="fast")
    return folder / "archive"


@pytest.mark.parametrize("prefetch", [0, 1, 5, 64])
def test_all_files_come_in_order_with_their_bytes(root: Path, prefetch: int) -> None:
    archive = seec.open(str(root))
    found = list(archive.iter(prefetch=prefetch))
    assert [path for path, _ in found] == list(archive.paths())
    assert dict(found) == {path: archive.read(path) for path in archive.paths()}
    some = archive.iter(["*.png"], prefetch=prefetch)
    assert [path for path, _ in some] == list(archive.paths(["*.png"]))
    with pytest.raises(ValueError, match="negative"):
        list(archive.iter(prefetch=-1))


def test_files_beside_each_other_take_one_request(tmp_path: Path) -> None:
    source, archived = tmp_path / "source", tmp_path / "archive"
    noise = np.random.default_rng(1)
    source.mkdir()
    for number in range(40):
        (source / f"{number:02d}.bin").write_bytes(noise.bytes(2000))
    life.archive(source, archived, shard_files=20)
    with filesystem.plan(Plan()) as plan:
        found = dict(seec.open(f"faulty://{archived}").iter())
    assert found == {path.name: path.read_bytes() for path in source.iterdir()}
    asked = Counter("blobs" in one.path for one in plan.requests if one.verb == READ)
    assert asked[True] <= 4


def test_images_of_a_stack_take_one_request(tmp_path: Path) -> None:
    source, archived = tmp_path / "source", tmp_path / "archive"
    source.mkdir()
    for number in range(30):
        Image.fromarray(textured(20, 24, number)).save(source / f"{number:02d}.png")
    life.archive(source, archived, shard_files=50)
    opened = seec.open(str(archived))
    stacked = [opened.row(path).samples for path in opened.paths()]
    assert all(one is not None and one.top is not None for one in stacked)
    with filesystem.plan(Plan()) as plan:
        found = dict(seec.open(f"faulty://{archived}").iter(pixels=True))
    assert np.array_equal(found["07.png"], textured(20, 24, 7))
    asked = Counter("blobs" in one.path for one in plan.requests if one.verb == READ)
    assert asked[True] <= 2


def test_to_open_and_read_one_file_takes_few_requests(root: Path) -> None:
    path = list(seec.open(str(root)).paths())[40]
    with filesystem.plan(Plan()) as plan:
        assert seec.open(f"faulty://{root}").read(path)
    asked = Counter(request.verb for request in plan.requests)
    assert asked[LIST] <= 1
    assert asked[READ] <= 12


def _by_pillow(data: bytes) -> np.ndarray | None:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image)
    except (UnidentifiedImageError, OSError):
        return None


def test_pixels_are_those_that_pillow_finds_in_the_file(root: Path) -> None:
    archive = seec.open(str(root))
    checked = Counter()
    for path, data in archive.iter():
        expected = _by_pillow(data)
        if expected is not None:
            pixels = archive.pixels(path)
            assert pixels.dtype == expected.dtype, path
            assert np.array_equal(pixels, expected), path
            checked[archive.info(path).route] += 1
    assert checked["seec"] >= len(coded_files()) - 2
    assert checked["seec-planes"] >= len(plane_files()) // 2
    assert sum(checked.values()) - checked["seec"] - checked["seec-planes"] >= len(jpeg_files())
    failed: list[str] = []
    decoded = dict(archive.iter(pixels=True, on_error=lambda path, error: failed.append(path)))
    assert len(decoded) == sum(checked.values())
    assert set(decoded) | set(failed) == set(archive.paths())


def test_pixels_are_converted_as_pillow_converts_files(root: Path) -> None:
    archive = seec.open(str(root))
    checked = Counter()
    for path, data in archive.iter():
        with suppress(UnidentifiedImageError, OSError), Image.open(io.BytesIO(data)) as image:
            if image.mode in ("1", "L", "P", "RGB", "RGBA", "CMYK"):
                for mode in ("L", "RGB"):
                    expected = np.asarray(image.convert(mode))
                    assert np.array_equal(archive.pixels(path, mode=mode), expected), path
                    high, wide = expected.shape[:2]
                    part = archive.pixels(path, (wide // 2, 0, 1, high), mode)
                    assert np.array_equal(part, expected[:, wide // 2 : wide // 2 + 1]), path
                checked[image.mode] += 1
            elif image.mode == "I;16":
                assert np.array_equal(
                    archive.pixels(path, mode="L"), (np.asarray(image) >> 8).astype(np.uint8)
                )
                checked[image.mode] += 1
    assert set(checked) == {"1", "L", "P", "RGB", "RGBA", "CMYK", "I;16"}


def test_every_region_of_every_picture_is_a_part_of_the_pixels(root: Path) -> None:
    archive = seec.open(str(root))
    numbers = np.random.default_rng(3)
    for path, pixels in archive.iter(pixels=True, on_error=lambda *_: None):
        high, wide = pixels.shape[:2]
        x, y = int(numbers.integers(wide)), int(numbers.integers(high))
        region = (
            x,
            y,
            int(numbers.integers(1, wide - x + 1)),
            int(numbers.integers(1, high - y + 1)),
        )
        part = pixels[y : y + region[3], x : x + region[2]]
        assert np.array_equal(archive.pixels(path, region=region), part), (path, region)
        with pytest.raises(ValueError, match="not inside"):
            archive.pixels(path, region=(x, y, wide - x + 1, 1))


def test_a_region_decodes_only_the_groups_that_it_touches(
    wide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = seec.open(str(wide))
    whole = archive.pixels("wide.png")
    # A large payload is not fetched as a whole.
    monkeypatch.setattr("seec.pipeline.reading.contents._WHOLE_BYTES", 0)
    with filesystem.plan(Plan()) as plan:
        part = seec.open(f"faulty://{wide}").pixels("wide.png", region=(1050, 10, 16, 16))
    assert np.array_equal(part, whole[10:26, 1050:1066])
    read = sum((r.end or 0) - (r.start or 0) for r in plan.requests if "blobs/" in r.path)
    assert 0 < read < archive.info("wide.png").stored_bytes / 2


def test_a_cache_serves_what_the_archive_no_longer_has(root: Path, tmp_path: Path) -> None:
    uncached = seec.open(str(root))
    expected = dict(uncached.iter())
    pixels = dict(uncached.iter(pixels=True, on_error=lambda *_: None))
    archive = seec.open(str(root), cache=tmp_path / "cache")
    assert dict(archive.iter()) == expected
    for path, array in archive.iter(pixels=True, on_error=lambda *_: None):
        assert np.array_equal(array, pixels[path]), path
    with filesystem.plan(Plan()) as plan:
        again = seec.open(f"faulty://{root}", cache=tmp_path / "cache")
        assert all(again.read(path) == data for path, data in expected.items())
        for path, array in pixels.items():
            assert np.array_equal(again.pixels(path), array)
            assert np.array_equal(again.pixels(path, region=(0, 0, 1, 1)), array[:1, :1])
    assert not [request for request in plan.requests if "blobs/" in request.path]


def test_a_forked_process_and_a_pickle_read_the_same(root: Path, tmp_path: Path) -> None:
    archive = seec.open(str(root), cache=tmp_path / "cache")
    expected = {path: archive.read(path) for path in archive.paths()}
    again = pickle.loads(pickle.dumps(archive))  # noqa: S301
    assert (again.commit, again.url) == (archive.commit, archive.url)
    assert dict(again.iter()) == expected
    context = multiprocessing.get_context("fork")
    reading = archive.iter(prefetch=8)  # its threads are at work while the process forks
    next(reading)
    queue = context.SimpleQueue()
    child = context.Process(target=lambda: queue.put(dict(archive.iter()) == expected))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert queue.get() is True


def test_many_threads_find_rows_of_the_same_parts(root: Path) -> None:
    expected = {path: seec.open(str(root)).info(path) for path in seec.open(str(root)).paths()}
    for _ in range(5):
        archive = seec.open(str(root))
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(archive.info, list(expected) * 4))
        assert found == list(expected.values()) * 4


def test_an_error_ends_the_reading_or_is_told(tmp_path: Path) -> None:
    life.put_files(tmp_path / "source", a="one", b="two", c="three")
    life.archive(tmp_path / "source", tmp_path / "archive", shard_files=10)
    [blob] = (tmp_path / "archive" / "blobs").glob("*/*")
    data = bytearray(blob.read_bytes())
    data[data.index(b"two")] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)
    archive = seec.open(str(tmp_path / "archive"))
    failed: dict[str, seec.SeecError] = {}
    assert dict(archive.iter(on_error=failed.__setitem__)) == {"a.txt": b"one", "c.txt": b"three"}
    assert isinstance(failed["b.txt"], seec.FixityError)
    with pytest.raises(seec.FixityError, match=r"b\.txt"):
        list(archive.iter())


def test_what_vanishes_meanwhile_is_read_as_it_counts_by_then(tmp_path: Path) -> None:
    from tests.archives.test_readers import replace_all

    root = tmp_path / "archive"
    life.put_files(tmp_path / "source", a="one", b="two", c="three", d="four")
    life.archive(tmp_path / "source", root)
    reading = seec.open(str(root)).iter(prefetch=0)
    assert next(reading) == ("a.txt", b"one")
    replace_all(root)
    assert list(reading) == [("b.txt", b"two"), ("c.txt", b"three"), ("d.txt", b"four")]


def test_one_file_is_read_without_what_it_does_not_need(tmp_path: Path) -> None:
    life.put_files(tmp_path / "source", a="one", b="two")
    life.archive(tmp_path / "source", tmp_path / "archive")
    code = (
        "import sys, seec; assert seec.open(sys.argv[1]).read('b.txt') == b'two'; "
        "print(*{name.partition('.')[0] for name in sys.modules}, "
        "*(name for name in sys.modules if name.startswith('pyarrow.')))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "archive")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    heavy = {"torch", "ray", "pandas", "PIL", "imagecodecs", "constriction", "tifffile", "s3fs"}
    heavy |= {"pyarrow.compute", "pyarrow.dataset", "click", "rich"}
    assert not heavy & set(done.stdout.split())


def _cat(root: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "seec.jobs.cat", str(root), *arguments]
    return subprocess.run(command, capture_output=True, check=False, env=os.environ)


def test_cat_writes_the_bytes_of_files_to_stdout(tmp_path: Path) -> None:
    source = tmp_path / "source"
    life.put_files(source, a="one", b="two\r\n")
    pixels = textured(20, 30)
    Image.fromarray(pixels).save(source / "c.png")
    life.archive(source, tmp_path / "archive")
    done = _cat(tmp_path / "archive", "b.txt", "c.png")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == b"two\r\n" + seec.open(str(tmp_path / "archive")).read("c.png")
    missing = _cat(tmp_path / "archive", "a.txt", "d.txt")
    assert (missing.returncode, missing.stdout) == (1, b"one")
    assert b"d.txt: not in" in missing.stderr
    assert _cat(tmp_path / "archive", "a.txt", "--json").returncode == 2
