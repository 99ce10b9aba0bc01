"""What signs its own bytes comes back byte for byte, or is stored and says why."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from seec.pipeline.codec import default_model, encode
from seec.pipeline.images.files import is_exact, read_header
from seec.pipeline.images.formats.png_file import IHDR_END, chunk
from seec.pipeline.routes.reading import restore
from seec.pipeline.routes.writing import Candidate, RunModels, draft, settle
from seec.schemas.plan import SourceFile
from seec.schemas.routes import SEEC, STORE
from seec.schemas.rows import Entry
from tests.archives.life import archive, held, opened
from tests.deflated import odd_png
from tests.pictures import textured
from tests.sources import image_bytes

MODEL = default_model()
RGB = textured(60, 80)


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", 8 + len(body)) + kind + body


# A manifest store of C2PA, as far as its first box.
STORE_ID = b"c2pa" + bytes.fromhex("0011001080000000aa00389b71")[:12]
JUMBF = box(b"jumb", box(b"jumd", STORE_ID + b"\3c2pa\0") + box(b"cbor", bytes(300)))
XMP_ELSEWHERE = b'<x:xmpmeta dcterms:provenance="https://example.org/manifest"/>'
XMP_SIGNED = b'<x:xmpmeta xmlns:d="http://www.w3.org/2000/09/xmldsig#"/>'


def archived(data: bytes) -> Entry:
    made = draft(Candidate(SourceFile("a", len(data), 0), data, 10**6))
    entry = settle(made, [encode(picture) for picture in made.pictures], RunModels(MODEL))
    assert restore(entry.row, bytes(entry.payload), {MODEL.id: MODEL}) == data
    return entry


def with_chunk(data: bytes, kind: bytes, body: bytes) -> bytes:
    return data[:IHDR_END] + chunk(kind, body) + data[IHDR_END:]


def itxt(text: bytes) -> bytes:
    return b"XML:com.adobe.xmp\0\0\0\0\0" + text


SIGNING_CHUNKS: list[tuple[bytes, bytes]] = [
    (b"caBX", JUMBF),
    (b"dSIG", b"\0" + bytes(40)),
    (b"iTXt", itxt(XMP_ELSEWHERE)),
    (b"iTXt", itxt(XMP_SIGNED)),
]


@pytest.mark.parametrize(("kind", "body"), SIGNING_CHUNKS)
def test_a_signed_png_is_coded_and_comes_back_byte_for_byte(kind: bytes, body: bytes):
    plain = image_bytes(RGB, "PNG", compress_level=3)
    assert archived_differently(plain)
    entry = archived(with_chunk(plain, kind, body))
    assert entry.row.route == SEEC


def archived_differently(data: bytes) -> bool:
    return not is_exact(read_header(data).read(for_archive=True).envelope)


@pytest.mark.parametrize(("kind", "body"), SIGNING_CHUNKS)
def test_a_signed_png_that_cannot_be_written_again_is_stored(kind: bytes, body: bytes):
    data = odd_png(4)
    assert archived_differently(data)
    entry = archived(with_chunk(data, kind, body))
    assert entry.row.route == STORE
    assert "signed (" in (entry.row.reason or "")
    assert "reproduced" in (entry.row.reason or "")


def signed_tiff() -> bytes:
    sink = io.BytesIO()
    tag = (52545, 7, len(JUMBF), JUMBF, True)
    tifffile.imwrite(
        sink, RGB, photometric="rgb", compression="zstd", metadata=None, extratags=[tag]
    )
    return sink.getvalue()


def signed_webp() -> bytes:
    exif: dict[str, Any] = {"icc_profile": b"profile"}
    data = image_bytes(RGB, "WEBP", lossless=True, **exif)
    data += b"C2PA" + struct.pack("<I", len(JUMBF)) + JUMBF + bytes(len(JUMBF) % 2)
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


def signed_gif() -> bytes:
    """One of three equal pixels, each by a code of its own where others join the last two."""
    head = b"GIF89a" + struct.pack("<HHBBB", 3, 1, 0xF1, 0, 0) + bytes(range(12))
    parts = [JUMBF[i : i + 255] for i in range(0, len(JUMBF), 255)]
    blocks = b"".join(bytes([len(part)]) + part for part in parts)
    head += b"!\xff\x0bC2PA_GIF\1\0\0" + blocks + b"\0"
    image = b"," + struct.pack("<HHHHB", 0, 0, 3, 1, 0) + b"\2"
    stream = sum(code << 3 * place for place, code in enumerate((4, 0, 0, 0, 5)))
    return head + image + b"\2" + stream.to_bytes(2, "little") + b"\0;"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (signed_tiff(), "signed (Content Credentials); TIFF"),
        (signed_webp(), "chunk C2PA"),
        (signed_gif(), "signed (Content Credentials); GIF"),
        (image_bytes(RGB, "WEBP", lossless=True, xmp=XMP_ELSEWHERE), "signed (Content"),
        (image_bytes(RGB, "WEBP", lossless=True, xmp=XMP_SIGNED), "signed (an XML"),
    ],
)
def test_other_signed_files_are_stored_and_say_why(data: bytes, reason: str):
    entry = archived(data)
    assert entry.row.route == STORE
    assert reason in (entry.row.reason or "")


def test_a_signed_picture_stays_lossless_where_backgrounds_may_be_lost(tmp_path: Path):
    picture = image_bytes(RGB, "PNG")
    files = {"plain.png": picture, "signed.png": with_chunk(picture, *SIGNING_CHUNKS[0])}
    mask = np.zeros(RGB.shape[:2], np.uint8)
    mask[:16, :16] = 1
    for folder in ("source", "masks"):
        (tmp_path / folder).mkdir()
    for name, data in files.items():
        (tmp_path / "source" / name).write_bytes(data)
        (tmp_path / "masks" / name).write_bytes(image_bytes(mask, "PNG"))
    lossy: dict[str, Any] = {"background_error": 4, "allow_lossy_background": True, "model": None}
    root = tmp_path / "archive"
    summary = archive(tmp_path / "source", root, roi=f"masks:{tmp_path / 'masks'}", **lossy)
    assert (summary.files_added, summary.files_lossy) == (2, 1)
    (shard,) = opened(root).state.in_order()
    rows = {row.path: row for row in opened(root).rows(shard)}
    assert {path: (row.route, row.background_error) for path, row in rows.items()} == {
        "plain.png": (SEEC, 4),
        "signed.png": (SEEC, None),
    }
    back = held(root)
    assert back["signed.png"] == files["signed.png"]
    assert back["plain.png"] != files["plain.png"]
