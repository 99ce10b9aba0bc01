"""A tree of every file an archive may meet: `python -m tests.torture.tree DIR` writes it."""

import os
import random
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from seec.pipeline.images.formats.png_file import SIGNATURE, chunk
from tests.torture.drawn import everything

LARGEST = 600_000  # bytes of a file; one is larger
TOO_LARGE, FIFO = "too large.bin", "fifo"
_MAGICS = (
    SIGNATURE,
    b"\xff\xd8\xff",
    b"BM",
    b"P5",
    b"P6 ",
    b"P7\n",
    b"II*\0",
    b"MM\0*",
    b"qoif",
    b"GIF89a",
    b"RIFF\0\0\0\0WEBP",
    b"8BPS",
    b"\0\0\1\0",
)
_SUFFIXES = (".jpg", ".png", ".tif", ".webp", ".bmp", ".gif", ".txt", "")


def files() -> dict[str, bytes]:
    """Every regular file by name, sound ones and all that is wrong; the same on every machine."""
    sound = everything()
    found = dict(sound)
    for draw in (faults, disguises, headers):
        found |= dict(draw(sound))
    return found


def faults(sound: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Cut short, with flipped bits, with bytes that are missing or too many."""
    rng = random.Random(0)
    names = [name for name in sound if "17x31" in name or name.startswith("tiff/pages")]
    for name in names:
        data = sound[name]
        flat = name.replace("/", " ")
        yield f"cut/{flat}", data[: rng.randrange(1, len(data))]
        damaged = bytearray(data)
        for _ in range(3):
            damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        yield f"flipped/{flat}", bytes(damaged)
        at = rng.randrange(len(data))
        yield f"longer/{flat}", data[:at] + b"\0\xff" + data[at:]
        yield f"end/{flat}", data[:-1]


def disguises(sound: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Names that say something else, and files that are two things."""
    kinds = [name for name in sound if "RGB" in name and ("17x31" in name or "jpg" in name)]
    for i, name in enumerate(kinds):
        yield f"disguised/{i}{_SUFFIXES[i % len(_SUFFIXES)]}", sound[name]
        yield f"disguised/{i} two{_SUFFIXES[-1 - i % 8]}", sound[name] + sound[kinds[i - 1]]
        yield f"disguised/{i} behind text", b"text\n" + sound[name]


def headers(_: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Magic numbers and nothing behind them; headers that promise too much."""
    for i, magic in enumerate(_MAGICS):
        yield f"magic/{i}", magic
        yield f"magic/{i} and zeros", magic + bytes(100)
        yield f"magic/{i} and ones", magic + b"\xff" * 100
    huge = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0)
    png = SIGNATURE + chunk(b"IHDR", huge) + chunk(b"IDAT", bytes(99)) + chunk(b"IEND", b"")
    yield "bomb/a.png", png
    yield "bomb/a.ppm", b"P6 60000 60000 255\n" + bytes(99)
    yield "bomb/blanks.pgm", b"P5" + b" " * 3000 + b"x"
    yield "bomb/a.qoi", b"qoif" + struct.pack(">IIBB", 60_000, 60_000, 4, 0) + bytes(7) + b"\1"
    yield "empty", b""


def write(root: Path) -> dict[str, bytes]:
    """Write the tree below an empty folder, with one file too large and one that is none."""
    drawn = files()
    for name, data in drawn.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (root / TOO_LARGE).write_bytes(bytes(LARGEST + 1))
    os.mkfifo(root / FIFO)
    return drawn


if __name__ == "__main__":
    print(len(write(Path(sys.argv[1]))), "files")  # noqa: T201
