"""What a `.seec` file says it has lost."""

from seec.pipeline.codec.coding.background import decode_error
from seec.schemas.container import Read, SectionKind, read_index
from seec.schemas.loss import SKIP


def stated_loss(read: Read) -> int | None:
    """The background error of a file, SKIP where nothing was coded there, None if it is lossless.

    read: (offset, size) -> bytes of the file; only the header, the section table and one section
    are read. Raises FormatError.
    """
    index = read_index(read)
    number = index.number(SectionKind.BACKGROUND)
    if number is None:
        return None
    entry = index.entries[number]
    payload = index.section(number, read(entry.offset, entry.size_bytes)).payload
    return decode_error(payload) or SKIP
