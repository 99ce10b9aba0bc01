"""Images in tar archives are found by the archives' own headers."""

import io
import random
import tarfile
from pathlib import Path
from subprocess import run

import pytest
from webdataset.writer import TarWriter

from seec.pipeline.containers import Held, cut, find, is_container
from seec.schemas.names import escape
from tests.containers import FORMATS, found, in_pieces, named_pictures, pictures, tar
from tests.jpegs import jpeg
from tests.pictures import textured

LONG = "deep/" * 30 + "picture.jpg"
GRIDS = [1, 512, 5000, 33_333, 1 << 20]


def dataset(form: int = tarfile.PAX_FORMAT) -> bytes:
    """Samples of WebDataset, each with a picture, a text and an empty file."""
    files: list[tuple[str, bytes]] = []
    for i, (name, data) in enumerate(list(named_pictures().items()) * 3):
        prefix = "x" * 150 + "/" if form != tarfile.USTAR_FORMAT and i % 2 else ""
        files += [
            (f"{prefix}{i:06}-{name}", data),
            (f"{i:06}.json", b"{}" * 200),
            (f"{i:06}.cls", b""),
        ]
    return tar(files, form)


def members(data: bytes) -> list[tuple[str, bytes]]:
    """Images as tarfile reads them."""
    suffixes = tuple(name[-4:] for name in named_pictures())
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return [
            (escape(one.name.encode("utf-8", "surrogateescape")), archive.extractfile(one).read())  # pyright: ignore[reportOptionalMemberAccess]
            for one in archive
            if one.isreg() and one.name.endswith(suffixes)
        ]


@pytest.mark.parametrize("form", FORMATS)
def test_every_image_is_found_under_its_name(form: str):
    data = dataset(FORMATS[form])
    assert is_container(data[:4096])
    assert found(data) == members(data)
    assert len(found(data)) == 3 * len(named_pictures())


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("size_bytes", GRIDS)
def test_pieces_of_any_size_hold_the_same_members(form: str, size_bytes: int):
    data = dataset(FORMATS[form])
    assert in_pieces(data, size_bytes) == found(data)


@pytest.mark.parametrize("form", FORMATS)
def test_a_cut_is_before_all_headers_of_a_member(form: str):
    data = dataset(FORMATS[form])
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        begins = [0, *(one.offset for one in archive)]
    ends = [*begins, len(data)]
    for position in range(0, len(data), 256):
        place = cut(Held(data), position)
        assert place == min(end for end in ends if end >= position)


def test_the_tar_program_writes_archives_in_which_images_are_found(tmp_path: Path):
    for name, data in named_pictures().items():
        folder = tmp_path / ("long" * 40)
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    for form in ("gnu", "pax", "ustar", "posix", "oldgnu"):
        run(
            ["tar", f"--format={form}", "-cf", f"{form}.tar", folder.name],
            cwd=tmp_path,
            check=False,
        )
        data = (tmp_path / f"{form}.tar").read_bytes()
        assert sorted(found(data)) == sorted(members(data))
        assert len(found(data)) == (len(named_pictures()) if form != "ustar" else len(found(data)))


def test_samples_of_webdataset_are_found(tmp_path: Path):
    path = str(tmp_path / "shard-000.tar")
    with TarWriter(path) as writer:
        for i in range(20):
            photo = jpeg(textured(80, 60, i))
            writer.write({"__key__": f"{i:06}", "jpg": photo, "json": {"i": i}, "cls": i})
    data = Path(path).read_bytes()
    assert [name for name, _ in found(data)] == [f"{i:06}.jpg" for i in range(20)]
    assert found(data) == members(data)


def test_names_are_given_as_they_are():
    names = ["../up.jpg", "/root.jpg", "twice.jpg", "twice.jpg", "back\\slash.jpg", LONG]
    data = tar((name, jpeg()) for name in names)
    assert [name for name, _ in found(data)] == [escape(name.encode()) for name in names]


def test_a_name_that_is_no_utf_8_is_escaped():
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1") as t:
        one = tarfile.TarInfo("größe.jpg")
        one.size = len(jpeg())
        t.addfile(one, io.BytesIO(jpeg()))
    assert found(target.getvalue()) == [("gr\\xf6\\xdfe.jpg", jpeg())]


def test_sparse_members_are_left_alone(tmp_path: Path):
    photo = jpeg()
    with (tmp_path / "sparse.jpg").open("wb") as file:
        for i in range(60):
            file.seek(i * 65536)
            file.write(photo)
    (tmp_path / "whole.jpg").write_bytes(photo)
    for options in (
        ["--format=gnu"],
        ["--format=pax", "--sparse-version=0.0"],
        ["--format=pax", "--sparse-version=0.1"],
        ["--format=pax", "--sparse-version=1.0"],
    ):
        command = ["tar", *options, "-Scf", "s.tar", "sparse.jpg", "whole.jpg"]
        run(command, cwd=tmp_path, check=True)
        data = (tmp_path / "s.tar").read_bytes()
        assert len(data) < 60 * 65536
        assert found(data) == [("whole.jpg", photo)]


def test_links_folders_and_devices_are_skipped():
    target = io.BytesIO()
    kinds = (tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)
    with tarfile.open(fileobj=target, mode="w") as archive:
        for kind in kinds:
            one = tarfile.TarInfo("special.jpg")
            one.type, one.linkname = kind, "a.jpg"
            archive.addfile(one)
    target.seek(0)
    data = target.getvalue()[: len(kinds) * 512] + tar([("a.jpg", jpeg())])
    assert found(data) == [("a.jpg", jpeg())]


def test_archives_one_behind_the_other_are_read_as_one():
    data = tar([("a.jpg", jpeg())]) + tar([("b.png", pictures()["b.png"])])
    assert found(data) == [("a.jpg", jpeg()), ("b.png", pictures()["b.png"])]
    assert in_pieces(data, 600) == found(data)


def test_an_archive_in_an_archive_is_opened():
    inner = tar(named_pictures().items())
    data = tar([("first.jpg", jpeg()), ("inner.tar", inner), ("last.jpg", jpeg())])
    (_, span, _) = find(data, 0, Held(data))
    assert span.name == "inner.tar"
    assert [one.name for one in span.members] == list(named_pictures())
    assert in_pieces(data, 1000) == found(data)


def test_images_in_a_member_of_another_kind_are_found():
    film = random.Random(2).randbytes(5000)
    data = tar([("film.mp4", film + jpeg() + film), ("a.txt", b"text" * 999)])
    (span,) = find(data, 0, Held(data))
    assert (span.name, span.length) == ("film.mp4", 10_000 + len(jpeg()))
    assert found(data) == [("film.mp4", jpeg())]


def test_a_photo_with_another_behind_is_a_container_of_both():
    other = jpeg(textured(90, 70))
    data = tar([("stereo.mpo", jpeg() + other)])
    (span,) = find(data, 0, Held(data))
    assert [(one.start, one.length) for one in span.members] == [
        (0, len(jpeg())),
        (len(jpeg()), len(other)),
    ]


def test_behind_a_damaged_header_reading_goes_on():
    data = tar((f"{i}.jpg", jpeg()) for i in range(5))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        second = archive.getmembers()[1].offset
    damaged = data[: second + 5] + b"?" + data[second + 6 :]
    names = [name for name, _ in found(damaged)]
    assert names == ["0.jpg", None, "2.jpg", "3.jpg", "4.jpg"]


def test_an_image_may_be_as_long_as_its_member_says_and_no_longer():
    """A length that leads out of the file hides no member behind it."""
    one = tarfile.TarInfo("long.jpg")
    one.size = 1 << 40
    data = one.tobuf(tarfile.GNU_FORMAT) + tar([("a.jpg", jpeg())])
    assert found(data) == [("a.jpg", jpeg())]


class Large:
    """A tar of a photo, a member of 10 GiB, and a photo, made where it is read."""

    def __init__(self) -> None:
        film = tarfile.TarInfo("film.mp4")
        film.size = 10 << 30
        self.first = tar([("a.jpg", jpeg())]).rstrip(b"\0")
        self.first += bytes(-len(self.first) % 512) + film.tobuf(tarfile.GNU_FORMAT)
        self.last = tar([("b.jpg", jpeg())])
        self.behind = len(self.first) + film.size
        self.size_bytes = self.behind + len(self.last)
        self.read_bytes = 0

    def read(self, start: int, length: int) -> bytes:
        end = min(start + length, self.size_bytes)
        self.read_bytes += end - start
        inner = bytes(max(0, min(end, self.behind) - max(start, len(self.first))))
        return (
            self.first[start:end]
            + inner
            + self.last[max(0, start - self.behind) :][: max(0, end - max(start, self.behind))]
        )


def test_a_member_of_many_gigabytes_is_cut_and_hides_nothing():
    file = Large()
    assert cut(file, 1 << 30) == 1 << 30
    assert file.read_bytes < 90 << 20
    assert cut(file, file.behind - (80 << 20)) == file.behind - (80 << 20)
    start = cut(file, file.behind - 5)
    (span,) = find(file.read(start, file.size_bytes - start), start, file)
    assert (span.name, span.start + start) == ("b.jpg", file.behind + 512)
    (span,) = find(file.read(0, 1 << 20), 0, file)
    assert span.name == "a.jpg"


def long_member(head: bytes, size_bytes: int) -> tuple[bytes, int]:
    """A tar of a member that begins so, and an image; and where the headers of the image are."""
    data = tar([("long", head.ljust(size_bytes, b"\1")), ("b.jpg", jpeg())])
    return data, data.index(b"b.jpg")


@pytest.mark.parametrize(
    ("head", "size_bytes", "position", "whole"),
    [
        (b"\0\0\0 ftypisom", 30 << 20, 5 << 20, False),
        (b"\0\0\0 ftypisom", 30 << 20, 20 << 20, True),
        (jpeg()[:4096], 30 << 20, 5 << 20, True),
        (jpeg()[:4096], 80 << 20, 5 << 20, False),
        (b"%PDF-1.7", 40 << 20, 2 << 20, True),
        (bytes(128) + b"DICM" + b"\2\0\0\0UL\4\0\xff\xff\0\0", 40 << 20, 2 << 20, True),
        (
            b"SIMPLE  =                    T".ljust(80) + b"COMMENT".ljust(80) * 60,
            40 << 20,
            2 << 20,
            True,
        ),
        (b"RIFF\xf8\xff\x7f\2WEBPVP8L", 40 << 20, 2 << 20, True),
    ],
)
def test_only_a_long_member_that_may_be_or_hold_an_image_is_whole(
    head: bytes, size_bytes: int, position: int, whole: bool
):
    data, behind = long_member(head, size_bytes)
    assert cut(Held(data), position) == (behind if whole else position)


def test_no_image_within_a_long_member_is_cut():
    film = bytes(6 << 20) + jpeg() + bytes(30 << 20)
    data = tar([("film.mp4", film)])
    start = data.index(jpeg())
    assert cut(Held(data), start + 5) == start + len(jpeg())
    assert in_pieces(data, start + 5) == [(None, jpeg())]
