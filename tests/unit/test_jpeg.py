"""The routes of JPEG files: what a codec holds comes back byte for byte, all else is stored."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest

from seec.pipeline.codec import default_model
from seec.pipeline.dct import codec
from seec.pipeline.dct.packaged import packaged_model
from seec.pipeline.dct.pictures import take_file_apart
from seec.pipeline.images import jpeg
from seec.pipeline.routes.reading import check, restore
from seec.pipeline.routes.reading import jpegxl_jpeg as jpegxl
from seec.pipeline.routes.writing import (
    Candidate,
    RunModels,
    Work,
    draft,
    jpegxl_jpeg,
    settle,
    work_of,
)
from seec.pipeline.stages import batch, tasks
from seec.pipeline.storage import Source
from seec.schemas.errors import (
    DigestMismatch,
    FormatError,
    LimitExceeded,
    SectionCorrupt,
    UnknownModel,
    UnreadableImage,
)
from seec.schemas.manifest import to_record
from seec.schemas.plan import PlanSettings, SourceFile
from seec.schemas.routes import JPEGXL_JPEG, SEEC_JPEG, STORE
from seec.schemas.rows import Entry, ImageFacts
from tests.archives.plain_reader import restore_jpeg
from tests.jpegs import HEIGHT, WIDTH, held, refused
from tests.jpegs import jpeg as jpeg_file
from tests.pictures import textured

HELD, REFUSED = held(), refused()


MODEL = packaged_model("fast")
MODELS = {MODEL.id: MODEL}


def archive(data: bytes, name: str = "a", max_pixels: int = 10**6) -> Entry:
    """Without a model of JPEG files, and without a look at what is behind the picture."""
    file = SourceFile(name, len(data), 0)
    made = draft(Candidate(file, data, max_pixels, opened=False))
    assert made.coded is None
    return settle(made, (), RunModels(default_model()))


def coded(data: bytes, max_pixels: int = 10**6) -> Entry:
    """The same with the model of JPEG files."""
    file = SourceFile("a", len(data), 0)
    candidate = Candidate(file, data, max_pixels, code_jpeg=True, opened=False)
    return settle(draft(candidate), (), RunModels(default_model(), MODEL))


@pytest.mark.parametrize("kind", HELD)
def test_coded_jpeg_is_smaller_than_transcoded_and_comes_back(kind: str):
    data = HELD[kind]
    row, payload = (entry := coded(data)).row, bytes(entry.payload)
    assert (row.route, row.reason, row.samples) == (SEEC_JPEG, None, None)
    assert row.model_id == MODEL.id
    assert row.image == archive(data).row.image
    assert len(payload) < len(archive(data).payload)
    check(row, payload, MODELS)
    assert restore(row, payload, MODELS) == data


def test_what_coefficients_do_not_hold_is_transcoded_or_stored():
    assert coded(b"text").row.route == STORE
    for kind, data in REFUSED.items():
        row, payload = (entry := coded(data)).row, bytes(entry.payload)
        assert row.reason is None if row.route == SEEC_JPEG else row.reason, kind
        assert restore(row, payload, MODELS) == data


def test_what_is_looked_into_for_another_route_takes_no_memory_unasked(
    monkeypatch: pytest.MonkeyPatch,
):
    frame = jpeg.read_frame(jpeg_file())
    need = max(24 * frame.pixels, 17 * frame.samples)
    monkeypatch.setattr(codec, "gives_file", lambda *_: False)
    for most, route in ((need, JPEGXL_JPEG), (need - 1, STORE)):
        monkeypatch.setattr(jpegxl_jpeg, "_MOST_UNASKED_BYTES", most)
        assert coded(jpeg_file()).row.route == route
        assert archive(jpeg_file()).row.route == JPEGXL_JPEG


def test_a_header_alone_takes_no_memory(monkeypatch: pytest.MonkeyPatch):
    data = bytearray(jpeg_file())
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = b"\x3f\xff\x3f\xff"
    monkeypatch.setattr(jpegxl_jpeg, "transcode", None)
    for way in (archive, coded):
        row = way(bytes(data), max_pixels=1 << 28).row
        assert (row.route, row.reason) == (STORE, "JPEG of which almost all is missing")


def test_coded_jpeg_over_the_limit_is_stored():
    row = coded(jpeg_file(), max_pixels=WIDTH * HEIGHT - 1).row
    assert row.route == STORE
    assert "over the limit" in (row.reason or "")


def test_a_file_that_its_code_does_not_give_back_is_stored(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(codec, "decode", lambda *_: take_file_apart(jpeg_file(quality=33)))
    row, payload = (entry := coded(jpeg_file())).row, bytes(entry.payload)
    assert (row.route, row.reason) == (STORE, "JPEG that coefficients do not give back")
    assert restore(row, payload, {}) == jpeg_file()


def test_rows_of_coded_jpeg_that_lie_are_found():
    entry = coded(jpeg_file())
    other = default_model()
    for changes, error in (
        ({"source_digest": b"x" * 32}, DigestMismatch),
        ({"image": ImageFacts(WIDTH + 1, HEIGHT, "RGB", "JPEG")}, SectionCorrupt),
        ({"image": ImageFacts(HEIGHT, WIDTH, "RGB", "JPEG")}, SectionCorrupt),
        ({"image": None}, SectionCorrupt),
        ({"model_id": None}, UnknownModel),
        ({"model_id": other.id}, UnknownModel),
    ):
        with pytest.raises(error):
            check(replace(entry.row, **changes), bytes(entry.payload), {**MODELS, other.id: other})


@pytest.mark.parametrize("kind", HELD)
def test_transcoded_jpeg_is_smaller_and_comes_back_byte_for_byte(kind: str):
    data = HELD[kind]
    row, payload = (entry := archive(data)).row, bytes(entry.payload)
    assert (row.route, row.reason) == (JPEGXL_JPEG, None)
    assert len(payload) < len(data)
    assert (row.samples, row.model_id) == (None, None)
    expected = (179, 141) if kind == "odd size" else (WIDTH, HEIGHT)
    assert row.image == ImageFacts(*expected, "L" if kind == "gray" else "RGB", "JPEG")
    check(row, payload, {})
    assert restore(row, payload, {}) == data


@pytest.mark.parametrize("way", [archive, coded])
@pytest.mark.parametrize("kind", ["baseline", "progressive", "thumbnail", "restart intervals"])
def test_the_picture_before_a_long_film_is_coded_and_the_film_kept(
    kind: str, way: Callable[[bytes], Entry]
):
    picture = HELD[kind]
    film = b"\0\0\0\x18ftypmp42" + np.random.default_rng(0).bytes(5_000_000) + picture
    row, payload = (entry := way(picture + film)).row, bytes(entry.payload)
    assert row.route == (JPEGXL_JPEG if way is archive else SEEC_JPEG)
    assert row.length < len(film) + 0.95 * len(picture)
    check(row, payload, MODELS)
    assert restore(row, payload, MODELS) == picture + film
    if way is archive:
        assert (
            restore_jpeg(Path(), to_record(row), payload, lambda *_: textured(1, 1))
            == picture + film
        )
    assert jpeg.end_of_picture(picture + film) == len(picture)


@pytest.mark.parametrize("way", [archive, coded])
def test_a_jpeg_with_a_broken_profile_is_coded(way: Callable[[bytes], Entry]):
    """JPEG XL refuses it: the profile is cut out and stands beside it."""
    data = HELD["no profile"]
    row, payload = (entry := way(data)).row, bytes(entry.payload)
    assert row.route == (SEEC_JPEG if way is coded else JPEGXL_JPEG)
    assert len(payload) < 0.95 * len(data)
    assert restore(row, payload, MODELS) == data


def test_segments_that_were_cut_out_are_bounded():
    data = HELD["no profile"]
    payload = bytes(archive(data).payload)
    at = payload.rindex(b"cuts")
    for hostile in (
        payload[: at + 4] + b"\xff\xff\xff\xff" + payload[at + 8 :],
        payload[: at - 4] + (10).to_bytes(4) + payload[at : at + 6],
        payload[: at - 4],
        payload + payload[at - 4 :],
    ):
        with pytest.raises(FormatError):
            jpegxl.unpack(hostile, len(data), WIDTH, HEIGHT)
    assert jpeg.profile_segments(data) == (20, 20 + len(payload) - at - 8)
    for broken in (data[:30], b"\xff\xd8", b"", data[:22] + b"\xff\xff" + data[24:40]):
        assert jpeg.profile_segments(broken) is None


@pytest.mark.parametrize("kind", REFUSED)
def test_jpeg_that_cannot_be_transcoded_is_stored_with_a_reason(kind: str):
    data = REFUSED[kind]
    row, payload = (entry := archive(data)).row, bytes(entry.payload)
    assert (row.route, row.image) == (STORE, None)
    assert row.reason
    assert "JPEG" in row.reason or row.reason == "no pixels"
    assert restore(row, payload, {}) == data


@pytest.mark.parametrize("data", [b"", b"\xff", b"no JPEG", b"junk before" + jpeg_file()])
def test_only_files_that_begin_as_jpeg_are_jpeg(data: bytes):
    assert not jpeg.matches(data)
    row = archive(data).row
    assert row.route == STORE
    assert "JPEG" not in (row.reason or "")


def test_the_name_decides_nothing():
    assert archive(jpeg_file(), "a.png").row.route == JPEGXL_JPEG
    assert archive(b"text", "a.jpg").row.route == STORE


def test_jpeg_that_transcoding_makes_larger_is_stored():
    row = archive(jpeg_file(textured(8, 8), quality=75)).row
    assert (row.route, row.reason) == (STORE, "smaller than as JPEG XL")


def test_jpeg_over_the_limit_is_stored_and_not_transcoded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(imagecodecs, "jpegxl_encode_jpeg")
    row = archive(jpeg_file(), max_pixels=WIDTH * HEIGHT - 1).row
    assert row.route == STORE
    assert "over the limit" in (row.reason or "")


def test_jpeg_that_does_not_come_back_the_same_is_stored(monkeypatch: pytest.MonkeyPatch):
    decode: Callable[..., bytes | bytearray] = imagecodecs.jpegxl_decode_jpeg
    monkeypatch.setattr(
        imagecodecs, "jpegxl_decode_jpeg", lambda *a, **o: decode(*a, **o)[:-1] + b"x"
    )
    row = archive(jpeg_file()).row
    assert (row.route, row.reason) == (STORE, "JPEG that JPEG XL does not give back byte for byte")


def test_the_same_file_gives_the_same_bytes_on_one_thread(monkeypatch: pytest.MonkeyPatch):
    threads: list[Any] = []
    for name in ("jpegxl_encode_jpeg", "jpegxl_decode_jpeg"):
        call = getattr(imagecodecs, name)
        monkeypatch.setattr(
            imagecodecs,
            name,
            lambda *a, call=call, **o: (threads.append(o["numthreads"]), call(*a, **o))[1],
        )
    assert archive(HELD["progressive"]) == archive(HELD["progressive"])
    assert threads == [1] * 4


@pytest.mark.parametrize(
    ("width", "height"), [(8, 8), (256, 256), (1, 300), (640, 480), (1920, 1080), (257, 9)]
)
def test_sizes_are_read_from_file_and_payload_alike(width: int, height: int):
    data = jpeg_file(np.zeros((height, width, 3), np.uint8))
    frame = jpeg.read_frame(data)
    code = bytes(imagecodecs.jpegxl_encode_jpeg(data, numthreads=1))
    assert jpegxl.read_size(code) == (frame.width, frame.height) == (width, height)
    assert work_of(Candidate(SourceFile("a", len(data), 0), data, 10**7)) == Work(
        passing_bytes=max(24 * frame.pixels, 17 * frame.samples)
    )


def test_a_frame_header_behind_the_scan_does_not_count():
    data = jpeg_file()
    frame, scan = data.index(b"\xff\xc0"), data.index(b"\xff\xda")
    length = 2 + int.from_bytes(data[frame + 2 : frame + 4], "big")
    header = data[frame : frame + length]
    moved = data[:frame] + data[frame + length : scan] + data[scan:] + header
    with pytest.raises(UnreadableImage):
        jpeg.read_frame(moved)


def test_a_large_jpeg_waits_for_a_batch_of_its_own_that_asks_for_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(jpeg_file())
    need = work_of(Candidate(SourceFile("", 0, 0), jpeg_file(), 10**6)).passing_bytes
    monkeypatch.setattr(batch, "MAX_PASSING_BYTES", need - 1)
    source, settings = Source(str(tmp_path)), PlanSettings("")
    files = tuple(source.files())
    for some in (files, files[:1]):
        begun = batch.Batch(some, passing_bytes=need - 1)
        report, *made = tasks.read_batch(source.store, source, begun, False, "run", settings)
        assert made == [[], [], []]
        assert report.alone == [batch.Batch((file,), 0, passing_bytes=need) for file in some]
        assert [one.memory_bytes for one in report.alone] == [need] * len(some)
    *_, stored = tasks.read_batch(source.store, source, report.alone[0], False, "run", settings)
    assert [one.row.route for one in stored] == [JPEGXL_JPEG]
    small = replace(settings, max_pixels=WIDTH * HEIGHT - 1)  # stored, which takes no memory
    some = batch.Batch(files, passing_bytes=1)
    report, drafts, _, stored = tasks.read_batch(source.store, source, some, False, "run", small)
    assert (drafts, report.encoded) == ([], 0)
    assert [one.row.route for one in stored] == [STORE, STORE]


def test_rows_that_lie_are_found():
    entry = archive(jpeg_file())
    for changes, error in (
        ({"source_digest": b"x" * 32}, DigestMismatch),
        ({"blob_digest": b"x" * 32}, DigestMismatch),
        ({"image": ImageFacts(WIDTH + 1, HEIGHT, "RGB", "JPEG")}, SectionCorrupt),
        ({"source_size_bytes": entry.row.source_size_bytes - 1}, SectionCorrupt),
        ({"source_size_bytes": entry.row.source_size_bytes + 1}, SectionCorrupt),
        ({"source_size_bytes": 0}, SectionCorrupt),
        ({"source_size_bytes": 1 << 62}, SectionCorrupt),
    ):
        with pytest.raises(error):
            check(replace(entry.row, **changes), bytes(entry.payload), {})


def boxes(*contents: tuple[bytes, bytes]) -> bytes:
    """A JPEG XL container."""
    parts = [(len(body) + 8).to_bytes(4, "big") + kind + body for kind, body in contents]
    return b"\0\0\0\x0cJXL \r\n\x87\n" + b"".join(parts)


# 2^18 pixels wide and high: a size header with two dimensions of 30 bits.
_HUGE = int.to_bytes(0b11 << 1 | (0x3FFFF << 3) | 0b11 << 36 | (0x3FFFF << 38), 9, "little")


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        (b"", FormatError),
        (b"\xff\x0a", FormatError),
        (b"no JPEG XL", FormatError),
        (boxes(), FormatError),
        (boxes((b"jxlc", b"")), FormatError),
        (boxes((b"jxlc", b"\xff\x0a")), FormatError),
        (boxes((b"jxlp", b"\0\0\0\0\xff"), (b"jxlp", b"\0\0\0\1\x0a")), FormatError),
        (boxes((b"jxlc", b"\xff\x0a" + bytes(40))), FormatError),
        (boxes((b"jxlc", b"\xff\x0a" + _HUGE)), LimitExceeded),
        (boxes()[:12] + b"\xff\xff\xff\xffjxlc", FormatError),
        (boxes()[:12] + b"\0\0\0\1jxlc" + bytes(8), FormatError),
        (boxes()[:12] + b"\0\0\0\7jxlc" * 9, FormatError),
        (imagecodecs.jpegxl_encode(textured(40, 40), lossless=True), FormatError),
        (
            imagecodecs.jpegxl_encode(textured(40, 40), lossless=True, usecontainer=True),
            SectionCorrupt,
        ),
    ],
)
def test_payloads_that_hold_no_jpeg_are_errors_of_ours(payload: bytes, error: type[Exception]):
    try:
        width, height = jpegxl.read_size(payload)
    except FormatError:
        width, height = 40, 40
    with pytest.raises(error):
        jpegxl.unpack(payload, 1000, width, height)
