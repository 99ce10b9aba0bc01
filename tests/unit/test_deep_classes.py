"""Arrays of packages' files, as the measurement of samples of any depth takes them."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from astropy.io import fits

from seec.pipeline.lab.deep import peers
from seec.pipeline.lab.deep.classes import prepared
from seec.pipeline.lab.deep.packages import NotFetched, files, load
from seec.pipeline.lab.deep.samples import load as load_array


def test_integers_with_signs_are_counted_from_the_least():
    found = prepared(np.array([[[[-1024], [3000]]]], ">i2"))
    assert found.dtype == np.uint16
    assert found.ravel().tolist() == [0, 4024]


def test_doubles_become_what_holds_them():
    assert prepared(np.full((1, 2, 2, 1), 65535.0)).dtype == np.uint16
    assert prepared(np.full((1, 2, 2, 1), -0.25)).dtype == np.float32
    assert prepared(np.full((1, 2, 2, 1), np.nan)).dtype == np.float32
    with pytest.raises(ValueError, match="doubles"):
        prepared(np.full((1, 2, 2, 1), 0.1))


def test_large_arrays_are_cut_to_the_middle():
    values = np.zeros((1, 2100, 2100, 1), np.uint16)
    values[0, 26, 26], values[0, 25, 26] = 7, 9
    found = prepared(values)
    assert found.shape == (1, 2048, 2048, 1)
    assert found[0, 0, 0] == 7
    stack = prepared(
        np.broadcast_to(np.arange(90, dtype=np.uint8)[:, None, None, None], (90, 256, 256, 1))
    )
    assert stack[:, 0, 0, 0].tolist() == list(range(13, 77))


def test_files_are_read_as_slices_rows_columns_and_bands(tmp_path: Path):
    values = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    fits.writeto(tmp_path / "a.fits", values)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack")
    tifffile.imwrite(tmp_path / "rgb.tif", np.zeros((5, 6, 3), np.uint16), photometric="rgb")
    nibabel.save(nibabel.Nifti1Image(values.T, np.eye(4)), tmp_path / "a.nii.gz")
    for name in ("a.fits", "a.tif", "a.nii.gz"):
        np.testing.assert_array_equal(load(tmp_path / name), values[..., None])
    assert load(tmp_path / "rgb.tif").shape == (1, 5, 6, 3)
    np.save(tmp_path / "a.npy", values[..., None])
    assert load_array(tmp_path / "a.npy").shape == (2, 3, 4, 1)
    with pytest.raises(ValueError, match="no array"):
        load(tmp_path / "a.npy")


def test_files_of_installed_packages_are_found(tmp_path: Path):
    ((name, path),) = files("installed:astropy", "compressed/tests/data/m13.fits", tmp_path)
    assert name == "m13"
    assert load(path).shape == (1, 300, 300, 1)
    with pytest.raises(NotFetched, match="no file"):
        files("installed:astropy", "no_such_file", tmp_path)
    with pytest.raises(NotFetched, match="pip install"):
        files("installed:no_such_package", "*", tmp_path)


def test_peers_get_the_smallest_integers_that_hold_samples():
    wide = np.random.default_rng(1).integers(0, 200, (1, 40, 40, 1), np.uint32)
    assert peers.sizes(wide) == peers.sizes(wide.astype(np.uint8))
