"""A format and a route are added in one module and one line: toys go in, and come back."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from seec.pipeline.codec import Model, encode
from seec.pipeline.images.files import has_comments, read_extent
from seec.pipeline.images.formats import FORMATS, Content, Format
from seec.pipeline.images.formats.format import ReadAt
from seec.pipeline.images.raster import Meaning, Raster
from seec.pipeline.routes.reading import READERS, check, restore
from seec.pipeline.routes.reading.reader import Models, WholeFileReader
from seec.pipeline.routes.writing import (
    WRITERS,
    Candidate,
    Coded,
    RunModels,
    Work,
    Writer,
    draft,
    samples_digest,
    settle,
    work_of,
)
from seec.schemas.errors import DigestMismatch, SectionCorrupt, UnreadableImage
from seec.schemas.manifest import parse_manifest, serialise_manifest
from seec.schemas.plan import SourceFile
from seec.schemas.planes import Shape
from seec.schemas.routes import ROUTES, SEEC, STORE, RouteRules
from seec.schemas.rows import Entry, Row
from tests.pictures import textured
from tests.rows import format_of, with_samples
from tests.sources import image_bytes


class Inverted(Format):
    """RGB with all bits inverted, and a caption behind it."""

    name = "TOY"
    _head = struct.Struct("<4sHH")

    def matches(self, data: bytes) -> bool:
        return data.startswith(b"TOY!")

    def shapes(self, data: bytes) -> list[Shape]:
        if len(data) < self._head.size:
            raise UnreadableImage("damaged TOY file: cut short")
        _, width, height = self._head.unpack_from(data)
        return [Shape(width, height, 3, 8)]

    def read(self, data: bytes, *, keep_file: bool) -> Iterator[Content]:
        (shape,) = self.shapes(data)
        end = self._head.size + shape.size_bytes
        if len(data) < end:
            raise UnreadableImage("damaged TOY file: cut short")
        samples = ~np.frombuffer(data[self._head.size : end], np.uint8)
        samples = samples.reshape(shape.height, shape.width, 3)
        yield Content([Raster(samples, 8, Meaning.COLOUR)], data[end:], exact=True)

    def write(self, rasters: Sequence[Raster], envelope: bytes, *, exact: bool) -> bytes:
        (raster,) = rasters
        head = self._head.pack(b"TOY!", raster.shape.width, raster.shape.height)
        return head + (~raster.samples).tobytes() + envelope

    def extent(self, head: bytes, read_at: ReadAt) -> tuple[int, int]:
        _, width, height = self._head.unpack_from(head)
        return width, height


PIXELS = textured(40, 56)
PICTURE = struct.pack("<4sHH", b"TOY!", 56, 40) + (~PIXELS).tobytes() + b"a caption"


def counted(count: int) -> bytes:
    """A file of the first so many numbers."""
    return b"COUNT " + np.arange(count, dtype="<u4").tobytes()


class CountReader(WholeFileReader):
    """The payload says how many numbers there are."""

    name = "toy"

    def unpack(self, row: Row, payload: bytes, models: Models) -> bytes:
        del models
        if len(payload) != 8:
            raise SectionCorrupt(f"{row.path}: no count")
        return counted(min(*struct.unpack("<Q", payload), row.source_size_bytes))


class CountWriter(Writer):
    name = "toy"
    reason = "smaller than its count"

    def work(self, candidate: Candidate) -> Work:
        if not candidate.data.startswith(b"COUNT "):
            raise UnreadableImage("no numbers")
        return Work(passing_bytes=len(candidate.data))

    def draft(self, candidate: Candidate) -> Coded | None:
        if not candidate.data.startswith(b"COUNT "):
            return None
        count = (len(candidate.data) - 6) // 4
        if counted(count) != candidate.data:
            raise UnreadableImage("numbers that are not counted")
        return Coded(candidate.row(self.name), struct.pack("<Q", count))


NUMBERS = counted(900)


def archive(data: bytes, model: Model, *, keep_file: bool = False) -> Entry:
    made = draft(Candidate(SourceFile("a", len(data), 0), data, 10**6, keep_file=keep_file))
    return settle(
        made, [encode(picture, model=model) for picture in made.pictures], RunModels(model)
    )


def in_a_manifest(entry: Entry) -> Row:
    """The row as it comes back from a manifest part."""
    row = replace(entry.row, shard="run/00000")
    assert parse_manifest("part", serialise_manifest([row])) == [row]
    return row


@pytest.fixture
def toy_format(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(FORMATS, Inverted.name, Inverted())


@pytest.fixture
def toy_route(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(ROUTES, "toy", RouteRules())
    monkeypatch.setitem(READERS, "toy", CountReader())
    monkeypatch.setitem(WRITERS, "toy", CountWriter())


@pytest.mark.usefixtures("toy_format")
def test_a_format_of_one_line_goes_to_the_codec_and_comes_back(golden_model: Model):
    models = {golden_model.id: golden_model}
    for keep_file in (False, True):
        entry = archive(PICTURE, golden_model, keep_file=keep_file)
        row = in_a_manifest(entry)
        assert (row.route, format_of(row)) == (SEEC, "TOY")
        assert len(entry.payload) < 0.7 * len(PICTURE)
        check(row, bytes(entry.payload), models)
        assert restore(row, bytes(entry.payload), models) == PICTURE
        with pytest.raises(DigestMismatch):
            check(with_samples(row, envelope=b"\1another"), bytes(entry.payload), models)
    assert work_of(Candidate(SourceFile("a", len(PICTURE), 0), PICTURE, 10**6)).pixels == 40 * 56
    assert read_extent(lambda start, length: PICTURE[start : start + length]) == (56, 40)
    same = image_bytes(PIXELS, "PNG")
    assert (
        samples_digest(Candidate(SourceFile("a", 0, 0), PICTURE, 10**6))
        == samples_digest(Candidate(SourceFile("a", 0, 0), same, 10**6))
        is not None
    )
    assert not has_comments("TOY")


@pytest.mark.usefixtures("toy_format")
def test_a_format_that_does_not_give_the_file_back_is_not_believed(
    golden_model: Model, monkeypatch: pytest.MonkeyPatch
):
    write = Inverted.write
    monkeypatch.setattr(Inverted, "write", lambda *args, **options: write(*args, **options)[:-1])
    entry = archive(PICTURE, golden_model)
    assert entry.row.route == STORE
    assert "another one" in (entry.row.reason or "")


@pytest.mark.usefixtures("toy_route")
def test_a_route_of_one_line_takes_its_files_and_gives_them_back(golden_model: Model):
    entry = archive(NUMBERS, golden_model)
    row = in_a_manifest(entry)
    assert (row.route, row.samples, row.model_id) == ("toy", None, None)
    assert work_of(Candidate(SourceFile("a", len(NUMBERS), 0), NUMBERS, 10**6)) == Work(
        passing_bytes=len(NUMBERS)
    )
    check(row, bytes(entry.payload), {})
    assert restore(row, bytes(entry.payload), {}) == NUMBERS
    damaged = bytearray(entry.payload)
    damaged[0] ^= 1
    with pytest.raises(DigestMismatch):
        check(row, bytes(damaged), {})
    with pytest.raises(DigestMismatch):
        check(replace(row, source_digest=bytes(32)), bytes(entry.payload), {})


@pytest.mark.usefixtures("toy_route")
def test_a_route_that_makes_a_file_no_smaller_leaves_it_to_be_stored(golden_model: Model):
    entry = archive(counted(0), golden_model)
    assert (entry.row.route, entry.row.reason) == (STORE, CountWriter.reason)
    assert restore(entry.row, bytes(entry.payload), {}) == counted(0)


@pytest.mark.usefixtures("toy_route")
def test_the_reason_of_a_stored_file_is_that_of_the_first_route_that_refuses(golden_model: Model):
    entry = archive(b"COUNT more", golden_model)
    assert entry.row.route == STORE
    assert entry.row.reason == "not a losslessly stored image of a known format"


def test_without_their_lines_both_are_stored(golden_model: Model):
    for data in (PICTURE, NUMBERS):
        entry = archive(data, golden_model)
        assert entry.row.route == STORE
        assert entry.row.reason == "not a losslessly stored image of a known format"
        assert restore(entry.row, bytes(entry.payload), {}) == data


def test_a_row_of_a_route_that_nobody_knows_is_refused(golden_model: Model):
    entry = archive(NUMBERS, golden_model)
    with pytest.raises(SectionCorrupt, match="unknown"):
        check(replace(entry.row, route="toy"), bytes(entry.payload), {})


def test_every_route_is_read_and_has_rules():
    assert READERS.keys() == ROUTES.keys()
    assert WRITERS.keys() <= READERS.keys()
    assert all(name == one.name for table in (READERS, WRITERS) for name, one in table.items())
    assert all(name == form.name for name, form in FORMATS.items())
