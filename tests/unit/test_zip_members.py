"""Images in zip archives are found by the local headers of the archives' members."""

import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from shutil import which
from subprocess import run

import numpy as np
import pytest

from seec.pipeline import deflate
from seec.pipeline.containers import Held, cut, find, is_container
from seec.pipeline.deflate import wrapped
from tests.containers import OneWay, found, in_pieces, named_pictures, pictures, tar, zipped
from tests.jpegs import detailed, jpeg
from tests.pictures import textured
from tests.sources import image_bytes

NEEDS_ZIP = pytest.mark.skipif(which("zip") is None, reason="no program zip")
NEEDS_DEFLATE = pytest.mark.skipif(not deflate.is_available(), reason="no C compiler")
NOISE = random.Random(3).randbytes(2000)


def files() -> dict[str, bytes]:
    """Pictures and others, in folders."""
    made: dict[str, bytes] = {"folder/": b"", "notes.txt": b"some text " * 100}
    for i in range(3):
        made |= {f"folder/{i}-{name}": data for name, data in named_pictures().items()}
        made |= {f"{i}.json": b"{}" * 300, f"{i}.empty": b""}
    return made


def images() -> list[tuple[str | None, bytes]]:
    return [(name, data) for name, data in files().items() if name[-4:] in IMAGE_SUFFIXES]


IMAGE_SUFFIXES = {name[-4:] for name in named_pictures()}


@pytest.mark.parametrize("one_way", [False, True])
def test_every_stored_image_is_found_under_its_name(one_way: bool):
    data = zipped(files(), one_way=one_way)
    assert is_container(data[:4096])
    assert found(data) == images()


@NEEDS_DEFLATE
def test_members_that_would_not_come_back_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch):
    def lying(stream: bytes, limit: int) -> tuple[bytes, bytes, int]:
        content, recipe, used = deflate.analyse(stream, limit)
        return content, recipe[:-1], used

    data = zipped({"a.bmp": image_bytes(textured(60, 60), "BMP")}, zipfile.ZIP_DEFLATED)
    assert [name for name, _ in found(data)] == ["a.bmp"]
    monkeypatch.setattr(wrapped, "analyse", lying)
    assert not found(data)


@pytest.mark.parametrize("one_way", [False, True])
@pytest.mark.parametrize("size_bytes", [1, 700, 20_000])
def test_pieces_of_any_size_hold_the_same_members(one_way: bool, size_bytes: int):
    data = zipped(files(), one_way=one_way)
    assert in_pieces(data, size_bytes) == images()


def test_a_cut_is_before_a_header():
    data = zipped(files())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        begins = [one.header_offset for one in archive.infolist()]
        begins += [archive.start_dir]
    for position in range(0, begins[-1], 311):
        assert cut(Held(data), position) == min(at for at in begins if at >= position)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_long_member_is_cut_unless_it_may_be_an_image(method: int):
    noise = random.Random(1).randbytes(30 << 20)
    for head, whole in ((b"", False), (jpeg()[:4096], True)):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method, compresslevel=1) as archive:
            archive.writestr("long", head + noise)
            archive.writestr("b.jpg", jpeg())
            behind = archive.getinfo("b.jpg").header_offset
        assert cut(Held(file.getvalue()), 5 << 20) == (behind if whole else 5 << 20)


@NEEDS_ZIP
def test_the_zip_program_writes_archives_in_which_images_are_found(tmp_path: Path):
    for name, data in named_pictures().items():
        (tmp_path / name).write_bytes(data)
    run(["zip", "-q0r", "a.zip", "."], cwd=tmp_path, check=True)
    streamed = run(["zip", "-q0r", "-", "."], cwd=tmp_path, check=True, capture_output=True).stdout
    for data in ((tmp_path / "a.zip").read_bytes(), streamed):
        assert dict(found(data)).items() >= named_pictures().items()


def test_arrays_of_numpy_hold_images(tmp_path: Path):
    path = tmp_path / "a.npz"
    one = np.frombuffer(jpeg(), np.uint8)
    objects = np.array([pictures()["b.png"], pictures()["a.jpg"]], object)
    np.savez(path, one=one, objects=objects, numbers=np.arange(1000))
    assert found(path.read_bytes()) == [
        ("one.npy", jpeg()),
        ("objects.npy", pictures()["b.png"]),
        ("objects.npy", pictures()["a.jpg"]),
    ]


@pytest.mark.parametrize("save", [np.savez, pytest.param(np.savez_compressed, marks=NEEDS_DEFLATE)])
def test_arrays_of_pixels_are_images(save: Callable[..., None]):
    target = io.BytesIO()
    save(target, pixels=np.stack([textured(32, 32, i) for i in range(9)]), labels=np.arange(5000))
    ((name, data),) = found(target.getvalue())
    assert name == "pixels.npy"
    assert np.load(io.BytesIO(data)).shape == (9, 32, 32, 3)


def test_a_document_holds_images():
    parts = {"[Content_Types].xml": b"<xml/>" * 200, "word/media/image1.jpeg": jpeg()}
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            stored = zipfile.ZIP_STORED if name.endswith("jpeg") else None
            archive.writestr(name, data, stored)
    assert found(target.getvalue()) == [("word/media/image1.jpeg", jpeg())]


@NEEDS_DEFLATE
@pytest.mark.parametrize("level", [1, 6, 9])
@pytest.mark.parametrize("one_way", [False, True])
def test_every_deflated_image_is_found_under_its_name(level: int, one_way: bool):
    data = zipped(files(), zipfile.ZIP_DEFLATED, one_way=one_way, level=level)
    assert found(data) == images()
    assert in_pieces(data, 20_000) == images()
    assert {span.packing for span in find(data, 0, Held(data))} == {"deflate"}


@NEEDS_ZIP
@NEEDS_DEFLATE
def test_deflated_members_of_the_zip_program_are_found(tmp_path: Path):
    for name, data in named_pictures().items():
        (tmp_path / name).write_bytes(data)
    run(["zip", "-q6r", "a.zip", "."], cwd=tmp_path, check=True)
    assert dict(found((tmp_path / "a.zip").read_bytes())).items() >= named_pictures().items()


@NEEDS_DEFLATE
def test_archives_in_deflated_members_are_opened():
    inner = tar(named_pictures().items())
    data = zipped({"inner.tar": inner, "notes.txt": b"text" * 500}, zipfile.ZIP_DEFLATED)
    (span,) = find(data, 0, Held(data))
    assert (span.name, span.packing, span.content) == ("inner.tar", "deflate", inner)
    assert found(data) == [*named_pictures().items()]


@NEEDS_DEFLATE
def test_recipes_of_photos_are_small():
    data = zipped({f"{i}.jpg": jpeg(detailed(i)) for i in range(10)}, zipfile.ZIP_DEFLATED)
    spans = find(data, 0, Held(data))
    assert len(spans) == 10
    assert sum(len(span.recipe) for span in spans) < 0.05 * len(data)


def test_archives_in_archives_are_opened():
    inner = zipped(named_pictures())
    outer = zipped({"inner.zip": inner, "inner.tar": tar(named_pictures().items())})
    spans = find(outer, 0, Held(outer))
    assert [span.name for span in spans] == ["inner.zip", "inner.tar"]
    assert found(outer) == [*named_pictures().items()] * 2
    assert in_pieces(outer, 3000) == found(outer)


def test_a_zip_in_zips_is_opened_to_a_bounded_depth():
    data = jpeg()
    for _ in range(50):
        data = zipped({"inner.zip": data})
    assert [image for _, image in found(data)] == [jpeg()]


@NEEDS_ZIP
def test_encrypted_members_are_left_alone(tmp_path: Path):
    (tmp_path / "a.jpg").write_bytes(jpeg())
    run(["zip", "-q0", "-P", "secret", "a.zip", "a.jpg"], cwd=tmp_path, check=True)
    assert found((tmp_path / "a.zip").read_bytes()) == []


def test_images_between_members_are_carved():
    data = zipped({"a.txt": b"text" * 100})
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        start = archive.start_dir
    assert found(data[:start] + NOISE + jpeg() + data[start:]) == [(None, jpeg())]


def test_lengths_that_lead_out_of_the_file_hide_nothing():
    data = zipped({"a.jpg": jpeg(), "b.png": pictures()["b.png"]})
    lying = data[:18] + (1 << 30).to_bytes(4, "little") * 2 + data[26:]
    assert found(lying) == [(None, jpeg()), ("b.png", pictures()["b.png"])]


def test_members_that_overlap_are_found_once():
    """A length that spans the members behind: the outer one wins, they are opened in it."""
    inner = zipped({"b.png": pictures()["b.png"]})
    data = zipped({"a.bin": inner}) + inner
    assert [image for _, image in found(data)] == [pictures()["b.png"]] * 2


def test_descriptors_that_are_missing_cost_bounded_time():
    header = zipped({"a.jpg": b""}, one_way=True)[:35]
    assert found(header * 20_000) == []


def test_many_members_of_unknown_length_are_read():
    target = OneWay()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(3000):
            archive.writestr(f"{i}.txt", b"text" * 9)
        archive.writestr("a.jpg", jpeg(), zipfile.ZIP_STORED)
    assert found(target.data) == [("a.jpg", jpeg())]
