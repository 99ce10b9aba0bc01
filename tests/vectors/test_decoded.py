"""Golden files of decoded pixels: for ever the same, and readable from FORMAT.md alone."""

import pytest

from seec.pipeline.decoded.coding import apart, decode, encode
from seec.schemas.archive import format_text
from tests.vectors import plain_decoded
from tests.vectors.make_decoded import CASES, case_file, draw_image, golden_model


@pytest.mark.parametrize("name", CASES)
def test_golden_files_are_written_and_read(name):
    golden, model = case_file(name).read_bytes(), golden_model()
    image, jpeg = draw_image(name)
    decoded = apart(image, jpeg)
    assert 10 < decoded.differing < 50
    assert encode(decoded, model) == golden
    assert (decode(golden, {model.short_id: model}.get, image.shape) == image).all()


@pytest.mark.parametrize("name", CASES)
def test_a_decoder_written_from_the_specification_reads_golden_files(name):
    image, _ = draw_image(name)
    assert (image == 0).any()
    assert (image == 255).any()
    model, text = golden_model().payload, format_text()
    found = plain_decoded.decode(case_file(name).read_bytes(), *CASES[name], model, text)
    assert found == image.tobytes()
