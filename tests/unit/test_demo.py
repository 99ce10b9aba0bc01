import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from seec.jobs import demo


@pytest.mark.slow
@pytest.mark.skipif(find_spec("skimage") is None, reason="needs the photographs of scikit-image")
def test_demo_gives_every_photograph_back_and_can_run_again(
    tmp_path: Path, ray_cluster: str
) -> None:
    for _ in range(2):
        result = CliRunner().invoke(demo.main, ["--output", str(tmp_path), "--json"])
        assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["files"] == facts["same_pixels"] + facts["same_bytes"] == 9
    assert facts["verify"]["findings"] == []
    assert [row["codec"] for row in facts["bench"]] == list(demo._CODECS)
