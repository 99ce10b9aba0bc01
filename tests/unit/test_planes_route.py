"""Route `seec-planes`: which rasters are coded as they are, and which in planes of bytes."""

import io

import numpy as np
import pytest
from PIL import Image

from seec.pipeline.codec import Model, encode
from seec.pipeline.routes import reading
from seec.pipeline.routes.writing import Candidate, RunModels, draft, settle
from seec.pipeline.routes.writing.draft import Draft
from seec.schemas.plan import SourceFile
from seec.schemas.planes import Payload, parse
from seec.schemas.routes import SEEC_PLANES
from tests.pictures import textured


def drafted(image: Image.Image, file_format: str, **options: object) -> Draft:
    file = io.BytesIO()
    image.save(file, file_format, **options)  # pyright: ignore[reportArgumentType]
    data = file.getvalue()
    return draft(Candidate(SourceFile("a", len(data), 0), data, 10**6))


def settled(made: Draft, model: Model) -> Payload:
    """The payload, once it is known to come back."""
    codes = [encode(picture, model=model) for picture in made.pictures]
    entry = settle(made, codes, RunModels(model))
    row, payload = entry.row, bytes(entry.payload)
    assert row.route == SEEC_PLANES
    reading.check(row, payload, {model.id: model})
    assert reading.restore(row, payload, {model.id: model})
    return parse(payload)


def deep(seed: int) -> Image.Image:
    texture = textured(40, 50, seed)[..., 0].astype(np.uint16)
    y, x = np.mgrid[:40, :50].astype(np.uint16)
    return Image.fromarray(9000 + 311 * x + 120 * y + 7 * texture)


def test_samples_of_16_bits_want_no_model(golden_model: Model):
    made = drafted(deep(1), "PNG")
    assert not made.pictures
    payload = settled(made, golden_model)
    assert payload.planes == ()
    assert [(run.first, run.count) for run in payload.runs] == [(0, 1)]


def test_pages_of_one_shape_are_a_run(golden_model: Model):
    pages = [deep(2), deep(3), deep(4).resize((30, 31))]
    made = drafted(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    payload = settled(made, golden_model)
    assert [(run.first, run.count) for run in payload.runs] == [(0, 2), (2, 1)]


def test_masks_take_the_smaller_way(golden_model: Model):
    y, x = np.mgrid[:90, :120]
    disc = Image.fromarray((x - 60) ** 2 + (y - 40) ** 2 < 900)
    made = drafted(disc, "PNG")
    assert len(made.pictures) == 1
    (size,) = (len(encode(picture, model=golden_model)) for picture in made.pictures)
    payload = settled(made, golden_model)
    assert [len(code) for code in (*payload.codes, *(run.code for run in payload.runs))] < [size]


def test_samples_of_8_bits_stay_in_planes(golden_model: Model):
    rgba = np.dstack([textured(90, 80), textured(90, 80, 1)[..., 0]])
    payload = settled(drafted(Image.fromarray(rgba), "PNG"), golden_model)
    assert payload.runs == ()
    assert len(payload.planes) == 2


def test_without_the_extension_all_samples_are_in_planes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("seec.pipeline.deep.native.extension", None)
    made = drafted(deep(5), "PNG")
    assert len(made.pictures) == 2
    assert made.coded is not None
    assert made.coded.layout.runs == ()


def test_samples_that_spread_too_far_stay_in_planes(golden_model: Model):
    far = (np.arange(1 << 12, dtype=np.uint32) * np.uint32((1 << 20) - 1)).reshape(64, 64)
    made = drafted(Image.fromarray(far.view(np.float32)), "TIFF")
    assert len(made.pictures) == 4
