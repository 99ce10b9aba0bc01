"""Image file formats. `FORMATS` is the registry: a format is one module and one line here."""

from seec.pipeline.images.formats.bmp import Bmp
from seec.pipeline.images.formats.format import Content, Format
from seec.pipeline.images.formats.gif import Gif
from seec.pipeline.images.formats.netpbm import Netpbm
from seec.pipeline.images.formats.png import Png
from seec.pipeline.images.formats.qoi import Qoi
from seec.pipeline.images.formats.tiff import Tiff
from seec.pipeline.images.formats.webp import WebP

# By name, as manifests have them. No two formats match the same file.
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
    )
}

__all__ = ["FORMATS", "Content", "Format"]
