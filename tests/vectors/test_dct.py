"""Golden files of coded coefficients: for ever the same, and readable from FORMAT.md alone."""

import numpy as np
import pytest

from seec.pipeline.dct.codec import encode_file
from seec.pipeline.dct.dictionary import recipe_dictionary
from seec.pipeline.dct.native import Coder, levels
from seec.pipeline.dct.packaged import packaged_model
from seec.pipeline.dct.planes import GROUP_BLOCKS
from seec.pipeline.dct.weights import load_model
from seec.schemas.archive import format_text
from tests.jpegs import jpeg
from tests.pictures import textured
from tests.vectors import plain_dct, plain_jpeg_file
from tests.vectors.drawn_dct import draw
from tests.vectors.make_dct import CASES, FOLDER, MODELS, case_name


@pytest.mark.parametrize("level", levels())
@pytest.mark.parametrize("name", MODELS)
def test_golden_files_are_written_and_read_by_each_instruction_set(name, level):
    coder = Coder(load_model((FOLDER / f"{name}.dct").read_bytes()), level)
    for shape, loud in CASES:
        golden, components = (
            (FOLDER / case_name(name, shape, loud)).read_bytes(),
            draw(shape, 7, loud),
        )
        assert coder.encode(components) == golden
        kept = [c.coefficients.copy() for c in components]
        for c in components:
            c.coefficients[:] = 0
        coder.decode(components, golden)
        for c, coefficients in zip(components, kept, strict=True):
            np.testing.assert_array_equal(c.coefficients, coefficients)


@pytest.mark.parametrize("name", MODELS)
def test_a_decoder_written_from_the_specification_reads_golden_files(name):
    model = plain_dct.Model((FOLDER / f"{name}.dct").read_bytes())
    for shape, loud in CASES:
        components = draw(shape, 7, loud)
        blocks = plain_dct.decode_group(
            model,
            [
                (*c.coefficients.shape[:2], c.horizontal, c.vertical, c.quantisation.tolist())
                for c in components
            ],
            (FOLDER / case_name(name, shape, loud)).read_bytes(),
        )
        for c, found in zip(components, blocks, strict=True):
            np.testing.assert_array_equal(c.coefficients.reshape(-1, 64), np.array(found))


def test_it_reads_whole_coded_files_and_pictures_within():
    thumbnail = b"Exif\0\0" + jpeg(textured(24, 16), progressive=True)
    for data in (jpeg(textured(20, 30)), jpeg(textured(17, 30), exif=thumbnail, dpi=(90, 90))):
        model = packaged_model("fast")
        coded = encode_file(data, model)
        assert plain_jpeg_file.read_file(coded, model.payload, format_text()) == data


def test_it_knows_the_dictionary():
    assert plain_jpeg_file.read_dictionary(format_text()) == recipe_dictionary()


def test_groups_are_cut_as_the_specification_says():
    for rows, columns in ((1, 1), (100, 200), (300, 200), (301, 511), (2000, 3000)):
        components = [(rows, columns, 2, 2, []), (rows // 2 or 1, columns // 2 or 1, 1, 1, [])]
        spans = plain_dct.spans(components)
        assert spans[0][0] == 0
        assert spans[-1][1] == -(-rows // 2)
        blocks = [(end - first) * 4 * (columns / 2) for first, end in spans]
        assert all(b > GROUP_BLOCKS / 2 for b in blocks) or len(spans) == 1
