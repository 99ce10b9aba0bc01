"""Golden files decode to their stored digests, for ever and with every kernel."""

import hashlib
import json
from pathlib import Path

import pytest

from seec.pipeline.codec import Model, decode, load_model
from seec.pipeline.codec.model.packaged import find_packaged
from seec.pipeline.codec.search import image_job
from seec.pipeline.images.digest import pixel_digest
from tests.vectors.drawn import UNSTORED, unstored_model
from tests.vectors.make import encoded

FOLDER = Path(__file__).parent
MODELS = {
    model.id: model
    for model in (load_model(p.read_bytes()) for p in sorted(FOLDER.glob("*.safetensors")))
}
VECTORS = json.loads((FOLDER / "vectors.json").read_text())
# Of weights with which the encoder changed labels as readily as with any others.
READILY = tuple(f"v1-max-{number}-" for number in (2, 3, 4, 5))


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    ids = {name: VECTORS[f"v1-{name}.seec"]["model_id"] for name in UNSTORED}
    return MODELS | {id_: unstored_model(name, id_) for name, id_ in ids.items()}


def test_every_golden_file_is_listed():
    assert sorted(VECTORS) == sorted(p.name for p in FOLDER.glob("*.seec"))


@pytest.mark.parametrize("device", ["cpu", "torch:cpu"])
@pytest.mark.parametrize("name", sorted(VECTORS))
def test_golden_files_decode_to_their_digests(name, device, models):
    blob = (FOLDER / name).read_bytes()
    assert hashlib.sha256(blob).hexdigest() == VECTORS[name]["blob_digest"]
    pixels = decode(blob, models=models, device=device)
    assert pixel_digest(pixels).hex() == VECTORS[name]["pixel_digest"]


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_the_encoder_still_writes_the_golden_bytes(name, models, monkeypatch):
    """A change here is a change of the encoder: intended, or a bug."""
    if name.startswith(READILY):
        monkeypatch.setattr(image_job, "DEEP_RELUCTANCE", 1)
    id_ = VECTORS[name]["model_id"]
    model = models.get(id_) or find_packaged(bytes.fromhex(id_)[:8])
    if model is None:
        pytest.skip("written with the weights of an earlier release")
    assert encoded(VECTORS[name]["case"], model) == (FOLDER / name).read_bytes()
