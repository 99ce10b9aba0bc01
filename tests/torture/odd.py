"""Files as cameras, clouds, other programs and attackers make them, in many sizes."""

import gzip
import io
import random
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import imagecodecs
import numpy as np
import tifffile
import zstandard
from PIL import Image

from seec.pipeline.images.formats.png_file import IHDR_END, SIGNATURE, chunk
from tests.hostile.test_image_bombs import BOMBS
from tests.jpegs import icc_profile, jpeg
from tests.pictures import gray, textured
from tests.sources import image_bytes
from tests.torture import drawn
from tests.unit.test_other_readers import ODDLY_READ
from tests.unit.test_signed import SIGNING_CHUNKS, signed_gif, signed_tiff, signed_webp

Files = Iterator[tuple[str, bytes]]
FILM_IN_JPEG_XL = 4_259_096  # bytes behind a picture that JPEG XL holds
LONG = 65535
_LONGEST_WEBP, _LONGEST_JPEG = 16383, 65500


def files(*, whole: bool) -> dict[str, bytes]:
    """Every file by name; the same on every machine.

    whole: all of them, with long films, bombs that take seconds, and the longest images.
    """
    found: dict[str, bytes] = {}
    draws = (signed, misread, camera_raw, films, profiles, jpegs, bombs, named, endings, long)
    for draw in draws:
        for name, data in draw(whole):
            assert name not in found
            found[name] = data
    return found


def noise(size_bytes: int) -> bytes:
    return random.Random(size_bytes).randbytes(size_bytes)


def behind_header(png: bytes, kind: bytes, body: bytes) -> bytes:
    return png[:IHDR_END] + chunk(kind, body) + png[IHDR_END:]


def signed(_: bool) -> Files:
    """Content Credentials and other signatures of a file's own bytes."""
    plain = image_bytes(textured(60, 80), "PNG", compress_level=3)
    for i, (kind, body) in enumerate(SIGNING_CHUNKS):
        yield f"signed/{i} {kind.decode()}.png", behind_header(plain, kind, body)
    yield "signed/a.tif", signed_tiff()
    yield "signed/a.webp", signed_webp()
    yield "signed/a.gif", signed_gif()


def misread(_: bool) -> Files:
    """Files in which programs do not see the same."""
    for kind, data in ODDLY_READ.items():
        yield f"misread/{kind}.tif", data
    exif = Image.Exif()
    exif[0x0112] = 6
    webp = bytearray(image_bytes(textured(40, 56), "WEBP", lossless=True, exif=exif))
    webp[20] &= ~0x08
    yield "misread/unannounced.webp", bytes(webp)


def camera_raw(whole: bool) -> Files:
    """TIFF whose first directory is a thumbnail, and whose photograph lies elsewhere."""
    for size_bytes in (2000, 200_000, *((8_000_000, 30_000_000) if whole else ())):
        for name, page in {"rgb": textured(40, 60), "gray": gray(160, 240)}.items():
            yield f"raw/{name}-{size_bytes}.dng", image_bytes(page, "TIFF") + noise(size_bytes)
        sink = io.BytesIO()
        tag = (50740, 7, size_bytes, noise(size_bytes), True)  # DNGPrivateData
        tifffile.imwrite(sink, textured(40, 60), metadata=None, extratags=[tag])
        yield f"raw/private-{size_bytes}.dng", sink.getvalue()


def films(whole: bool) -> Files:
    """Motion photographs."""
    sizes = (FILM_IN_JPEG_XL, 1000, FILM_IN_JPEG_XL + 1, 20_000_000) if whole else ()
    for size_bytes in (*sizes, FILM_IN_JPEG_XL + 100):
        yield f"film/{size_bytes}.jpg", jpeg() + b"\0\0\0\x18ftypmp42" + noise(size_bytes - 12)


def profiles(whole: bool) -> Files:
    """Colour profiles that are none, are cut short, or expand to much."""
    sound, png = icc_profile(), image_bytes(textured(40, 60), "PNG")
    for name, profile in {
        "none": b"no profile" * 100,
        "cut": sound[: len(sound) // 2],
        "zeros": bytes(500),
        "long": sound + noise(200_000),
    }.items():
        yield f"profile/{name}.jpg", jpeg(icc_profile=profile)
        yield f"profile/{name}.png", behind_header(png, b"iCCP", b"a\0\0" + zlib.compress(profile))
        yield f"profile/{name}.tif", image_bytes(textured(40, 60), "TIFF", icc_profile=profile)
    expands = b"a\0\0" + zeros(1 << (30 if whole else 24))
    yield "profile/bomb.png", behind_header(png, b"iCCP", expands)


def zeros(size_bytes: int) -> bytes:
    """So many zeros, by deflate: a thousandth."""
    packer, piece = zlib.compressobj(9), bytes(1 << 20)
    packed = b"".join(packer.compress(piece) for _ in range(size_bytes >> 20))
    return packed + packer.compress(bytes(size_bytes % (1 << 20))) + packer.flush()


def jpegs(whole: bool) -> Files:
    """Kinds of JPEG, whole and cut short."""
    wide = textured(96, 120).astype(np.uint16) * 16
    kinds: dict[str, bytes] = {
        "cmyk-progressive": jpeg(Image.fromarray(textured(96, 120)).convert("CMYK"), progressive=1),
        "twelve": bytes(imagecodecs.jpeg8_encode(wide[..., 0].copy(), 90, bitspersample=12)),
        "twelve-rgb": bytes(imagecodecs.jpeg8_encode(wide, 90, bitspersample=12)),
        "lossless": bytes(imagecodecs.ljpeg_encode(gray(40, 60))),
        "progressive": jpeg(progressive=True, subsampling=2),
    }
    for name, data in kinds.items():
        yield f"jpeg/{name}.jpg", data
        for part in (0.02, 0.3, 0.9) if whole else (0.3,):
            yield f"jpeg/{name}-{part}.jpg", data[: int(len(data) * part)]
    edges = ((1, 1), (1, _LONGEST_JPEG), (_LONGEST_JPEG, 1)) if whole else ((1, 1), (1, 900))
    for height, width in edges:
        for sampling in (0, 2):
            pixels = textured(height, width)
            yield f"jpeg/{height}x{width}-{sampling}.jpg", jpeg(pixels, subsampling=sampling)


def bombs(whole: bool) -> Files:
    """Few bytes that expand to many."""
    side = 8_000 if whole else 2_000
    for bits, row in ((1, side // 8), (8, 3 * side)):
        header = struct.pack(">IIBBBBB", side, side, bits, 2 if bits == 8 else 0, 0, 0, 0)
        data = zeros((row + 1) * side)
        parts = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
        yield f"bomb/{bits}.png", SIGNATURE + parts
    strip = zeros(side * side)
    for compression, strips in ((8, strip), (50000, frame(side * side))):
        tags = {256: side, 257: side, 258: 8, 259: compression, 262: 1, 277: 1, 278: side}
        tags |= {273: 8, 279: len(strips)}
        entries = b"".join(struct.pack("<HHII", t, 4, 1, tags[t]) for t in sorted(tags))
        head = b"II*\0" + struct.pack("<I", 8 + len(strips)) + strips
        yield f"bomb/{compression}.tif", head + struct.pack("<H", len(tags)) + entries + bytes(4)
    screen = struct.pack("<HHBBB", 65535, 65535, 0xF0, 0, 0) + bytes(6)
    picture = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\2\2\x44\1\0"
    for count in (1, 3000 if whole else 40):
        yield f"bomb/{count}.gif", b"GIF89a" + screen + picture * count + b";"
    yield "bomb/zeros.zst", frame(1 << (30 if whole else 24))
    yield "bomb/zeros.gz", gzip.compress(bytes(1 << 24), mtime=0)
    if whole:
        for name, data in BOMBS.items():
            yield f"bomb/{name}", data


def frame(size_bytes: int) -> bytes:
    """So many zeros, by zstd."""
    sink = io.BytesIO()
    packer = zstandard.ZstdCompressor(level=3)
    with packer.stream_writer(sink, size=size_bytes, closefd=False) as writer:
        for at in range(0, size_bytes, 1 << 20):
            writer.write(bytes(min(1 << 20, size_bytes - at)))
    return sink.getvalue()


def named(_: bool) -> Files:
    """Names that a terminal, a pattern, a URL or another file system takes for something else."""
    names = (
        "\x1b[2J\x1b[1;1Heverything as recorded.png",
        "line\r\nline.png",
        "bell\a tab\t.png",
        "caf\u00e9.png",
        "cafe\u0301.png",
        "\u202egnp.exe",
        "[a-c]*?.png",
        "x::y",
        "file:x",
        "s3:/x",
        "fe80::1",
        "-rf",
        "~",
        "CON.png",
        "ends in a dot.",
        "ends in a space ",
        "UPPER.png",
        "upper.PNG",
        "%2e%2e",
        "\\x41",
        "l" * 255,
        "%".join("n" * 60 for _ in range(4)),
        "d/" * 60 + "deep.png",
    )
    for i, name in enumerate(names):
        yield f"named/{name}", image_bytes(textured(6, 8, i), "PNG")
    for i, raw in enumerate((b"\xff\xfe.png", b"\xc3(.png", b"\xed\xa0\x80.png", b"\x80")):
        name = raw.decode("utf-8", "surrogateescape")
        yield f"named/{name}", image_bytes(textured(6, 8, i + 99), "PNG")


def endings(_: bool) -> Files:
    """Each format under the ending of the next."""
    picture = Image.fromarray(textured(30, 40))
    kinds = ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "PPM")
    for kind, other in zip(kinds, (*kinds[1:], kinds[0]), strict=True):
        options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {}
        yield f"ending/{kind}.{other.lower()}", image_bytes(picture, kind, **options)


def long(whole: bool) -> Files:
    """Images of one pixel, and of one row or column, of every format and mode."""
    sizes = ((1, 1), (1, LONG), (LONG, 1)) if whole else ((1, 1), (1, 257))
    webps = [(min(h, _LONGEST_WEBP), min(w, _LONGEST_WEBP)) for h, w in sizes]
    draws = [draw(sizes) for draw in (drawn.pngs, drawn.bitmaps, drawn.netpbms, drawn.tiffs)]
    for draw in (*draws, drawn.webps(webps), drawn.others(sizes)):
        for name, data in draw:
            yield f"long/{name}", data
