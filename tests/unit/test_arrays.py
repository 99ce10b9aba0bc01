"""Tables are made and read without pandas, and as pyarrow itself makes them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seec.schemas.arrays import array
from tests.faults.points import MODEL

ROOT = Path(__file__).parents[2]
TEXT = st.text("aü€\0\U0001f600")
INTEGERS = {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}
KINDS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.string(), TEXT),
    (pa.binary(), st.binary()),
    (pa.binary(32), st.binary(min_size=32, max_size=32)),
    (pa.list_(pa.string()), st.lists(TEXT, max_size=3)),
    (pa.float64(), st.floats(allow_nan=False)),
    *(
        (kind, st.integers(-(1 << bits - 1), (1 << bits - 1) - 1))
        for bits, kind in INTEGERS.items()
    ),
]


@pytest.mark.parametrize(("kind", "values"), KINDS, ids=[str(kind) for kind, _ in KINDS])
def test_arrays_are_those_of_pyarrow(kind: pa.DataType, values: st.SearchStrategy[Any]):
    @settings(deadline=None)
    @given(st.lists(st.none() | values, max_size=20))
    def check(items: list[Any]) -> None:
        made, expected = array(kind, items), pa.array(items, kind)
        made.validate(full=True)
        assert made.equals(expected)
        assert made.null_count == expected.null_count

    check()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.int16(), 1 << 15),
        (pa.int64(), 1 << 63),
        (pa.int32(), "one"),
        (pa.string(), "\ud800"),
        (pa.string(), b"bytes"),
        (pa.binary(), "text"),
        (pa.binary(32), b"short"),
    ],
)
def test_what_is_no_such_value_is_refused(kind: pa.DataType, value: Any):
    for values in ([value], [None, value]):
        with pytest.raises((ValueError, TypeError, OverflowError)):
            array(kind, values)


def test_small_jobs_do_not_import_pandas(tmp_path: Path):
    (tmp_path / "pandas.py").write_text("raise SystemExit('pandas was imported')\n")
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.txt").write_text("text")
    code = (
        "import sys\n"
        "from seec.jobs import archive, compact, gc, ls, repair, restore, verify\n"
        f"source, root, model = {str(tmp_path / 'source')!r}, 'archive', {str(MODEL)!r}\n"
        "for main, *arguments in (\n"
        "    (archive.main, source, root, '--model', model),\n"
        "    (archive.main, source, root, '--model', model, '--as', 'again'),\n"
        "    (verify.main, root, '--against', source), (repair.main, root), (compact.main, root),\n"
        "    (gc.main, root), (ls.main, root, '--include', '*.txt'), (restore.main, root, 'out'),\n"
        "):\n"
        "    assert not main.main(arguments, standalone_mode=False), main.name\n"
        "assert 'pandas' not in sys.modules\n"
    )
    path = f"{tmp_path}:{ROOT}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "again" / "a.txt").read_text() == "text"
