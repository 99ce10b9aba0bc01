"""FORMAT.md is enough: a reader that shares no code with the writer restores everything."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.archive import Archive
from pipeline.codec import decode, load_model
from pipeline.storage import Store
from tests.archives import plain_reader
from tests.sources import files_below


def decode_with(payload: bytes, model_file: bytes) -> NDArray[np.uint8]:
    model = load_model(model_file)
    return decode(payload, models={model.id: model})


def test_a_plain_reader_restores_every_file(source: Path, archived: Path):
    before = files_below(source)
    after = dict(plain_reader.restored(archived, decode_with))
    assert before.keys() == after.keys()
    for name, data in before.items():
        if data == after[name] or after[name] == b"":
            continue
        one, other = (Image.open(io.BytesIO(each)) for each in (data, after[name]))
        assert np.array_equal(np.asarray(one), np.asarray(other)), name
        assert one.info == other.info, name


def test_a_plain_reader_computes_the_archive_digest(archived: Path):
    assert plain_reader.digest(archived) == Archive.open(Store(str(archived))).digest()
