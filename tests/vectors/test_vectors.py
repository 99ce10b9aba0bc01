"""Golden files decode to their stored digests with every kernel."""

import hashlib
import json

import pytest

from seec.pipeline.codec import decode
from seec.pipeline.images.digest import pixel_digest
from tests.vectors.make import FOLDER, LISTING, golden_files, golden_model

VECTORS = json.loads(LISTING.read_text())


def test_every_golden_file_is_listed():
    assert sorted(VECTORS) == sorted(p.name for p in FOLDER.glob("*.seec"))
    assert {name: VECTORS[name]["holds"] for name in VECTORS} == {
        name: golden.holds for name, (_, golden) in golden_files().items()
    }


@pytest.mark.parametrize("device", ["cpu", "torch:cpu"])
@pytest.mark.parametrize("name", sorted(VECTORS))
def test_golden_files_decode_to_their_digests(name, device):
    blob = (FOLDER / name).read_bytes()
    assert hashlib.sha256(blob).hexdigest() == VECTORS[name]["blob_digest"]
    model = golden_model(VECTORS[name]["model"])
    pixels = decode(blob, models={model.id: model}, device=device)
    assert pixel_digest(pixels).hex() == VECTORS[name]["pixel_digest"]


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_the_encoder_still_writes_the_golden_bytes(name):
    """A change here is a change of the encoder: intended, or a bug."""
    model, golden = golden_files()[name]
    assert golden.encoded(golden_model(model)) == (FOLDER / name).read_bytes()
