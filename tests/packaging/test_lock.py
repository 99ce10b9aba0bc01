"""What `make` installs is what was resolved once, byte for byte."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-cuda.lock")


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_pinned_with_hashes(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    pinned = re.compile(r"[\w.-]+==[\w.+!]+( ; [^#]+?)?( +--hash=sha256:[0-9a-f]{64})+ *")
    assert lines
    assert [line for line in lines if not pinned.fullmatch(line)] == []
    installs = re.findall(rf"--requirement {name}\b", (ROOT / "Makefile").read_text())
    strict = re.findall(
        rf"--require-hashes .*--requirement {name}\b", (ROOT / "Makefile").read_text()
    )
    assert installs == ["--requirement " + name] * len(strict) != []
