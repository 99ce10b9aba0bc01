"""Lock what `make` installs: `make lock` writes requirements.lock and one lock per build of torch.

uv resolves pyproject.toml once for all systems and versions of Python, and takes the hashes of all
files of a release from the public index. Versions of the lock stay unless `--upgrade` is given.

requirements-cpu.lock has torch's build for CPUs, which is not on the public index. Its hashes come
from the folders of pip's `find-links`, and stay in the lock on machines without these folders.
requirements-cuda.lock has the build of the public index, and the libraries of CUDA for that.
"""

import hashlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
CPU_LOCK, CUDA_LOCK = ROOT / "requirements-cpu.lock", ROOT / "requirements-cuda.lock"
EXTRAS = ("test", "dev", "demo", "docs")
# The oldest Python that all of the tools run on.
_PYTHON = "3.11.5"
# Torch of the public index, and what only that needs.
_CUDA = re.compile(r"(nvidia|cuda)-|(triton|torch)==")
_HEADER = "# Written by `make lock`; CONTRIBUTING.md says what for."


def main(options: list[str]) -> None:
    """Write the locks; options: of `uv pip compile`."""
    new = _resolve(options)
    (torch,) = (f"{pin}+cpu" for pin in new if pin.startswith("torch=="))
    # Without a hash pip refuses this build, and `make` takes the other one.
    _write(CPU_LOCK, {torch: _cpu_hashes(torch) | _blocks(CPU_LOCK).get(torch, set())})
    _write(LOCK, {pin: new[pin] for pin in new if not _CUDA.match(pin)})
    _write(CUDA_LOCK, {pin: new[pin] for pin in new if _CUDA.match(pin)})


def _resolve(options: list[str]) -> dict[str, set[str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    made = ROOT / "build" / "resolved.lock"
    made.parent.mkdir(exist_ok=True)
    # uv prefers the versions that its output file has.
    parts = [path.read_text() for path in (LOCK, CUDA_LOCK) if path.exists()]
    made.write_text("".join(parts))
    command = ["uv", "pip", "compile", "pyproject.toml", "-", "--quiet", "--universal"]
    command += ["--generate-hashes", "--no-annotate", "--no-header", "--output-file", str(made)]
    command += ["--python-version", _PYTHON]
    command += [f"--extra={extra}" for extra in EXTRAS]
    # The editable install builds without isolation.
    build = "\n".join(project["build-system"]["requires"])
    subprocess.run([*command, *options], cwd=ROOT, check=True, input=build, text=True)
    return _blocks(made)


def _blocks(path: Path) -> dict[str, set[str]]:
    """The hashes of each pin `name==version`, with the pin's marker if there is one."""
    if not path.exists():
        return {}
    blocks: dict[str, set[str]] = {}
    for block in path.read_text().replace("\\\n", " ").splitlines():
        if block and not block.startswith("#"):
            pin, *hashes = block.split("--hash=")
            blocks[" ".join(pin.split())] = {text.strip() for text in hashes}
    return blocks


def _cpu_hashes(pin: str) -> set[str]:
    """The hashes of the wheels of this build in the folders where pip looks for files."""
    asked = [sys.executable, "-m", "pip", "config", "get", "global.find-links"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    said += " " + os.environ.get("PIP_FIND_LINKS", "")
    hashes: set[str] = set()
    for folder in {Path(text.removeprefix("file://")) for text in said.split()}:
        for wheel in folder.glob(f"{pin.replace('==', '-')}-*.whl"):
            with wheel.open("rb") as file:
                hashes.add(f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}")
    return hashes


def _write(path: Path, blocks: dict[str, set[str]]) -> None:
    lines = [_HEADER]
    for pin, hashes in sorted(blocks.items()):
        lines.append(" \\\n".join([pin, *(f"    --hash={digest}" for digest in sorted(hashes))]))
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
