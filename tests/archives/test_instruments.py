"""Archives of files of instruments: each comes back, also by the format description alone."""

from pathlib import Path

import pytest

from seec.pipeline.archive.catalogue import current_rows
from seec.schemas.routes import STORE
from tests.archives.life import archive, findings, held, opened
from tests.archives.plain_reader import restored
from tests.archives.test_format import decode_with
from tests.instruments import instrument_files
from tests.tiffs import compressed_files, exact_files
from tests.unit.test_tiff import digests

EXACT = instrument_files() | {f"{name}.tiff": data for name, data in exact_files().items()}
SOME = (
    "volume.nii",
    "volume.nii.gz",
    "units.fits",
    "signed.dcm",
    "mixed.exr",
    "pyramid-lzw.tiff",
    "planes.tiff",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("instruments")
    (folder / "source").mkdir()
    for name in SOME:
        (folder / "source" / name).write_bytes(EXACT[name])
    for name in ("pyramid-zstd", "zstd-floats-<"):
        (folder / "source" / f"{name}.tiff").write_bytes(compressed_files()[name])
    archive(folder / "source", folder / "archive")
    return folder / "archive"


def test_files_come_back(root: Path):
    assert findings(root) == []
    back = held(root)
    assert {name: back[name] for name in SOME} == {name: EXACT[name] for name in SOME}
    routes = {row.path: row.route for _, part in current_rows(opened(root)) for row in part}
    assert {name for name in SOME if routes[name] == STORE} <= {"mixed.exr", "pyramid-lzw.tiff"}


def test_a_plain_reader_restores_them(root: Path):
    back = {path.decode(): data for path, data in restored(root, decode_with)}
    assert {name: back[name] for name in SOME} == {name: EXACT[name] for name in SOME}
    for name in ("pyramid-zstd", "zstd-floats-<"):
        assert digests(back[f"{name}.tiff"]) == digests(compressed_files()[name])
