"""What the colours of an image say about where it comes from, and samples to code instead.

An image has a colour set if its pixels were made of something simpler: of integer luma and
chroma (JPEG, video, Photo CD), or of fewer levels (stretched contrast). The encoder finds it and
codes samples of that; the decoder makes pixels of the samples and corrects the exceptions.
"""

from seec.pipeline.codec.colours.colour_set import (
    ColourSet,
    Levels,
    Planes,
    paint,
    parse_colour_set,
)
from seec.pipeline.codec.colours.exceptions import (
    Exceptions,
    encode_exceptions,
    in_rows,
    take_exceptions,
)
from seec.pipeline.codec.colours.sheet import Sheet

__all__ = [
    "ColourSet",
    "Exceptions",
    "Levels",
    "Planes",
    "Sheet",
    "encode_exceptions",
    "in_rows",
    "paint",
    "parse_colour_set",
    "take_exceptions",
]
