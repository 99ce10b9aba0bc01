"""Which way a file takes, and that it comes back."""

import gc
import pickle
import random
import weakref
from dataclasses import replace

import pytest

from seec.pipeline.codec import decode, default_model, encode
from seec.pipeline.dct.packaged import packaged_model
from seec.pipeline.routes.reading import check, restore, store
from seec.pipeline.routes.writing import (
    Candidate,
    RunModels,
    draft,
    draft_stored,
    held_bytes,
    settle,
)
from seec.pipeline.routes.writing.draft import compressed
from seec.schemas.errors import DigestMismatch, SectionCorrupt, SeecError, UnknownModel
from seec.schemas.plan import SourceFile
from seec.schemas.routes import SEEC, SEEC_PLANES, SPANS, STORE
from seec.schemas.rows import Entry
from tests.containers import named_pictures, tar
from tests.pictures import textured
from tests.rows import envelope_of, with_samples
from tests.sources import coded_files, image_bytes, jpeg_files, plane_files, stored_files

MODEL = default_model()
MODELS = {MODEL.id: MODEL}
JPEG_MODEL = packaged_model("fast")
CODED, PLANES = coded_files(), plane_files()
JPEG, STORED = jpeg_files(), stored_files()


def archive(name: str, data: bytes, max_pixels: int = 10**6) -> Entry:
    made = draft(Candidate(SourceFile(name, len(data), 0), data, max_pixels))
    return settle(made, [encode(picture) for picture in made.pictures], RunModels(MODEL))


@pytest.mark.parametrize("name", CODED)
def test_lossless_images_are_coded_or_were_smaller_as_they_are(name: str):
    entry = archive(name, CODED[name])
    assert entry.row.route == SEEC or entry.row.reason == "smaller than its SEEC code"
    assert len(restore(entry.row, bytes(entry.payload), MODELS)) > 0


@pytest.mark.parametrize("name", PLANES)
def test_composite_images_are_coded_as_planes(name: str):
    entry = archive(name, PLANES[name])
    assert entry.row.route == SEEC_PLANES or entry.row.reason == "smaller than its SEEC code"
    check(entry.row, bytes(entry.payload), MODELS)
    assert len(restore(entry.row, bytes(entry.payload), MODELS)) > 0


def test_most_of_what_is_no_single_picture_gets_smaller_as_planes():
    codecs = [archive(name, data).row.route for name, data in PLANES.items()]
    assert codecs.count(SEEC_PLANES) > 0.8 * len(codecs)


@pytest.mark.parametrize("name", STORED)
def test_all_else_is_stored_byte_for_byte(name: str):
    entry = archive(name, STORED[name])
    assert entry.row.route == STORE
    assert entry.row.reason
    assert restore(entry.row, bytes(entry.payload), MODELS) == STORED[name]


@pytest.mark.parametrize("name", [*CODED, *PLANES, *JPEG, *STORED])
def test_no_file_grows(name: str):
    data = (CODED | PLANES | JPEG | STORED)[name]
    entry = archive(name, data)
    assert len(entry.payload) + len(envelope_of(entry.row)) <= len(data)


def test_reasons_name_what_a_file_is():
    reasons = {
        "cmyk.jpg": "CMYK",
        "animated.png": "acTL",
        "jpeg.tiff": "none of its images gets smaller",
        "plain.ppm": "text",
        "truncated.png": "cut short",
        "empty.png": "empty",
    }
    for name, words in reasons.items():
        assert words in (archive(name, STORED[name]).row.reason or "")


@pytest.mark.parametrize("name", ["alpha.png", "pages.tiff", "sixteen-rgba.png", "floats.pfm"])
def test_planes_over_the_limit_are_stored_and_say_so(name: str):
    entry = archive(name, PLANES[name], max_pixels=48 * 72 - 1)
    assert entry.row.route == STORE
    assert "over the limit" in (entry.row.reason or "")
    assert restore(entry.row, bytes(entry.payload), MODELS) == PLANES[name]


def test_an_image_over_the_limit_is_stored_and_says_so():
    entry = archive("rgb.png", CODED["rgb.png"], max_pixels=24 * 36 - 1)
    assert entry.row.route == STORE
    assert "over the limit" in (entry.row.reason or "")


def test_flat_screens_that_zstd_packs_better_are_stored():
    data = image_bytes(textured(1, 1).repeat(40, 0).repeat(40, 1), "BMP")
    entry = archive("flat.bmp", data)
    assert len(entry.payload) < 200


def test_a_coded_payload_decodes_alone():
    entry = archive("big.png", image_bytes(textured(60, 60), "PNG"))
    assert entry.row.route == SEEC
    assert (decode(bytes(entry.payload)) == textured(60, 60)).all()


def test_other_bytes_than_recorded_are_a_mismatch():
    entry = archive("a.png", image_bytes(textured(60, 60), "PNG"))
    for position in range(0, len(entry.payload), 97):
        damaged = bytearray(entry.payload)
        damaged[position] ^= 1
        with pytest.raises(DigestMismatch):
            check(entry.row, bytes(damaged), MODELS)


def test_a_row_that_lies_about_its_digests_is_found():
    entry = archive("a.png", image_bytes(textured(60, 60), "PNG"))
    with pytest.raises(DigestMismatch):
        check(with_samples(entry.row, digest=b"x" * 32), bytes(entry.payload), MODELS)
    with pytest.raises(UnknownModel):
        check(entry.row, bytes(entry.payload), {})
    stored = archive("t", b"text " * 100)
    with pytest.raises(DigestMismatch):
        check(replace(stored.row, source_digest=b"x" * 32), bytes(stored.payload), MODELS)


def test_an_envelope_that_does_not_fit_is_an_error():
    entry = archive("a.bmp", image_bytes(textured(60, 60), "BMP"))
    for envelope in (b"", b"\0", envelope_of(entry.row)[:20]):
        with pytest.raises(SeecError):
            restore(with_samples(entry.row, envelope=envelope), bytes(entry.payload), MODELS)


def test_a_frame_that_announces_another_size_is_not_unpacked():
    frame = compressed(bytes(1 << 20))
    with pytest.raises(SectionCorrupt):
        store.unpack(frame, 1 << 10)
    with pytest.raises(SectionCorrupt):
        store.unpack(b"not a frame", 1 << 10)


def test_a_draft_that_is_not_decoded_is_stored():
    data = CODED["rgb.png"]
    made = draft_stored(SourceFile("a", len(data), 0), data, "why")
    entry = settle(made, (), RunModels(MODEL))
    assert (entry.row.route, entry.row.reason) == (STORE, "why")
    assert restore(entry.row, bytes(entry.payload), {}) == data


def tar_of_images() -> bytes:
    notes = random.Random(0).randbytes(40_000) + b"notes" * 2000
    return tar([("notes", notes), *named_pictures().items()])


def test_a_draft_of_a_file_that_holds_images_leaves_out_what_its_parts_give_again():
    data = tar_of_images()
    file = SourceFile("x.tar", len(data), 0)
    made = draft(Candidate(file, data, 10**6, keep_file=True))
    assert made.payload == compressed(data)  # a JPEG XL file does not tell what it was made of
    made = draft(Candidate(file, data, 10**6, keep_file=True, code_jpeg=True))
    assert made.coded is not None
    assert made.coded.members
    stored = compressed(data)
    assert (made.payload, made.left_out, made.stored_bytes) == (b"", len(stored), len(stored))
    assert held_bytes(made) < 2 * len(data)
    codes, models = [encode(picture) for picture in made.pictures], RunModels(MODEL, JPEG_MODEL)
    coded = settle(made, codes, models)
    assert coded.row.route == SPANS
    known = {**MODELS, JPEG_MODEL.id: JPEG_MODEL}
    assert restore(coded.row, bytes(coded.payload), known) == data
    kept = settle(replace(made, left_out=1000), codes, models)  # as if it compressed as well
    assert (kept.row.route, kept.payload) == (STORE, stored)


def test_what_lies_between_images_goes_to_the_encoder_without_a_copy():
    data = tar_of_images()
    file = SourceFile("x.tar", len(data), 0)
    made = draft(Candidate(file, data, 10**6, keep_file=True, code_jpeg=True))
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(made, 5, buffer_callback=buffers.append)
    raw = [buffer.raw() for buffer in buffers]
    again = pickle.loads(pickled, buffers=raw)  # noqa: S301, made here
    assert made.coded is not None
    between = made.coded.payload or b""
    assert again.coded.payload == between
    assert isinstance(again.coded.payload, memoryview)
    assert between[:1000] not in pickled
    codes = [encode(picture) for picture in made.pictures]
    for one in (again, pickle.loads(pickle.dumps(made))):  # noqa: S301, made here
        models = RunModels(MODEL, JPEG_MODEL)
        assert settle(one, codes, models) == settle(made, codes, models)


@pytest.mark.parametrize("data", [b"no image" * 1000, STORED["damaged.png"], tar_of_images()])
def test_a_file_that_was_looked_into_is_gone_at_once(data: bytes):
    candidate = Candidate(SourceFile("x", len(data), 0), data, 10**6)
    gone = weakref.ref(candidate)
    gc.disable()  # which would find it, some time, and its bytes until then
    try:
        made = draft(candidate)
        del candidate
        assert gone() is None
    finally:
        gc.enable()
    assert made.row.source_size_bytes == len(data)
