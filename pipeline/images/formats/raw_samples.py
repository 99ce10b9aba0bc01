"""Samples that lie in a file as they are: of which type, and how many in which order."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from seec.pipeline.images.formats.spliced import Place, SplicedFormat
from seec.pipeline.images.raster import Meaning, Numbers, Packing
from seec.schemas.errors import UnreadableImage
from seec.schemas.limits import MAX_RASTERS, MAX_SAMPLE_BYTES
from seec.schemas.planes import Shape

# Slices of fewer pixels are one raster, below each other: a raster each would cost more.
LEAST_SLICE = 1 << 16
_LEAST_EDGE = 8  # of an array that is taken for a picture
_MOST_COLOURS = 4


@dataclass(frozen=True)
class Type:
    """A type of numbers. words: of 32 bits that a number of more is made of; else 1."""

    depth: int
    numbers: Numbers = Numbers.UNSIGNED
    words: int = 1

    @property
    def size_bytes(self) -> int:
        """Of one number."""
        return self.depth // 8 * self.words


U1, U8, U16, U32 = Type(1), Type(8), Type(16), Type(32)
I8, I16, I32 = (Type(depth, Numbers.SIGNED) for depth in (8, 16, 32))
F16, F32 = (Type(depth, Numbers.FLOATING) for depth in (16, 32))
COMPLEX_I16, COMPLEX_F32 = Type(16, Numbers.SIGNED, 2), Type(32, Numbers.FLOATING, 2)
W64, W128 = Type(32, words=2), Type(32, words=4)


@dataclass(frozen=True)
class Array:
    """An array in a file.

    at: its offset. sizes: of its axes, the one first along which numbers follow each other. little:
    whether the lowest byte of a number comes first.
    """

    at: int
    sizes: Sequence[int]
    type: Type
    little: bool

    @property
    def size_bytes(self) -> int:
        """Of all numbers."""
        return prod(self.sizes) * self.type.size_bytes

    def places(
        self,
        *,
        picture: bool = True,
        most_bytes: int = MAX_SAMPLE_BYTES,
        most_rasters: int = MAX_RASTERS,
    ) -> list[Place]:
        """Its rasters. The first axis is that of colours if there are three or four.

        picture: whether the file is one of pictures; arrays of other files have to be as large as
        pictures are. most_bytes: of numbers. most_rasters: slices are below each other if there
        are more. UnreadableImage if the array is none that may be taken for pictures.
        """
        sizes = [size for size in self.sizes if size != 1]
        if min(self.sizes, default=0) < 1 or self.size_bytes > most_bytes:
            raise UnreadableImage("an array without numbers, or with too many")
        colours = 1
        if len(sizes) > 2 and sizes[0] <= _MOST_COLOURS:
            colours, *sizes = sizes
        if len(sizes) < 2 or (not picture and min(sizes[:2]) < _LEAST_EDGE):
            raise UnreadableImage("an array that is no picture")
        width, height, *others = sizes
        samples = colours * self.type.words
        packing = Packing(little=self.little, numbers=self.type.numbers)
        colour = self.type == U8 and colours in (1, 3)
        meaning = Meaning.COLOUR if colour and not others else Meaning.OTHER
        shape = Shape(width, height, samples, self.type.depth)
        return stack(self.at, shape, packing, prod(others), meaning, most_rasters)


class ArrayFormat(SplicedFormat):
    """A format whose files hold one array, and say in their first bytes where it is.

    picture: as in `Array.places`.
    """

    picture: ClassVar[bool] = True

    @abstractmethod
    def array(self, head: bytes) -> Array:
        """The array. head: the file, or its first 64 KiB at least."""

    def places(self, data: bytes) -> list[Place]:
        """As `SplicedFormat.places`."""
        return self.array(data).places(picture=self.picture)


def stack(
    at: int,
    shape: Shape,
    packing: Packing,
    count: int,
    meaning: Meaning = Meaning.OTHER,
    most: int = MAX_RASTERS,
) -> list[Place]:
    """Places of so many rasters one behind the other, or of one if they are small or too many."""
    if count > most or (count > 1 and shape.width * shape.height < LEAST_SLICE):
        shape = Shape(shape.width, shape.height * count, shape.samples, shape.depth)
        count, meaning = 1, Meaning.OTHER
    size = packing.size_bytes(shape)
    return [Place(shape, packing, ((at + i * size, size),), meaning) for i in range(count)]
