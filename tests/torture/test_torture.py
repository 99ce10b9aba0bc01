"""A tree of everything, into an archive and back: every file accounted for, by its route."""

from collections import Counter
from pathlib import Path

import pytest

from seec.jobs import archive, ls, restore, verify
from seec.jobs.exit_codes import ExitCode
from seec.schemas.kinds import FILE
from seec.schemas.names import unescape
from seec.schemas.routes import JPEGXL_JPEG, SEEC, SEEC_PLANES, STORE
from seec.schemas.rows import Row
from tests.rows import envelope_of
from tests.sources import files_below
from tests.torture import tree
from tests.torture.comparison import came_back
from tests.torture.drawn import everything

pytestmark = [pytest.mark.usefixtures("ray_cluster"), pytest.mark.slow]


def test_the_tree_is_large_and_the_same_every_time():
    drawn = tree.files()
    assert len(drawn) >= 300
    assert drawn == tree.files()


@pytest.mark.parametrize("keep", ["pixels", "file"])
def test_every_file_is_accounted_for_and_comes_back(tmp_path: Path, keep: str):
    source, root, out = (tmp_path / name for name in ("source", "archive", "out"))
    source.mkdir()
    drawn = {name.encode(): data for name, data in tree.write(source).items()}
    settings = archive.Settings(str(source), str(root), keep=keep, max_file_size_bytes=tree.LARGEST)
    summary = archive.run(settings)
    listing = ls.run(ls.Settings(str(root)))
    failed = ls.run(ls.Settings(str(root), quarantine=True)).failed
    rows = {unescape(row.path): row for row in listing.rows if row.kind == FILE}
    assert summary.exit_code == ExitCode.INCOMPLETE
    assert {row.path for row in failed} == {tree.TOO_LARGE, tree.FIFO}
    assert all(row.error and row.reason for row in failed)
    assert rows.keys() == drawn.keys()
    check_routes(rows, keep)
    checked = verify.run(verify.Settings(str(root)))
    assert (checked.exit_code, checked.images_decoded) == (
        ExitCode.INCOMPLETE,
        len(listing.rows),
    )
    restored = restore.run(restore.Settings(str(root), str(out)))
    assert (restored.exit_code, restored.failed) == (ExitCode.INCOMPLETE, [])
    after = files_below(out)
    assert after.keys() == drawn.keys()
    wrong = [
        name for name, row in rows.items() if not came_back(row, drawn[name], after[name], keep)
    ]
    assert wrong == []


def check_routes(rows: dict[bytes, Row], keep: str) -> None:
    """Whether files went the ways that their content tells."""
    counts = Counter(row.route for row in rows.values())
    assert all(counts[codec] >= 20 for codec in (SEEC_PLANES, JPEGXL_JPEG, STORE))
    assert counts[SEEC] >= 10
    for name, row in rows.items():
        assert (row.route == STORE) == bool(row.reason), name
        assert row.length + len(envelope_of(row)) <= row.source_size_bytes + 64, name
        if name.startswith((b"bomb/", b"magic/")):
            assert row.route == STORE, name
    # Large enough to be worth it.
    worth = ("qoi/", "pnm/rgb-6", "bmp/RGB", "tiff/RGB" if keep == "pixels" else "tiff/RGB-plain")
    for name in everything():
        if "64x80" in name and name.startswith(worth):
            assert rows[name.encode()].route in (SEEC, SEEC_PLANES), name
