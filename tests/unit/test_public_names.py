"""What `import seec` gives, and what it costs."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import seec
from tests.pictures import textured

NAMES = [
    "Archive",
    "FileInfo",
    "FixityError",
    "FormatError",
    "ImageInfo",
    "ModelError",
    "SeecError",
    "SourceError",
    "StorageError",
    "__version__",
    "decode",
    "encode",
    "inspect",
    "open",
]


def test_exactly_these_names_are_public_and_documented() -> None:
    assert sorted(seec.__all__) == dir(seec) == NAMES
    assert all(getattr(seec, name).__doc__ for name in NAMES)
    with pytest.raises(AttributeError, match="no attribute 'archive_everything'"):
        seec.archive_everything  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]


def test_import_loads_no_other_package() -> None:
    code = "import sys, seec; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    heavy = {"numpy", "torch", "ray", "pyarrow", "PIL", "fsspec", "constriction"}
    assert not heavy & set(loaded.stdout.split())


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(seec.__file__).parent / "py.typed").exists()


@pytest.mark.parametrize("profile", ["fast", "lite"])
def test_an_image_comes_back(profile: str) -> None:
    image = textured(20, 30)
    data = seec.encode(image, profile=profile)
    assert np.array_equal(seec.decode(data), image)
    info = seec.inspect(data)
    assert (info.width, info.height, info.lossless) == (30, 20, True)


def test_errors_are_one_tree_and_can_be_pickled() -> None:
    for error in (seec.FixityError, seec.FormatError, seec.ModelError, seec.StorageError):
        assert issubclass(error, seec.SeecError)
        assert str(pickle.loads(pickle.dumps(error("what and why")))) == "what and why"  # noqa: S301
