"""JPEG files coded by their coefficients, and given back byte for byte.

`schemas/FORMAT-JPEG.md` states the layout of a coded file.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from seec.pipeline.dct.jpeg import (
    Component,
    ComponentLayout,
    Jpeg,
    layout,
    put_together,
    take_apart,
)
from seec.pipeline.dct.native import make_coder
from seec.pipeline.dct.varints import Reader, put
from seec.pipeline.dct.weights import DctModel
from seec.schemas.container import MAX_PIXELS, crc32c
from seec.schemas.errors import (
    LimitExceeded,
    SectionCorrupt,
    Truncated,
    UnknownModel,
    UnreadableImage,
)

# Blocks of the largest component in a group, about: 1.5 million pixels. Half of that would cost
# 0.4 % where two megapixels become two groups, and the second begins knowing no neighbours.
GROUP_BLOCKS = 3 << 13
_HEAD = struct.Struct("<8sI")  # the model's id, CRC-32C of the rest up to the groups
_CRC = struct.Struct("<I")


@dataclass(frozen=True)
class _Span:
    """Rows of MCUs that are coded together, from `first` to before `end`."""

    first: int
    end: int

    def rows(self, c: Component | ComponentLayout, rows: int) -> slice:
        """The rows of a component's blocks in the span."""
        return slice(min(self.first * c.vertical, rows), min(self.end * c.vertical, rows))


def encode(jpeg: Jpeg, model: DctModel, run: Callable[..., Iterator[bytes]] = map) -> bytes:
    """Code a JPEG file that was taken apart.

    run: as `map`; codes groups at once where it is a pool's.
    """
    shapes = [(c, c.coefficients.shape[0], c.coefficients.shape[1]) for c in jpeg.components]
    coder = make_coder(model)

    def coded(span: _Span) -> bytes:
        return coder.encode([_part(c, span) for c in jpeg.components])

    groups = list(run(coded, _spans(shapes)))
    front = bytearray()
    put(front, len(jpeg.recipe))
    front += jpeg.recipe
    for group in groups:
        put(front, len(group))
        front += _CRC.pack(crc32c(group))
    head = _HEAD.pack(model.short_id, crc32c(bytes(front)))
    return b"".join([head, bytes(front), *groups])


def decode(
    data: bytes,
    models: Callable[[bytes], DctModel | None],
    run: Callable[..., Iterator[object]] = map,
    size: tuple[int, int] | None = None,
) -> Jpeg:
    """The JPEG file, taken apart, that was coded as `data`.

    models: finds a model by the first 8 bytes of its id. size: width and height that the file must
    have, if known; nothing is allocated before they are compared. UnknownModel where there is no
    model; LimitExceeded where the file has too many pixels; Truncated or SectionCorrupt where the
    data are damaged.
    """
    if len(data) < _HEAD.size:
        raise Truncated("coded JPEG: ends within its head")
    short_id, checksum = _HEAD.unpack_from(data)
    reader = Reader(data[_HEAD.size :])
    recipe = reader.take(reader.number())
    laid_out = layout(recipe)
    if size not in (None, (laid_out.width, laid_out.height)):
        raise SectionCorrupt("coded JPEG: has another width or height")
    if laid_out.width * laid_out.height > MAX_PIXELS:
        raise LimitExceeded(f"coded JPEG: more than {MAX_PIXELS} pixels")
    shapes = [(c, c.rows, c.columns) for c in laid_out.components]
    spans = _spans(shapes)
    entries = [(reader.number(), _CRC.unpack(reader.take(_CRC.size))[0]) for _ in spans]
    start = len(data) - reader.left
    if crc32c(data[_HEAD.size : start]) != checksum:
        raise SectionCorrupt("coded JPEG: its front does not match its checksum")
    groups = [reader.take(size) for size, _ in entries]
    if reader.left:
        raise SectionCorrupt("coded JPEG: bytes behind its end")
    model = models(short_id)
    if model is None:
        raise UnknownModel(f"coded JPEG: no model whose id begins {short_id.hex()}")
    components = tuple(
        Component(
            c.horizontal, c.vertical, c.quantisation, np.zeros((c.rows, c.columns, 64), np.int16)
        )
        for c in laid_out.components
    )
    coder = make_coder(model)

    def fill(span: _Span, group: bytes, crc: int) -> None:
        if crc32c(group) != crc:
            raise SectionCorrupt("coded JPEG: a group does not match its checksum")
        coder.decode([_part(c, span) for c in components], group)

    for _ in run(fill, spans, groups, [crc for _, crc in entries]):
        pass
    return Jpeg(laid_out.width, laid_out.height, components, recipe)


def comes_back(data: bytes) -> bool:
    """Whether taking a JPEG file apart keeps all of it; codes nothing.

    UnreadableImage, with the reason, where it is none that can be coded.
    """
    return put_together(take_apart(data)) == data


def encode_file(data: bytes, model: DctModel) -> bytes:
    """Code a JPEG file, and prove that it comes back.

    UnreadableImage, with the reason, where it is none that can be coded or does not come back.
    """
    coded = encode(take_apart(data), model)
    if decode_file(coded, model) != data:
        raise UnreadableImage("JPEG that coefficients do not give back")
    return coded


def decode_file(coded: bytes, model: DctModel, size: tuple[int, int] | None = None) -> bytes:
    """The JPEG file that `encode_file` coded with this model.

    size: width and height that it must have, if known. UnknownModel where another model coded it;
    LimitExceeded, Truncated or SectionCorrupt as `decode`.
    """
    return put_together(decode(coded, {model.short_id: model}.get, size=size))


def _spans(shapes: Sequence[tuple[Component | ComponentLayout, int, int]]) -> list[_Span]:
    """Groups of rows of MCUs; the last may be smaller, but not by itself half of one."""
    mcus = max(-(-rows // c.vertical) for c, rows, _ in shapes)
    widest = max(columns * c.vertical for c, _, columns in shapes)
    each = max(1, -(-GROUP_BLOCKS // max(1, widest)))
    count = max(1, (2 * mcus + each) // (2 * each))
    bounds = [mcus * i // count for i in range(count + 1)]
    return [_Span(a, b) for a, b in pairwise(bounds)]


def _part(c: Component, span: _Span) -> Component:
    part = c.coefficients[span.rows(c, len(c.coefficients))]
    return Component(c.horizontal, c.vertical, c.quantisation, part)
