"""Image file formats. `FORMATS` is the registry: a format is one module and one line here."""

from seec.pipeline.images.formats.bmp import Bmp
from seec.pipeline.images.formats.dicom import Dicom
from seec.pipeline.images.formats.exr import Exr
from seec.pipeline.images.formats.fits import Fits
from seec.pipeline.images.formats.format import Content, Format
from seec.pipeline.images.formats.gif import Gif
from seec.pipeline.images.formats.gzipped import Gzipped
from seec.pipeline.images.formats.idx import Idx
from seec.pipeline.images.formats.mrc import Mrc
from seec.pipeline.images.formats.netpbm import Netpbm
from seec.pipeline.images.formats.nifti import Nifti
from seec.pipeline.images.formats.npy import Npy
from seec.pipeline.images.formats.nrrd import Nrrd
from seec.pipeline.images.formats.png import Png
from seec.pipeline.images.formats.qoi import Qoi
from seec.pipeline.images.formats.tiff import Tiff
from seec.pipeline.images.formats.webp import WebP

# By name, as manifests have them. A file that matches two is tried as the first of them first.
FORMATS: dict[str, Format] = {
    one.name: one
    for one in (
        Png(),
        WebP(),
        Tiff(),
        Bmp(),
        Netpbm(),
        Gif(),
        Qoi(),
        Npy(),
        Nifti(),
        Fits(),
        Dicom(),
        Exr(),
        Mrc(),
        Nrrd(),
        Idx(),
        Gzipped(),
    )
}

__all__ = ["FORMATS", "Content", "Format"]
