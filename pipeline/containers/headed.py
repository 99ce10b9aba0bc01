"""Parts of a file that are image files but for how they begin.

Strips and tiles of TIFF files are what an image file would hold, without what tells how to read
them. The content is an image file of them; the part is the content with another beginning.
"""

import struct

from seec.schemas.errors import SectionCorrupt, UnreadableImage

_LEFT_OUT = struct.Struct("<I")


class Headed:
    """Recipe: uint32 little-endian, how many bytes are left out; the bytes that replace them."""

    def unpack(self, data: bytes, limit: int) -> tuple[bytes, bytes]:
        """Raises UnreadableImage: only who found such a part knows the beginning of its content."""
        raise UnreadableImage("a part that does not tell its own beginning")

    def pack(self, content: bytes, recipe: bytes) -> bytes:
        """As `Packing.pack`."""
        return recipe[_LEFT_OUT.size :] + content[_left_out(recipe, len(content)) :]

    def packed_size(self, size_bytes: int, recipe: bytes) -> int:
        """How many bytes `pack` gives of a content of so many bytes."""
        return len(recipe) - _LEFT_OUT.size + size_bytes - _left_out(recipe, size_bytes)


def _left_out(recipe: bytes, size_bytes: int) -> int:
    if len(recipe) < _LEFT_OUT.size:
        raise SectionCorrupt("a recipe that is cut short")
    (left_out,) = _LEFT_OUT.unpack_from(recipe)
    if left_out > size_bytes:
        raise SectionCorrupt("a recipe that leaves out more than there is")
    return left_out


def headed_recipe(left_out: int, instead: bytes = b"") -> bytes:
    """The recipe of `Headed`."""
    return _LEFT_OUT.pack(left_out) + instead
