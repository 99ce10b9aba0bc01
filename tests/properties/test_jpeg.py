"""What holds for JPEG files however they are altered, and for payloads, too."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seec.pipeline.codec import default_model
from seec.pipeline.images.jpeg import read_frame
from seec.pipeline.routes.reading import check, restore
from seec.pipeline.routes.reading import jpegxl_jpeg as jpegxl
from seec.pipeline.routes.writing import Candidate, RunModels, draft, settle
from seec.pipeline.routes.writing.jpegxl_jpeg import transcode
from seec.schemas.errors import FormatError
from seec.schemas.plan import SourceFile
from seec.schemas.routes import JPEGXL_JPEG, SPANS, STORE
from tests.jpegs import held

FILES = list(held().values())
PAYLOADS = [(data, transcode(data, read_frame(data))) for data in FILES[:4]]

pieces = st.one_of(
    st.binary(max_size=8),
    st.sampled_from([bytes((0xFF, marker)) for marker in (0xC0, 0xC2, 0xD0, 0xD9, 0xDA, 0xFF)]),
)
# Where, as a part of the whole; how many bytes go; what comes.
edits = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 4), pieces), min_size=1, max_size=4)


def altered(data: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
    for where, gone, piece in changes:
        position = int(where * len(data))
        data = data[:position] + piece + data[position + gone :]
    return data


@settings(max_examples=300, deadline=None)
@given(data=st.sampled_from(FILES), changes=edits)
@example(data=FILES[0], changes=[(1.0, 0, b"behind")])
def test_any_file_comes_back_byte_for_byte(data: bytes, changes: list[tuple[float, int, bytes]]):
    data = altered(data, changes)
    made = draft(Candidate(SourceFile("a", len(data), 0), data, 10**6))
    entry = settle(made, (), RunModels(default_model()))
    assert entry.row.route in (JPEGXL_JPEG, SPANS, STORE)
    assert (entry.row.route == STORE) == bool(entry.row.reason)
    assert len(entry.payload) <= len(data)
    check(entry.row, bytes(entry.payload), {})
    assert restore(entry.row, bytes(entry.payload), {}) == data


@settings(max_examples=300, deadline=None)
@given(pair=st.sampled_from(PAYLOADS), changes=edits)
def test_any_payload_gives_a_file_of_the_right_size_or_an_error_of_ours(
    pair: tuple[bytes, bytes], changes: list[tuple[float, int, bytes]]
):
    data, payload = pair
    frame = read_frame(data)
    try:
        back = jpegxl.unpack(altered(payload, changes), len(data), frame.width, frame.height)
    except FormatError:
        return
    assert len(back) == len(data)


@pytest.mark.parametrize("length", [0, 1, 11, 12, 13, 40, 60, 500])
def test_a_payload_cut_short_is_an_error_of_ours(length: int):
    data, payload = PAYLOADS[0]
    frame = read_frame(data)
    with pytest.raises(FormatError):
        jpegxl.unpack(payload[:length], len(data), frame.width, frame.height)
