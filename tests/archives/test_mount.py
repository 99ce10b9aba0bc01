"""An archive as a folder of the system."""

import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

import seec
from tests.archives import life
from tests.pictures import textured

_START_TIMEOUT_S = 30.0


def _lacking() -> str | None:
    """What this machine lacks to mount anything; None if nothing."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "there is no /dev/fuse that this user may open"
    if shutil.which("fusermount3") is None and shutil.which("fusermount") is None:
        return "there is no fusermount: Debian's package fuse3 has it"
    try:
        import mfusepy
    except (ImportError, OSError) as error:
        return f"mfusepy cannot be used: {error}"
    return None if mfusepy else ""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mounted")
    source = folder / "source"
    (source / "photos" / "deep").mkdir(parents=True)
    Image.fromarray(textured(20, 30)).save(source / "photos" / "1.png")
    (source / "photos" / "deep" / "zoë.txt").write_text("words")
    (source / os.fsdecode(b"not utf-8 \xff.txt")).write_text("odd")
    (source / "link.txt").symlink_to("photos/deep/zoë.txt")
    (source / "script.sh").write_text("#!/bin/sh\n")
    (source / "script.sh").chmod(0o755)
    (source / "large.bin").write_bytes(os.urandom(3 << 20))
    life.archive(source, folder / "archive", shard_files=3)
    return folder / "archive"


@contextmanager
def mounted(root: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The archive in a folder, by a process of its own, while the block runs."""
    if lacking := _lacking():
        pytest.skip(f"cannot mount: {lacking}")
    folder.mkdir()
    command = [sys.executable, "-m", "seec.jobs.mount", str(root), str(folder)]
    log = folder.with_suffix(".log")
    with log.open("w") as sink, subprocess.Popen(command, stderr=sink) as process:
        try:
            end = time.monotonic() + _START_TIMEOUT_S
            while not folder.is_mount():
                if process.poll() is not None or time.monotonic() > end:
                    said = log.read_text()
                    if "does not mount" in said:
                        pytest.skip(f"this system refuses to mount: {said}")
                    pytest.fail(said)
                time.sleep(0.05)
            yield process
        finally:
            unmount = shutil.which("fusermount3") or shutil.which("fusermount") or ""
            subprocess.run([unmount, "-u", str(folder)], check=False)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def test_programs_find_the_files_in_the_folder(root: Path, tmp_path: Path) -> None:
    source, archive = root.parent / "source", seec.open(str(root))
    with mounted(root, tmp_path / "shown") as process:
        shown = tmp_path / "shown"
        for folder, folders, names in os.walk(source):
            there = shown / Path(folder).relative_to(source)
            assert sorted(path.name for path in there.iterdir()) == sorted([*folders, *names])
            for name in names:
                before, after = Path(folder) / name, there / name
                assert after.is_symlink() == before.is_symlink()
                if before.is_symlink():
                    assert after.readlink() == before.readlink()
                assert after.stat().st_mtime_ns == before.stat().st_mtime_ns
                if name != "1.png":
                    assert after.read_bytes() == before.read_bytes()
        picture = (shown / "photos" / "1.png").read_bytes()
        assert picture == archive.read("photos/1.png")
        assert (shown / "photos" / "1.png").stat().st_size == len(picture)
        assert stat.S_IMODE((shown / "script.sh").stat().st_mode) == 0o555
        with (shown / "large.bin").open("rb") as file:
            file.seek(2 << 20)
            assert file.read(10) == (source / "large.bin").read_bytes()[2 << 20 :][:10]
        with pytest.raises(FileNotFoundError):
            (shown / "no").stat()
        for write in (
            lambda: (shown / "new").write_text(""),
            lambda: (shown / "script.sh").write_text(""),
            lambda: (shown / "script.sh").unlink(),
            lambda: (shown / "new").mkdir(),
        ):
            with pytest.raises(OSError, match="Read-only"):
                write()
        subprocess.run(["cp", "-r", str(shown / "photos"), str(tmp_path / "copy")], check=True)
        assert (tmp_path / "copy" / "deep" / "zoë.txt").read_text() == "words"
    assert process.returncode == 0


def test_a_damaged_file_is_an_error_that_is_told(root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "archive"
    shutil.copytree(root, copy)
    for blob in copy.glob("blobs/*/*"):
        data = blob.read_bytes()
        blob.chmod(0o644)
        blob.write_bytes(bytes(len(data)))
    shown = tmp_path / "shown"
    with mounted(copy, shown), pytest.raises(OSError, match="Input/output"):
        (shown / "large.bin").read_bytes()
    assert "seec: warning: large.bin: " in shown.with_suffix(".log").read_text()


def test_what_cannot_be_mounted_is_told(root: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    code = "import sys; sys.modules['mfusepy'] = None; " if _lacking() else ""
    code += "import sys; from seec.jobs.mount import main; main()"
    command = [sys.executable, "-c", code, str(root), str(tmp_path / "full")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if _lacking():
        assert done.returncode == 2
        assert "seec-archive[fuse]" in done.stderr
    else:
        assert done.returncode == 1
        assert "no empty folder" in done.stderr
