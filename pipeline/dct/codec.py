"""JPEG files coded by their coefficients, and given back byte for byte.

`schemas/FORMAT-JPEG.md` states the layout of a coded file.
"""

import math
import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from seec.pipeline.dct import recipes
from seec.pipeline.dct.jpeg import Jpeg, Layout, layout
from seec.pipeline.dct.native import make_coder
from seec.pipeline.dct.pictures import (
    MOST_WITHIN,
    Picture,
    gives_file,
    put_file_together,
    take_file_apart,
)
from seec.pipeline.dct.varints import Reader, put
from seec.pipeline.dct.weights import DctModel
from seec.pipeline.images.jpeg import Frame
from seec.schemas.container import crc32c
from seec.schemas.errors import (
    LimitExceeded,
    SectionCorrupt,
    Truncated,
    UnknownModel,
    UnreadableImage,
)
from seec.schemas.limits import MAX_PIXELS

# Of memory: groups at work, unpacked.
_LOOK_BYTES = 1 << 26
_HEAD = struct.Struct("<8sI")  # the model's id, CRC-32C of the rest up to the groups
_CRC = struct.Struct("<I")


class Claims(NamedTuple):
    """What is said of a JPEG file by those who keep it coded: pixels of its frame, and its size.

    size_bytes: 0 where there is no file, but pixels of one; then it has no metadata.
    """

    width: int
    height: int
    size_bytes: int

    @property
    def most_recipe_bytes(self) -> int:
        """More its recipes cannot have: what a bit of a file takes in them is below 4 bytes."""
        return min(recipes.MAX_BYTES, 32 * self.size_bytes + 4096)


def encode(
    pictures: Sequence[Picture], model: DctModel, run: Callable[..., Iterator[bytes]] = map
) -> bytes:
    """Code a JPEG file that was taken apart, with the pictures within it.

    run: as `map`; codes groups at once where it is a pool's.
    """
    coder = make_coder(model)

    def code(jpeg: Jpeg, group: int) -> bytes:
        return coder.encode(jpeg.group(group))

    groups = list(run(code, *_groups([picture.jpeg for picture in pictures])))
    whole, *within = (picture.jpeg.recipe for picture in pictures)
    front = bytearray()
    put(front, len(within))
    for (before, after), recipe in zip(pairwise(pictures), within, strict=True):
        put(front, after.position - before.position)
        put(front, len(recipe))
    recipe = recipes.compress(b"".join([*within, whole]))
    put(front, len(recipe))
    front += recipe
    for group in groups:
        put(front, len(group))
        front += _CRC.pack(crc32c(group))
    head = _HEAD.pack(model.short_id, crc32c(bytes(front)))
    return b"".join([head, bytes(front), *groups])


def decode(
    data: bytes,
    models: Callable[[bytes], DctModel | None],
    run: Callable[..., Iterator[Any]] = map,
    claims: Claims | None = None,
) -> tuple[Picture, ...]:
    """The JPEG file that was coded as `data`, taken apart, with the pictures within it.

    models: finds a model by the first 8 bytes of its id. claims: are compared before anything is
    allocated. UnknownModel where there is no model; Truncated, SectionCorrupt or LimitExceeded
    where the data are damaged.
    """
    if len(data) < _HEAD.size:
        raise Truncated("coded JPEG: ends within its head")
    short_id, checksum = _HEAD.unpack_from(data)
    reader = Reader(data, _HEAD.size)
    laid_out = _layouts(reader, claims)
    pictures = tuple(
        Picture(position, Jpeg(one, one.empty_planes(), recipe))
        for position, recipe, one in laid_out
    )
    jpegs, groups = _groups([picture.jpeg for picture in pictures])
    entries = [(reader.number(), _CRC.unpack(reader.take(_CRC.size))[0]) for _ in groups]
    start = len(data) - reader.left
    if crc32c(data[_HEAD.size : start]) != checksum:
        raise SectionCorrupt("coded JPEG: its front does not match its checksum")
    codes = [reader.view(size) for size, _ in entries]
    if reader.left:
        raise SectionCorrupt("coded JPEG: bytes behind its end")
    model = models(short_id)
    if model is None:
        raise UnknownModel(f"coded JPEG: no model whose id begins {short_id.hex()}")
    coder = make_coder(model)

    def fill(jpeg: Jpeg, group: int, code: memoryview, crc: int) -> int:
        if crc32c(code) != crc:
            raise SectionCorrupt("coded JPEG: a group does not match its checksum")
        part = jpeg.group(group)
        coder.decode(part, code)
        arrays = [component.coefficients for component in part]
        return sum(jpeg.planes.put(group, index, array) for index, array in enumerate(arrays))

    checksums = [crc for _, crc in entries]
    left = {id(jpeg): _most_packed(jpeg, claims) for jpeg in jpegs}
    for jpeg, size in zip(jpegs, run(fill, jpegs, groups, codes, checksums), strict=True):
        left[id(jpeg)] -= size
        if left[id(jpeg)] < 0:
            raise SectionCorrupt("coded JPEG: more coefficients than a file of its size has")
    return pictures


def comes_back(data: bytes) -> bool:
    """Whether taking a JPEG file apart keeps all of it; codes nothing.

    UnreadableImage, with the reason, where it is none that can be coded.
    """
    return gives_file(take_file_apart(data), data)


def look_bytes(frame: Frame, size_bytes: int) -> int:
    """Memory that `comes_back` takes for a file of this size, with room to spare.

    Packed coefficients were 3 bytes for each block and 1.8 for each byte of the file; the file
    itself is there twice, if it has pictures within.
    """
    return _LOOK_BYTES + 3 * frame.blocks + 4 * size_bytes


def encode_file(data: bytes, model: DctModel) -> bytes:
    """Code a JPEG file, and prove that it comes back.

    UnreadableImage, with the reason, where it is none that can be coded or does not come back.
    """
    coded = encode(take_file_apart(data), model)
    if not gives_file(decode(coded, {model.short_id: model}.get), data):
        raise UnreadableImage("JPEG that coefficients do not give back")
    return coded


def decode_file(coded: bytes, model: DctModel, claims: Claims | None = None) -> bytes:
    """The JPEG file that `encode_file` coded with this model.

    Raises as `decode`; UnknownModel where another model coded it.
    """
    pictures = decode(coded, {model.short_id: model}.get, claims=claims)
    return put_file_together(pictures, None if claims is None else claims.size_bytes)


def _layouts(reader: Reader, claims: Claims | None) -> list[tuple[int, bytes, Layout]]:
    """Position, recipe and layout of each picture, the file itself first."""
    most = recipes.MAX_BYTES if claims is None else claims.most_recipe_bytes
    position, places = 0, [(0, 0)]
    for _ in range(reader.number()):
        if len(places) > MOST_WITHIN:
            raise LimitExceeded("coded JPEG: more pictures within it than any file's")
        position += reader.number()
        places.append((position, reader.number()))
    within = Reader(recipes.decompress(reader.take(reader.number()), most))
    parts = [within.take(size) for _, size in places]
    parts[0] = within.take(within.left)
    laid_out = [(at, part, layout(part)) for (at, _), part in zip(places, parts, strict=True)]
    whole = laid_out[0][2]
    if claims is not None and (claims.width, claims.height) != (whole.width, whole.height):
        raise SectionCorrupt("coded JPEG: has another width or height")
    if sum(one.width * one.height for _, _, one in laid_out) > MAX_PIXELS:
        raise LimitExceeded(f"coded JPEG: more than {MAX_PIXELS} pixels")
    return laid_out


def _most_packed(jpeg: Jpeg, claims: Claims | None) -> float:
    """More bytes its coefficients do not take, packed, if what is claimed is true."""
    if claims is None or claims.size_bytes == 0:
        return math.inf
    return jpeg.planes.most_bytes(claims.size_bytes)


def _groups(jpegs: Sequence[Jpeg]) -> tuple[list[Jpeg], list[int]]:
    """All groups of these pictures: the picture and the number of each."""
    pairs = [(jpeg, group) for jpeg in jpegs for group in range(len(jpeg.planes.spans))]
    return [jpeg for jpeg, _ in pairs], [group for _, group in pairs]
