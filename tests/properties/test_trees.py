"""Whatever a directory holds comes back."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seec.jobs import restore, verify
from seec.jobs.exit_codes import ExitCode
from tests.archives import life
from tests.faults import points
from tests.trees import nodes

pytestmark = pytest.mark.usefixtures("ray_cluster")

parts = st.binary(min_size=1, max_size=12).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)
folders = st.lists(parts, max_size=3)
targets = st.binary(min_size=1, max_size=60).filter(lambda target: b"\0" not in target)
permissions = st.integers(0, 0o777)
times = st.integers(-(10**20), 10**20)  # years -1199 to 5138, as far as the file system goes
things = st.one_of(
    st.tuples(st.just("file"), st.binary(max_size=40), permissions),
    st.tuples(st.just("link"), targets, st.none()),
    st.tuples(st.just("directory"), st.none(), permissions),
    st.tuples(st.just("hard link"), st.integers(0, 100), st.none()),
)
trees = st.lists(st.tuples(folders, parts, things, times), max_size=12)


def grow(root: Path, tree: list) -> None:
    """Make what is drawn; what cannot be made beside what is there is left out."""
    files: list[Path] = []
    made: list[tuple[Path, int | None, int]] = []
    for above, last, (kind, content, mode), mtime_ns in tree:
        path = root.joinpath(*map(os.fsdecode, [*above, last]))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(path):
                continue
            if kind == "file":
                path.write_bytes(content)
                files.append(path)
            elif kind == "link":
                os.symlink(content, os.fsencode(path))  # noqa: PTH211 - `Path` tidies it up
            elif kind == "directory":
                path.mkdir()
            elif files:
                path.hardlink_to(files[content % len(files)])
                continue
            else:
                continue
        except (FileExistsError, NotADirectoryError, FileNotFoundError, OSError):
            continue
        made.append((path, mode, mtime_ns))
    for path, mode, mtime_ns in sorted(made, reverse=True):
        os.utime(path, ns=(mtime_ns, mtime_ns), follow_symlinks=False)
        if mode is not None and (os.geteuid() == 0 or path.is_file()):
            path.chmod(mode | stat.S_IRUSR)


@contextmanager
def scratch() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp())
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@given(trees, trees)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_tree_comes_back_and_so_does_what_it_becomes(tree: list, more: list):
    with scratch() as folder:
        source, root, out = (folder / name for name in ("source", "archive", "out"))
        source.mkdir()
        for number, grown in enumerate((tree, more)):
            grow(source, grown)
            life.archive(source, root)
            assert life.archive(source, root).runs == []
            target = out / str(number)
            summary = restore.run(restore.Settings(str(root), str(target)))
            assert (summary.failed, summary.kept) == ([], 0)
            before = nodes(source)
            target.mkdir(parents=True, exist_ok=True)
            assert nodes(target) == before
            checked = points.verify_in_process(verify.Settings(str(root)))
            assert (checked.exit_code, checked.findings) == (ExitCode.OK, ())
