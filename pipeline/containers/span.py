"""What is found in a file: a tree of spans."""

from dataclasses import dataclass, replace

# Images that are shorter are left alone: a row of their own would cost more than it saves.
LEAST_CARVED_BYTES = 256
LEAST_NAMED_BYTES = 128
# Containers within containers: what lies deeper is carved at most.
MOST_DEPTH = 3


@dataclass(frozen=True)
class Span:
    """An image, or a part of a file that holds images.

    start, length: in bytes of the piece that it was found in; of the parent's content where the
    span is a member of another one.
    name: of the member as its container calls it, as `schemas.names.escape` writes it; None where
    it has none. It may be absolute, hold `..`, or be there twice.
    packing: how the bytes there come from the content; None where they are the content.
    content: None without packing. recipe: bytes that `pack` needs beside the content.
    members: images within the content; without any the content is an image.
    """

    start: int
    length: int
    name: str | None = None
    packing: str | None = None
    content: bytes | None = None
    recipe: bytes = b""
    members: tuple["Span", ...] = ()

    @property
    def end(self) -> int:
        """Behind the last byte."""
        return self.start + self.length

    def moved(self, by: int) -> "Span":
        """The same, that many bytes further on."""
        return replace(self, start=self.start + by)
