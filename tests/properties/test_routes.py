"""Any file, damaged or not: one way in, never larger, and the same way back."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seec.pipeline.codec import Model, encode
from seec.pipeline.images.files import read_image
from seec.pipeline.images.raster import raster_digest
from seec.pipeline.routes import reading
from seec.pipeline.routes.writing import Candidate, RunModels, draft, settle
from seec.schemas.plan import SourceFile
from seec.schemas.routes import SEEC, SEEC_PLANES, STORE
from seec.schemas.rows import Entry
from tests.rows import envelope_of
from tests.sources import coded_files, jpeg_files, plane_files, stored_files

FILES = coded_files() | plane_files() | jpeg_files() | stored_files()
MAX_PIXELS = 10_000  # damaged headers may promise more than a test has time for
MOST_BYTES_MORE = 64

changes = st.lists(
    st.tuples(
        st.sampled_from(("set", "cut", "insert", "swap", "end")),
        st.floats(0, 1),
        st.binary(min_size=1, max_size=12),
    ),
    max_size=4,
)


def changed(data: bytes, edits: list[tuple[str, float, bytes]]) -> bytes:
    for kind, where, new in edits:
        # Squared: headers are where damage can do most.
        at = int(where * where * len(data))
        if kind == "set":
            data = data[:at] + new + data[at + len(new) :]
        elif kind == "cut":
            data = data[:at] + data[at + len(new) :]
        elif kind == "insert":
            data = data[:at] + new + data[at:]
        elif kind == "swap":
            data = data[at:] + data[:at]
        else:
            data = data[:at]
    return data


def archive(data: bytes, model: Model) -> Entry:
    made = draft(Candidate(SourceFile("a", len(data), 0), data, MAX_PIXELS))
    return settle(
        made, [encode(picture, model=model) for picture in made.pictures], RunModels(model)
    )


def check(data: bytes, model: Model) -> None:
    entry = archive(data, model)
    row, models = entry.row, {model.id: model}
    assert len(entry.payload) + len(envelope_of(row)) <= len(data) + MOST_BYTES_MORE
    assert (row.route == STORE) == bool(row.reason)
    reading.check(row, bytes(entry.payload), models)
    back = reading.restore(row, bytes(entry.payload), models)
    if row.route == SEEC_PLANES:
        assert raster_digest(read_image(back).rasters) == (row.samples and row.samples.digest)
    elif row.route != SEEC:
        assert back == data


@settings(max_examples=150, deadline=None, derandomize=True)
@given(name=st.sampled_from(sorted(FILES)), edits=changes)
def test_any_change_of_any_file(golden_model: Model, name: str, edits: list):
    check(changed(FILES[name], edits), golden_model)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    head=st.sampled_from((b"", b"P4 ", b"P7\n", b"BM", b"II*\0", b"MM\0*", b"qoif", b"GIF89a")),
    body=st.binary(max_size=300),
)
def test_any_bytes_behind_any_magic(golden_model: Model, head: bytes, body: bytes):
    check(head + body, golden_model)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    names=st.lists(st.sampled_from(sorted(FILES)), min_size=2, max_size=3),
)
def test_files_one_behind_the_other(golden_model: Model, names: list[str]):
    check(b"".join(FILES[name] for name in names), golden_model)


def test_noise_is_stored_as_it_is(golden_model: Model):
    noise = np.random.default_rng(0).integers(0, 256, 5000, np.uint8).tobytes()
    entry = archive(noise, golden_model)
    assert entry.payload == noise
