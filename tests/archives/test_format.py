"""FORMAT.md is enough: a reader that shares no code with the writer restores everything."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seec.pipeline.archive import Archive
from seec.pipeline.codec import decode, load_model
from seec.pipeline.storage import Store
from seec.schemas.archive import format_text
from tests.archives import plain_reader
from tests.sources import files_below, same_image


def decode_with(payload: bytes, model_file: bytes) -> NDArray[np.uint8]:
    model = load_model(model_file)
    return decode(payload, models={model.id: model})


def test_a_plain_reader_restores_every_file(source: Path, archived: Path):
    before = files_below(source)
    after = dict(plain_reader.restored(archived, decode_with))
    assert before.keys() == after.keys()
    for name, data in before.items():
        assert after[name] == b"" or same_image(data, after[name]), name


def test_a_plain_reader_computes_the_archive_digest(archived: Path):
    assert plain_reader.digest(archived) == Archive.open(Store(str(archived))).digest()


def test_a_plain_reader_finds_the_trees_of_rows_and_shards(archived: Path):
    plain_reader.check_trees(archived)


def test_lines_of_the_description_fit_a_terminal():
    lines = format_text().partition("### The dictionary")[0].splitlines()
    assert [line for line in lines if len(line) > 100 and not line.startswith("|")] == []
