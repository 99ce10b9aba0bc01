"""Regions of interest from the command line to the row of an archive."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from seec.jobs import archive, decode, encode, explain, info
from seec.pipeline.codec import Background, default_model
from seec.pipeline.codec import encode as encode_pixels
from seec.pipeline.images.digest import pixel_digest
from seec.pipeline.images.mask import read_mask
from seec.pipeline.lab.benchmark.regions import measure
from seec.pipeline.routes.reading import check, restore
from seec.pipeline.routes.region import check_region_source, make_background
from seec.pipeline.routes.writing import Candidate, RunModels, draft, settle
from seec.schemas.errors import DigestMismatch, SectionCorrupt, UnreadableMask
from seec.schemas.loss import SKIP
from seec.schemas.plan import SourceFile
from seec.schemas.rows import Entry
from tests.pictures import textured
from tests.rows import with_samples
from tests.sources import image_bytes

SHAPE = (64, 96)
MODEL = default_model()
MODELS = {MODEL.id: MODEL}


def region() -> np.ndarray:
    inside = np.zeros(SHAPE, bool)
    inside[20:40, 30:60] = True
    return inside


def run(command: object, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(a) for a in arguments])  # pyright: ignore[reportArgumentType]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.fromarray(textured(*SHAPE)).save(path)
    return path


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    path = tmp_path / "mask.png"
    Image.fromarray(region().astype(np.uint8) * 7).save(path)
    return path


@pytest.mark.parametrize(("asked", "stated"), [("4", 4), ("skip", SKIP)])
def test_every_command_says_what_is_lost(
    picture: Path, mask: Path, tmp_path: Path, asked: str, stated: int
) -> None:
    coded, back, page = (tmp_path / name for name in ("a.seec", "b.png", "c.html"))
    result = run(encode.main, picture, coded, "--roi", mask, "--background-error", asked)
    assert result.exit_code == 0, result.output
    assert "lossy background" in result.stdout
    assert json.loads(run(info.main, coded, "--json").stdout)["background_error"] == stated
    assert "lossless      no" in run(info.main, coded).stdout
    assert "lossy" in run(decode.main, coded, back).stdout
    with Image.open(back) as image:
        assert image.info["Comment"].startswith("SEEC: background")
        decoded = np.asarray(image)
    away = np.abs(decoded.astype(int) - textured(*SHAPE))
    assert away[region()].max() == 0
    assert 0 < away.max() <= (stated or 255)
    assert run(explain.main, coded, page).exit_code == 0
    assert "Not lossless" in page.read_text(encoding="utf-8")


def test_a_format_without_a_comment_is_warned_of(picture: Path, mask: Path, tmp_path: Path) -> None:
    run(encode.main, picture, tmp_path / "a.seec", "--roi", mask, "--background-error", 2)
    result = run(decode.main, tmp_path / "a.seec", tmp_path / "b.ppm", "--json")
    assert "warning" in result.stderr
    assert json.loads(result.stdout)["background_error"] == 2


def test_lossless_files_say_nothing_of_loss(picture: Path, tmp_path: Path) -> None:
    result = run(encode.main, picture, tmp_path / "a.seec")
    assert "lossy" not in result.stdout
    run(decode.main, tmp_path / "a.seec", tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as image:
        assert "Comment" not in image.info
    assert "lossless      yes" in run(info.main, tmp_path / "a.seec").stdout


def test_an_empty_region_leaves_the_image_lossless(picture: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.png"
    Image.new("1", (SHAPE[1], SHAPE[0])).save(empty)
    run(encode.main, picture, tmp_path / "a.seec", "--roi", empty, "--background-error", "skip")
    run(encode.main, picture, tmp_path / "b.seec")
    assert (tmp_path / "a.seec").read_bytes() == (tmp_path / "b.seec").read_bytes()


@pytest.mark.parametrize(
    "options",
    [
        ("--roi", "salient"),
        ("--background-error", "4"),
        ("--roi", "salient", "--background-error", "0"),
        ("--roi", "salient", "--background-error", "128"),
        ("--roi", "rate", "--background-error", "4"),
        ("--roi", "nowhere.png", "--background-error", "4"),
    ],
)
def test_half_a_wish_is_wrong_use(picture: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    assert run(encode.main, picture, tmp_path / "a.seec", *options).exit_code == 2
    assert not (tmp_path / "a.seec").exists()


def test_a_mask_that_does_not_fit_is_named(picture: Path, tmp_path: Path) -> None:
    odd = tmp_path / "odd.png"
    Image.new("L", (5, 5)).save(odd)
    broken = tmp_path / "broken.png"
    broken.write_bytes(odd.read_bytes()[:40])
    for path in (odd, broken):
        result = run(
            encode.main, picture, tmp_path / "a.seec", "--roi", path, "--background-error", 4
        )
        assert result.exit_code == 1
        assert path.name in result.stderr
        assert not (tmp_path / "a.seec").exists()


def test_masks_of_any_plain_mode_are_read_and_others_refused() -> None:
    inside = region()
    for picture in (inside, inside.astype(np.uint8), inside.astype(np.uint16) * 300):
        data = image_bytes(Image.fromarray(picture), "PNG")
        assert (read_mask("m", data, *SHAPE) == inside).all()
    with pytest.raises(UnreadableMask, match="mode RGBA"):
        read_mask("m", image_bytes(Image.new("RGBA", (SHAPE[1], SHAPE[0])), "PNG"), *SHAPE)


def test_an_archive_refuses_to_lose_anything_unasked(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    asked = (tmp_path / "source", tmp_path / "a", "--roi", "salient", "--background-error", 4)
    result = run(archive.main, *asked)
    assert result.exit_code == 2
    assert "--allow-lossy-background" in result.stderr
    result = run(archive.main, *asked[:3], "rate", *asked[4:], "--allow-lossy-background")
    assert result.exit_code == 2
    assert not (tmp_path / "a").exists()


def test_sources_without_regions_are_refused() -> None:
    for name in ("rate", "none", "none+rate", "nothing"):
        with pytest.raises(ValueError, match=name.partition("+")[0]):
            check_region_source(name)
    check_region_source("salient")
    assert make_background(np.zeros(SHAPE, bool), 4) is None


def lossy_entry(format_name: str) -> Entry:
    data = image_bytes(textured(*SHAPE), format_name)
    made = draft(Candidate(SourceFile("a", len(data), 0), data, 10**6))
    (picture,) = made.pictures
    assert made.labelled
    code = encode_pixels(picture, background=Background(region(), 8))
    return settle(made, [code], RunModels(MODEL))


@pytest.mark.parametrize("format_name", ["PNG", "BMP"])
def test_a_lossy_row_proves_and_rebuilds_what_decoding_gives(format_name: str) -> None:
    entry = lossy_entry(format_name)
    assert entry.row.background_error == 8
    check(entry.row, bytes(entry.payload), MODELS)
    back = Image.open(io.BytesIO(restore(entry.row, bytes(entry.payload), MODELS)))
    away = np.abs(np.asarray(back).astype(int) - textured(*SHAPE))
    assert away[region()].max() == 0
    assert 0 < away.max() <= 8
    assert ("Comment" in back.info) == (format_name == "PNG")


def test_a_row_that_hides_a_loss_or_invents_one_is_found() -> None:
    entry = lossy_entry("PNG")
    for stated in (None, SKIP, 7):
        with pytest.raises(SectionCorrupt, match="disagree"):
            check(with_samples(entry.row, background_error=stated), bytes(entry.payload), MODELS)


def test_a_decoded_lossy_image_does_not_pass_as_its_source() -> None:
    entry = lossy_entry("PNG")
    source = pixel_digest(textured(*SHAPE))
    assert entry.row.samples is not None
    assert entry.row.samples.digest != source
    with pytest.raises(DigestMismatch):
        check(with_samples(entry.row, digest=source), bytes(entry.payload), MODELS)


def test_figures_keep_the_promise() -> None:
    rows = measure([textured(*SHAPE)], [region()])
    assert all(row.region_exact for row in rows)
    assert [row.worst_error for row in rows[:-1]] == [0, 1, 2, 4, 8]
    assert [row.bpsp for row in rows] == sorted((row.bpsp for row in rows), reverse=True)
