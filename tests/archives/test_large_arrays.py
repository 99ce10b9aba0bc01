"""Large arrays are coded in pieces, come back byte for byte, and are read in parts."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import seec
from seec.pipeline.archive import pieces
from seec.schemas.routes import PIECES, SEEC_PLANES, SPANS
from tests.archives import plain_reader
from tests.archives.life import findings
from tests.archives.test_format import decode_with
from tests.archives.test_members import archived, members, restored, rows_of
from tests.instruments import fits_file, mrc, nifti, npy
from tests.pictures import textured
from tests.sources import files_below

PIECE_BYTES = 1 << 16
PLANE = textured(120, 200)[:, :, 0].astype(np.uint16) * 9
STACK = np.stack([np.roll(PLANE, i, axis=0) + i for i in range(7)])

SMALL = STACK[:, :40, :70]
CHUNKS: dict[str, Any] = {"chunks": (1, 40, 70), "compression": "gzip"}
LAYOUTS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "deflate": CHUNKS,
    "shuffled": CHUNKS | {"shuffle": True, "fletcher32": True},
    "parts": {"chunks": (2, 16, 30), "compression": "gzip", "shuffle": True, "fletcher32": True},
    "parts that grow": {"chunks": (3, 16, 30), "compression": 1, "maxshape": (None, None, 70)},
}

VERSIONS = {"parts that grow": "latest"}


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(pieces, "MAX_WHOLE_STRIPS_BYTES", PIECE_BYTES)
    folder = tmp_path / "source"
    folder.mkdir()
    files = {
        "a.npy": npy(STACK),
        "b.nii": nifti(STACK.astype(np.int16)),
        "c.mrc": mrc(STACK.astype(np.float32) / 3),
        "d.fits": fits_file(STACK.astype(np.int16)),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def test_their_slices_are_coded_and_the_files_come_back(source: Path, tmp_path: Path):
    root = tmp_path / "archive"
    archived(source, root, piece_size_bytes=PIECE_BYTES)
    assert {row.route for row in rows_of(root).values()} == {PIECES}
    inner = {path: row for path, row in members(root).items() if row.samples}
    assert {path.split("/")[0].encode() for path in inner} == set(files_below(source))
    assert {row.route for row in inner.values()} == {SEEC_PLANES}
    assert findings(root) == []
    assert restored(root, tmp_path / "out") == files_below(source)
    kept = sum(row.tree_length for row in inner.values())
    assert kept < sum(map(len, files_below(source).values())) / 2


def test_arrays_in_hdf5_are_coded_in_whole_files_and_in_pieces(tmp_path: Path):
    source, root = tmp_path / "source", tmp_path / "archive"
    source.mkdir()
    for name, options in LAYOUTS.items():
        with h5py.File(source / f"{name}.h5", "w", libver=VERSIONS.get(name)) as file:
            file.create_dataset("volume", data=SMALL, **options)
            file.attrs["made by"] = "a test"
    archived(source, root, piece_size_bytes=1 << 15)
    routes = {row.route for row in rows_of(root).values()}
    assert routes == {PIECES, SPANS}
    inner = {path: row for path, row in members(root).items() if row.samples}
    assert {path.split("/")[0].encode() for path in inner} == set(files_below(source))
    assert findings(root) == []
    assert restored(root, tmp_path / "out") == files_below(source)
    assert dict(plain_reader.restored(root, decode_with)) == files_below(source)
    for name in ("shuffled", "parts"):
        with seec.open(str(root)).open(f"{name}.h5") as opened, h5py.File(opened) as file:
            volume: Any = file["volume"]
            assert np.array_equal(volume[3], SMALL[3])


def test_a_plain_reader_puts_them_together(source: Path, tmp_path: Path):
    root = tmp_path / "archive"
    for path in source.iterdir():
        if path.suffix != ".npy":
            path.unlink()
    np.save(source / "a.npy", STACK[:5, :60, :90])
    archived(source, root, piece_size_bytes=1 << 14)
    assert dict(plain_reader.restored(root, decode_with)) == files_below(source)


def test_damaged_hdf5_files_come_back(tmp_path: Path):
    source, root = tmp_path / "source", tmp_path / "archive"
    source.mkdir()
    rng = np.random.default_rng(5)
    for number in range(12):
        path = source / f"{number}.h5"
        options = list(LAYOUTS.values())[number % len(LAYOUTS)]
        with h5py.File(path, "w", libver=("earliest", "latest")[number % 2]) as file:
            file.create_dataset("volume", data=SMALL, **options)
        data = bytearray(path.read_bytes())
        for _ in range(3):
            data[int(rng.integers(0, 3000 if number % 3 else len(data)))] = int(rng.integers(256))
        path.write_bytes(data[: len(data) - number])
    archived(source, root)
    assert any(row.samples for row in members(root).values())
    assert findings(root) == []
    assert restored(root, tmp_path / "out") == files_below(source)
