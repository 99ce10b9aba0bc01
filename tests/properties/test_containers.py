"""What holds for spans in any bytes, and in containers however they are altered."""

from zipfile import ZIP_DEFLATED, ZIP_STORED

from hypothesis import example, given, settings
from hypothesis import strategies as st

from seec.pipeline.containers import Held, cut, find, is_container
from tests.containers import FORMATS, assembled, found, in_pieces, parquet, pictures, tar, zipped

PIECES = [
    *pictures().values(),
    *(begin[:40] for begin in pictures().values()),
    bytes(512),
    b"ustar",
]
NAMES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1)
# Where, as a part of the whole; how many bytes go; what comes.
edits = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 600), st.sampled_from([b"", b"\xff", *PIECES])),
    max_size=4,
)


def altered(data: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
    for where, gone, piece in changes:
        position = int(where * len(data))
        data = data[:position] + piece + data[position + gone :]
    return data


def holds(data: bytes, start: int, end: int) -> None:
    """What must hold for a piece of any file."""
    ranges = Held(data)
    piece = data[start:end]
    assert assembled(piece, find(piece, start, ranges)) == piece
    place = cut(ranges, start)
    assert min(start, len(data)) <= place <= len(data)
    is_container(data[:4096])


FEW = dict(list(pictures().items())[:4])
CONTAINERS = [
    *(tar(FEW.items(), form) for form in FORMATS.values()),
    *(zipped(FEW, one_way=one_way) for one_way in (False, True)),
    zipped(FEW, ZIP_DEFLATED),
    *(
        parquet({"image": [*FEW.values()]}, compression=codec)
        for codec in ("none", "snappy", "gzip", "zstd")
    ),
]


@settings(max_examples=150, deadline=None)
@given(parts=st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=600))), cuts=st.data())
def test_spans_in_any_bytes_give_the_bytes_back(parts: list[bytes], cuts: st.DataObject):
    data = b"".join(parts)
    start = cuts.draw(st.integers(0, len(data)))
    holds(data, start, cuts.draw(st.integers(start, len(data))))


@settings(max_examples=300, deadline=None)
@given(data=st.sampled_from(CONTAINERS), changes=edits, part=st.tuples(*[st.floats(0, 1)] * 2))
@example(data=CONTAINERS[0], changes=[], part=(0, 1))
def test_spans_in_altered_containers_give_the_bytes_back(
    data: bytes, changes: list[tuple[float, int, bytes]], part: tuple[float, float]
):
    data = altered(data, changes)
    start, end = sorted(int(where * len(data)) for where in part)
    holds(data, start, end)


@settings(max_examples=100, deadline=None)
@given(
    files=st.lists(
        st.tuples(NAMES, st.one_of(st.sampled_from(PIECES), st.binary(max_size=600))), max_size=12
    ),
    form=st.sampled_from(["gnu", "pax"]),
    size_bytes=st.integers(1, 40_000),
)
def test_pieces_of_a_tar_hold_what_the_whole_holds(
    files: list[tuple[str, bytes]], form: str, size_bytes: int
):
    data = tar(files, FORMATS[form])
    assert in_pieces(data, size_bytes) == found(data)


@settings(max_examples=60, deadline=None)
@given(
    files=st.dictionaries(
        NAMES, st.one_of(st.sampled_from(PIECES), st.binary(max_size=600)), max_size=12
    ),
    method=st.sampled_from([ZIP_STORED, ZIP_DEFLATED]),
    one_way=st.booleans(),
    size_bytes=st.integers(1, 40_000),
)
def test_pieces_of_a_zip_hold_what_the_whole_holds(
    files: dict[str, bytes], method: int, one_way: bool, size_bytes: int
):
    data = zipped(files, method, one_way=one_way)
    assert in_pieces(data, size_bytes) == found(data)
