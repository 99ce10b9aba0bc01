"""Files of microscopes, scanners, telescopes and renderers, as the libraries of their fields write.

Each comes with what its library reads of it.
"""

import gzip
import io
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import mrcfile
import nibabel
import numpy as np
import OpenEXR
import pydicom
from astropy.io import fits
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    RLELossless,
)

from tests.pictures import gray, textured

RGB, GRAY = textured(60, 74), gray(60, 74)
DEEP = GRAY.astype(np.uint16) * 97 + np.arange(74, dtype=np.uint16)
SIGNED = DEEP.astype(np.int32) - 9000
FLOATS = SIGNED.astype(np.float32) / 7
STACK = np.stack([DEEP, DEEP // 2, DEEP // 3])


def with_file(write: Callable[[Path], Any], suffix: str) -> bytes:
    """What a library writes that knows nothing but files."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        write(path)
        return path.read_bytes()


def npy(array: NDArray[Any]) -> bytes:
    """As numpy writes it."""
    sink = io.BytesIO()
    np.save(sink, array)
    return sink.getvalue()


def nifti(array: NDArray[Any], kind: type = nibabel.Nifti1Image) -> bytes:
    """As nibabel writes it."""
    return kind(array, np.eye(4), dtype=array.dtype).to_bytes()


def fits_file(*arrays: NDArray[Any], table: bool = False) -> bytes:
    """As astropy writes it: a unit for each array, and perhaps a table."""
    units: list[Any] = [fits.PrimaryHDU(arrays[0])]
    units += [fits.ImageHDU(array) for array in arrays[1:]]
    if table:
        column = fits.Column(name="flux", format="E", array=np.arange(99, dtype=np.float32))
        units.insert(1, fits.BinTableHDU.from_columns([column]))
    units[0].header["OBJECT"] = "M 13"
    sink = io.BytesIO()
    fits.HDUList(units).writeto(sink)
    return sink.getvalue()


def fits_tiles(array: NDArray[Any], kind: str = "RICE_1", **options: Any) -> bytes:
    """As astropy compresses it, by CFITSIO."""
    unit = fits.CompImageHDU(array, compression_type=kind, **options)
    sink = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), unit]).writeto(sink)
    return sink.getvalue()


def dicom(array: NDArray[Any], syntax: str = ExplicitVRLittleEndian, **values: Any) -> bytes:
    """As pydicom writes it, with sequences in front of the pixels."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(syntax)
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.7")
    meta.MediaStorageSOPInstanceUID = UID("1.2.3.4")
    data = FileDataset(io.BytesIO(), {}, file_meta=meta, preamble=bytes(128))
    samples = array.shape[-1] if array.ndim > 2 and array.shape[-1] == 3 else 1
    frames = array.shape[0] if array.ndim > 2 + (samples > 1) else 1
    data.Rows, data.Columns = array.shape[array.ndim - 2 - (samples > 1) :][:2]
    data.PatientName, data.SamplesPerPixel = "Doe^Jane", samples
    data.PhotometricInterpretation = "RGB" if samples > 1 else "MONOCHROME2"
    if samples > 1:
        data.PlanarConfiguration = 0
    if frames > 1:
        data.NumberOfFrames = frames
    data.BitsAllocated = data.BitsStored = 8 * array.itemsize
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(array.dtype.kind == "i")
    inner = pydicom.Dataset()
    inner.Rows, inner.CodeMeaning = 7, "not the rows of the picture"
    inner.is_undefined_length_sequence_item = True
    deeper = pydicom.Dataset()
    deeper.ConceptCodeSequence = Sequence([inner])
    data.RequestAttributesSequence = Sequence([inner, deeper])
    data["RequestAttributesSequence"].is_undefined_length = True
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    data.PixelData = array.astype(array.dtype.newbyteorder(order)).tobytes()
    data["PixelData"].VR = "OB" if array.itemsize == 1 else "OW"
    for name, value in values.items():
        setattr(data, name, value)
    sink = io.BytesIO()
    dcmwrite(
        sink,
        data,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=order == "<",
        force_encoding=True,
    )
    return sink.getvalue()


def segmentation(masks: NDArray[np.bool_]) -> bytes:
    """Masks as DICOM has them, a bit for each pixel, the first the lowest of its byte."""
    data = pydicom.dcmread(io.BytesIO(dicom(masks.astype(np.uint8))))
    data.BitsAllocated, data.BitsStored, data.HighBit = 1, 1, 0
    data.PixelData = np.packbits(masks.ravel(), bitorder="little").tobytes()
    sink = io.BytesIO()
    data.save_as(sink)
    return sink.getvalue()


def run_lengths(array: NDArray[Any]) -> bytes:
    """As pydicom compresses it."""
    data = pydicom.dcmread(io.BytesIO(dicom(array)))
    data.compress(RLELossless)
    sink = io.BytesIO()
    data.save_as(sink)
    return sink.getvalue()


def lossless_jpegs(*frames: NDArray[Any], syntax: str = JPEGLosslessSV1, **values: Any) -> bytes:
    """Each frame is a file of lossless JPEG, as libjpeg writes it."""
    stack = np.stack(frames)
    whole = stack if len(stack) > 1 else stack[0]
    data = pydicom.dcmread(io.BytesIO(dicom(whole, **values)))
    predictor = 1 if syntax == JPEGLosslessSV1 else 6
    files = [
        bytes(
            imagecodecs.jpeg8_encode(
                frame.view(f"u{frame.itemsize}"),
                lossless=True,
                predictor=predictor,
                bitspersample=data.BitsStored,
            )
        )
        for frame in frames
    ]
    data.file_meta.TransferSyntaxUID = UID(syntax)
    data.PixelData = encapsulate(files)
    data["PixelData"].is_undefined_length = True
    sink = io.BytesIO()
    data.save_as(sink)
    return sink.getvalue()


def encapsulated() -> bytes:
    """Pixels that are a file of another format."""
    data = pydicom.dcmread(io.BytesIO(dicom(GRAY)))
    data.file_meta.TransferSyntaxUID = JPEG2000Lossless
    data.PixelData = encapsulate([b"a JPEG 2000 stream" * 99])
    data["PixelData"].is_undefined_length = True
    sink = io.BytesIO()
    data.save_as(sink)
    return sink.getvalue()


def mrc(array: NDArray[Any]) -> bytes:
    """As mrcfile writes it, with an extended header."""

    def write(path: Path) -> None:
        with mrcfile.new(path) as file:
            file.set_extended_header(np.zeros(3, "V64"))
            file.set_data(array)

    return with_file(write, ".mrc")


def exr(channels: dict[str, NDArray[Any]], compression: Any = OpenEXR.NO_COMPRESSION) -> bytes:
    """As OpenEXR writes it."""
    header = {"compression": compression, "type": OpenEXR.scanlineimage}
    return with_file(lambda path: OpenEXR.File(header, channels).write(str(path)), ".exr")


def idx(kind: int, array: NDArray[Any]) -> bytes:
    """As the page of MNIST describes it."""
    types = {0x08: ">u1", 0x0D: ">f4"}
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, kind, array.ndim]) + sizes + array.astype(types[kind]).tobytes()


def nrrd(array: NDArray[Any], kind: str, encoding: str = "raw") -> bytes:
    """As its definition says, little-endian."""
    sizes = " ".join(map(str, array.shape[::-1]))
    lines = ["NRRD0004", "# drawn", f"type: {kind}", f"dimension: {array.ndim}", f"sizes: {sizes}"]
    lines += ["endian: little", f"encoding: {encoding}", "key:=value", "", ""]
    return "\n".join(lines).encode() + array.tobytes()


def instrument_files() -> dict[str, bytes]:
    """Those that are taken apart; all come back byte for byte."""
    half = FLOATS.astype(np.float16)
    return {
        "deep.npy": npy(DEEP),
        "rgb.npy": npy(RGB),
        "big-endian.npy": npy(SIGNED.astype(">i4")),
        "fortran.npy": npy(np.asfortranarray(FLOATS)),
        "doubles.npy": npy(FLOATS.astype(np.float64)),
        "half.npy": npy(half),
        "complex.npy": npy(FLOATS.astype(np.complex64)),
        "colours.npy": npy(np.stack([RGB, RGB[::-1]])),
        "mask.npy": npy(DEEP > 9000),
        "volume.nii": nifti(np.ascontiguousarray(STACK.T).astype(np.int16)),
        "series.nii": nifti(np.stack([STACK.T, STACK.T // 2], axis=3).astype(np.float32)),
        "second.nii": nifti(STACK.T.astype(np.uint16), nibabel.Nifti2Image),
        "big-endian.nii": nibabel.Nifti1Image(
            STACK.T.astype(">i2"), np.eye(4), nibabel.Nifti1Header(endianness=">")
        ).to_bytes(),
        "signed.fits": fits_file(SIGNED.astype(np.int16)),
        "unsigned.fits": fits_file(DEEP),
        "units.fits": fits_file(FLOATS, SIGNED, GRAY, STACK, table=True),
        "doubles.fits": fits_file(FLOATS.astype(np.float64)),
        "rice.fits": fits_tiles(DEEP),
        "rice-bytes.fits": fits_tiles(np.concatenate([GRAY, GRAY + 99])),
        "rice-words.fits": fits_tiles(SIGNED * 9999),
        "rice-cube.fits": fits_tiles(STACK),
        "rice-rows.fits": fits_tiles(SIGNED.astype(np.int16), tile_shape=(7, 74)),
        "rice-floats.fits": fits_tiles(np.tile(FLOATS, (2, 2))),
        "gzip-tiles.fits": fits_tiles(FLOATS, "GZIP_1", quantize_level=0),
        "deep.dcm": dicom(DEEP),
        "signed.dcm": dicom(SIGNED.astype(np.int16), ImplicitVRLittleEndian),
        "big-endian.dcm": dicom(DEEP, ExplicitVRBigEndian),
        "frames.dcm": dicom(STACK),
        "rgb.dcm": dicom(RGB),
        "planes.dcm": dicom(RGB, PlanarConfiguration=1),
        "odd.dcm": dicom(GRAY[:59, :73]),
        "bits.dcm": segmentation(np.stack([DEEP[:, :72] > 9000, DEEP[:, :72] > 14000])),
        "runs.dcm": run_lengths(DEEP),
        "runs-frames.dcm": run_lengths(STACK),
        "runs-rgb.dcm": run_lengths(RGB),
        "lossless.dcm": lossless_jpegs(DEEP),
        "lossless-frames.dcm": lossless_jpegs(*STACK, syntax=JPEGLossless),
        "lossless-signed.dcm": lossless_jpegs(SIGNED.astype(np.int16)),
        "lossless-12.dcm": lossless_jpegs(DEEP >> 4, BitsStored=12, HighBit=11),
        "lossless-rgb.dcm": lossless_jpegs(RGB),
        "deep.mrc": mrc(DEEP),
        "floats.mrc": mrc(np.stack([FLOATS, -FLOATS])),
        "half.exr": exr({"RGB": np.dstack([half] * 3)}),
        "mixed.exr": exr({"RGB": np.dstack([half, half[::-1], half]), "Z": FLOATS}),
        "zip.exr": exr({"RGB": np.dstack([half] * 3)}, OpenEXR.ZIP_COMPRESSION),
        "zips.exr": exr({"Z": FLOATS}, OpenEXR.ZIPS_COMPRESSION),
        "volume.nii.gz": gzip.compress(nifti(STACK.T.astype(np.int16)), 6, mtime=9),
        "units.fits.gz": gzip.compress(fits_file(FLOATS, GRAY), 1),
        "deep.npy.gz": gzip.compress(npy(DEEP), 9),
        "deep.nrrd": nrrd(DEEP, "ushort"),
        "volume.nrrd": nrrd(np.stack([FLOATS, -FLOATS]), "float"),
        "digits.idx": idx(0x08, np.stack([GRAY, 255 - GRAY])),
        "floats.idx": idx(0x0D, FLOATS),
        "digits.idx.gz": gzip.compress(idx(0x08, np.stack([GRAY, GRAY[::-1]])), 9),
    }


def other_instrument_files() -> dict[str, bytes]:
    """Those that are no pictures, or compressed: stored."""
    half = FLOATS.astype(np.float16)
    return {
        "line.npy": npy(np.arange(9999)),
        "narrow.npy": npy(np.zeros((9999, 2))),
        "records.npy": npy(np.zeros(9, dtype=[("a", "<u2"), ("b", "<f4")])),
        "objects.npy": npy(np.array([["a", None]], dtype=object)),
        "words.npy": npy(np.array([["a", "b"]])),
        "empty.npy": npy(np.zeros((0, 30))),
        "squares.fits": fits_tiles(DEEP, tile_shape=(20, 30)),
        "hcompress.fits": fits_tiles(DEEP, "HCOMPRESS_1"),
        "line.fits": fits_file(np.arange(99, dtype=np.int16), table=True),
        "odd-bits.dcm": segmentation(DEEP > 9000),
        "encapsulated.dcm": encapsulated(),
        "piz.exr": exr({"RGB": np.dstack([half] * 3)}, OpenEXR.PIZ_COMPRESSION),
        "zip-mixed.exr": exr({"RGB": np.dstack([half] * 3), "Z": FLOATS}, OpenEXR.ZIP_COMPRESSION),
        "text.gz": gzip.compress(b"no picture " * 99),
        "two.npy.gz": 2 * gzip.compress(npy(DEEP)),
        "labels.idx": idx(0x08, np.arange(99)),
        "cut.idx": idx(0x08, np.stack([GRAY, GRAY]))[:-1],
        "gzip.nrrd": nrrd(DEEP, "ushort", "gzip"),
    }
