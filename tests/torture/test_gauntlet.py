"""The short form of the gauntlet: each kind of hostile and odd file once, in a small size."""

from pathlib import Path

import pytest

from tests.torture import gauntlet, odd


@pytest.mark.usefixtures("ray_cluster")
def test_hostile_and_odd_files_come_back(tmp_path: Path):
    drawn = odd.files(whole=False)
    assert gauntlet.run(tmp_path, drawn, keep="pixels", sparse_bytes=1 << 22) == []
