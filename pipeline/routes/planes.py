"""The `seec-planes` route: rasters as several `.seec` files in one payload, and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.codec.decoder import decode
from seec.pipeline.codec.model.weights import Model
from seec.pipeline.images import planes as images
from seec.pipeline.images.raster import Raster
from seec.pipeline.routes.loss import stated_loss
from seec.schemas.container import reader
from seec.schemas.errors import SectionCorrupt
from seec.schemas.planes import Payload, Plane, Shape, parse, serialise

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Cut:
    """Rasters on their way to the codec.

    pictures: what there is to code, of those planes that have no value.
    """

    shapes: tuple[Shape, ...]
    planes: tuple[Plane, ...]
    pictures: tuple[Pixels, ...]


def cut(rasters: Sequence[Raster]) -> Cut:
    """The planes of rasters, and pictures of those that have to be coded."""
    split = list(images.split(rasters))
    return Cut(
        tuple(raster.shape for raster in rasters),
        tuple(plane for plane, _ in split),
        tuple(pixels for _, pixels in split if pixels is not None),
    )


def pack(cut: Cut, codes: Sequence[bytes]) -> bytes:
    """The payload. codes: a lossless `.seec` file for each picture, in their order."""
    coded = iter(codes)
    each = tuple(b"" if plane.value is not None else next(coded) for plane in cut.planes)
    return serialise(Payload(cut.shapes, cut.planes, each))


def unpack(data: bytes, sample_bytes: int, models: Mapping[str, Model]) -> list[Raster]:
    """The rasters of a payload.

    sample_bytes: what all their samples take; decides how much is allocated. models: by id, those
    that its `.seec` files may need. Raises FormatError or ModelError.
    """
    payload = parse(data)
    if sum(shape.size_bytes for shape in payload.shapes) != sample_bytes:
        raise SectionCorrupt("planes: its pictures have another size than its row says")
    decoded = [
        (plane, None if plane.value is not None else _decode(code, payload.shapes, plane, models))
        for plane, code in zip(payload.planes, payload.codes, strict=True)
    ]
    return images.join(payload.shapes, decoded)


def _decode(
    code: bytes, shapes: Sequence[Shape], plane: Plane, models: Mapping[str, Model]
) -> Pixels:
    if stated_loss(reader(code)) is not None:
        raise SectionCorrupt("planes: a plane that has lost something")
    shape = shapes[plane.raster]
    return decode(code, models=models, max_pixels=shape.width * shape.height)
