"""`seec archive --keep file`, on Ray: every byte of every file comes back."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from seec.jobs import archive, ls, restore, verify
from seec.jobs.exit_codes import ExitCode
from seec.schemas.routes import SEEC
from tests.archives import plain_reader
from tests.archives.test_format import decode_with
from tests.jpegs import detailed
from tests.sources import files_below, image_bytes, write_source

pytestmark = pytest.mark.usefixtures("ray_cluster")


def test_every_file_comes_back_byte_for_byte(tmp_path: Path):
    source, root, out = (tmp_path / name for name in ("source", "archive", "out"))
    source.mkdir()
    write_source(source)
    (source / "photo.png").write_bytes(image_bytes(detailed(), "PNG"))
    before = files_below(source)
    settings = archive.Settings(str(source), str(root), keep="file")
    assert archive.run(settings).exit_code == ExitCode.OK
    listing = ls.run(ls.Settings(str(root), ("photo.png",)))
    assert [row.route for row in listing.rows] == [SEEC]
    assert verify.run(verify.Settings(str(root))).exit_code == ExitCode.OK
    assert restore.run(restore.Settings(str(root), str(out))).exit_code == ExitCode.OK
    assert files_below(out) == before
    assert dict(plain_reader.restored(root, decode_with)) == before


def test_a_region_that_may_be_lost_and_whole_files_exclude_each_other(tmp_path: Path):
    loss = ["--roi", "salient", "--background-error", "8", "--allow-lossy-background"]
    result = CliRunner().invoke(archive.main, [str(tmp_path), "out", "--keep", "file", *loss])
    assert result.exit_code == 2
    assert "--keep file" in result.stderr
